//! Words for templates: amounts, times and choices as people read them.

use berth_schema::Revision;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, HtmlEscape, Value};
use serde::Serialize;

/// Gives a value to a template.
pub(crate) fn value(of: impl Serialize) -> Value {
    Value::from(Serde(of))
}

/// Teaches the templates these words.
pub(crate) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("when", when);
    environment.add_filter("cpus", cpus);
    environment.add_filter("bytes", bytes);
    environment.add_filter("amount", amount);
    environment.add_filter("share", |used: u64, allowed: u64| share(used, allowed));
    environment.add_filter("sentence", |text: Value| Value::from_safe_string(prose(&sentence(text))));
    environment.add_filter("prose", |text: String| Value::from_safe_string(prose(&text)));
    environment.add_filter("sign", |line: String| sign(&line));
    environment.add_filter("short", |revision: String| short(&revision));
    environment.add_filter("query", |text: String| query(&text));
    environment.add_filter("count", count);
}

/// Time in UTC, which the script turns into the reader's own.
fn when(at: Value) -> String {
    let Some(at) = at.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else { return at.to_string() };
    at.to_zoned(TimeZone::UTC).strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// Billionths of a processor in words.
fn cpus(nanos: u64) -> String {
    let text = processors(nanos);
    if text == "1" { "1 processor".to_owned() } else { format!("{text} processors") }
}

/// Billionths of a processor as a number of processors.
pub(crate) fn processors(nanos: u64) -> String {
    decimals(nanos, 1_000_000_000)
}

/// Bytes with the unit that suits them.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{} {unit}", decimals(bytes, size)),
        None => format!("{bytes} B"),
    }
}

/// Amount of a quota's field, with its unit where it has one.
fn amount(number: u64, field: &str) -> String {
    match field {
        "cpus" => processors(number),
        "memory" | "disk" => bytes(number),
        _ => number.to_string(),
    }
}

/// A quotient with two digits after the point at most.
fn decimals(amount: u64, unit: u64) -> String {
    let hundredths = u128::from(amount) * 100 / u128::from(unit.max(1));
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Part of an amount in percent, a hundred at most.
fn share(used: u64, allowed: u64) -> u64 {
    match allowed {
        0 => 100,
        _ => u64::try_from(u128::from(used) * 100 / u128::from(allowed)).unwrap_or(100).min(100),
    }
}

/// A message or a hint as a sentence: with a capital where it begins with a word, and with its end.
pub(crate) fn sentence(text: Value) -> String {
    let text = text.as_str().unwrap_or_default().trim();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let end = if text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}

/// A text of Berth's as HTML: what stands between backticks is code.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        // A backtick without another one is only a backtick.
        match (is_code, parts.peek()) {
            (true, Some(_)) => out.push_str(&format!("<code>{}</code>", HtmlEscape(part))),
            (true, None) => out.push_str(&format!("`{}", HtmlEscape(part))),
            (false, _) => out.push_str(&HtmlEscape(part).to_string()),
        }
        is_code = !is_code;
    }
    out
}

/// The class of a line of a diff.
fn sign(line: &str) -> &'static str {
    match line.as_bytes().first() {
        Some(b'+') => "add",
        Some(b'-') => "cut",
        Some(b'@') => "at",
        _ => "",
    }
}

/// The first digits of a revision.
fn short(revision: &str) -> String {
    revision.parse::<Revision>().map_or_else(|_| revision.to_owned(), |revision| revision.short())
}

/// A text as a part of a URL's query.
pub(crate) fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A number with its word: `1 key`, `2 keys`.
fn count(number: u64, word: String) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_say_them() {
        for (nanos, said) in [
            (1_000_000_000, "1 processor"),
            (500_000_000, "0.5 processors"),
            (1_250_000_000, "1.25 processors"),
        ] {
            assert_eq!(cpus(nanos), said);
        }
        for (amount, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 30, "1 GiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16777215.99 TiB"),
        ] {
            assert_eq!(bytes(amount), said);
        }
        for (field, said) in [("cpus", "1.5"), ("memory", "1.39 GiB"), ("servers", "1500000000")] {
            assert_eq!(amount(1_500_000_000, field), said);
        }
        assert_eq!((share(1, 3), share(9, 3), share(0, 0)), (33, 100, 100));
        assert_eq!(
            (count(1, "key".to_owned()), count(0, "key".to_owned())),
            ("1 key".to_owned(), "0 keys".to_owned())
        );
    }

    #[test]
    fn times_and_sentences() {
        assert_eq!(when(Value::from("2026-11-29T18:40:09Z")), "29 Nov 2026, 18:40 UTC");
        assert_eq!(when(Value::from("yesterday")), "yesterday");
        for (text, said) in
            [("write `2GiB`", "Write `2GiB`."), ("Is it so?", "Is it so?"), ("", ""), ("`a` is", "`a` is.")]
        {
            assert_eq!(sentence(Value::from(text)), said);
        }
        assert_eq!(sentence(Value::from(())), "");
        assert_eq!(prose("`<b>` & `c"), "<code>&lt;b&gt;</code> &amp; `c");
        assert_eq!(prose("a `b` c `d`"), "a <code>b</code> c <code>d</code>");
        assert_eq!(query("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
