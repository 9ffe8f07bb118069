//! View that a member has of a state repo: nobody reads a password hash, and a user's file is the user's own.
//!
//! Owns how one file is shown to one member, and how a password hash that was hidden comes back into a file that the
//! member changed. Pure. It hides everything that it can't judge for certain.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::docs::DocsRead;
use crate::edit::new_user;
use crate::kind::{Kind, Subject};
use crate::name::UserName;
use crate::parse::{Content, Parsed};
use crate::user::{Role, User};
use crate::veil::{blackened, hash_length};

/// Counts up whenever a view shows something in another way than before: views that were made earlier are made anew then.
pub const RULES: u32 = 2;

/// View that a member has of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The file as it is.
    Whole,
    /// This text instead.
    As(Vec<u8>),
    /// Nothing, not even that the file is there.
    Not,
}

/// The line of somebody's own file that isn't shown to them: their password hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The whole line, without its end.
    line: String,
    hash: String,
    /// Number of lines above it that look like the mark that stands for it.
    marks_above: usize,
}

/// A file with its hidden line again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The text.
    pub text: String,
    /// Number, from 1, of the line that the user doesn't see; `None` if every line is where the user sees it.
    pub inserted: Option<u32>,
}

/// Stands in the place of the hidden line, so that every other line stays where it is.
const MARK: &str =
    "# password_hash is set, and isn't shown. A line with another one in place of this line changes it.";

/// The folder of users' files, however somebody writes it.
const USERS: &str = "users";

/// Returns the text of a file at `path` for a page that `reader` sees; without a name, a reader who may read everything. No
/// page shows a password's hash. `None` where nothing is shown.
pub fn on_page(reader: Option<&UserName>, path: &str, content: &[u8]) -> Option<String> {
    let shown = match reader {
        // What admins don't read in the clear, nobody does.
        Some(reader) => match shown(reader, path, content) {
            Shown::Whole => whole(path, content),
            Shown::As(bytes) => whole(path, &bytes),
            Shown::Not => Shown::Not,
        },
        None => whole(path, content),
    };
    match shown {
        // A picture, most likely.
        Shown::Whole | Shown::As(_) if std::str::from_utf8(content).is_err() && Kind::of(path).is_none() => {
            Some(format!("({} bytes that aren't text)\n", content.len()))
        }
        Shown::Whole => Some(String::from_utf8_lossy(content).into_owned()),
        Shown::As(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Shown::Not => None,
    }
}

fn whole(path: &str, content: &[u8]) -> Shown {
    match std::str::from_utf8(content) {
        Ok(text) => blackened(path, text).map_or_else(unreadable, |text| Shown::As(text.into_bytes())),
        Err(_) if Kind::of(path) == Some(Kind::User) => unreadable(),
        Err(_) => Shown::As(without_hashes(content).unwrap_or_else(|| content.to_vec())),
    }
}

/// Returns whether the settings in the text of `platform.toml` keep the wiki from members. Settings with mistakes do.
pub fn hides_docs(platform: &str) -> bool {
    let parsed = Parsed::parse("platform.toml", platform);
    match &parsed.content {
        Content::Platform(Some(platform)) => platform.docs.read == DocsRead::Admins,
        _ => true,
    }
}

/// Returns whether anything is shown at a path. Nothing is at a path that no good state has: nobody knows whose it is.
pub fn is_open(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    match Subject::of(path) {
        Ok(Some(Subject::User(_))) => true,
        Ok(_) => !first.eq_ignore_ascii_case(USERS),
        Err(_) => false,
    }
}

/// Returns the view of the file at `path` that `viewer` has, who is no admin.
pub fn shown(viewer: &UserName, path: &str, content: &[u8]) -> Shown {
    shown_to(Some(viewer), path, content)
}

/// Returns the view of the file at `path` that every member has whose own file it isn't.
pub fn shown_to_all(path: &str, content: &[u8]) -> Shown {
    shown_to(None, path, content)
}

fn shown_to(viewer: Option<&UserName>, path: &str, content: &[u8]) -> Shown {
    let name = match Subject::of(path) {
        _ if !is_open(path) => return Shown::Not,
        Ok(Some(Subject::User(name))) => name,
        _ => {
            let masked = without_hashes(content);
            return masked.map_or(Shown::Whole, Shown::As);
        }
    };
    let text = std::str::from_utf8(content).ok();
    let parsed = text.map(|text| Parsed::parse(path, text));
    let user = parsed.as_ref().and_then(|parsed| match &parsed.content {
        Content::User(_, user) => user.as_deref(),
        _ => None,
    });
    let (Some(text), Some(user)) = (text, user) else {
        return unreadable();
    };
    if viewer != Some(&name) {
        return Shown::As(for_others(user).into_bytes());
    }
    let own = match (&user.password_hash, without_hash(text)) {
        (None, _) => text.to_owned(),
        (Some(_), Some((own, _))) => own,
        (Some(_), None) => return unclear(),
    };
    match without_hashes(own.as_bytes()) {
        // Another hash, in a comment perhaps. It couldn't be told from what the member writes.
        Some(_) => unclear(),
        None if own == text => Shown::Whole,
        None => Shown::As(own.into_bytes()),
    }
}

fn unreadable() -> Shown {
    Shown::As(b"# This file has mistakes, so nothing of it is shown.\n".to_vec())
}

fn unclear() -> Shown {
    Shown::As(
        b"# This file holds a password hash in more than one place, so nothing of it is shown.\n".to_vec(),
    )
}

/// Returns the text that others see of a member's file: the fields that the rules for servers and domains need.
fn for_others(user: &User) -> String {
    let heading = format!("# The rest of this file is for `{}` and the admins.\n", user.name);
    let open = User {
        email: None,
        password_hash: None,
        ssh_keys: Vec::new(),
        passkeys: Vec::new(),
        oidc: Vec::new(),
        forge_accounts: Vec::new(),
        tokens: Vec::new(),
        second_factor: None,
        name: user.name.clone(),
        ..*user
    };
    heading + &new_user(&open).unwrap_or_default()
}

/// Returns the line that is hidden in somebody's own file; `None` where none is, or where it can't be told from the rest.
pub fn hidden(name: &UserName, text: &str) -> Option<Hidden> {
    let shown = shown(name, &format!("users/{name}.toml"), text.as_bytes());
    let (own, hidden) = without_hash(text)?;
    (shown == Shown::As(own.into_bytes())).then_some(hidden)
}

/// Returns whether a user's file has a password hash in the open.
pub fn names_hash(text: &str) -> bool {
    hash_in(text).is_some()
}

/// Puts a hidden line back into the file that its user changed: in place of the mark if that is there, else at the top.
/// Returns `None` if the file has a hash of its own.
pub fn restore(text: &str, hidden: &Hidden) -> Option<Restored> {
    if names_hash(text) {
        return None;
    }
    let says_it = |text: &str| hash_in(text).as_deref() == Some(&*hidden.hash);
    let mut marks = marks(text);
    if hidden.marks_above < marks.len() {
        marks.swap(0, hidden.marks_above);
    }
    let mut restored =
        marks.into_iter().map(|mark| [&text[..mark.start], &hidden.line, &text[mark.end..]].concat());
    if let Some(text) = restored.find(|restored| says_it(restored)) {
        return Some(Restored { text, inserted: None });
    }
    // Goes below the lines for editors and above everything else, so that it belongs to no table.
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let heading = text[start..].split_inclusive('\n').take_while(|line| line.starts_with("#:"));
    let (mut at, mut number) = (start, 1);
    for line in heading {
        at += line.len();
        number += 1;
    }
    let (above, below) = text.split_at(at);
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let break_first = if above.len() > start && !above.ends_with('\n') { end } else { "" };
    let restored = [above, break_first, &hidden.line, end, below].concat();
    Some(Restored { text: restored, inserted: Some(number) })
}

/// Finds the marks that have a line to themselves.
fn marks(text: &str) -> Vec<Range<usize>> {
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut found = Vec::new();
    for line in text[at..].split_inclusive('\n') {
        let bare = line.trim_end_matches(['\n', '\r']);
        if bare == MARK {
            found.push(at..at + bare.len());
        }
        at += line.len();
    }
    found
}

/// Returns whether a user's file makes its user an admin. A file with mistakes makes nobody one.
pub fn is_admin(name: &UserName, text: &str) -> bool {
    let parsed = Parsed::parse(&format!("users/{name}.toml"), text);
    matches!(&parsed.content, Content::User(_, Some(user)) if user.role == Role::Admin)
}

/// Returns the hash at the top level of a text, if the text is readable so far.
fn hash_in(text: &str) -> Option<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    match document.get_ref().get("password_hash")?.get_ref() {
        DeValue::String(hash) => Some(hash.to_string()),
        // Whatever it is, it stands there.
        _ => Some(String::new()),
    }
}

