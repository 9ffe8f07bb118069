//! Findings as a terminal shows them and as a program reads them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use berth_schema::brief::{Extent, LINES};
use berth_schema::name::Invalid;
use berth_schema::report::{Look, json, report, report_of, sources, summary};
use berth_schema::testing::{harm, hostile_line, hostile_text};
use berth_schema::{Finding, Parsed, Severity, State};
use proptest::prelude::*;

fn files() -> Vec<Parsed> {
    vec![
        Parsed::parse("platform.toml", "domain = \"hosting.example.org\"\n"),
        Parsed::parse("users/ann.toml", "password_hash = \"hunter2\"\n"),
        Parsed::parse(
            "servers/shop.toml",
            "id = 1\nowner = \"ann\"\nmembers = [\"ąžuolas\", \"ann\"]\nmemroy = \"1 GiB\"\n",
        ),
        Parsed::parse("servers/wiki.toml", "id = 2\n"),
    ]
}

fn findings(files: &[Parsed]) -> Vec<Finding> {
    State::assemble(files).unwrap_err()
}

#[test]
fn each_finding_shows_its_line_and_a_caret_and_the_end_counts_them() {
    let files = files();
    let sources = sources(&files);
    let shown = report(&findings(&files), |path| sources.get(path).copied(), Look::Plain);
    assert_eq!(
        shown,
        r#"error: `ąžuolas` is not a user name
 --> servers/shop.toml:3:12
  |
3 | members = ["ąžuolas", "ann"]
  |            ^^^^^^^^^
  |
  = help: use 1 to 25 lower-case letters, digits and hyphens

warning: `ann` is the owner, and listed as a member too
 --> servers/shop.toml:3:23
  |
3 | members = ["ąžuolas", "ann"]
  |                       ^^^^^
  |
  = help: remove it from `members`

error: `memroy` is not a field of a server
 --> servers/shop.toml:4:1
  |
4 | memroy = *******
  | ^^^^^^
  |
  = help: did you mean `memory`?

error: A server needs `owner`, which is missing
--> servers/wiki.toml
 = help: add `owner`: write a member's name in quotes, such as "ann"

error: this is a password in plain text, and everybody who can read the repository has it now
 --> users/ann.toml:1:17
  |
1 | password_hash = *********
  |                 ^^^^^^^^^
  |
  = help: treat the password as compromised: choose another, and write a bcrypt or argon2id hash; `htpasswd -nBC 12 <user>` prints one after the colon

4 errors, 1 warning in 3 files
"#
    );
}

#[test]
fn without_the_text_a_finding_still_says_where() {
    let shown = report(&findings(&files())[..1], |_| None, Look::Plain);
    assert_eq!(
        shown,
        "error: `ąžuolas` is not a user name
--> servers/shop.toml:3:12
 = help: use 1 to 25 lower-case letters, digits and hyphens

1 error in 1 file
"
    );
}

#[test]
fn colours_are_asked_for() {
    let findings = findings(&files());
    assert!(!report(&findings, |_| None, Look::Plain).contains('\u{1b}'));
    assert!(report(&findings, |_| None, Look::Coloured).contains('\u{1b}'));
}

#[test]
fn nothing_to_say_is_nothing() {
    assert_eq!(report(&[], |_| None, Look::Plain), "");
    assert_eq!(summary(&[]), "no findings");
}

#[test]
fn a_program_gets_the_same() {
    let json = json(&findings(&files())[..2]);
    assert_eq!(
        json,
        serde_json::json!({
            "errors": 1,
            "warnings": 1,
            "findings": [
                {
                    "severity": "error",
                    "path": "servers/shop.toml",
                    "position": { "line": 3, "column": 12 },
                    "message": "`ąžuolas` is not a user name",
                    "hint": "use 1 to 25 lower-case letters, digits and hyphens",
                },
                {
                    "severity": "warning",
                    "path": "servers/shop.toml",
                    "position": { "line": 3, "column": 23 },
                    "message": "`ann` is the owner, and listed as a member too",
                    "hint": "remove it from `members`",
                },
            ],
        })
    );
}

