//! Whatever a repo holds, parsing it gives findings: it never panics, never takes long, and never repeats a secret.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use berth_schema::report::{Look, json, report, sources};
use berth_schema::{Parsed, State};
use proptest::prelude::*;

const PATHS: [&str; 5] = [
    "platform.toml",
    "users/ann.toml",
    "servers/shop.toml",
    "domains/shop.hosting.example.org.toml",
    "domains/_.hosting.example.org.toml",
];

/// All findings about some files, in every form.
fn said(files: &[Parsed]) -> String {
    let findings = match State::assemble(files) {
        Ok(state) => state.warnings,
        Err(findings) => findings,
    };
    let sources = sources(files);
    let plain = report(&findings, |path| sources.get(path).copied(), Look::Plain);
    let coloured = report(&findings, |path| sources.get(path).copied(), Look::Coloured);
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    format!("{plain}{coloured}{lines}{}", json(&findings))
}

fn messages(path: &str, text: &str) -> Vec<String> {
    Parsed::parse(path, text).findings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let parsed = Parsed::parse("servers/shop.toml", "\u{feff}id = 1\r\nowner = \"ann\"\r\n");
    assert_eq!(parsed.findings(), []);
    assert_eq!(
        messages("servers/shop.toml", "\u{feff}id = \"1\"\r\nowner = \"Ann\"\r\n"),
        [
            "servers/shop.toml:1:6: `id` can't be a text in quotes",
            "servers/shop.toml:2:9: `Ann` is not a user name"
        ]
    );
}

#[test]
fn nul_and_other_control_characters_are_findings() {
    assert_eq!(
        messages("servers/shop.toml", "id = 1\nowner = \"a\0nn\"\n"),
        [
            "servers/shop.toml:2:11: this is not TOML: invalid basic string, expected non-double-quote visible characters, `\\`"
        ]
    );
    let shown = said(&[Parsed::parse("servers/shop.toml", "id = 1\nowner = \"\u{1b}[31mann\"\n")]);
    assert!(!shown.contains("\u{1b}[31mann"), "{shown}");
}

#[test]
fn a_name_that_reads_backwards_is_shown_as_what_it_is() {
    let found = messages("servers/shop.toml", "id = 1\nowner = \"\u{202e}nna\"\n");
    assert_eq!(found, ["servers/shop.toml:2:9: `\\u{202e}nna` is not a user name"]);
    let found = messages("users/\u{1b}[2Jann.toml", "");
    assert_eq!(found, ["users/\\u{1b}[2Jann.toml: `\\u{1b}[2Jann` is not a user name"]);
}

#[test]
fn a_huge_file_is_one_finding() {
    let text = format!("id = 1\nowner = \"ann\"\n# {}\n", "x".repeat(300_000));
    assert_eq!(
        messages("servers/shop.toml", &text),
        ["servers/shop.toml: the file has 300024 bytes, and 262144 is the most that is read"]
    );
}

#[test]
fn a_long_value_is_cut_in_messages() {
    let found = messages("servers/shop.toml", &format!("id = 1\nowner = \"{}\"\n", "A".repeat(10_000)));
    assert_eq!(found.len(), 1);
    assert!(found[0].len() < 300, "{}", found[0]);
}

#[test]
fn thousands_of_mistakes_are_a_hundred_findings() {
    let text: String = (0..10_000).map(|number| format!("field{number} = 1\n")).collect();
    assert_eq!(messages("servers/shop.toml", &text).len(), 100);
}

#[test]
fn many_warnings_do_not_hide_an_error() {
    let members = "\"bob\", ".repeat(200);
    let text = format!("id = 1\nowner = \"ann\"\nmembers = [{members}]\nprivileged = true\n");
    assert!(messages("servers/shop.toml", &text).iter().any(|message| message.contains("`privileged`")));
}

#[test]
fn a_file_of_nothing_but_broken_lines_is_a_hundred_findings() {
    for line in ["=\n", "a = \n", "[\n", "]]\n", "\u{1}\n", "\"\"\"\n", "a = [{\n"] {
        let found = messages("servers/shop.toml", &line.repeat(200_000 / line.len()));
        assert!((1..=101).contains(&found.len()), "{line:?}: {}", found.len());
    }
}

#[test]
fn deep_nesting_is_a_finding() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("id = {}1{}\n", open.repeat(10_000), close.repeat(10_000));
        assert!(!messages("servers/shop.toml", &text).is_empty());
    }
    let table = format!("[{}a]\n", "a.".repeat(10_000));
    assert!(!messages("servers/shop.toml", &table).is_empty());
}

