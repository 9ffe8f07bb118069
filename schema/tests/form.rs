//! Forms: any value that somebody types either says what it says or is a finding at its field, and nothing else of the file
//! changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use berth_schema::form::{self, Input, WriteError, field_of};
use berth_schema::name::ServerId;
use berth_schema::testing::{harm, hostile_text};
use berth_schema::{Finding, Kind, Parsed, Severity, State, json_schema};
use proptest::prelude::*;
use proptest::sample::select;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi ann@laptop";

/// A file of each kind, with comments and a layout of its own.
fn file(kind: Kind) -> (&'static str, String) {
    match kind {
        Kind::Server => (
            "servers/shop.toml",
            "#:schema x\n# The shop.\nid   = 1 # for ever\n\nowner='ann'   # hers\nmembers = [ 'bob' ] # helps\n# Memory.\n\
             memory = \"1 GiB\" # enough\ncpus = 0.5\nallow = [\n  # The database.\n  \"10.1.2.3/32:5432/tcp\",\n]\n"
                .to_owned(),
        ),
        Kind::Domain => (
            "domains/shop.h.example.toml",
            "# The shop.\nserver = \"shop\" # there\nport = 8_080\ncloudflare = false\n".to_owned(),
        ),
        Kind::User => (
            "users/ann.toml",
            format!(
                "role = \"admin\"\nemail = \"ann@example.org\" # hers\npassword_hash = \"$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\"\n\
                 ssh_keys = [\n    # At home.\n    \"{KEY}\",\n]\n\n# More.\n[quota]\nservers = 3 # few\nmemory = \"4 GiB\"\n"
            ),
        ),
        Kind::Platform => ("platform.toml", "domain = \"h.example\"\n".to_owned()),
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    select(&[Kind::Server, Kind::Domain, Kind::User][..])
}

/// A field that can change, of a kind.
fn field() -> impl Strategy<Value = (Kind, &'static str)> {
    kinds().prop_flat_map(|kind| {
        let names: Vec<&'static str> = form::names(kind).filter(|name| *name != "id").collect();
        (Just(kind), select(names))
    })
}

/// Texts that people type, and texts that they had better not.
fn text() -> impl Strategy<Value = String> {
    let usual = [
        "1",
        "0",
        "-1",
        "+3",
        "0x10",
        "1_000",
        "1.5",
        "0,5",
        "1e3",
        "nan",
        "inf",
        "007",
        "99999999999999999999",
        "true",
        "false",
        "TRUE",
        "ann",
        "bob",
        "shop",
        "running",
        "stopped",
        "2 GiB",
        "2GiB",
        "1024",
        "public",
        "auto",
        "user",
        "a@b.org",
        "10.1.2.3/32:5432/tcp",
        "x # y",
        "x\ny = 1",
        "\"",
        "'",
        "\\",
        "\"\"\"",
        "[]",
        "{}",
        "2026-11-29",
        "password = 1",
        KEY,
    ];
    prop_oneof![4 => select(usual.to_vec()).prop_map(str::to_owned), 2 => hostile_text(), 1 => "[0-9.eE+-]{1,6}", 1 => Just("x".repeat(5000))]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => Just(Input::Unset),
        6 => text().prop_map(Input::Text),
        3 => prop::collection::vec(text(), 0..4).prop_map(Input::List),
    ]
}

fn errors(path: &str, text: &str) -> Vec<Finding> {
    let parsed = Parsed::parse(path, text);
    parsed.findings().iter().filter(|finding| finding.severity == Severity::Error).cloned().collect()
}

fn value(kind: Kind, text: &str, name: &str) -> Input {
    form::read(kind, text).into_iter().find(|(field, _)| *field == name).unwrap().1
}

/// The text without the lines that are about a field, its list or its table.
fn others(kind: Kind, text: &str, name: &str) -> Vec<(&'static str, Input)> {
    form::read(kind, text).into_iter().filter(|(field, _)| *field != name).collect()
}

