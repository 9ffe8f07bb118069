//! Escapes what others typed: labels and names on an engine are anybody's text.

/// The text without anything that could move a cursor, hide or reorder what stands around it.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        if is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// The text as the same text in Markdown: no markup, no HTML, no link, no mention.
pub(super) fn markdown(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() + raw.len() / 4);
    for c in text(raw).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A forge looks for `@name` and `#1` in what is rendered, where a backslash is gone; a zero-width space
            // isn't.
            '@' | '#' => {
                out.push('\\');
                out.push(c);
                out.push('\u{200b}');
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

/// Control characters, and the format characters that are invisible or change direction.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{markdown, text};

    #[test]
    fn text_shows_what_is_invisible() {
        assert_eq!(text("blog\u{1b}[2J\n\u{202e}gpj"), "blog\\u{1b}[2J\\n\\u{202e}gpj");
        assert_eq!(text("image ąčę:1 → 2"), "image ąčę:1 → 2");
    }

    #[test]
    fn markdown_is_the_text_and_no_markup() {
        assert_eq!(markdown("<img src=x> & co"), "&lt;img src=x&gt; &amp; co");
        assert_eq!(markdown("**a** | [b](http://c) `d`"), "\\*\\*a\\*\\* \\| \\[b\\](http\\://c) \\`d\\`");
        assert_eq!(markdown("www.example.org"), "www\\.example\\.org");
        assert_eq!(markdown("@all fixes #1"), "\\@\u{200b}all fixes \\#\u{200b}1");
    }
}