#[test]
fn thousands_of_unknown_names_take_no_time() {
    let server = |number: u32| {
        let text = format!("id = {number}\nowner = \"nobody-{number}\"\n");
        Parsed::parse(&format!("servers/s{number}.toml"), &text)
    };
    let user = |number: u32| Parsed::parse(&format!("users/somebody-{number}.toml"), "");
    let platform = Parsed::parse("platform.toml", "domain = \"hosting.example.org\"\n");
    let files: Vec<Parsed> = (1..=200).map(server).chain((1..=5000).map(user)).chain([platform]).collect();
    assert_eq!(State::assemble(&files).unwrap_err().len(), 200);
}

#[test]
fn secrets_are_in_nothing_that_is_said() {
    let secret = "hunter2-ąž";
    for text in [
        format!("password_hash = \"{secret}\"\n"),
        format!("password_hash = [\"{secret}\"]\n"),
        format!("password_hash = '''\n{secret}'''\n"),
        format!("password = \"{secret}\"\n"),
        format!("quota = {{ secret = \"{secret}\" }}\n"),
        format!("email = \"ann\"\nnote = {{ secret = \"{secret}\" }}\n"),
        format!("[{{\npassword_hash = \"{secret}\"\n"),
        format!("password_hash = \"{secret}\n"),
        format!("password_hash = {secret}\n"),
        format!("ssh_keys = [\"\"\"-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\"\"\"]\n"),
        format!("ssh_keys = \"\"\"-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\"\"\"\n"),
        format!("ssh_keys = \"PuTTY-User-Key-File-3: {secret}\"\n"),
        format!("ssh_keys = [\"{secret}\"]\n"),
        format!("ssh_keys = [{{ key = \"PRIVATE KEY {secret}\" }}]\n"),
    ] {
        let parsed = Parsed::parse("users/ann.toml", &text);
        assert!(!parsed.findings().is_empty(), "{text}");
        let shown = said(&[parsed]);
        assert!(!shown.contains("hunter2"), "{text}\n{shown}");
    }
}

#[test]
fn what_is_blackened_keeps_its_place() {
    let parsed = Parsed::parse("users/ann.toml", "password_hash = \"ąž🞄–x\"\nemail = \"ann\"\n");
    assert_eq!(parsed.source(), Some("password_hash = *··🞄•**\nemail = \"ann\"\n"));
    assert_eq!(parsed.findings()[1].position.unwrap().line, 2);
}

/// A text that is nearly a state file: good lines and bad ones, of every kind.
fn nearly_toml() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-z_]{1,14} = [\"0-9a-z\\[\\]{},. -]{0,20}",
        Just("id = 1".to_owned()),
        Just("owner = \"ann\"".to_owned()),
        Just("server = \"shop\"".to_owned()),
        Just("domain = \"hosting.example.org\"".to_owned()),
        Just("ssh_keys = [\"ssh-ed25519 AAAA\"]".to_owned()),
        Just("password_hash = \"$2b$12$x\"".to_owned()),
        Just("[quota]".to_owned()),
        Just("[networks]".to_owned()),
        Just("users = \"10.0.0.0/8\"".to_owned()),
        "(memory|cpus|disk|pids|servers|domains|share) = (\"?[0-9.e+-]{1,25} ?[kMGTPEi]{0,2}B?\"?|inf|nan)",
        "\\PC{0,40}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_at_any_path_gives_findings_at_places_that_exist(
        path in prop_oneof![prop::sample::select(&PATHS[..]).prop_map(str::to_owned), "\\PC{0,30}", "(users|servers|domains)/\\PC{0,20}"],
        text in prop_oneof![nearly_toml(), ".{0,200}", "(?s).{0,200}"],
    ) {
        let parsed = Parsed::parse(&path, &text);
        let lines = text.split('\n').count();
        for finding in parsed.findings() {
            if let Some(position) = finding.position {
                prop_assert!((1..=lines).contains(&(position.line as usize)), "{finding}");
                let line = text.split('\n').nth(position.line as usize - 1).unwrap();
                prop_assert!((1..=line.chars().count() + 1).contains(&(position.column as usize)), "{finding}");
            }
            prop_assert!(finding.hint.is_some(), "{finding}");
        }
        said(&[parsed]);
    }

    #[test]
    fn any_repo_gives_the_same_whatever_the_order_of_its_files(
        texts in prop::collection::vec(nearly_toml(), PATHS.len()),
        order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let files: Vec<Parsed> = PATHS.iter().zip(&texts).map(|(path, text)| Parsed::parse(path, text)).collect();
        let shuffled = order.map(|index| &files[index]);
        let result = State::assemble(&files);
        prop_assert_eq!(&result, &State::assemble(shuffled));
        if let Err(findings) = result {
            prop_assert!(findings.is_sorted());
            prop_assert!(findings.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn a_size_that_is_shown_reads_back_as_itself(bytes: u64) {
        let size = berth_schema::quantity::Bytes::new(bytes);
        prop_assert_eq!(size.to_string().parse(), Ok(size));
    }
}
