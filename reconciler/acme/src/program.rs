//! A program of the host's that puts proofs into a zone: for name servers that take no dynamic updates.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use berth_host::process::run;
use berth_schema::text::safe_line;
use rustix::process::geteuid;

use crate::trouble::ZoneError;
use crate::update::Updates;

/// Folders in which the program finds others. It gets no other variable.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Characters of what the program says that are told.
const WORDS: usize = 500;

/// A program of the host's. It is called with `present` or `cleanup`, the name with a dot at its end, and a proof.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) place: String,
    pub(crate) within: Duration,
    /// The name server that is asked whether it serves the proof. Without it, the program returns when that is so.
    pub(crate) looks: Option<Updates>,
}

impl Program {
    pub(crate) async fn put(&self, proofs: &[String]) -> Result<(), ZoneError> {
        self.call_for("present", proofs).await?;
        match &self.looks {
            Some(looks) => looks.seen(proofs).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn take(&self, proofs: &[String]) -> Result<(), ZoneError> {
        self.call_for("cleanup", proofs).await
    }

    async fn call_for(&self, act: &str, proofs: &[String]) -> Result<(), ZoneError> {
        self.check()?;
        for proof in proofs {
            let mut command = Command::new(&self.path);
            command.args([act, &format!("{}.", self.place), proof]).env_clear().env("PATH", PATH);
            command.current_dir("/");
            let within = self.within;
            let ended = tokio::task::spawn_blocking(move || run(&mut command, &[], within)).await;
            let refused = |why: String| ZoneError::Program { path: self.path.clone(), why };
            let output = ended
                .map_err(|error| refused(error.to_string()))?
                .map_err(|error| refused(error.to_string()))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                let last =
                    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
                return Err(refused(format!(
                    "`{act}` ended with {}: {}",
                    output.status,
                    safe_line(last, WORDS)
                )));
            }
        }
        Ok(())
    }

    /// Checks that nobody but us and root could have written it: it runs with our rights.
    fn check(&self) -> Result<(), ZoneError> {
        let refused = |why: &str| ZoneError::Program { path: self.path.clone(), why: why.to_owned() };
        let meta = fs::metadata(&self.path).map_err(|error| refused(&error.to_string()))?;
        let is_ours = meta.uid() == 0 || meta.uid() == geteuid().as_raw();
        match meta.is_file() {
            false => Err(refused("it is no file")),
            true if !is_ours => Err(refused("it belongs to another user: give it to root")),
            true if meta.permissions().mode() & 0o022 != 0 => {
                Err(refused("others may write to it: take that away with `chmod go-w`"))
            }
            true => Ok(()),
        }
    }
}
