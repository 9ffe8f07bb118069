//! Files that a container keeps in a volume, and the lines that it logs, for whoever shows them.

use std::path::PathBuf;
use std::pin::pin;

use bollard::container::LogOutput;
use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

/// Most lines of a log that are read at once; older ones are left out.
const LINES: &str = "2000";
/// Most bytes of a log that are read at once.
const BYTES: usize = 4 << 20;

impl Reader {
    /// Finds the folder of the host that a running container has at `target`, in a volume; `None` where there is none, or the
    /// container doesn't run.
    pub async fn volume_at(&self, container: &str, target: &str) -> Result<Option<PathBuf>, EngineError> {
        let call = self.docker.inspect_container(container, None::<InspectContainerOptions>);
        let found = match bounded(&format!("inspect container {container}"), READ_DEADLINE, call).await {
            Err(error) if error.is_missing() => return Ok(None),
            found => found?,
        };
        if found.state.and_then(|state| state.running) != Some(true) {
            return Ok(None);
        }
        let mut mounts = found.mounts.into_iter().flatten();
        let mount = mounts.find(|mount| {
            mount.typ.as_deref() == Some("volume") && mount.destination.as_deref() == Some(target)
        });
        Ok(mount.and_then(|mount| mount.source).map(PathBuf::from))
    }

    /// Reads the newest lines of a container's log since a moment, both streams as they came.
    pub async fn log_since(&self, container: &str, since: Timestamp) -> Result<Vec<String>, EngineError> {
        let since = i32::try_from(since.as_second()).unwrap_or(i32::MAX);
        let options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).since(since).tail(LINES).build();
        let read = async {
            let mut said = pin!(self.docker.logs(container, Some(options)));
            let mut text = Vec::new();
            while let Some(part) = said.next().await {
                let (LogOutput::StdOut { message }
                | LogOutput::StdErr { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message }) = part?;
                text.extend_from_slice(&message);
                if text.len() > BYTES {
                    break;
                }
            }
            Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
        };
        bounded(&format!("read the log of {container}"), READ_DEADLINE, read).await
    }
}
