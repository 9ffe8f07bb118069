//! `example-state/` is a tour of every field, and what the editor is told is what the parser does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use berth_schema::docs::too_large;
use berth_schema::report::{Look, report, sources};
use berth_schema::{Kind, Parsed, State, json_schema};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-state")
}

/// Every file of the example, by its path in it.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, root: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                let content = fs::read(&path).unwrap();
                assert!(too_large(&name, content.len()).is_none(), "{name}");
                // Pictures are no texts, and nothing reads them.
                files.push((name, String::from_utf8_lossy(&content).into_owned()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&folder(), &folder(), &mut files);
    files.sort();
    files
}

/// A file with what it offers in comments: a line that goes on right after its `#` is TOML, others are words.
fn with_offers(text: &str) -> String {
    let toml = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let line = |line: &'_ str| line.strip_prefix('#').filter(toml).unwrap_or(line).to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The example, with all that it offers, may be pushed: names of secrets are none.
#[test]
fn nothing_in_it_counts_as_a_secret() {
    for (path, text) in files() {
        let found = berth_schema::policy::secrets(&path, with_offers(&text).as_bytes());
        assert!(found.is_empty(), "{found:?}");
    }
}

/// The dotted names of all fields in a schema.
fn fields_of_schema(schema: &Value, within: &str) -> BTreeSet<String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return BTreeSet::new();
    };
    let mut fields = BTreeSet::new();
    for (name, property) in properties {
        let name = format!("{within}{name}");
        fields.extend(fields_of_schema(property, &format!("{name}.")));
        fields.insert(name);
    }
    fields
}

/// The dotted names of all fields in a file.
fn fields_of_table(table: &toml::Table, within: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for (name, value) in table {
        let name = format!("{within}{name}");
        if let Some(table) = value.as_table() {
            fields.extend(fields_of_table(table, &format!("{name}.")));
        }
        fields.insert(name);
    }
    fields
}

#[test]
fn the_example_is_good_and_gives_no_warning() {
    let parsed: Vec<Parsed> = files().iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    let sources = sources(&parsed);
    let state = State::assemble(&parsed)
        .unwrap_or_else(|found| panic!("{}", report(&found, |path| sources.get(path).copied(), Look::Plain)));
    assert_eq!(state.warnings, []);
    assert_eq!((state.users.len(), state.servers.len(), state.domains.len()), (3, 3, 3));
}

#[test]
fn what_the_example_offers_in_comments_is_good() {
    let text = with_offers(&fs::read_to_string(folder().join("platform.toml")).unwrap());
    let parsed = Parsed::parse("platform.toml", &text);
    assert_eq!(parsed.findings(), []);
    assert!(State::assemble([&parsed]).unwrap().platform.remote.is_some());
}

#[test]
fn the_example_shows_every_field() {
    for kind in Kind::ALL {
        let of_kind = files().into_iter().filter(|(path, _)| Kind::of(path) == Some(kind));
        let shown: BTreeSet<String> =
            of_kind.flat_map(|(_, text)| fields_of_table(&with_offers(&text).parse().unwrap(), "")).collect();
        assert_eq!(
            fields_of_schema(&json_schema(kind), ""),
            shown,
            "fields of a {kind}: schema and example-state"
        );
    }
}

#[test]
fn the_example_tells_editors_the_schema_of_each_file() {
    for (path, text) in files() {
        let Some(kind) = Kind::of(&path) else { continue };
        let up = if kind == Kind::Platform { "" } else { "../" };
        assert_eq!(
            text.lines().next(),
            Some(format!("#:schema {up}.berth/schema/{kind}.json").as_str()),
            "{path}"
        );
    }
}

#[test]
fn the_example_holds_the_schemas_as_they_are() {
    for kind in Kind::ALL {
        let path = folder().join(format!(".berth/schema/{kind}.json"));
        let schema = format!("{:#}\n", json_schema(kind));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &schema).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), schema, "UPDATE=1 writes {}", path.display());
    }
}

