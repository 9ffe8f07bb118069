//! Diagrams: texts in Mermaid's language, drawn as pictures by a process of their own.
//!
//! A drawing may take as long and as much memory as its text makes it, and may break. So a child draws it: the panel's own program, with
//! the text on its standard input and bounds on its time and memory. At most two draw at once. What came of a text is kept in memory.

pub mod draw;
mod harmless;
mod kept;

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::text::safe_line;
use bytes::Bytes;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use self::kept::Kept;

/// The largest picture, in bytes.
const LARGEST: u64 = 1 << 20;
/// Children that draw at once.
const AT_ONCE: usize = 2;
/// Time for one drawing. Its time of a processor ends before, so that a text that takes too long is known as such the next time.
const DEADLINE: Duration = Duration::from_secs(5);
const _: () = assert!(draw::SECONDS + 1 < DEADLINE.as_secs());
/// Time to wait for a place.
const TURN: Duration = Duration::from_secs(20);
/// The longest reason, in characters.
const REASON: usize = 200;

/// Outcome of a drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// A picture, kept under this digest of its text.
    Picture { digest: String },
    /// None, for a reason that the page says.
    Not { why: String },
}

/// The diagrams that were drawn, and the places in which others are. A clone is the same.
#[derive(Clone)]
pub struct Diagrams(Arc<Inner>);

struct Inner {
    program: PathBuf,
    places: Semaphore,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Diagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Diagrams({})", self.0.program.display())
    }
}

/// End of a drawing without a picture.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The text is at fault: it would be so again.
    #[error("{0}")]
    Text(String),
    /// Something else: it may be drawn the next time.
    #[error("{0}")]
    Now(String),
}

impl Diagrams {
    /// Has `program` draw; without one, the program that this process is.
    pub(crate) fn by(program: Option<PathBuf>) -> Self {
        // By its path it might be another by now, or none.
        let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let (places, kept) = (Semaphore::new(AT_ONCE), Mutex::default());
        Self(Arc::new(Inner { program, places, kept }))
    }

    /// Draws a text, unless that was done before.
    pub(crate) async fn draw(&self, text: &str) -> Drawn {
        if text.len() > draw::LONGEST {
            return Drawn::Not { why: format!("its text has more than {} KiB.", draw::LONGEST >> 10) };
        }
        let digest: String =
            digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(known) = self.0.kept.lock().find(&digest) {
            return told(digest, known);
        }
        let Ok(Ok(_place)) = tokio::time::timeout(TURN, self.0.places.acquire()).await else {
            return Drawn::Not { why: "the panel draws too much just now. Load the page again.".to_owned() };
        };
        // Whoever had the place before may have drawn the same.
        if let Some(known) = self.0.kept.lock().find(&digest) {
            return told(digest, known);
        }
        let made = match self.make(text).await {
            Ok(picture) => Ok(picture),
            Err(Failure::Text(why)) => Err(why),
            Err(Failure::Now(why)) => return Drawn::Not { why },
        };
        self.0.kept.lock().keep(&digest, made.clone());
        told(digest, made)
    }

    /// The picture of a text with this digest, if it is kept.
    pub(crate) fn picture(&self, digest: &str) -> Option<Bytes> {
        self.0.kept.lock().find(digest)?.ok()
    }

    /// Has a child draw.
    async fn make(&self, text: &str) -> Result<Bytes, Failure> {
        let failed = |what: &str, error: &dyn fmt::Display| {
            tracing::error!(%error, program = %self.0.program.display(), "{what}");
            Failure::Now("the panel can’t draw just now; its log says why.".to_owned())
        };
        let mut child = Command::new(&self.0.program)
            .arg(draw::COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("a diagram's child can't be started", &error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let work = async {
            if let Some(mut input) = input {
                // One that broke before it has read everything says so by its end.
                let _ = input.write_all(text.as_bytes()).await;
            }
            let mut picture = Vec::new();
            if let Some(output) = output {
                output.take(LARGEST + 1).read_to_end(&mut picture).await?;
            }
            let is_whole = picture.len() as u64 <= LARGEST;
            let status = if is_whole { Some(child.wait().await?) } else { None };
            Ok::<_, std::io::Error>((picture, status))
        };
        match tokio::time::timeout(DEADLINE, work).await {
            Err(_) => Err(Failure::Now(
                "the panel is too busy to draw it just now. Load the page again.".to_owned(),
            )),
            Ok(Err(error)) => Err(failed("a diagram's child broke off", &error)),
            Ok(Ok((_, None))) => Err(Failure::Text("its picture is too large. Make two of it.".to_owned())),
            Ok(Ok((picture, Some(status)))) => match status.code() {
                Some(0) => Ok(Bytes::from(picture)),
                Some(draw::REFUSED) => {
                    let why = safe_line(&String::from_utf8_lossy(&picture), REASON);
                    Err(Failure::Text(why))
                }
                _ if status.signal() == Some(Signal::XCPU.as_raw()) => {
                    Err(Failure::Text(format!("it takes more than {} s. Make two of it.", draw::SECONDS)))
                }
                _ => Err(Failure::Text(
                    "drawing it breaks, or takes too much memory. Make it simpler.".to_owned(),
                )),
            },
        }
    }
}

fn told(digest: String, known: Result<Bytes, String>) -> Drawn {
    match known {
        Ok(_) => Drawn::Picture { digest },
        Err(why) => Drawn::Not { why },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_text_that_takes_too_long_is_tried_once() {
        let folder = tempfile::tempdir().unwrap();
        let (program, runs) = (folder.path().join("draw"), folder.path().join("runs"));
        let script = format!("#!/bin/sh\necho run >> '{}'\nkill -XCPU $$\n", runs.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let diagrams = Diagrams::by(Some(program));
        for _ in 0..2 {
            let Drawn::Not { why } = diagrams.draw("graph TD").await else { panic!("nothing is drawn") };
            assert_eq!(why, "it takes more than 3 s. Make two of it.");
        }
        assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n");
    }
}
