//! Asking a supervisor for a new program, and waiting until that one serves.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::report::{News, Report};

/// Time in which a new program serves or is given up by its supervisor, which gives it thirty seconds.
const PATIENCE: Duration = Duration::from_secs(45);
/// Time between two looks at the report.
const GLANCE: Duration = Duration::from_millis(20);

/// A program that didn't take over. The one before goes on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RenewError {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the new program doesn't serve: {0}")]
    Failed(String),
    #[error("no supervisor has said within {} seconds that {} serves", PATIENCE.as_secs(), program.display())]
    Late { program: PathBuf },
}

/// Has the supervisor that writes `report` start the file `program`, which it was started for, once more, and waits until that very
/// file serves.
pub fn renew(report: &Path, program: &Path) -> Result<(), RenewError> {
    let read = || Report::read(report).map_err(|source| RenewError::Read { path: report.to_owned(), source });
    let mut known = read()?;
    if let Some(Report { supervisor, .. }) = &known
        && supervises(*supervisor)
    {
        // One that has ended since is followed by another, which begins with the new program by itself.
        let _ = kill_process(*supervisor, Signal::HUP);
    }
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let news = read()?;
        if news != known {
            match news.as_ref().map(|report| &report.news) {
                Some(News::Serves(pid)) if runs(*pid, program) => return Ok(()),
                Some(News::Failed(words)) => return Err(RenewError::Failed(words.clone())),
                // One that was being started already, of the file that lay there before.
                _ => known = news,
            }
        }
        sleep(GLANCE);
    }
    Err(RenewError::Late { program: program.to_owned() })
}

/// Returns whether a process is a supervisor still, and not another one that has its number by now.
pub(crate) fn supervises(pid: Pid) -> bool {
    let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"supervise")
}

/// Returns whether a process runs the file that lies at this path now.
fn runs(pid: Pid, program: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let running = file(Path::new(&format!("/proc/{}/exe", pid.as_raw_nonzero())));
    running.is_some() && running == file(program)
}
