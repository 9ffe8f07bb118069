//! Update: one ref that a push moves.

use berth_repo::Revision;

/// One ref that a push moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The revision before; `None` when the ref is new.
    pub old: Option<Revision>,
    /// The revision after; `None` when the ref is deleted.
    pub new: Option<Revision>,
    /// Its full name.
    pub reference: String,
}

/// The line isn't what git tells a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{line}' is not what git tells a hook: run this from git's hooks (`berth hook install`)")]
pub struct NotAnUpdate {
    /// The line.
    pub line: String,
}

impl Update {
    /// Reads a line of a hook's input: `<old> <new> <ref>`.
    pub fn parse(line: &str) -> Result<Self, NotAnUpdate> {
        let not_one = || NotAnUpdate { line: line.to_owned() };
        let mut words = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(reference)) = (words.next(), words.next(), words.next()) else {
            return Err(not_one());
        };
        let revision = |text: &str| match text.bytes().all(|byte| byte == b'0') {
            true => Ok(None),
            false => text.parse::<Revision>().map(Some).map_err(|_| not_one()),
        };
        Ok(Self { old: revision(old)?, new: revision(new)?, reference: reference.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_hooks_input_is_an_update() {
        let (one, zero) = ("1".repeat(40), "0".repeat(40));
        let update = Update::parse(&format!("{zero} {one} refs/heads/a b")).unwrap();
        assert_eq!((update.old, update.reference.as_str()), (None, "refs/heads/a b"));
        assert_eq!(update.new.unwrap().to_string(), one);
        for line in ["", "a b c", &format!("{zero} {one}"), &format!("{zero} 123 refs/heads/main")] {
            assert!(Update::parse(line).is_err(), "{line}");
        }
    }
}
