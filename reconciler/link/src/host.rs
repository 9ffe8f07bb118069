//! The host's part of the firewall, as it was confirmed last: kept where it outlives the machine's end, so that it can be
//! in force before the first packet leaves the plane, with everything else of Berth down.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, Trying as _};

/// Folder of the rules that are kept, one file for each platform.
pub const HOST_RULES: &str = "/var/lib/berth/host";

/// Rules that were confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRules {
    /// The rules that lead into the platform's own chains.
    pub leads: Vec<Lead>,
    /// The platform's own chains as the kernel lists them: a text for `iptables-restore --noflush`.
    pub rules: String,
}

/// A rule that leads from one of the host's chains into one of the platform's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// The host's chain: the first of these that exists.
    pub from: Vec<String>,
    /// The rule, in words for `iptables`: what it matches, and where it leads.
    pub rule: Vec<String>,
}

impl KeptRules {
    /// Reads the rules kept for a prefix. `None` when there are none; an error of the kind `InvalidData` when the file isn't
    /// ours.
    pub fn read(folder: &Path, prefix: &str) -> Result<Option<Self>> {
        let path = file(folder, prefix);
        let read = || match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        read().trying(|| format!("read {}", path.display()))
    }

    /// Keeps them, so that a loss of power doesn't lose them.
    pub fn write(&self, folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix);
        let write = || {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            berth_host::file::replace(&path, &serde_json::to_vec_pretty(self)?, 0o600)
        };
        write().trying(|| format!("write {}", path.display()))
    }

    /// Forgets the rules kept for a prefix.
    pub fn remove(folder: &Path, prefix: &str) -> Result<()> {
        let path = file(folder, prefix);
        let remove = || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
        remove().trying(|| format!("remove {}", path.display()))
    }
}

fn file(folder: &Path, prefix: &str) -> PathBuf {
    folder.join(format!("{prefix}.json"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn what_is_kept_comes_back_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("host");
        assert_eq!(KeptRules::read(&below, "demo").unwrap(), None);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let lead = Lead { from: words(&["DOCKER-USER", "FORWARD"]), rule: words(&["-j", "berth-demo"]) };
        let kept = KeptRules { leads: vec![lead], rules: "*filter\nCOMMIT\n".to_owned() };
        kept.write(&below, "demo").unwrap();
        kept.write(&below, "demo").unwrap();
        assert_eq!(KeptRules::read(&below, "demo").unwrap(), Some(kept));
        assert_eq!(KeptRules::read(&below, "other").unwrap(), None);
        fs::write(below.join("demo.json"), "{").unwrap();
        assert_eq!(KeptRules::read(&below, "demo").unwrap_err().kind(), io::ErrorKind::InvalidData);
        KeptRules::remove(&below, "demo").unwrap();
        KeptRules::remove(&below, "demo").unwrap();
        assert_eq!(KeptRules::read(&below, "demo").unwrap(), None);
    }
}
