//! States of commits that the forge has yet to be told, as another process finds them.
//!
//! A file of their own, unlike what is known of the forge for show: a state that is lost here stays open at the forge for ever.

use std::fs;
use std::io;
use std::path::Path;

use berth_host::file::replace;
use berth_schema::Revision;
use berth_schema::remote::Remote;
use berth_wire::standing::Told;
use serde::{Deserialize, Serialize};

/// The file's name in the follower's folder.
const FILE: &str = "owed.json";

/// Everything that a forge is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Owed {
    /// The URL that git fetches from.
    url: String,
    /// The branch that `main` follows.
    branch: String,
    /// Tips that no pass has wholly applied yet, the oldest first.
    pub(crate) waiting: Vec<Revision>,
    /// States to tell, at most one a commit, the oldest first.
    pub(crate) lines: Vec<Told>,
}

impl Owed {
    /// Everything that this forge is owed.
    pub(crate) fn new(remote: &Remote, waiting: Vec<Revision>, lines: Vec<Told>) -> Self {
        Self { url: remote.url.to_string(), branch: remote.branch.to_string(), waiting, lines }
    }

    /// Everything that was written down for this forge. A file that can't be read is none.
    pub(crate) fn read(folder: &Path, remote: &Remote) -> Self {
        let none = Self::new(remote, Vec::new(), Vec::new());
        let found: Self = fs::read(folder.join(FILE))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        match (&found.url, &found.branch) == (&none.url, &none.branch) {
            true => found,
            false => none,
        }
    }

    /// Writes it down.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        replace(&folder.join(FILE), &serde_json::to_vec(self)?, 0o600)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use berth_wire::standing::CommitState;

    use super::*;

    #[test]
    fn one_forge_is_owed_what_no_other_is() {
        let folder = tempfile::tempdir().unwrap();
        let remote = |url: &str| Remote::new(url.parse().unwrap());
        let (here, there) = (remote("https://f/org/state"), remote("https://f/org/other"));
        let revision = Revision::from_bytes([1; 20]);
        let line = Told { revision, state: CommitState::Success, description: "applied".to_owned() };
        let owed = Owed::new(&here, vec![revision], vec![line]);
        let none = |remote| Owed::new(remote, Vec::new(), Vec::new());
        assert_eq!(Owed::read(folder.path(), &here), none(&here));
        owed.write(folder.path()).unwrap();
        assert_eq!(Owed::read(folder.path(), &here), owed);
        assert_eq!(Owed::read(folder.path(), &there), none(&there));
        for text in ["", "{", "[1]", "{\"waiting\": 1}", "\u{0}"] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(Owed::read(folder.path(), &here), none(&here), "{text}");
        }
    }
}
