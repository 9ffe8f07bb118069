//! Files as members see them, and the way in which a hidden line comes back.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use berth_schema::name::UserName;
use berth_schema::view::{Restored, Shown, hidden, is_admin, is_open, on_page, restore, shown};
use proptest::prelude::*;

const HASH: &str = "$2b$12$XA5EMVVWC1rpYp7JpspgMu/k5QOchJu8iwjNe7wkYUHNgkvh1.1TO";
const MARK: &str =
    "# password_hash is set, and isn't shown. A line with another one in place of this line changes it.";

fn bob() -> UserName {
    "bob".parse().unwrap()
}

fn seen(path: &str, text: &str) -> Option<String> {
    match shown(&bob(), path, text.as_bytes()) {
        Shown::Whole => Some(text.to_owned()),
        Shown::As(text) => Some(String::from_utf8(text).unwrap()),
        Shown::Not => None,
    }
}

#[test]
fn of_others_there_is_only_what_everybodys_rules_need() {
    let text = format!(
        "# cyn's secret\nrole = \"admin\"\nemail = \"cyn@example.org\"\npassword_hash = \"{HASH}\"\n[quota]\ncpus = 2\n"
    );
    let stub =
        "# The rest of this file is for `cyn` and the admins.\nrole = \"admin\"\n\n[quota]\ncpus = 2\n";
    assert_eq!(seen("users/cyn.toml", &text).unwrap(), stub);
    let broken = "# This file has mistakes, so nothing of it is shown.\n";
    assert_eq!(seen("users/cyn.toml", &text.replace("cpus", "cpsu")).unwrap(), broken);
    assert_eq!(seen("users/bob.toml", &format!("{text}]")).unwrap(), broken);
    assert_eq!(shown(&bob(), "users/cyn.toml", b"\xff"), Shown::As(broken.into()));
}

#[test]
fn paths_that_no_good_state_has_arent_shown() {
    for path in [
        "users/cyn.toml.bak",
        "users/a/cyn.toml",
        "Users/cyn.toml",
        "USERS/x",
        "backup/cyn.toml",
        "cyn.toml",
        "users",
    ] {
        assert!(!is_open(path), "{path}");
        assert_eq!(seen(path, ""), None);
    }
    for path in
        ["users/cyn.toml", "servers/s.toml", "docs/users/cyn.toml", "README.md", ".ci/x.yml", "platform.toml"]
    {
        assert!(is_open(path), "{path}");
    }
}

#[test]
fn hashes_are_blackened_wherever_they_stand() {
    let stars = "*".repeat(HASH.len());
    assert_eq!(seen("docs/a.md", &format!("x {HASH} y")).unwrap(), format!("x {stars} y"));
    assert_eq!(seen("servers/s.toml", &format!("# {HASH}")).unwrap(), format!("# {stars}"));
    // An example isn't a hash.
    assert_eq!(
        seen("docs/a.md", "write `$2b$…`, not $2b$ or $argon2id$").unwrap(),
        "write `$2b$…`, not $2b$ or $argon2id$"
    );
}

#[test]
fn no_page_shows_a_member_what_it_hides_from_admins() {
    let token = format!("berth_{}", "a".repeat(43));
    for (path, text) in [
        ("docs/a.md", format!("my token is {token}\n")),
        ("servers/shop.toml", format!("id = 1\nowner = \"bob\"\n# {token}\n")),
        ("servers/blog.toml", "id = 2\nowner = \"bob\"\npassword = \"hunter2\"\n".to_owned()),
        ("users/bob.toml", format!("role = \"user\"\n# {token}\n")),
    ] {
        let seen = on_page(Some(&bob()), path, text.as_bytes()).unwrap();
        assert_eq!(Some(&seen), on_page(None, path, text.as_bytes()).as_ref(), "{path}");
        assert!(
            !seen.contains("aaaa") && !seen.contains("hunter2") && seen.contains("****"),
            "{path}: {seen}"
        );
    }
}

#[test]
fn ones_own_hash_hides_behind_a_comment_on_its_line() {
    let text = format!("# me\n  \"password_hash\" = '{HASH}' # old\r\nemail = \"b@example.org\"\r\n");
    let own = format!("# me\n{MARK}\r\nemail = \"b@example.org\"\r\n");
    assert_eq!(seen("users/bob.toml", &text).unwrap(), own);
    let hidden_line = hidden(&bob(), &text).unwrap();
    let changed = restore(&own.replace("b@", "c@"), &hidden_line).unwrap();
    assert_eq!(changed, Restored { text: text.replace("b@", "c@"), inserted: None });
    // A second place for a hash, and nobody can tell what the member wrote.
    assert!(seen("users/bob.toml", &format!("{text}# {HASH}\n")).unwrap().contains("more than one place"));
    assert_eq!(hidden(&bob(), &format!("{text}# {HASH}\n")), None);
    assert_eq!(hidden(&bob(), "email = \"b@example.org\"\n"), None);
    // Another hash is the member's own word.
    assert_eq!(restore(&format!("password_hash = \"{HASH}\"\n"), &hidden_line), None);
}

#[test]
fn a_mark_in_a_table_isnt_where_the_hash_belongs() {
    let hidden = hidden(&bob(), &format!("password_hash = \"{HASH}\"\n")).unwrap();
    let text = format!("#:schema x\n[quota]\n{MARK}\n");
    let restored = restore(&text, &hidden).unwrap();
    assert_eq!(restored.text, format!("#:schema x\npassword_hash = \"{HASH}\"\n[quota]\n{MARK}\n"));
    assert_eq!(restored.inserted, Some(2));
}

#[test]
fn only_a_good_file_makes_an_admin() {
    assert!(is_admin(&bob(), "role = \"admin\"\n"));
    for text in ["", "role = \"user\"\n", "role = \"admin\"\nx = 1\n", "role = \"admin\"\n]"] {
        assert!(!is_admin(&bob(), text), "{text}");
    }
}

proptest! {
    /// Whatever is around it, in whatever order and form: unchanged, it comes back byte for byte; and what is seen never
    /// holds it.
    #[test]
    fn hidden_and_restored_is_the_same(
        above in prop::collection::vec("(#[ a-z]{0,9}|email = \"a@example\\.org\"|role = \"user\")?", 0..3),
        below in prop::collection::vec("(#[ a-z]{0,9}|\\[quota\\]|ssh_keys = \\[\\])?", 0..3),
        key in "(password_hash|\"password_hash\"|'password_hash')",
        end in "(\n|\r\n)",
        marks in 0..2_usize,
        bom in any::<bool>(),
    ) {
        let line = format!("{key} = \"{HASH}\"");
        let marks = vec![MARK.to_owned(); marks];
        let lines: Vec<String> = [marks, above, vec![line], below].concat();
        let text = if bom { "\u{feff}" } else { "" }.to_owned() + &lines.join(&end) + &end;
        let own = seen("users/bob.toml", &text).unwrap();
        prop_assert!(!own.contains("$2b$"));
        if let Some(hidden) = hidden(&bob(), &text) {
            prop_assert_eq!(restore(&own, &hidden).unwrap(), Restored { text, inserted: None });
        }
    }
}
