//! Veil: the secrets in a file's text, and the marks that stand for them where people read and edit it.
//!
//! Owns what counts as a secret in a text: hashes of passwords, digests of API tokens, tokens themselves, private keys, values
//! under a secret's name, and whatever the schema hides. Owns, too, how a secret comes back into a text that somebody edited: where
//! its mark stands as it stood, and nowhere else. Pure: whoever draws a veil says by which name a mark calls its secret.

mod find;
mod mark;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::finding::{Finding, Position, Severity};
use crate::invalid::Invalid;

pub(crate) use find::hash_length;
pub use mark::NAME;

use mark::{BEGINS, ENDS, mark, mark_length};

/// Name by which a mark calls a secret: [`NAME`] characters from `0-9a-f`, the same for the same secret. It must tell nobody
/// anything about the secret.
pub type Named<'a> = &'a dyn Fn(&str) -> String;

/// A text with marks in place of its secrets. Every line is where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veiled {
    /// The text.
    pub text: String,
    /// Number of its marks.
    pub hidden: usize,
}

/// Returns the text of the file at `path` with a mark in place of each secret; `None` where a secret could hide anywhere, since
/// the file is a member's and isn't TOML.
pub fn veil(path: &str, text: &str, named: Named<'_>) -> Option<Veiled> {
    let spans = find::secrets(path, text)?;
    let hidden = spans.len();
    Some(Veiled { text: replaced(text, &spans, |secret| mark(&named(secret))), hidden })
}

/// Returns the text of the file at `path` with an asterisk for each character of a secret; `None` as for [`veil`].
pub fn blackened(path: &str, text: &str) -> Option<String> {
    let spans = find::secrets(path, text)?;
    Some(replaced(text, &spans, |secret| "*".repeat(secret.chars().count())))
}

/// Puts the secrets of `began`, the text that an editor began from, back into the text that they sent: each in place of its
/// mark. Refuses marks that stand elsewhere than they stood, or that were changed.
pub fn restore(path: &str, began: &str, sent: &str, named: Named<'_>) -> Result<String, Vec<Finding>> {
    let mut known = known(path, began, named);
    let document = document(path, sent);
    let (mut out, mut at, mut findings) = (String::with_capacity(sent.len()), 0, Vec::new());
    // Where secrets stand now, and where their marks stood.
    let mut restored: Vec<(Range<usize>, usize)> = Vec::new();
    while let Some(from) = sent[at..].find(BEGINS).map(|from| at + from) {
        out.push_str(&sent[at..from]);
        let length = mark_length(&sent[from..]);
        let found = match length {
            0 => None,
            length => {
                let name = &sent[from + BEGINS.len()..from + length - ENDS.len_utf8()];
                let place = Place::of(document.as_ref(), sent, from);
                known.iter().position(|known| known.name == name && known.place == place)
            }
        };
        at = from + length.max(BEGINS.len());
        match found {
            Some(found) => {
                let start = out.len();
                out.push_str(&known.swap_remove(found).secret);
                restored.push((start..out.len(), from));
            }
            None => {
                let position = Some(Position::of(sent, from));
                findings.push(Finding::new(Severity::Error, path, position, misplaced(length)));
            }
        }
    }
    out.push_str(&sent[at..]);
    // What was written around a mark may not bring its secret to light.
    if let Some(hidden) = find::secrets(path, &out) {
        let is_hidden =
            |span: &Range<usize>| hidden.iter().any(|part| part.start <= span.start && span.end <= part.end);
        for (_, from) in restored.iter().filter(|(span, _)| !is_hidden(span)) {
            let position = Some(Position::of(sent, *from));
            findings.push(Finding::new(Severity::Error, path, position, misplaced(NAME)));
        }
    }
    if findings.is_empty() { Ok(out) } else { Err(findings) }
}

fn misplaced(length: usize) -> Invalid {
    match length {
        0 => Invalid::new(
            "this mark of a hidden secret was changed",
            "write it again as the form had it, or take the whole line out: then the secret goes, too",
        ),
        _ => Invalid::new(
            "this mark stands for a secret that isn't hidden at this place",
            "put it back to where the form had it, or take it out: then the secret goes, too",
        ),
    }
}

