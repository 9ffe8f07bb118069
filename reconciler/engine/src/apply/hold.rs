//! A server that stands still while somebody copies its data, and its commands before and after.

use std::time::Duration;

use berth_schema::backup::Pause;
use berth_schema::name::ServerId;
use tokio::sync::OwnedMutexGuard;

use super::writer::{Target, Writer};
use crate::api::{WRITE_DEADLINE, bounded, first_process};
use crate::error::EngineError;
use crate::exec::{Program, Ran, run_program};

/// Longest wait for a pass that changes the same server.
const WAIT: Duration = Duration::from_secs(300);
/// Time for a server's own command.
const COMMAND: Duration = Duration::from_secs(15 * 60);

/// A server that can't be held still.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// A pass, or somebody else, has the server in hand.
    #[error("the server is being changed right now; wait until that is done")]
    Busy,
    /// A command of the server's own failed.
    #[error("its command `{command}` ended with code {code}: {said}")]
    Command {
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// The end of its output.
        said: String,
    },
    /// The engine refused, or took too long.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A server that stands still, and that nobody else changes. Should it be dropped, the next pass lets the server run on.
#[derive(Debug)]
pub struct Still {
    writer: Writer,
    id: String,
    name: String,
    /// State that it is in; `None` where it didn't run before.
    pause: Option<Pause>,
    _turn: OwnedMutexGuard<()>,
}

impl Writer {
    /// Runs the command `before` in a server's container, by the engine's `id` of it, and has it stand still. One that doesn't run
    /// stays as it is. It gets `timeout` seconds to stop.
    pub async fn hold(
        &self,
        server: ServerId,
        (id, name): (&str, &str),
        pause: Pause,
        before: Option<&str>,
        timeout: u32,
    ) -> Result<Still, HoldError> {
        let turn = tokio::time::timeout(WAIT, self.servers.turn(server)).await;
        let turn = turn.map_err(|_| HoldError::Busy)?;
        let runs = first_process(&self.docker, id, name).await?.is_some();
        let still = Still {
            writer: self.clone(),
            id: id.to_owned(),
            name: name.to_owned(),
            pause: runs.then_some(pause),
            _turn: turn,
        };
        if runs {
            still.command(before).await?;
            let target = Target { id, name };
            match pause {
                Pause::None => {}
                Pause::Freeze => {
                    let act = format!("freeze container {name}");
                    bounded(&act, WRITE_DEADLINE, self.docker.pause_container(id)).await?;
                }
                Pause::Stop => self.stop(target, timeout).await?,
            }
        }
        Ok(still)
    }
}

impl Still {
    /// Lets the server run on, and then runs its command `after`.
    pub async fn release(self, after: Option<&str>) -> Result<(), HoldError> {
        let target = Target { id: &self.id, name: &self.name };
        match self.pause {
            None => return Ok(()),
            Some(Pause::None) => {}
            Some(Pause::Freeze) => self.writer.unpause(target).await?,
            Some(Pause::Stop) => self.writer.start(target).await?,
        }
        self.command(after).await
    }

    async fn command(&self, command: Option<&str>) -> Result<(), HoldError> {
        let Some(command) = command else { return Ok(()) };
        let program = Program { command: &["/bin/sh", "-c", command], input: &[], deadline: COMMAND };
        let Ran { code, said } = run_program(&self.writer.docker, &self.id, &program).await?;
        match code {
            0 => Ok(()),
            _ => Err(HoldError::Command { command: command.to_owned(), code, said }),
        }
    }
}