#[test]
fn the_example_shows_the_defaults_of_the_platform() {
    let platform = |text: &str| {
        let parsed = Parsed::parse("platform.toml", text);
        State::assemble([&parsed]).unwrap().platform
    };
    let text = fs::read_to_string(folder().join("platform.toml")).unwrap();
    let shown = platform(&text);
    let mut default = (*platform("domain = \"hosting.example.org\"")).clone();
    // These have an example's value, and a comment that says what happens without.
    default.acme = shown.acme.clone();
    default.panel = shown.panel.clone();
    default.access.panel = shown.access.panel.clone();
    assert_eq!(*shown, default);
}

/// A file of each kind that is good, to which a line can be added.
fn good(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Platform => ("platform.toml", "domain = \"hosting.example.org\"\n"),
        Kind::User => ("users/ann.toml", ""),
        Kind::Server => ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
        Kind::Domain => ("domains/shop.hosting.example.org.toml", "server = \"shop\"\n"),
    }
}

#[test]
fn the_schema_and_the_parser_know_the_same_fields() {
    for kind in Kind::ALL {
        let schema = json_schema(kind);
        let fields = fields_of_schema(&schema, "");
        let tables: BTreeSet<&str> =
            fields.iter().filter_map(|field| field.split_once('.')).map(|(table, _)| table).collect();
        for table in tables.into_iter().map(Some).chain([None]) {
            let (path, text) = good(kind);
            let header = table.map(|table| format!("[{table}]\n")).unwrap_or_default();
            let parsed = Parsed::parse(path, &format!("{text}{header}nothing-is-like-this = 1\n"));
            let unknown = parsed.findings().iter().find(|finding| finding.message.contains("is not a field"));
            let hint = unknown.unwrap().hint.clone().unwrap();
            let known: BTreeSet<String> = hint.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            let within = table.map(|table| format!("{table}.")).unwrap_or_default();
            let described: BTreeSet<String> = fields
                .iter()
                .filter_map(|field| field.strip_prefix(&within))
                .filter(|rest| !rest.contains('.'))
                .map(str::to_owned)
                .collect();
            assert_eq!(known, described, "{kind} {table:?}");
        }
    }
}

#[test]
fn the_schema_and_the_parser_require_the_same_fields() {
    for kind in Kind::ALL {
        let parsed = Parsed::parse(good(kind).0, "");
        let missing: BTreeSet<&str> =
            parsed.findings().iter().filter_map(|finding| finding.message.split('`').nth(1)).collect();
        let schema = json_schema(kind);
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(missing, required.iter().filter_map(Value::as_str).collect(), "{kind}");
    }
}

#[test]
fn the_schema_describes_every_field_and_closes_every_table() {
    fn check(schema: &Value, name: &str) {
        assert!(schema.get("description").is_some(), "{name} has no description");
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
            for (key, property) in properties {
                check(property, &format!("{name}.{key}"));
            }
        }
    }
    for kind in Kind::ALL {
        check(&json_schema(kind), kind.as_str());
    }
}

#[test]
fn the_reference_names_every_field() {
    let page = fs::read_to_string(folder().join("../docs/state.md")).unwrap();
    for kind in Kind::ALL {
        let heading = good(kind).0.replace("users/ann", "users/").replace("servers/shop", "servers/");
        let heading = heading.replace("domains/shop.hosting.example.org", "domains/");
        let start = format!("\n## {}", heading.trim_end_matches(".toml"));
        let section = page.split_once(&start).unwrap().1;
        let section = section.split("\n## ").next().unwrap();
        let fields = fields_of_schema(&json_schema(kind), "");
        for field in
            fields.iter().filter(|field| !fields.iter().any(|other| other.starts_with(&format!("{field}."))))
        {
            assert!(
                section.contains(&format!("| `{field}` |")),
                "docs/state.md has no `{field}` of a {kind}"
            );
        }
    }
}
