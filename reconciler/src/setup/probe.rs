//! Ways in which this host can keep servers apart, as `berth-runtime probe` finds out by trying.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use berth_host::Way;
use serde::Deserialize;

/// Outcome of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The best way that worked; none where no server could be made at all.
    pub best: Option<Way>,
    /// The better ones, with the reason for which each isn't possible.
    pub refused: Vec<(Way, String)>,
}

/// Reason for which nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The program could not be run.
    #[error("cannot run {} to try how servers can be kept apart", runtime.display())]
    Run {
        /// Its path.
        runtime: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// It said something else.
    #[error("{} could not try how servers can be kept apart: {said}", runtime.display())]
    Said {
        /// Its path.
        runtime: PathBuf,
        /// Its words.
        said: String,
    },
}

#[derive(Debug, Deserialize)]
struct Answer {
    way: Option<String>,
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    way: String,
    reason: String,
}

impl Probed {
    /// Has `runtime` try in `folder`, which should be the engine's own.
    pub async fn ask(runtime: &Path, folder: &Path) -> Result<Self, ProbeError> {
        let output = tokio::process::Command::new(runtime)
            .args(["probe", "--json"])
            .arg(folder)
            .output()
            .await
            .map_err(|source| ProbeError::Run { runtime: runtime.into(), source })?;
        Self::read(&output.stdout).ok_or_else(|| ProbeError::Said {
            runtime: runtime.into(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn read(text: &[u8]) -> Option<Self> {
        let Answer { way, refused } = serde_json::from_slice(text).ok()?;
        let best = way.map(|way| way.parse()).transpose().ok()?;
        let refused = refused.into_iter().map(|one| Some((one.way.parse().ok()?, one.reason)));
        Some(Self { best, refused: refused.collect::<Option<_>>()? })
    }

    /// Returns whether servers can be kept apart in a way.
    pub fn allows(&self, way: Way) -> bool {
        self.best.is_some_and(|best| best >= way)
    }
}

impl fmt::Display for Probed {
    /// The reasons for which better ways aren't possible.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (way, reason) in &self.refused {
            write!(formatter, "\n    `{way}` isn't possible here: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_is_possible_and_why_no_more_is() {
        let text = br#"{"way":"account","refused":[{"way":"own","reason":"cannot shift the ids of /x"}]}"#;
        let probed = Probed::read(text).unwrap();
        assert!(probed.allows(Way::Account) && probed.allows(Way::Shared) && !probed.allows(Way::Own));
        assert_eq!(probed.to_string(), "\n    `own` isn't possible here: cannot shift the ids of /x");
        let none = Probed::read(br#"{"way":null,"refused":[{"way":"own","reason":"x"}]}"#).unwrap();
        assert!(Way::ALL.iter().all(|way| !none.allows(*way)));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for text in
            ["", "runc: unknown command probe", r#"{"way":"better","refused":[]}"#, r#"{"way":"own"}"#]
        {
            assert_eq!(Probed::read(text.as_bytes()), None, "{text}");
        }
    }
}
