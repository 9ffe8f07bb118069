//! A program run in one of the platform's own containers.

use std::time::Duration;

use berth_plan::label::PLATFORM;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::InspectContainerOptions;
use futures_util::StreamExt as _;

use super::Writer;
use crate::docker::{EngineError, READ_DEADLINE, bounded};

/// How long a program may take: a check of ten thousand domains takes seconds.
const DEADLINE: Duration = Duration::from_secs(90);
/// Of what it says, the end is kept.
const SAID_MAX: usize = 4096;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// Its exit code.
    pub(super) code: i64,
    /// The end of what it wrote, both streams as they came.
    pub(super) said: String,
}

impl Writer {
    /// The engine's id of a container of the platform's own, which an earlier change of the same plan may have made.
    pub(super) async fn own(&self, name: &str, platform: &str) -> Result<String, EngineError> {
        let act = format!("find container {name}");
        let call = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let found = bounded(&act, READ_DEADLINE, call).await?;
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        match found.id {
            Some(id) if labels.get(PLATFORM).is_some_and(|owner| owner == platform) => Ok(id),
            _ => Err(EngineError::Refused {
                act,
                status: 409,
                message: "a container of that name is there and isn't this platform's".to_owned(),
            }),
        }
    }

    /// Runs a program in a container and waits until it has ended.
    pub(super) async fn run(&self, id: &str, command: &[&str]) -> Result<Ran, EngineError> {
        let act = format!("run {}", command.first().copied().unwrap_or_default());
        match tokio::time::timeout(DEADLINE, self.run_on(id, command, &act)).await {
            Ok(ran) => ran,
            Err(_) => Err(EngineError::Deadline { act, after: DEADLINE }),
        }
    }

    async fn run_on(&self, id: &str, command: &[&str], act: &str) -> Result<Ran, EngineError> {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = bounded(act, READ_DEADLINE, self.docker.create_exec(id, options)).await?.id;
        let started = bounded(act, READ_DEADLINE, self.docker.start_exec(&exec, None)).await?;
        let mut said = String::new();
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message })) =
                output.next().await
            {
                said.push_str(&String::from_utf8_lossy(&message));
                keep_end(&mut said);
            }
        }
        let ended = bounded(act, READ_DEADLINE, self.docker.inspect_exec(&exec)).await?;
        Ok(Ran { code: ended.exit_code.unwrap_or(-1), said: said.trim().to_owned() })
    }
}

fn keep_end(said: &mut String) {
    if said.len() > 2 * SAID_MAX {
        let mut from = said.len() - SAID_MAX;
        while !said.is_char_boundary(from) {
            from += 1;
        }
        said.drain(..from);
    }
}
