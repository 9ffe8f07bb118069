//! Files of the kernel's and of the host's.

use std::fs;
use std::path::Path;

/// Content of a file; empty where there is none, or none that may be read.
pub(super) fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
