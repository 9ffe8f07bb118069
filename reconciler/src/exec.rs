//! A program run in a container, waited for, with the end of what it said.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt as _;

use crate::docker::{EngineError, READ_DEADLINE, bounded};

/// How long a program may take: a check of ten thousand domains takes seconds.
const DEADLINE: Duration = Duration::from_secs(90);
/// Of what it says, the end is kept.
const SAID_MAX: usize = 4096;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: i64,
    /// The end of what it wrote, both streams as they came.
    pub said: String,
}

/// Runs a program in the container with this id and waits until it has ended.
pub async fn run(docker: &Docker, id: &str, command: &[&str]) -> Result<Ran, EngineError> {
    let act = format!("run {}", command.first().copied().unwrap_or_default());
    match tokio::time::timeout(DEADLINE, run_on(docker, id, command, &act)).await {
        Ok(ran) => ran,
        Err(_) => Err(EngineError::Deadline { act, after: DEADLINE }),
    }
}

async fn run_on(docker: &Docker, id: &str, command: &[&str], act: &str) -> Result<Ran, EngineError> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = bounded(act, READ_DEADLINE, docker.create_exec(id, options)).await?.id;
    let started = bounded(act, READ_DEADLINE, docker.start_exec(&exec, None)).await?;
    let mut said = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message })) =
            output.next().await
        {
            said.push_str(&String::from_utf8_lossy(&message));
            keep_end(&mut said);
        }
    }
    let ended = bounded(act, READ_DEADLINE, docker.inspect_exec(&exec)).await?;
    Ok(Ran { code: ended.exit_code.unwrap_or(-1), said: said.trim().to_owned() })
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
