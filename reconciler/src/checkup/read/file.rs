//! Files of the kernel's and of the host's.

use std::fs;
use std::path::Path;

/// Content of a file; empty where there is none, or none that may be read. Names that people have given, such as those of mounts, may be
/// no text.
pub(super) fn text(path: impl AsRef<Path>) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_costs_no_more_than_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mountinfo");
        fs::write(&file, b"1 2 0:1 / /mnt/\xff rw - ext4 x\n2 2 0:2 / /sys/fs/cgroup rw - cgroup2 y\n")
            .unwrap();
        assert!(text(&file).ends_with("- cgroup2 y\n"), "{}", text(&file));
        assert_eq!(text(folder.path()), "");
    }
}
