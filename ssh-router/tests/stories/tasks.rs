//! Tasks of the binary besides carrying sessions, and the file that tells which routes are in use.

use std::fs;
use std::process::{Command, Output};

use crate::harness::{Place, await_that, text};

fn task(name: &str, file: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth-ssh-router")).arg(name).arg(file).output().unwrap()
}

#[test]
fn a_routes_file_is_checked_as_the_router_would_read_it() {
    let place = Place::new();
    let file = place.path("routes.toml");
    let output = task("check", &file);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");

    let broken = place.path("broken.toml");
    fs::write(&broken, fs::read_to_string(&file).unwrap().replace("owner = \"ann\"", "owner = \"zoe\""))
        .unwrap();
    let output = task("check", &broken);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with(&format!("{}:", broken.display())), "{said}");
    assert!(said.contains("`shop` names `zoe`, who isn't in the file\n  hint: add the user\n"), "{said}");

    fs::remove_file(place.path("upstream")).unwrap();
    let output = task("check", &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the router's key"), "{output:?}");
    assert_eq!(task("check", &place.path("nothing")).status.code(), Some(1));
}

#[test]
fn the_router_tells_which_routes_it_uses() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = folder.path().join("loaded");
    let place = Place::with(&["--loaded", loaded.to_str().unwrap()]);
    let digest = || text(&task("digest", &place.path("routes.toml")).stdout);
    let told = || fs::read_to_string(&loaded).unwrap_or_default();
    assert_eq!(digest().trim().len(), 64);
    await_that("the first routes", || told() == digest());
    let first = told();
    // Another text, the same routes.
    place.put_routes(&format!("# again\n{}", place.routes().render().unwrap()));
    await_that("the second routes", || told() == digest());
    assert_ne!(told(), first);
    place.put_routes("version = 1\n");
    place.await_log("the last good routes stay");
    assert_ne!(told(), digest(), "a file that wasn't taken is not told");
}
