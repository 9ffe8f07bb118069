//! A server is stopped and started again, between the steps of passes and never beside one of the same server's.

use std::time::Duration;

use berth_schema::name::ServerId;

use super::writer::{Target, Writer};
use crate::api::first_process;
use crate::error::EngineError;

/// Longest wait for a pass that changes the same server.
const WAIT: Duration = Duration::from_secs(20);
/// Time for a stop and a start, apart from what the server gets to stop.
const ALLOWED: Duration = Duration::from_secs(60);

/// A restart that wasn't done.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// A pass, or another restart, has the server in hand.
    #[error("the server is being changed right now; wait until that is done")]
    Busy,
    /// The container doesn't run, or is another one by now.
    #[error("the server's container doesn't run")]
    NotRunning,
    /// The engine refused, or took too long.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Writer {
    /// Stops a server's container, by the engine's `id` of it, and starts it again. It gets `timeout` seconds to stop. Should
    /// it be left stopped, since the engine fails, the next pass starts it.
    pub async fn restart(
        &self,
        server: ServerId,
        id: &str,
        name: &str,
        timeout: u32,
    ) -> Result<(), RestartError> {
        let turn = tokio::time::timeout(WAIT, self.servers.turn(server));
        let _turn = turn.await.map_err(|_| RestartError::Busy)?;
        // A pass may have stopped it meanwhile, and then it is to stay so.
        if first_process(&self.docker, id, name).await?.is_none() {
            return Err(RestartError::NotRunning);
        }
        let target = Target { id, name };
        let restart = async {
            self.stop(target, timeout).await?;
            self.start(target).await
        };
        let after = ALLOWED + Duration::from_secs(timeout.into());
        let done = tokio::time::timeout(after, restart).await;
        Ok(done.map_err(|_| EngineError::Deadline { act: format!("restart container {name}"), after })??)
    }
}
