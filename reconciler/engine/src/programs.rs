//! Programs of Berth's own on this host, which belong in its containers: where each is, and which build.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use berth_plan::program::{Found, Program, Programs};
use parking_lot::Mutex;

use crate::host::digest_of;

/// Programs of this host. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct HostPrograms {
    paths: BTreeMap<Program, PathBuf>,
    /// Builds that were read, by the file that each was then: a program of some megabytes is read once.
    known: Arc<Mutex<HashMap<(Program, Stamp), String>>>,
}

/// Identity of a file's content: another build is another file, or was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl HostPrograms {
    /// Programs at these paths. One that isn't named is looked for by nobody.
    pub fn at(paths: BTreeMap<Program, PathBuf>) -> Self {
        Self { paths, known: Arc::default() }
    }

    /// Looks which builds are there now.
    pub fn look(&self) -> Programs {
        let look = |(program, path): (&Program, &PathBuf)| {
            let found = match self.build(*program, path) {
                Ok(digest) => Found::File { path: path.display().to_string(), digest },
                Err(error) => Found::Missing { why: format!("cannot read {}: {error}", path.display()) },
            };
            (*program, found)
        };
        Programs(self.paths.iter().map(look).collect())
    }

    fn build(&self, program: Program, path: &PathBuf) -> std::io::Result<String> {
        let stamp = Stamp::from(&fs::metadata(path)?);
        if let Some(digest) = self.known.lock().get(&(program, stamp)) {
            return Ok(digest.clone());
        }
        let digest = digest_of(&fs::read(path)?);
        let mut known = self.known.lock();
        known.retain(|(other, _), _| *other != program);
        known.insert((program, stamp), digest.clone());
        Ok(digest)
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_another_digest_and_none_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("router");
        let programs = HostPrograms::at([(Program::Router, path.clone())].into());
        let look = || programs.look().0.remove(&Program::Router).unwrap();
        assert!(matches!(look(), Found::Missing { why } if why.contains("cannot read")));
        let mut seen = Vec::new();
        for build in ["one", "two", "one"] {
            // As an upgrade does it.
            let next = folder.path().join("next");
            fs::write(&next, build).unwrap();
            fs::rename(&next, &path).unwrap();
            let Found::File { digest, .. } = look() else { panic!("{:?}", look()) };
            assert_eq!(digest, digest_of(build.as_bytes()));
            seen.push(digest);
        }
        assert_ne!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
    }
}
