//! Bounds of what one push may bring, whatever its size in bytes.
//!
//! Git names a folder by its content, so a kilobyte can stand for a milliard of paths, and some versions of git read no tree
//! that is deeper than they like. Everything that goes through pushed trees counts while it walks, and stops at a bound.

use berth_schema::name::Invalid;
use berth_schema::text::safe;

/// Paths, folders too, that the commits of one push may change, added up.
const MOST_PATHS: usize = 100_000;
/// Parts of a path: folders, and the file at its end.
const DEEPEST: usize = 32;
/// Bytes of a path.
const LONGEST: usize = 1024;
/// Bytes of a path that is too long, as far as people are shown it.
const SHOWN: usize = 80;

/// A bound that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// The commits change too many paths.
    Paths,
    /// A path has too many parts.
    Deep {
        /// Its beginning.
        path: String,
    },
    /// A path has too many bytes.
    Long {
        /// Its beginning.
        path: String,
    },
}

impl Excess {
    /// The refusal, for whoever pushed.
    pub fn in_words(&self) -> Invalid {
        match self {
            Self::Paths => Invalid::new(
                format!("the commits change more than {MOST_PATHS} paths"),
                "push them in parts, or keep elsewhere what the platform doesn't read",
            ),
            Self::Deep { path } => Invalid::new(
                format!("`{}…` lies deeper than {DEEPEST} folders, which not every git can read", safe(path)),
                "take it out of every commit with `git rebase -i`",
            ),
            Self::Long { path } => Invalid::new(
                format!(
                    "`{}…` is a path of more than {LONGEST} bytes, which not every system can hold",
                    safe(path)
                ),
                "take it out of every commit with `git rebase -i`",
            ),
        }
    }
}

/// The rest of what a push may bring.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    /// Paths that are left.
    pub(crate) paths: usize,
}

impl Budget {
    pub(crate) fn of_push() -> Self {
        Self { paths: MOST_PATHS }
    }

    /// Pays for a path.
    pub(crate) fn pay(&mut self, path: &[u8]) -> Result<(), Excess> {
        let beginning = || {
            let shown = path.get(..SHOWN).unwrap_or(path);
            String::from_utf8_lossy(shown).into_owned()
        };
        if path.len() > LONGEST {
            return Err(Excess::Long { path: beginning() });
        }
        if path.iter().filter(|byte| **byte == b'/').count() >= DEEPEST {
            return Err(Excess::Deep { path: beginning() });
        }
        self.paths = self.paths.checked_sub(1).ok_or(Excess::Paths)?;
        Ok(())
    }
}

/// The end of a walk through trees before its time.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Git can't read one.
    Git(git2::Error),
    /// There is more than may be.
    Excess(Excess),
}

impl From<git2::Error> for Stopped {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

impl From<Excess> for Stopped {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}