proptest! {
    #[test]
    fn a_typed_value_is_said_or_is_a_finding_at_its_field((kind, name) in field(), typed in input()) {
        let (path, before) = file(kind);
        let after = form::write(kind, &before, &[(name, typed.clone())]).unwrap();
        prop_assert_eq!(value(kind, &after, name).normal(), typed.normal(), "{}", after);
        prop_assert_eq!(others(kind, &after, name), others(kind, &before, name), "{}", after);
        for finding in errors(path, &after) {
            prop_assert_eq!(field_of(kind, &after, &finding), Some(name), "{:?}\n{}", finding, after);
        }
        prop_assert_eq!(harm(&after), None, "{}", after);
    }

    /// The text that was written before is there again, byte for byte, as soon as a value is back.
    #[test]
    fn a_value_that_comes_back_leaves_no_trace((kind, name) in field(), typed in input()) {
        let (_, text) = file(kind);
        // Its words in the file are those that a form writes.
        let was = value(kind, &text, name);
        let before = form::write(kind, &text, &[(name, was.clone())]).unwrap();
        prop_assume!(was != Input::Unset && typed.normal() != Input::Unset);
        // A list that was something else has lost its layout, and so has a list whose entries went.
        prop_assume!(!matches!(was, Input::List(_)));
        let between = form::write(kind, &before, &[(name, typed)]).unwrap();
        let after = form::write(kind, &between, &[(name, was)]).unwrap();
        prop_assert_eq!(after, before);
    }

    /// A new file says exactly what was filled in, in the order of the form.
    #[test]
    fn a_new_file_reads_as_it_was_filled_in(kind in kinds(), typed in prop::collection::vec(input(), 10)) {
        let names: Vec<&'static str> = form::names(kind).filter(|name| *name != "id").collect();
        let values: Vec<(&str, Input)> = names.iter().copied().zip(typed).collect();
        let id = (kind == Kind::Server).then(|| ServerId(7.try_into().unwrap()));
        let text = form::create(kind, id, &values).unwrap();
        for (name, typed) in &values {
            prop_assert_eq!(value(kind, &text, name).normal(), typed.normal(), "{}\n{}", name, text);
        }
        if id.is_some() {
            prop_assert!(text.starts_with("id = 7\n"), "{text}");
        }
        prop_assert_eq!(harm(&text), None, "{}", text);
        let again: Vec<(&str, Input)> = names.iter().map(|name| (*name, value(kind, &text, name))).collect();
        prop_assert_eq!(form::create(kind, id, &again).unwrap(), text);
    }
}

#[test]
fn a_form_without_a_change_leaves_the_file() {
    for kind in [Kind::Server, Kind::Domain, Kind::User] {
        let (_, text) = file(kind);
        for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            assert_eq!(form::write(kind, &text, &[]).unwrap(), text);
        }
    }
}

#[test]
fn a_change_leaves_comments_line_ends_and_layout() {
    let (_, text) = file(Kind::Server);
    let memory = [("memory", Input::Text("2GiB".to_owned()))];
    let after = form::write(Kind::Server, &text, &memory).unwrap();
    assert_eq!(after, text.replace("1 GiB", "2GiB"));
    let windows = text.replace('\n', "\r\n");
    assert_eq!(form::write(Kind::Server, &windows, &memory).unwrap(), windows.replace("1 GiB", "2GiB"));
    let marked = format!("\u{feff}{text}");
    assert_eq!(form::write(Kind::Server, &marked, &memory).unwrap(), marked.replace("1 GiB", "2GiB"));
}

