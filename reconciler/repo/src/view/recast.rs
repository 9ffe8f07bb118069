//! A commit with another tree and other parents. Its author, its committer, their times and its message stay, byte for
//! byte.

use std::fmt::Write as _;

use git2::Oid;

/// The bytes of a commit made again. Signatures go, which would be wrong, and merged tags, which name other commits.
/// `None` when `commit` isn't the bytes of a commit.
pub(super) fn recast(commit: &[u8], tree: Oid, parents: &[Oid]) -> Option<Vec<u8>> {
    if !commit.starts_with(b"tree ") {
        return None;
    }
    // Git takes a commit that ends after its headers, without the empty line before a message.
    let end = commit.windows(2).position(|two| two == b"\n\n").map_or(commit.len(), |end| end + 1);
    let (headers, message) = commit.split_at(end);
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

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn again(rest: &str) -> Option<String> {
        let tree: Oid = TREE.parse().unwrap();
        let commit = format!("tree 1111111111111111111111111111111111111111\n{rest}");
        recast(commit.as_bytes(), tree, &[]).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_message_stays_and_may_be_missing() {
        let people = "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n";
        for message in ["", "\n", "\nsubject\n\nbody\n"] {
            let made = again(&format!("{people}gpgsig no\n{message}"));
            assert_eq!(made, Some(format!("tree {TREE}\n{people}{message}")), "{message:?}");
        }
        assert_eq!(recast(b"blob", TREE.parse().unwrap(), &[]), None);
    }
}
