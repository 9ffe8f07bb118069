//! The mistakes that a state repo can hold, one case each in `tests/cases/*.txt`.
//!
//! A case is a title (`## …`), files (`--- path`, then their text), and after `>>>` the findings that they give: all of
//! them, and no others. Where a case leaves out `platform.toml`, `users/ann.toml` or `users/bob.toml`, it gets the
//! plainest good ones. `UPDATE=1` writes what is found in place of what was expected; read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use berth_schema::{Finding, Parsed, Severity, State};
use libtest_mimic::{Arguments, Trial};

const PLAIN: [(&str, &str); 3] =
    [("platform.toml", "domain = \"hosting.example.org\"\n"), ("users/ann.toml", ""), ("users/bob.toml", "")];

struct Case {
    title: String,
    files: Vec<(String, String)>,
    expected: String,
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let update = std::env::var_os("UPDATE").is_some();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut trials = Vec::new();
    for path in paths {
        let topic = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases = read(&fs::read_to_string(&path).unwrap());
        if update {
            fs::write(&path, cases.iter().map(write).collect::<Vec<_>>().join("\n")).unwrap();
        }
        for case in cases {
            trials.push(Trial::test(format!("{topic}: {}", case.title), move || {
                let found = find(&case);
                if update || found == case.expected {
                    return Ok(());
                }
                Err(format!("expected\n{}\nfound\n{found}", case.expected).into())
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn read(text: &str) -> Vec<Case> {
    let case = |block: &str| {
        let (title, rest) = block.split_once('\n').unwrap();
        let (files, expected) = rest.split_once(">>>\n").unwrap_or_else(|| panic!("no `>>>` in {title}"));
        let file = |file: &str| {
            let (path, text) = file.split_once('\n').unwrap();
            (path.trim().to_owned(), text.to_owned())
        };
        let files = files.split("--- ").skip(1).map(file).collect();
        Case { title: title.to_owned(), files, expected: format!("{}\n", expected.trim_end()) }
    };
    text.split("## ").skip(1).map(case).collect()
}

fn write(case: &Case) -> String {
    let files: String = case.files.iter().map(|(path, text)| format!("--- {path}\n{text}")).collect();
    format!("## {}\n{files}>>>\n{}", case.title, find(case))
}

fn find(case: &Case) -> String {
    let named = |path: &str| case.files.iter().any(|(given, _)| given == path);
    // A case about a missing file names it with nothing but `absent`.
    let given = case.files.iter().filter(|(_, text)| text != "absent\n");
    let given = given.map(|(path, text)| (path.as_str(), text.as_str()));
    let plain = PLAIN.into_iter().filter(|(path, _)| !named(path));
    let mut files: Vec<Parsed> = given.chain(plain).map(|(path, text)| Parsed::parse(path, text)).collect();
    let forwards = findings(&files);
    files.reverse();
    assert_eq!(forwards, findings(&files), "the order of files matters");
    let mut text = String::new();
    for finding in forwards {
        let severity = if finding.severity == Severity::Warning { "warning: " } else { "" };
        writeln!(text, "{severity}{finding}").unwrap();
        writeln!(text, "    hint: {}", finding.hint.expect("a finding without a hint")).unwrap();
    }
    if text.is_empty() { "nothing\n".to_owned() } else { text }
}

fn findings(files: &[Parsed]) -> Vec<Finding> {
    match State::assemble(files) {
        Ok(state) => state.warnings,
        Err(findings) => findings,
    }
}
