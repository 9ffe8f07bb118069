//! Spelling: what a commit's text may be written with.
//!
//! Git prints authors, messages and paths as they are, so whatever moves a cursor, recolours or turns text around in them
//! does so on every terminal where somebody reads the log. Such commits stay out, at every door. What is only invisible
//! (joiners, variation selectors) is part of scripts and of emoji, and may stand: Berth shows it as an escape.

use berth_repo::{BadName, LARGEST_FILE, Revision};
use berth_schema::name::Invalid;
use berth_schema::text::steers;
use berth_schema::{Finding, Severity};

/// The largest commit, in bytes, without its files.
pub(crate) const LARGEST_COMMIT: usize = LARGEST_FILE;

/// Finds everything in a commit, or in an annotated tag, that steers a terminal. `raw` is the object as git keeps it, or `None`
/// where it is larger than a commit may be.
pub(crate) fn of_commit(commit: &Revision, raw: Option<&[u8]>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |message: String, hint: &str| {
        found.push(Finding::new(Severity::Error, commit.short(), None, Invalid::new(message, hint)));
    };
    let Some(raw) = raw else {
        let message = format!("this commit has a message of more than {LARGEST_COMMIT} bytes");
        refuse(message, MESSAGE);
        return found;
    };
    let Ok(text) = std::str::from_utf8(raw) else {
        refuse("the text of this commit isn't UTF-8".to_owned(), ENCODING);
        return found;
    };
    let (headers, message) = text.split_once("\n\n").unwrap_or((text, ""));
    for header in headers.split('\n') {
        let (name, value) = header.split_once(' ').unwrap_or((header, ""));
        if name == "encoding" && !value.eq_ignore_ascii_case("utf-8") {
            refuse(
                "the text of this commit is in another encoding than UTF-8, which can hide anything from a check".to_owned(),
                ENCODING,
            );
        }
        let Some(c) = value.chars().find(|c| steers(*c)) else { continue };
        match name {
            "author" | "committer" | "tagger" => {
                refuse(
                    format!("the {name} of this commit has {} in the name or the address", named(c)),
                    PERSON,
                );
            }
            _ => refuse(format!("a header of this commit has {}", named(c)), ENCODING),
        }
    }
    // A line break and a tab steer nothing that a reader wouldn't see, and what some programs end lines with is one too.
    let message = message.replace("\r\n", "\n");
    if let Some(c) = message.chars().find(|c| steers(*c) && !matches!(c, '\n' | '\t')) {
        refuse(format!("the message of this commit has {}", named(c)), MESSAGE);
    }
    found
}

/// A path that steers a terminal, if it does.
pub(crate) fn of_path(commit: &Revision, path: &str) -> Option<Finding> {
    let c = path.chars().find(|c| steers(*c))?;
    let message = format!("the name of this file has {}", named(c));
    let place = format!("{}:{path}", commit.short());
    let hint = format!("call the file something else {PATH}");
    Some(Finding::new(Severity::Error, place, None, Invalid::new(message, hint)))
}

/// A name that not every system can hold, in the commit that brings it in.
pub(crate) fn of_name(commit: &Revision, name: BadName) -> Finding {
    let BadName { path, invalid } = name;
    let place = format!("{}:{path}", commit.short());
    let hint = format!("{} {PATH}", invalid.hint);
    Finding::new(Severity::Error, place, None, Invalid::new(invalid.message, hint))
}

/// A ref whose name steers a terminal, if it does.
pub(crate) fn of_reference(name: &str) -> Option<Invalid> {
    let c = name.chars().find(|c| steers(*c))?;
    Some(Invalid::new(format!("the name of this ref has {}", named(c)), "push under another name"))
}

const PERSON: &str = "mend `git config user.name` and `user.email`, then `git commit --amend --reset-author --no-edit`; in older commits, \
                      `git rebase --exec 'git commit --amend --reset-author --no-edit' origin/main`";