/// A user's text with the mark in place of its hash, and what was there. `None` where the hash hasn't a line to itself.
fn without_hash(text: &str) -> Option<(String, Hidden)> {
    let (document, _) = DeTable::parse_recoverable(text);
    let (key, value) = document.get_ref().get_key_value("password_hash")?;
    let DeValue::String(hash) = value.get_ref() else { return None };
    let (from, to) = (key.span().start, value.span().end);
    let start = text.get(..from)?.rfind('\n').map_or(0, |newline| newline + 1);
    let start = if text[start..].starts_with('\u{feff}') { start + '\u{feff}'.len_utf8() } else { start };
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    let line = text[start..start + length].trim_end_matches('\r');
    if to > start + line.len() {
        return None;
    }
    let marks_above = marks(&text[..start]).len();
    let hidden = Hidden { line: line.to_owned(), hash: hash.to_string(), marks_above };
    let own = [&text[..start], MARK, &text[start + line.len()..]].concat();
    Some((own, hidden))
}

/// The content with every password hash in it blackened; `None` where there is none.
pub fn without_hashes(content: &[u8]) -> Option<Vec<u8>> {
    let mut masked: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(dollar) = content.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'$')) {
        let from = at + dollar;
        let length = hash_length(&content[from..]);
        if length > 0
            && let Some(part) = masked.get_or_insert_with(|| content.to_vec()).get_mut(from..from + length)
        {
            part.fill(b'*');
        }
        at = from + length.max(1);
    }
    masked
}
