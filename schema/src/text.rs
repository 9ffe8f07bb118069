//! Text of others, made harmless, and the small words of sentences.
//!
//! A commit's author, a path, a label on an engine, the last words of a program: whoever wrote them may be the one that the
//! reader should be warned of. So no renderer puts them into a page as they are. What acts on a page instead of standing on
//! it is shown as an escape, and [`page`] goes over everything once more when it is printed.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;
use std::iter::Peekable;
use std::str::Chars;

use serde::Serialize;

/// Returns whether a character acts on the text around it, or is there without being seen.
///
/// These are Unicode's control characters (`Cc`), format characters (`Cf`) but for the few that have a shape of their own,
/// line and paragraph separators (`Zl`, `Zp`), and everything with `Default_Ignorable_Code_Point`. Among them are what sets
/// directions, what has no width, tags, and variation selectors. A test compares the ranges with the character database.
pub fn is_invisible(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' => true,
        '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// Returns whether a character steers the terminal that it is printed on: it moves the cursor, recolours, ends a line unseen,
/// or turns the direction of what stands around it. All of them are invisible; most invisible characters steer nothing.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every invisible character as an escape, such as `\u{202e}`. Line feeds are escaped too.
pub fn safe(text: impl fmt::Display) -> String {
    let mut safe = Escaped(String::new());
    // A `String` takes everything.
    let _ = write!(safe, "{text}");
    safe.0
}

struct Escaped(String);

impl fmt::Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|c| push(&mut self.0, c));
        Ok(())
    }
}

/// The text on one line of at most `max` characters: its lines are joined by a space, and the rest is as in [`safe`].
pub fn safe_line(text: &str, max: usize) -> String {
    let lines = text.split(['\n', '\r', '\t']).map(str::trim).filter(|line| !line.is_empty());
    let mut joined = String::new();
    for line in lines {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line);
        if joined.len() > max.saturating_mul(4) {
            break;
        }
    }
    cut(&joined, max)
}

/// The longest piece of somebody's file that a message repeats, in characters.
const SHOWN_MAX: usize = 80;

/// A value as a message repeats it: safe, and cut where it is long.
pub fn shown(value: &str) -> String {
    cut(value, SHOWN_MAX)
}

/// The safe text, cut after whole characters and escapes to at most `max` characters.
fn cut(text: &str, max: usize) -> String {
    let mut line = String::new();
    // The length of `line` in characters, and in bytes as far as an ellipsis still has room behind it.
    let (mut length, mut with_room) = (0, 0);
    for c in text.chars() {
        length += if is_invisible(c) { c.escape_default().len() } else { 1 };
        if length > max {
            line.truncate(with_room);
            line.push('…');
            return line;
        }
        push(&mut line, c);
        if length < max {
            with_room = line.len();
        }
    }
    line
}