const MESSAGE: &str = "write the message anew with `git commit --amend`; in older commits, `git rebase -i origin/main` and `reword`";
const ENCODING: &str = "`git config --unset i18n.commitEncoding`, then make the commit again: `git commit --amend`, or \
                        `git rebase --force-rebase origin/main`";
const PATH: &str = "in the commit that adds it: `git mv` and `git commit --amend`, or `git rebase -i`, since a later commit doesn't hide it";

fn named(c: char) -> String {
    let why = match c {
        '\u{2028}' | '\u{2029}' => "which ends a line or a paragraph",
        c if c.is_control() => "a control character",
        _ => "which turns the direction of text",
    };
    format!("U+{:04X}, {why}", u32::from(c))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    fn messages(author: &str, headers: &str, message: &str) -> Vec<String> {
        let raw = format!(
            "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor {author} 1700000000 +0000\n\
             committer Bob <bob@example.org> 1700000000 +0000\n{headers}\n{message}"
        );
        of_commit(&revision(), Some(raw.as_bytes())).into_iter().map(|finding| finding.message).collect()
    }

    fn revision() -> Revision {
        "1".repeat(40).parse().unwrap()
    }

    #[test]
    fn what_people_write_is_accepted() {
        for author in [
            "Bob <bob@example.org>",
            "Jürgen Ąžuolas <j@example.org>",
            "山田太郎 <y@example.org>",
            "دانا <d@example.org>",
        ] {
            for message in [
                "shop: larger\n\n\tindented\n",
                "größer, 更大\r\n\r\nas a web page writes it\r\n",
                "👩\u{200d}💻 ♻\u{fe0f} می\u{200c}خواهم",
                "",
            ] {
                assert!(messages(author, "", message).is_empty(), "{author:?} {message:?}");
            }
        }
        assert!(messages("B <b>", "encoding UTF-8\ngpgsig -----BEGIN\n \n abc\n", "x\n").is_empty());
    }

    #[test]
    fn what_steers_a_terminal_is_named() {
        for (c, named) in [
            ('\u{1b}', "U+001B, a control character"),
            ('\u{9b}', "U+009B, a control character"),
            ('\u{7f}', "U+007F, a control character"),
            ('\r', "U+000D, a control character"),
            ('\u{202e}', "U+202E, which turns the direction of text"),
            ('\u{2066}', "U+2066, which turns the direction of text"),
            ('\u{200f}', "U+200F, which turns the direction of text"),
            ('\u{2028}', "U+2028, which ends a line or a paragraph"),
        ] {
            let author = format!("the author of this commit has {named} in the name or the address");
            assert_eq!(messages(&format!("Bo{c}b <bob@example.org>"), "", "x\n"), [author.as_str()]);
            assert_eq!(messages(&format!("Bob <bo{c}b@example.org>"), "", "x\n"), [author.as_str()]);
            let message = format!("the message of this commit has {named}");
            assert_eq!(messages("B <b>", "", &format!("subject\n\nbo{c}dy\n")), [message.as_str()]);
            let found = of_path(&revision(), &format!("docs/{c}.md")).unwrap();
            assert_eq!(found.message, format!("the name of this file has {named}"));
            assert!(of_reference(&format!("refs/heads/{c}")).unwrap().message.contains(named));
        }
        assert_eq!(
            messages("B <b>", "mergetag x\n \u{1b}\n", "x\n"),
            ["a header of this commit has U+001B, a control character"]
        );
    }

    #[test]
    fn another_encoding_hides_nothing() {
        // `+ABs-` is an escape character in UTF-7, which git would turn it into.
        assert_eq!(messages("B <b>", "encoding UTF-7\n", "+ABs-[2J\n").len(), 1);
        let found = of_commit(&revision(), Some(b"author \xff <b>\n\nx\n"));
        assert_eq!(found[0].message, "the text of this commit isn't UTF-8");
        assert_eq!(of_commit(&revision(), None).len(), 1);
    }
}
