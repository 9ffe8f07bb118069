//! Names of files that a system can't hold on which people clone the state repo.
//!
//! Such a file breaks the clone of everybody who works there: git stops with `invalid path`, or two files become one. Files of the
//! state have rules of their own (`strict`), which are narrower.

use crate::invalid::Invalid;
use crate::kind::Subject;
use crate::text::shown;

/// Names of devices, which Windows takes for no file, whatever follows after a dot ("Naming Files, Paths, and Namespaces" in
/// Microsoft's documentation of Win32).
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Beginnings of further ones, which a digit follows.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];
/// Characters that no name on Windows may have (the same page).
const RESERVED: [char; 8] = ['<', '>', ':', '"', '|', '?', '*', '\\'];

/// Judges the last name of a path from the root of the repo, a folder's or a file's. `None` for a good one.
pub fn unportable(path: &[u8]) -> Option<Invalid> {
    let rename = "call it something else";
    let Ok(path) = std::str::from_utf8(path) else {
        let message = "this name isn't text in UTF-8, and macOS can't hold it";
        return Some(Invalid::new(message, rename));
    };
    if !matches!(Subject::of(path), Ok(None)) {
        return None;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_device(name) {
        return Some(device(name, rename));
    }
    if let Some(found) = name.chars().find(|c| RESERVED.contains(c)) {
        let message = format!("`{}` has a `{found}` in it, which no name on Windows may have", shown(name));
        return Some(Invalid::new(message, rename));
    }
    if name.ends_with(['.', ' ']) {
        let message =
            format!("`{}` ends in a dot or a space, with which nobody can clone it on Windows", shown(name));
        return Some(Invalid::new(message, rename));
    }
    None
}

/// The refusal of two names in one folder of which many systems keep one.
pub fn alike(name: &str, other: &str) -> Invalid {
    let message = format!(
        "`{}` and `{}` differ in upper and lower case alone, and Windows and macOS keep one of them",
        shown(name),
        shown(other)
    );
    Invalid::new(message, "call one of them something else")
}

/// The refusal of a device's name.
pub(crate) fn device(name: &str, hint: &str) -> Invalid {
    Invalid::new(
        format!("`{}` is the name of a device on Windows, where nobody could clone this", shown(name)),
        hint,
    )
}

/// Returns whether Windows takes a file's name for a device.
pub(crate) fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_lowercase();
    let numbered = |start: &&str| {
        stem.strip_prefix(*start)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    DEVICES.contains(&&*stem) || NUMBERED_DEVICES.iter().any(numbered)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_system_can_t_hold_is_told_with_the_reason() {
        for (path, reason) in [
            ("docs/aux.md", "`aux.md` is the name of a device"),
            ("docs/Con", "`Con` is the name of a device"),
            ("docs/guide/LPT1.tar.gz", "is the name of a device"),
            ("docs/nul .md", "is the name of a device"),
            ("docs/a:b?.md", "has a `:` in it"),
            ("docs/why?", "has a `?` in it"),
            ("docs/a\\b.md", "has a `\\` in it"),
            ("docs/end.", "ends in a dot or a space"),
            ("docs/end ", "ends in a dot or a space"),
            (".forge/aux.yml", "is the name of a device"),
        ] {
            let found = unportable(path.as_bytes()).unwrap_or_else(|| panic!("{path:?} is taken"));
            assert!(found.message.contains(reason), "{path:?}: {found}");
        }
        assert!(unportable(b"docs/gr\xfc\xdfe.md").unwrap().message.contains("UTF-8"));
    }

    #[test]
    fn what_people_call_their_pages_is_taken() {
        for path in [
            "docs",
            "docs/auxiliary.md",
            "docs/com10.md",
            "docs/console.md",
            "docs/größer 更大.md",
            "docs/.hidden",
            "docs/a'b (1) [x] & y.md",
            "README.md",
            "docs/shop.toml",
        ] {
            assert_eq!(unportable(path.as_bytes()), None, "{path:?}");
        }
    }

    #[test]
    fn files_of_the_state_have_rules_of_their_own() {
        for path in ["servers/aux.toml", "users/nul.toml", "domains/*.shop.example.org.toml"] {
            assert_eq!(unportable(path.as_bytes()), None, "{path:?}");
        }
    }
}