fn push(safe: &mut String, c: char) {
    if is_invisible(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
}

/// The text with as many characters as before, and each invisible one but tabs as a replacement character: places in it
/// stay where they are.
pub(crate) fn masked(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The text as the same text in Markdown: no markup, no HTML, no link, no mention.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for c in safe(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A forge looks for `@name` and `#1` in what is rendered, where a backslash is gone; the zero-width space that
            // the reference stands for isn't.
            '@' | '#' => {
                out.push('\\');
                out.push(c);
                out.push_str("&#8203;");
            }
            // Left readable, since alone they mean nothing in the middle of a line.
            '-' | ',' | '(' | ')' | '/' | ';' | '%' | '\'' | '=' => out.push(c),
            c if c.is_ascii_punctuation() => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A value as JSON on several lines. Invisible characters are escaped there, so a parser reads what was written.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let is_escaped = |c| is_invisible(c) && c != '\n';
    if !text.contains(is_escaped) {
        return Ok(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// A page that goes to a terminal, for the last time before it does: line feeds, tabs and colours stay, everything else that
/// is invisible becomes an escape.
///
/// Whoever put others' text into the page has made it safe already. This is for the piece that somebody forgets; it can't
/// tell others' colours and line feeds from our own.
pub fn page(text: &str) -> Cow<'_, str> {
    filtered(text, Lines::Kept)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Kept,
    Escaped,
}

fn filtered(text: &str, lines: Lines) -> Cow<'_, str> {
    let stays = |c: char| matches!((c, lines), ('\n' | '\t', Lines::Kept));
    if !text.contains(|c| is_invisible(c) && !stays(c)) {
        return Cow::Borrowed(text);
    }
    let mut page = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if stays(c) {
            page.push(c);
        } else if let Some(colour) = (c == '\u{1b}').then(|| colour(&mut chars)).flatten() {
            page.push_str(&colour);
        } else {
            push(&mut page, c);
        }
    }
    Cow::Owned(page)
}

/// Takes what follows an escape character where the two set a colour (`ESC [ <numbers> m`), and returns all of it.
fn colour(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let numbers = |c: &char| c.is_ascii_digit() || *c == ';';
    let mut ahead = rest.clone();
    let sequence: String = std::iter::once(ahead.next_if_eq(&'[')?)
        .chain(std::iter::from_fn(|| ahead.next_if(numbers)))
        .collect();
    ahead.next_if_eq(&'m')?;
    *rest = ahead;
    Some(format!("\u{1b}{sequence}m"))
}

/// A log on its way out: each write is one event, which stays one line whatever is told in it.
#[derive(Debug)]
pub struct SafeLog<W>(pub W);

impl<W: io::Write> io::Write for SafeLog<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        self.0.write_all(format!("{}{end}", filtered(line, Lines::Escaped)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A number of things: "1 file", "2 files".
pub fn counted(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    let ending = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// A phrase as the beginning of a sentence.
pub fn capital(phrase: &str) -> String {
    let mut rest = phrase.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The people whom somebody may ask: "`ann` or `rasa`", or who else can help where there is nobody.
pub fn any_of<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    /// Most people in one answer: a few are enough to ask.
    const NAMED: usize = 3;
    let names: Vec<String> = names.into_iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "whoever runs the platform".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory};
    use icu_properties::props::{PrependedConcatenationMark, VariationSelector};
    use icu_properties::{CodePointMapData, CodePointSetData};

    use super::*;

    #[test]
    fn the_sets_are_those_of_the_character_database() {
        let category = CodePointMapData::<GeneralCategory>::new();
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        let has_shape = CodePointSetData::new::<PrependedConcatenationMark>();
        let directs = CodePointSetData::new::<BidiControl>();
        let varies = CodePointSetData::new::<VariationSelector>();
        for c in '\0'..=char::MAX {
            use GeneralCategory as Is;
            let wanted = match category.get(c) {
                Is::Control | Is::LineSeparator | Is::ParagraphSeparator => true,
                Is::Format => !has_shape.contains(c),
                _ => ignorable.contains(c),
            };
            assert_eq!(is_invisible(c), wanted, "U+{:04X}", u32::from(c));
            assert!(is_invisible(c) || !varies.contains(c), "U+{:04X}", u32::from(c));
            let separates = matches!(category.get(c), Is::LineSeparator | Is::ParagraphSeparator);
            let wanted = category.get(c) == Is::Control || separates || directs.contains(c);
            assert_eq!(steers(c), wanted, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn text_shows_what_is_invisible() {
        assert_eq!(safe("blog\u{1b}[2J\n\u{202e}gpj\u{e0041}"), "blog\\u{1b}[2J\\n\\u{202e}gpj\\u{e0041}");
        assert_eq!(safe("image ąčę:1 → 2, 東京, שלום"), "image ąčę:1 → 2, 東京, שלום");
    }

    #[test]
    fn a_line_is_one_and_no_longer_than_asked() {
        assert_eq!(safe_line(" a\r\n\tb \u{1b}[31m ", 100), "a b \\u{1b}[31m");
        assert_eq!(safe_line("ąčęėį", 5), "ąčęėį");
        assert_eq!(safe_line("ąčęėįš", 5), "ąčęė…");
        // An escape isn't cut in two.
        assert_eq!(safe_line("ab\u{202e}cd", 9), "ab…");
        assert_eq!(safe_line("ab\u{202e}", 10), "ab\\u{202e}");
        assert_eq!(safe_line("abc", 0), "…");
        assert_eq!(safe_line("", 0), "");
    }

    #[test]
    fn markdown_is_the_text_and_no_markup() {
        assert_eq!(markdown("<img src=x> & co"), "&lt;img src=x&gt; &amp; co");
        assert_eq!(markdown("**a** | [b](http://c) `d`"), "\\*\\*a\\*\\* \\| \\[b\\](http\\://c) \\`d\\`");
        assert_eq!(markdown("www.example.org"), "www\\.example\\.org");
        assert_eq!(markdown("@all fixes #1"), "\\@&#8203;all fixes \\#&#8203;1");
        assert_eq!(markdown("a\n# b\u{200b}"), "a\\\\n\\#&#8203; b\\\\u\\{200b\\}");
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{1b}[2J\n\u{7f}", "\u{e0041}ą"] });
        let text = json(&value).unwrap();
        assert!(!text.contains(|c| is_invisible(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_page_keeps_lines_and_colours_and_nothing_else() {
        let good = "\u{1b}[1m\u{1b}[38;5;9mred\u{1b}[0m\n\tindented\n";
        assert_eq!(page(good), good);
        assert_eq!(page("a\rb\u{1b}[2Jc\u{1b}[31d\u{1b}"), "a\\rb\\u{1b}[2Jc\\u{1b}[31d\\u{1b}");
    }

    #[test]
    fn an_event_is_one_line_of_a_log() {
        let mut log = SafeLog(Vec::new());
        log.write_all(" WARN a\nERROR b\r\u{202e}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(log.0).unwrap(), " WARN a\\nERROR b\\r\\u{202e}\n");
    }

    #[test]
    fn words_agree_with_numbers() {
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
        assert_eq!(capital("ąžuolas grows"), "Ąžuolas grows");
        assert_eq!(any_of::<&str>([]), "whoever runs the platform");
        assert_eq!(any_of(["a", "b", "c", "d"]), "`a`, `b` or `c`");
    }
}
