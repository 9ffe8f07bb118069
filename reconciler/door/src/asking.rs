//! The reconciler, asked over `door.sock` what it sees of the engine: the judge's eyes, at every door.

use std::path::PathBuf;
use std::time::Duration;

use berth_fault::chain;
use berth_judge::Sights;
use berth_plan::Identities;
use berth_plan::observed::HostRules;
use berth_schema::State;
use berth_wire::Sight;
use berth_wire::client::{ClientError, Daemon};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The reconciler behind a socket. Its answers block the thread that waits for them.
#[derive(Debug)]
pub struct Asking {
    socket: PathBuf,
    /// Time for the answer.
    within: Duration,
    /// A look that was begun before anybody needed it: the hook reads and judges while the engine is listed.
    begun: Mutex<Option<JoinHandle<Looked>>>,
}

/// The engine as the reconciler sees it; nothing where none runs.
type Looked = Result<Option<Sight>, ClientError>;

async fn look_by(socket: PathBuf, firewall: Option<bool>) -> Looked {
    match Daemon::find(&socket).await? {
        Some(mut daemon) => daemon.observed(firewall).await.map(Some),
        None => Ok(None),
    }
}

impl Asking {
    /// The reconciler at this socket, which has so much time for each answer.
    pub fn new(socket: PathBuf, within: Duration) -> Self {
        Self { socket, within, begun: Mutex::default() }
    }

    async fn looked(&self, firewall: bool) -> Looked {
        let begun = self.begun.lock().take();
        if let Some(begun) = begun
            && let Ok(looked) = begun.await
            && let Some(mut sight) = looked?
            && (sight.observed.host_rules != HostRules::Absent || !firewall)
        {
            if !firewall {
                // As a pass would see it, which doesn't look at them then.
                sight.observed.host_rules = HostRules::Absent;
            }
            return Ok(Some(sight));
        }
        look_by(self.socket.clone(), Some(firewall)).await
    }
}

impl Sights for Asking {
    /// With the host's rules if the last pass needed them: the next one nearly always needs them too.
    fn begin(&self) {
        *self.begun.lock() = Some(tokio::spawn(look_by(self.socket.clone(), None)));
    }

    fn look(&self, firewall: bool) -> Result<Sight, String> {
        let bounded = async { tokio::time::timeout(self.within, self.looked(firewall)).await };
        match tokio::task::block_in_place(|| Handle::current().block_on(bounded)) {
            Ok(Ok(Some(sight))) => Ok(sight),
            Ok(Ok(None)) => Err("no reconciler runs, so nobody sees the engine".to_owned()),
            Ok(Err(error)) => Err(format!("the engine can't be seen ({})", chain(&error))),
            Err(_) => {
                Err(format!("the reconciler didn't show the engine within {} s", self.within.as_secs()))
            }
        }
    }

    fn identities(&self, state: &State) -> Result<Identities, String> {
        let asked = async {
            match Daemon::find(&self.socket).await? {
                Some(mut daemon) => daemon.keys(state.servers.keys().copied()).await.map(Some),
                None => Ok(None),
            }
        };
        let bounded = async { tokio::time::timeout(self.within, asked).await };
        match tokio::task::block_in_place(|| Handle::current().block_on(bounded)) {
            Ok(Ok(Some(keys))) => Ok(keys),
            Ok(Ok(None)) => Err("no reconciler runs, so nobody tells the platform's public keys".to_owned()),
            Ok(Err(error)) => Err(format!("nobody tells the platform's public keys ({})", chain(&error))),
            Err(_) => Err(format!("the reconciler didn't tell the keys within {} s", self.within.as_secs())),
        }
    }
}
