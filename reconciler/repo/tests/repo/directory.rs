//! A plain directory says the same as a revision with the same files.

use std::process::Command;

use berth_repo::{Error, load_directory};
use tempfile::TempDir;

use crate::git::Git;

#[test]
fn a_directory_and_a_revision_with_the_same_files_say_the_same() {
    let (state, _) = Git::with_state();
    state.write("servers/broken.toml", "this is = = not TOML\n");
    state.write("servers/binary.toml", b"\xff");
    state.write("docs/page.md", "# Page\n");
    std::os::unix::fs::symlink("ada.toml", state.work.join("users/link.toml")).unwrap();
    let revision = state.push("mixed");
    let committed = state.open().load(&revision).unwrap();
    let on_disk = load_directory(&state.work).unwrap();
    assert_eq!(on_disk.files, 12);
    assert_eq!(on_disk.files, committed.files);
    assert_eq!((on_disk.parsed_again, committed.parsed_again), (11, 11), "all but the link");
    assert_eq!(on_disk.state, committed.state);
    assert_eq!(on_disk.source("servers/broken.toml"), committed.source("servers/broken.toml"));
    assert!(on_disk.source("servers/broken.toml").is_some());
}

#[test]
fn what_is_neither_file_nor_folder_is_not_opened() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("servers")).unwrap();
    // Opening a pipe that nobody writes to would wait for ever.
    assert!(Command::new("mkfifo").arg(folder.path().join("servers/pipe.toml")).status().unwrap().success());
    let loaded = load_directory(folder.path()).unwrap();
    let findings = loaded.state.unwrap_err();
    assert!(findings.iter().any(|finding| finding.message.contains("neither a file nor a folder")));
}

#[test]
fn a_link_to_itself_ends() {
    let folder = TempDir::new().unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("servers")).unwrap();
    let loaded = load_directory(folder.path()).unwrap();
    assert_eq!((loaded.files, loaded.parsed_again), (1, 0));
}

#[test]
fn a_large_file_on_disk_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = std::fs::File::create(folder.path().join("platform.toml")).unwrap();
    file.set_len(1 << 40).unwrap();
    let loaded = load_directory(folder.path()).unwrap();
    assert!(loaded.state.unwrap_err().iter().any(|finding| finding.message.contains("1099511627776 bytes")));
}

#[test]
fn a_directory_that_is_not_there_is_an_error_and_no_empty_state() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(load_directory(&folder.path().join("gone")), Err(Error::Missing { .. })));
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(load_directory(&folder.path().join("file")).is_err());
}
