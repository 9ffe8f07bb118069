//! Texts for tests, such as somebody might write to deceive their reader.

use proptest::prelude::*;
use proptest::sample::select;

use crate::text::is_invisible;

/// Pieces that move a cursor, recolour, reorder, hide, end a quotation or begin markup.
const PIECES: [&str; 38] = [
    "a",
    "Ąžuolas ",
    "東京",
    "שלום",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "\u{7}",
    "\u{8}",
    "\u{7f}",
    "\u{85}",
    "\u{9b}2J",
    "\u{1b}[2J",
    "\u{1b}[31m",
    "\u{1b}]0;title\u{7}",
    "\u{ad}",
    "\u{61c}",
    "\u{200b}",
    "\u{200d}",
    "\u{200e}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{2069}",
    "\u{3164}",
    "\u{fe0f}",
    "\u{feff}",
    "\u{e0041}",
    "\u{e0101}",
    "</details><script>",
    "](https://example.org)",
    "```\n",
    "'''\n\"\"\"\n",
    "@all #1 ",
    "| --- |\n",
    "\\u{202e}",
];

/// Any text, with a leaning towards what acts on the page that it is put into.
pub fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,8}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Any text of one line, for a commit's author or summary, or a path, without the characters that git refuses there.
pub fn hostile_line() -> impl Strategy<Value = String> {
    hostile_text().prop_map(|text| format!("x{}x", text.replace(['\n', '\0', '<', '>'], "")))
}

/// The first invisible character that isn't a line feed, with what stands around it; `None` in a page that harms nobody.
pub fn harm(page: &str) -> Option<String> {
    let (at, c) = page.char_indices().find(|(_, c)| is_invisible(*c) && *c != '\n')?;
    let before: String = page[..at].chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
    Some(format!("U+{:04X} after {before:?}", u32::from(c)))
}
