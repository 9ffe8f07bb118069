//! A commit with another tree and other parents. Its author, its committer, their times and its message stay, byte for
//! byte.

use std::fmt::Write as _;

use git2::Oid;

/// The bytes of a commit made again. Signatures go, which would be wrong, and merged tags, which name other commits.
/// `None` when `commit` isn't the bytes of a commit.
pub(super) fn recast(commit: &[u8], tree: Oid, parents: &[Oid]) -> Option<Vec<u8>> {
    let end = commit.windows(2).position(|two| two == b"\n\n")?;
    let (headers, message) = commit.split_at(end + 1);
    let mut text = format!("tree {tree}\n");
    for parent in parents {
        writeln!(text, "parent {parent}").ok()?;
    }
    let mut bytes = text.into_bytes();
    for line in headers.split_inclusive(|byte| *byte == b'\n') {
        if [&b"author "[..], b"committer ", b"encoding "].iter().any(|name| line.starts_with(name)) {
            bytes.extend_from_slice(line);
        }
    }
    bytes.extend_from_slice(message);
    Some(bytes)
}
