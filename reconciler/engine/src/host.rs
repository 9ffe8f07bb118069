//! The host beside the engine: its files and programs, and the errors that come of them.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Deadline of a program.
const DEADLINE: Duration = Duration::from_secs(30);

/// The BLAKE3 digest of a program, in hexadecimal digits.
pub(crate) fn digest_of(program: &[u8]) -> String {
    blake3::hash(program).to_hex().to_string()
}

/// Something on the host beside the engine that can't be read, written or run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum HostError {
    /// The system refused.
    #[error("cannot {act}")]
    Io {
        act: String,
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("cannot {act}: {said}")]
    Program { act: String, said: String },
    /// A program didn't end.
    #[error("cannot {act}: it took longer than {} s", after.as_secs())]
    Deadline { act: String, after: Duration },
}

/// The user plane, or the rules that are kept of it, can't be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act}")]
pub struct PlaneError {
    act: String,
    #[source]
    source: berth_link::Error,
}

/// A program's end: its output, or its words where it failed.
pub(crate) type Ended = Result<String, String>;

impl HostError {
    pub(crate) fn new(act: impl Into<String>, source: io::Error) -> Self {
        Self::Io { act: act.into(), source }
    }

    /// Makes the error of an act on a file.
    pub(crate) fn on_file(act: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let act = format!("{act} {}", path.display());
        move |source| Self::Io { act, source }
    }
}

impl PlaneError {
    pub(crate) fn new(act: impl Into<String>, source: berth_link::Error) -> Self {
        Self { act: act.into(), source }
    }
}

/// Does blocking work on the plane's links or rules, on a thread made for such.
pub(crate) async fn on_plane<T: Send + 'static>(
    act: impl Into<String>,
    work: impl FnOnce() -> berth_link::Result<T> + Send + 'static,
) -> Result<T, PlaneError> {
    let act = act.into();
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|source| PlaneError { act, source }),
        Err(error) => {
            let source = berth_link::Error::new("work on a thread", io::Error::other(error));
            Err(PlaneError { act, source })
        }
    }
}

/// Runs a program with `input` and returns how it ended.
pub(crate) async fn run(act: &str, command: &mut Command, input: &[u8]) -> Result<Ended, HostError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let work = async {
        let mut child = command.spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input).await?;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(Ok(output)) => Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Ok(Err(source)) => Err(HostError::new(act, source)),
        Err(_) => Err(HostError::Deadline { act: act.to_owned(), after: DEADLINE }),
    }
}

/// Runs a program that must succeed, and returns its output.
pub(crate) async fn output(act: &str, command: &mut Command) -> Result<String, HostError> {
    run(act, command, &[]).await?.map_err(|said| HostError::Program { act: act.to_owned(), said })
}
