//! The writer: the engine, to be changed. The connection is private to this folder.

use std::sync::Arc;

use berth_plan::step::ContainerRef;
use bollard::Docker;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::StepError;
use super::turns::Turns;
use crate::api::Connection;
use crate::facts::Facts;
use crate::identity::Identity;

/// The engine, to be changed.
#[derive(Debug, Clone)]
pub struct Writer {
    pub(super) docker: Docker,
    pub(super) identity: Identity,
    /// Held over every change of a server.
    pub(super) servers: Turns,
    /// Held over every stop and removal on an engine that may not do two at once.
    one_at_a_time: Option<Arc<Mutex<()>>>,
}

/// Things that a step made, for the later steps of the same change.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) container: Option<String>,
}

impl Writer {
    /// Returns a writer to the engine behind `connection`, which places the keys of `identity`.
    pub fn new(connection: &Connection, facts: &Facts, identity: Identity) -> Self {
        let one_at_a_time = facts.removes_one_at_a_time().then(|| Arc::new(Mutex::new(())));
        Self { docker: connection.docker(), identity, servers: Turns::default(), one_at_a_time }
    }

    /// Waits for the turn to stop or remove something, where the engine may not do two at once.
    pub(super) async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.one_at_a_time {
            Some(mutex) => Some(Arc::clone(mutex).lock_owned().await),
            None => None,
        }
    }
}

impl Made {
    /// Returns the engine's id of the container that a step is about. Never the name alone: between plan and step somebody
    /// else's container could have taken it.
    pub(super) fn id<'a>(&'a self, container: &'a ContainerRef) -> Result<Target<'a>, StepError> {
        let id = container.id.as_deref().or(self.container.as_deref());
        id.map(|id| Target { id, name: &container.name }).ok_or_else(|| StepError::Planned {
            act: format!("find container {}", container.name),
            why: "the plan names a container that none of its steps made",
        })
    }
}

/// A container by its id, with its name for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
}
