//! Lines of a log, out of bytes that anybody in the server may have written.

use std::mem;

use berth_schema::text::is_invisible;

/// Longest line that is shown, in bytes. The file has it whole.
const LONGEST: usize = 4 << 10;
/// Beginning of what steers a terminal.
const ESCAPE: char = '\u{1b}';
/// End of a command that terminals take as a text, such as a title.
const BELL: char = '\u{7}';

/// Lines as they come.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Beginning of the line that isn't whole yet.
    begun: Vec<u8>,
    /// Bytes of it that there was no room for.
    more: usize,
}

impl Lines {
    /// Takes bytes in, and returns the lines that they end.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LONGEST.saturating_sub(self.begun.len());
            let (fits, rest) = text.split_at(room.min(text.len()));
            self.begun.extend_from_slice(fits);
            self.more += rest.len();
            if ends {
                whole.push(self.line());
            }
        }
        whole
    }

    /// The last line, if it has no end.
    pub(crate) fn rest(&mut self) -> Option<String> {
        (!self.begun.is_empty()).then(|| self.line())
    }

    fn line(&mut self) -> String {
        let (begun, more) = (mem::take(&mut self.begun), mem::take(&mut self.more));
        let mut line = shown(&String::from_utf8_lossy(&begun));
        if more > 0 {
            line.push_str(&format!(" … ({more} more bytes, which the file has)"));
        }
        line
    }
}

/// A line as it is shown: without what steers terminals, and with a replacement for each other character that can't be seen.
fn shown(line: &str) -> String {
    let (mut shown, mut left) = (String::with_capacity(line.len()), line.trim_end_matches('\r').chars());
    while let Some(c) = left.next() {
        match c {
            ESCAPE => skip(&mut left),
            '\t' => shown.push(c),
            c if is_invisible(c) => shown.push(char::REPLACEMENT_CHARACTER),
            c => shown.push(c),
        }
    }
    shown
}

/// Skips the rest of an escape sequence (ECMA-48).
fn skip(left: &mut std::str::Chars<'_>) {
    let mut ahead = left.clone();
    match ahead.next() {
        // A control sequence: parameters, then one letter.
        Some('[') => {
            *left = ahead;
            let mut ahead = left.clone();
            while let Some(c) = ahead.next() {
                match c {
                    ' '..='?' => *left = ahead.clone(),
                    '@'..='~' => {
                        *left = ahead;
                        return;
                    }
                    // It broke off.
                    _ => return,
                }
            }
        }
        // A text, up to a bell or the string terminator.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            *left = ahead;
            while let Some(c) = left.next() {
                if c == BELL {
                    return;
                }
                if c == ESCAPE {
                    if left.as_str().starts_with('\\') {
                        left.next();
                    }
                    return;
                }
            }
        }
        // Two or three characters.
        Some(' '..='/') => {
            *left = ahead;
            left.next();
        }
        Some('0'..='~') => *left = ahead,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        Lines::default().take(format!("{text}\n").as_bytes()).concat()
    }

    #[test]
    fn lines_are_whole_whatever_pieces_they_come_in() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for byte in "one\r\n\ntwo é\nthree".bytes() {
            found.extend(lines.take(&[byte]));
        }
        assert_eq!(found, ["one", "", "two é"]);
        assert_eq!((lines.rest(), lines.rest()), (Some("three".to_owned()), None));
    }

    #[test]
    fn words_stay_and_what_steers_goes() {
        for (text, seen) in [
            ("<script>alert(1)</script> & \"it\"", "<script>alert(1)</script> & \"it\""),
            ("\u{1b}[1;31mred\u{1b}[0m text", "red text"),
            ("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c", "abc"),
            ("a\u{1b}(Bb\u{1b}7c\u{1b}", "abc"),
            ("a\u{1b}[31\u{202e}b", "a\u{fffd}b"),
            ("\ttab\u{8}\u{0}", "\ttab\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(one(text), seen, "{text:?}");
        }
        assert_eq!(Lines::default().take(b"\xff\xfe!\n"), ["\u{fffd}\u{fffd}!"]);
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let mut lines = Lines::default();
        let megabyte = vec![b'x'; 1 << 20];
        assert!(lines.take(&megabyte).is_empty());
        let found = lines.take(b"\nnext\n");
        assert_eq!(found[1], "next");
        assert!(found[0].ends_with(&format!(" … ({} more bytes, which the file has)", (1 << 20) - LONGEST)));
        assert!(found[0].len() < LONGEST + 100);
    }
}
