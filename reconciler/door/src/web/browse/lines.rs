//! Lines of a file as people read them.

use berth_judge::form::Marks;
use berth_repo::{Plain, Revision, StateRepo};
use berth_schema::text::{is_invisible, safe_line};
use berth_wire::web::{Page, Refusal};

use super::super::refusals::unavailable;

/// Lines of a page.
pub(super) const AT_ONCE: usize = 500;
/// Characters of a line that are shown.
const LONGEST: usize = 2000;

/// A file as it is read.
pub(super) enum Read {
    /// Text, with marks in place of secrets.
    Text {
        text: String,
        hidden: usize,
        size: usize,
    },
    Binary {
        size: usize,
    },
    TooLarge {
        size: u64,
    },
    /// A member's file with mistakes.
    Closed {
        size: usize,
    },
}

/// Reads the plain file at a path; `None` where there is none.
pub(super) fn read(
    repo: &StateRepo,
    marks: &Marks,
    revision: &Revision,
    path: &str,
) -> Result<Option<Read>, Refusal> {
    let plain = repo.read_plain(revision, path).map_err(|error| unavailable(&error))?;
    Ok(plain.map(|plain| of(marks, path, plain)))
}

/// A plain file, read.
pub(super) fn of(marks: &Marks, path: &str, plain: Plain) -> Read {
    let bytes = match plain {
        Plain::TooLarge(size) => return Read::TooLarge { size },
        Plain::Read(bytes) => bytes,
    };
    let size = bytes.len();
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else { return Read::Binary { size } };
    match marks.veil(path, &text) {
        Some(veiled) => Read::Text { text: veiled.text, hidden: veiled.hidden, size },
        None => Read::Closed { size },
    }
}

/// A page of a text's lines, and the number of its first line.
pub(super) fn page(text: &str, number: u32) -> (Page<String>, usize) {
    let all: Vec<&str> = text.lines().collect();
    let pages = all.len().div_ceil(AT_ONCE).max(1);
    let at = usize::try_from(number).unwrap_or(usize::MAX).clamp(1, pages);
    let before = (at - 1) * AT_ONCE;
    let rows = all.iter().skip(before).take(AT_ONCE).map(|line| shown(line)).collect();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let page = Page { rows, page: number(at), pages: number(pages), all: number(all.len()) };
    (page, before + 1)
}

/// The page that has a line.
pub(super) fn page_of(line: usize) -> u32 {
    u32::try_from(line.saturating_sub(1) / AT_ONCE + 1).unwrap_or(u32::MAX)
}

/// A line with its spaces as they are. What can't be seen is an escape, and a line that is too long ends early.
fn shown(line: &str) -> String {
    let is_plain = |c: char| c == '\t' || !is_invisible(c);
    let is_long = line.len() > LONGEST && line.chars().count() > LONGEST;
    if !is_long && line.chars().all(is_plain) {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len().min(LONGEST * 2));
    for c in line.chars().take(LONGEST) {
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    if is_long {
        out.push('…');
    }
    out
}

/// A line of a list, cut around a place in it.
pub(super) fn excerpt(line: &str, most: usize) -> String {
    safe_line(line, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_pages_and_each_is_on_one() {
        let text: String = (1..=1200).map(|number| format!("line {number}\n")).collect();
        let (last, first) = page(&text, 9);
        assert_eq!((last.page, last.pages, last.all, first), (3, 3, 1200, 1001));
        assert_eq!(last.rows.first().map(String::as_str), Some("line 1001"));
        assert_eq!([1, 500, 501, 1200].map(page_of), [1, 1, 2, 3]);
        let (empty, _) = page("", 1);
        assert_eq!((empty.rows.len(), empty.pages, empty.all), (0, 1, 0));
    }

    #[test]
    fn a_line_acts_on_nothing_and_ends() {
        assert_eq!(shown("\tid = 1 # ž\u{202e}"), "\tid = 1 # ž\\u{202e}");
        assert_eq!(shown(&"x".repeat(5000)).chars().count(), LONGEST + 1);
    }
}