#[test]
fn a_number_stays_as_it_was_typed_and_anything_else_is_a_text() {
    let written = |typed: &str| {
        let values = [("port", Input::Text(typed.to_owned())), ("server", Input::Text("shop".to_owned()))];
        form::create(Kind::Domain, None, &values).unwrap().lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(written("8080"), "port = 8080");
    assert_eq!(written(" 8080\r\n"), "port = 8080");
    assert_eq!(written("0x1F90"), "port = 0x1F90");
    assert_eq!(written("80.0"), "port = \"80.0\"");
    assert_eq!(written("eighty"), "port = \"eighty\"");
    assert_eq!(written("80\ntls = \"off\""), "port = \"80\\U0000000Atls = \\\"off\\\"\"");
    assert_eq!(written("80 # or so"), "port = \"80 # or so\"");
}

#[test]
fn mistakes_between_files_are_at_their_field_too() {
    let server = |values: &[(&str, &str)]| {
        let values: Vec<(&str, Input)> =
            values.iter().map(|(name, text)| (*name, Input::Text((*text).to_owned()))).collect();
        form::create(Kind::Server, Some(ServerId(1.try_into().unwrap())), &values).unwrap()
    };
    let found = |text: &str| {
        let files = [
            ("platform.toml", "domain = \"h.example\"\n\n[quota]\ncpus = 2\n"),
            ("users/ann.toml", ""),
            ("servers/shop.toml", text),
        ];
        let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
        let findings = State::assemble(&parsed).unwrap_err();
        let of = |finding: &Finding| (field_of(Kind::Server, text, finding), finding.message.clone());
        findings.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        found(&server(&[("owner", "eve")])),
        [(Some("owner"), "there is no user `eve`, who is named as the owner".to_owned())]
    );
    assert_eq!(
        found(&server(&[("owner", "ann"), ("cpus", "3")])),
        [(Some("cpus"), "`ann` has 3 cpus in all, and may have 2 cpus".to_owned())]
    );
    assert_eq!(
        found(&server(&[("memory", "1 GiB")])),
        [(Some("owner"), "A server needs `owner`, which is missing".to_owned())]
    );
    assert_eq!(found("id = 1\nowner = \"ann\"\ncolour = \"red\"\n")[0].0, None);
}

#[test]
fn what_no_form_has_is_not_written() {
    for (kind, name) in [
        (Kind::User, "password_hash"),
        (Kind::Server, "privileged"),
        (Kind::Server, "quota.cpus"),
        (Kind::Platform, "domain"),
        (Kind::User, "quota"),
    ] {
        let (_, text) = file(kind);
        let error = form::write(kind, &text, &[(name, Input::Text("x".to_owned()))]).unwrap_err();
        assert!(matches!(error, WriteError::NotAField { .. }), "{error}");
    }
    let (_, text) = file(Kind::Server);
    let error = form::write(Kind::Server, &text, &[("id", Input::Text("2".to_owned()))]).unwrap_err();
    assert!(matches!(error, WriteError::Fixed { .. }), "{error}");
    assert!(!form::names(Kind::User).any(|name| name.contains("password")));
}

#[test]
fn a_place_that_is_taken_is_not_written_over() {
    let error = form::write(Kind::User, "quota = 5\n", &[("quota.cpus", Input::Text("1".to_owned()))]);
    assert!(matches!(error.unwrap_err(), WriteError::NoPlace { .. }));
    let error = form::write(Kind::User, "role = \n", &[("role", Input::Text("user".to_owned()))]);
    assert!(matches!(error.unwrap_err(), WriteError::Unreadable(_)));
}

#[test]
fn every_field_of_a_file_is_in_its_form_or_is_kept_out_of_it() {
    for (kind, kept_out) in [
        (Kind::Server, &[][..]),
        (Kind::Domain, &[]),
        (Kind::User, &["password_hash", "passkeys", "oidc", "forge_accounts", "tokens", "second_factor"]),
    ] {
        let schema = json_schema(kind);
        let mut fields: Vec<String> = Vec::new();
        for (name, of) in schema["properties"].as_object().unwrap() {
            match of.get("properties").and_then(|inner| inner.as_object()) {
                Some(inner) => fields.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                None => fields.push(name.clone()),
            }
        }
        fields.retain(|field| !kept_out.contains(&field.as_str()));
        fields.sort();
        let mut known: Vec<&str> = form::names(kind).collect();
        known.sort_unstable();
        assert_eq!(known, fields, "{kind}");
    }
}

#[test]
fn a_form_shows_what_holds_without_a_field() {
    let files = [("platform.toml", "domain = \"h.example\"\n[defaults]\nmemory = \"3 GiB\"\n")];
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    let state = State::assemble(&parsed).unwrap();
    let fields = form::fields(Kind::Server, "id = 1\nowner = \"ann\"\n", &state.platform);
    let of = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!((of("memory").value.clone(), of("memory").default.as_str()), (Input::Unset, "3 GiB"));
    assert_eq!((of("state").default.as_str(), of("owner").default.as_str()), ("running", ""));
    assert_eq!(of("owner").value, Input::Text("ann".to_owned()));
    // Whatever stands as a default would be accepted where it is typed.
    for kind in [Kind::Server, Kind::Domain, Kind::User] {
        let (path, text) = file(kind);
        for field in
            form::fields(kind, &text, &state.platform).iter().filter(|field| !field.default.is_empty())
        {
            let typed = [(field.name.as_str(), Input::Text(field.default.clone()))];
            let after = form::write(kind, &text, &typed).unwrap();
            assert_eq!(errors(path, &after), [], "{after}");
        }
    }
}

#[test]
fn the_name_of_a_file_follows_the_rules_of_names() {
    assert_eq!(form::path(Kind::Server, "shop").unwrap(), "servers/shop.toml");
    assert_eq!(form::path(Kind::Domain, "*.shop.h.example").unwrap(), "domains/_.shop.h.example.toml");
    assert_eq!(form::path(Kind::Platform, "").unwrap(), "platform.toml");
    for name in ["", ".", "..", "../users/ann", "a/b", "a\0", "a\nb", "Shop", ".x", "a.toml/", "ä"] {
        for kind in [Kind::Server, Kind::User] {
            assert!(form::path(kind, name).is_err(), "{kind} {name:?}");
        }
    }
}
