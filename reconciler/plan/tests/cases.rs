//! The documents in `cases/`: each tells what was applied, what happened behind the platform's back, what is planned,
//! and the plan that comes of it. `BLESS=1` writes the plans anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod telling;

use std::fs;
use std::path::{Path, PathBuf};

use berth_plan::show::{self, Steps, Style};
use telling::Story;

#[test]
fn every_case_plans_as_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("cases").map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    assert!(!paths.is_empty(), "no cases");
    let mut wrong = Vec::new();
    for path in paths {
        let document = fs::read_to_string(&path).expect("read");
        let (told, expected) = document.split_once("\n--- plan\n").unwrap_or((document.trim_end(), ""));
        let plan = Story::read(told).unwrap_or_else(|why| panic!("{}: {why}", path.display())).plan();
        let actual = show::text(&plan, &Style { steps: Steps::Shown, ..Style::default() });
        if actual == expected {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{told}\n--- plan\n{actual}")).expect("bless");
        } else {
            wrong.push(format!("{}\nexpected:\n{expected}\nactual:\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