/// A finding whose sentence differs by a name alone.
fn like(severity: Severity, what: &str, number: usize) -> Finding {
    let (message, hint) = (format!("`name-{number}` is not {what}"), "rename it");
    Finding::new(severity, format!("servers/{number}.toml"), None, Invalid::new(message, hint))
}

#[test]
fn thousands_alike_end_and_hide_no_other_kind() {
    let mut found: Vec<Finding> =
        (0..4317).map(|number| like(Severity::Error, "a domain name", number)).collect();
    found.extend((0..21).map(|number| like(Severity::Error, "a user name", number)));
    found.extend((0..9).map(|number| like(Severity::Warning, "pretty", number)));
    found.sort();
    let page = report(&found, |_| None, Look::Plain);
    assert!(page.lines().count() <= LINES, "{} lines", page.lines().count());
    for part in [
        "… and 4314 more errors like this: servers/",
        "is not a user name",
        "… and 18 more errors like this: servers/",
        "is not pretty",
        "4338 errors, 9 warnings in 4317 files",
        "`berth check --all` shows everything.",
    ] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "no `{part}` in\n{page}");
    }
    let whole = report_of(&found, |_| None, Look::Plain, Extent::Whole);
    assert_eq!(whole.matches("is not a domain name").count(), 4317);
    assert!(!whole.contains("--all"));
}

/// Sum of the findings that a page shows and counts.
fn told(page: &str) -> usize {
    let shown =
        page.lines().filter(|line| line.starts_with("error: ") || line.starts_with("warning: ")).count();
    let counted =
        page.lines().filter_map(|line| line.strip_prefix("… and ")?.split(' ').next()?.parse::<usize>().ok());
    shown + counted.sum::<usize>()
}

proptest! {
    // A page of thousands is drawn twice for each.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_report_ends_and_its_counts_add_up(kinds in proptest::collection::vec((1..40_usize, any::<bool>()), 0..40)) {
        let mut found = Vec::new();
        for (kind, (number, is_error)) in kinds.iter().enumerate() {
            let severity = if *is_error { Severity::Error } else { Severity::Warning };
            // Digits are what differs between findings of one kind.
            let what: String = format!("{kind}").chars().map(|digit| char::from(b'a' + digit as u8 - b'0')).collect();
            found.extend((0..*number).map(|number| like(severity, &what, number)));
        }
        found.sort();
        let page = report(&found, |_| None, Look::Plain);
        prop_assert!(page.lines().count() <= LINES, "{page}");
        prop_assert_eq!(told(&page), found.len(), "{}", page);
        let whole = report_of(&found, |_| None, Look::Plain, Extent::Whole);
        if whole.lines().count() <= LINES {
            prop_assert_eq!(page, whole);
        }
    }
}

proptest! {
    /// Whatever is written into a file, and however it is called, nothing of it acts on the page that tells of it.
    #[test]
    fn no_finding_harms_its_reader(text in hostile_text(), value in hostile_line(), name in hostile_line()) {
        let files = [
            Parsed::parse("platform.toml", &text),
            Parsed::parse("servers/shop.toml", &format!("id = 1\nowner = {}\nmem = {value}\n", toml::Value::from(&*value))),
            Parsed::parse(&format!("servers/{name}.toml"), "id = 1\n"),
        ];
        let found = findings(&files);
        let sources = sources(&files);
        let page = report(&found, |path| sources.get(path).copied(), Look::Plain);
        prop_assert_eq!(harm(&page), None, "{}", page);
        for finding in &found {
            prop_assert_eq!(harm(&finding.to_string()), None);
        }
        prop_assert_eq!(harm(&berth_schema::text::json(&json(&found)).unwrap()), None);
    }
}
