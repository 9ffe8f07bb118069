//! A small organisation, as files of a state repo.

use std::fs;
use std::path::Path;

/// The admin ann, bob with `bobs`, cyn with `cyns`.
pub const FILES: [(&str, &str); 6] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/bob.toml", "email = \"bob@example.org\"\n"),
    ("users/cyn.toml", ""),
    ("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\n"),
    ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n"),
];

/// Writes a file below a folder, and the folders that lead to it.
#[track_caller]
pub fn put(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}