fn replaced(text: &str, spans: &[Range<usize>], with: impl Fn(&str) -> String) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for span in spans {
        out.push_str(&text[at..span.start]);
        out.push_str(&with(&text[span.clone()]));
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

/// A secret of the text that an editor began from.
struct Known {
    name: String,
    place: Place,
    secret: String,
}

fn known(path: &str, began: &str, named: Named<'_>) -> Vec<Known> {
    let Some(spans) = find::secrets(path, began) else { return Vec::new() };
    let shown = replaced(began, &spans, |secret| mark(&named(secret)));
    let document = document(path, &shown);
    let (mut known, mut longer, mut shorter) = (Vec::new(), 0, 0);
    for span in spans {
        let secret = &began[span.clone()];
        let name = named(secret);
        let place = Place::of(document.as_ref(), &shown, span.start + longer - shorter);
        (longer, shorter) = (longer + mark(&name).len(), shorter + secret.len());
        known.push(Known { name, place, secret: secret.to_owned() });
    }
    known
}

/// Place of a mark: the field whose value it is in, or, outside of fields, what stands before it on its line, as far back as to
/// another mark. Spaces don't count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Field(String),
    After(String),
}

impl Place {
    fn of(document: Option<&DeTable<'_>>, text: &str, at: usize) -> Self {
        if let Some(field) = document.and_then(|table| field(table, at)) {
            return Self::Field(field);
        }
        let before = text.get(..at).unwrap_or_default();
        let line = before.rsplit(['\n', ENDS]).next().unwrap_or_default();
        Self::After(line.split_whitespace().collect())
    }
}

/// The name of the field whose value has this byte.
fn field(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| match value.get_ref() {
        DeValue::Table(inner) => Some(format!("{}.{}", key.get_ref(), field(inner, at)?)),
        DeValue::Array(entries) => entries.iter().find_map(|entry| match entry.get_ref() {
            DeValue::Table(inner) => Some(format!("{}.{}", key.get_ref(), field(inner, at)?)),
            _ => entry.span().contains(&at).then(|| key.get_ref().to_string()),
        }),
        _ => value.span().contains(&at).then(|| key.get_ref().to_string()),
    })
}

