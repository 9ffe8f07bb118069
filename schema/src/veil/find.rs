//! Secrets of a text: where they stand.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mark::{BEGINS, mark_length};
use crate::api_token::{PREFIX, Scope};
use crate::kind::Kind;
use crate::parse::Parsed;
use crate::policy::{PRIVATE_KEYS, is_secret_field, may_be_secret};

/// Characters of a token's digest.
const DIGEST: usize = 64;
/// Least characters of a token after its beginning.
const TOKEN: usize = 43;
/// Folder of members' files, however somebody writes it.
const USERS: &str = "users";

/// Finds the secrets of the file at `path`: parts of its text, in order, each on one line. `None` where one could be anywhere.
pub(super) fn secrets(path: &str, text: &str) -> Option<Vec<Range<usize>>> {
    let is_users = path.split('/').next().is_some_and(|folder| folder.eq_ignore_ascii_case(USERS));
    let mut found = in_the_open(is_users, text);
    keys(text, &mut found);
    marks(text, &mut found);
    if path.ends_with(".toml") {
        let (document, errors) = DeTable::parse_recoverable(text);
        if is_users && !errors.is_empty() {
            return None;
        }
        let is_platform = Kind::of(path) == Some(Kind::Platform);
        let mut look = Look { text, is_users, is_platform, found: &mut found };
        look.table(false, document.get_ref());
        refused(path, text, &mut found);
    }
    Some(tidy(text, found))
}

/// Hashes, digests and tokens, which are known by their form.
fn in_the_open(is_users: bool, text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let begins_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let length = match rest[0] {
            b'$' => hash_length(rest),
            b'b' if rest.starts_with(PREFIX.as_bytes()) => token_length(rest),
            byte if begins_word && byte.is_ascii_hexdigit() => digest_length(is_users, rest),
            _ => 0,
        };
        if length > 0 {
            found.push(at..at + length);
        }
        at += length.max(1);
    }
    found
}

/// Returns the length of the hash that the bytes begin with; 0 where they begin with none. A text that is shorter than
/// a whole hash is an example or a shell's variable.
pub(crate) fn hash_length(bytes: &[u8]) -> usize {
    const LEAST: usize = 28;
    let begins =
        [&b"$2a$"[..], b"$2b$", b"$2x$", b"$2y$", b"$argon2"].iter().any(|mark| bytes.starts_with(mark));
    if !begins {
        return 0;
    }
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"$./+=,-_".contains(byte);
    let length = bytes.iter().take_while(|byte| belongs(byte)).count();
    if length < LEAST { 0 } else { length }
}

fn token_length(bytes: &[u8]) -> usize {
    let rest = bytes.get(PREFIX.len()..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
    if length < TOKEN { 0 } else { PREFIX.len() + length }
}

/// Returns the length of the token's digest that the bytes begin with. Elsewhere than in members' files, a digest is one of a token only if
/// a scope follows.
fn digest_length(is_users: bool, bytes: &[u8]) -> usize {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let ends = bytes.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    if length != DIGEST || !ends {
        return 0;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    let is_token = Scope::ALL
        .iter()
        .any(|scope| rest.strip_prefix(b" ").is_some_and(|rest| rest.starts_with(scope.word().as_bytes())));
    if is_users || is_token { length } else { 0 }
}

/// Private keys, from their beginning to their end, or to the end of the text.
fn keys(text: &str, found: &mut Vec<Range<usize>>) {
    for mark in PRIVATE_KEYS {
        let mut at = 0;
        while let Some(from) = text[at..].find(mark).map(|from| at + from) {
            let start = text[..from].rfind("-----BEGIN").filter(|start| !text[*start..from].contains('\n'));
            let rest = &text[from..];
            let end = match rest.find("-----END") {
                Some(end) => from + end + rest[end..].find('\n').unwrap_or(rest.len() - end),
                None if start.is_some() || mark.starts_with("PuTTY") => text.len(),
                None => from + rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len()),
            };
            found.push(start.unwrap_or(from)..end);
            at = end.max(from + mark.len());
        }
    }
}

/// What looks like a mark already: it would be taken for one.
fn marks(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices(BEGINS) {
        found.push(at..at + mark_length(&text[at..]).max(BEGINS.len()));
    }
}

/// A look at the values of a TOML file.
struct Look<'a> {
    text: &'a str,
    is_users: bool,
    is_platform: bool,
    found: &'a mut Vec<Range<usize>>,
}

impl Look<'_> {
    /// What stands below a secret's name is secret, too.
    fn table(&mut self, is_secret: bool, table: &DeTable<'_>) {
        for (key, value) in table {
            self.value(is_secret || is_secret_field(key.get_ref()), value);
        }
    }

    fn value(&mut self, is_secret: bool, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(inner) => self.table(is_secret, inner),
            DeValue::Array(entries) => entries.iter().for_each(|entry| self.value(is_secret, entry)),
            DeValue::String(string) => {
                let span = value.span();
                let written = self.text.get(span.clone()).unwrap_or_default();
                let is_spelled = |text: &str| !in_the_open(self.is_users, text).is_empty();
                let is_in_disguise = is_spelled(string) && !is_spelled(written);
                if is_in_disguise || is_secret && may_be_secret(self.is_platform, value.get_ref()) {
                    self.found.push(inside_quotes(self.text, span));
                }
            }
            single if is_secret && may_be_secret(self.is_platform, single) => self.found.push(value.span()),
            _ => {}
        }
    }
}

/// Values that the schema hides: it refuses them, and they may be a password.
fn refused(path: &str, text: &str, found: &mut Vec<Range<usize>>) {
    let parsed = Parsed::parse(path, text);
    for span in parsed.hidden() {
        found.push(inside_quotes(text, span.clone()));
    }
}

fn inside_quotes(text: &str, mut span: Range<usize>) -> Range<usize> {
    for _ in 0..3 {
        let part = text.get(span.clone()).unwrap_or_default();
        let quote = part.chars().next().filter(|first| matches!(first, '"' | '\'') && part.len() > 2);
        if quote.is_some_and(|quote| part.ends_with(quote)) {
            span = span.start + 1..span.end - 1;
        }
    }
    span
}

/// The spans in order, joined where they meet, and parted at the ends of lines.
fn tidy(text: &str, mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.retain(|span| text.get(span.clone()).is_some());
    found.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in found {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    let mut lines = Vec::new();
    for span in joined {
        let mut at = span.start;
        for line in text[span].split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            if !bare.trim().is_empty() {
                lines.push(at..at + bare.len());
            }
            at += line.len();
        }
    }
    lines
}