fn document<'t>(path: &str, text: &'t str) -> Option<DeTable<'t>> {
    path.ends_with(".toml").then(|| DeTable::parse_recoverable(text).0.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$0123456789abcdefghijklmnopqrstuv";
    const OTHER: &str = "$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.";

    /// A name that depends on the whole secret, as a door's does.
    fn name(secret: &str) -> String {
        let sum = secret.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        format!("{:012x}", sum & 0xffff_ffff_ffff)
    }

    fn shown(path: &str, text: &str) -> String {
        veil(path, text, &name).unwrap().text
    }

    fn ann() -> String {
        let digest = "0a".repeat(32);
        format!(
            "role = \"admin\"\npassword_hash = \"{HASH}\" # {OTHER}\ntokens = [\n  \"{digest} read 2026-11-30T18:00:00Z 2027-02-28T18:00:00Z laptop\",\n]\n"
        )
    }

    #[test]
    fn secrets_become_marks_and_come_back() {
        let text = ann();
        let veiled = veil("users/ann.toml", &text, &name).unwrap();
        assert_eq!((veiled.hidden, veiled.text.lines().count()), (3, text.lines().count()));
        for secret in ["argon2", "$2b$", "0a0a"] {
            assert!(!veiled.text.contains(secret), "{}", veiled.text);
        }
        assert!(veiled.text.contains("› read 2026"), "{}", veiled.text);
        assert_eq!(restore("users/ann.toml", &text, &veiled.text, &name).unwrap(), text);
        let edited = veiled.text.replace("admin", "user").replace("password_hash = ", "password_hash=");
        let restored = restore("users/ann.toml", &text, &edited, &name).unwrap();
        assert_eq!(restored, text.replace("admin", "user").replace("password_hash = ", "password_hash="));
        let without: String = veiled
            .text
            .lines()
            .filter(|line| !line.starts_with("password_hash"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(!restore("users/ann.toml", &text, &without, &name).unwrap().contains('$'));
    }

    #[test]
    fn a_mark_that_moved_or_changed_is_a_finding_at_its_place() {
        let text = ann();
        let veiled = shown("users/ann.toml", &text);
        let hash = mark(&name(HASH));
        let place = |sent: &str| {
            let findings = restore("users/ann.toml", &text, sent, &name).unwrap_err();
            assert!(findings.iter().all(|finding| !finding.message.contains('$')));
            findings.iter().map(|finding| finding.position.unwrap()).collect::<Vec<_>>()
        };
        let at = |line, column| Position { line, column };
        let moved = veiled.replace("role = \"admin\"", &format!("email = \"{hash}\""));
        assert_eq!(place(&moved), [at(1, 10)]);
        assert_eq!(place(&veiled.replace("password_hash", "email")), [at(2, 10)]);
        assert_eq!(place(&veiled.replace("password_hash", "# password_hash")), [at(2, 20)]);
        assert_eq!(place(&veiled.replace(&hash, "‹hidden-x›")), [at(2, 18)]);
        assert_eq!(place(&format!("{veiled}# {hash}\n")), [at(6, 3)], "no secret is copied");
    }

    #[test]
    fn nothing_written_around_a_mark_brings_its_secret_to_light() {
        let text = ann();
        let veiled = shown("users/ann.toml", &text);
        let token = mark(&name(&"0a".repeat(32)));
        for around in [format!("a{token}"), format!("{token}f"), format!("{token}{token}")] {
            let sent = veiled.replace(&token, &around);
            let findings = restore("users/ann.toml", &text, &sent, &name).unwrap_err();
            assert_eq!(findings[0].position.unwrap().line, 4, "{findings:?}");
        }
        let hash = mark(&name(HASH));
        let sent = veiled.replace(&hash, &format!("x{hash}"));
        let out = restore("users/ann.toml", &text, &sent, &name).unwrap();
        assert!(!shown("users/ann.toml", &out).contains("argon2"));
    }

    #[test]
    fn whatever_is_secret_is_hidden_wherever_it_stands() {
        let key = concat!(
            "-----BEGIN ",
            "OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\nafter\n"
        );
        for (path, text, kept) in [
            ("docs/a.md", format!("before {HASH} after"), "after"),
            ("docs/a.md", format!("line {} read 2026 after", "0b".repeat(32)), "after"),
            ("docs/a.md", format!("my token is berth_{} after", "a".repeat(43)), "after"),
            ("docs/key", key.to_owned(), "after"),
            (
                "users/bob.toml",
                "email = \"b@example.org\"\npassword = \"AAAA\"\n".to_owned(),
                "b@example.org",
            ),
            ("users/bob.toml", "password_hash = \"AAAA\"\nrole = \"user\"\n".to_owned(), "role"),
            (
                "users/bob.toml",
                format!("password_hash = \"\\u0024{}\"\nrole = \"user\"\n", &OTHER[1..]),
                "role",
            ),
            ("docs/x.toml", "[a]\napi-key = 'AAAA'\nb = 1\n".to_owned(), "b = 1"),
            ("docs/x.toml", "[a]\nnone = 1\npassword = 0xAAAA\nb = 1\n".to_owned(), "b = 1"),
            ("docs/x.toml", "[token.of]\nx = ['AAAA', { y = \"BBBB\" }]\n[b]\nb = 1\n".to_owned(), "b = 1"),
            ("servers/x.toml", "id = 1\n[secret]\nx = 'AAAA'\n".to_owned(), "id = 1"),
        ] {
            let veiled = shown(path, &text);
            assert!(veiled.contains(BEGINS) && veiled.contains(kept), "{veiled}");
            assert_eq!(veiled.lines().count(), text.lines().count(), "{veiled}");
            for secret in ["AAAA", "BBBB", "BwcHBw", "0b0b", "aaaa", "xiLPz6"] {
                assert!(!veiled.contains(secret), "{veiled}");
                assert!(!blackened(path, &text).unwrap().contains(secret));
            }
            assert_eq!(restore(path, &text, &veiled, &name).unwrap(), text);
        }
        assert_eq!(veil("users/bob.toml", "password = \"AA\nx", &name), None);
    }

    #[test]
    fn what_is_public_is_shown() {
        let digest = "0c".repeat(32);
        for (path, text) in [
            ("servers/shop.toml", format!("id = 1\nowner = \"bob\"\nimage = \"a/b@sha256:{digest}\"\n")),
            ("platform.toml", "domain = \"h.example\"\n[remote]\ntoken = \"forge-token\"\n".to_owned()),
            ("users/bob.toml", "ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Yb2pq3mDAsXw3V7mGjgV3vY2vJq6Jx3kq8p9YcV1n bob\"]\n".to_owned()),
            ("docs/a.md", format!("{digest} is a digest, and $2b$ begins a hash")),
        ] {
            assert_eq!(shown(path, &text), text);
        }
    }

    #[test]
    fn a_text_that_looks_like_a_mark_stays_what_it_is() {
        let text = format!("an example: {}\n", mark("0123456789ab"));
        let veiled = shown("docs/a.md", &text);
        assert_ne!(veiled, text);
        assert_eq!(restore("docs/a.md", &text, &veiled, &name).unwrap(), text);
        assert!(restore("docs/a.md", "", &text, &name).is_err());
    }
}
