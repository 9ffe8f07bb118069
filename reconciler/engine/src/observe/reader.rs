//! The reader: the engine, to be read. The connection is private to this folder, and nothing in it writes.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::{EventsOptionsBuilder, ListNetworksOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use crate::api::{Connection, READ_DEADLINE, bounded, facts};
use crate::error::EngineError;
use crate::facts::Facts;

/// The engine, to be read.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) docker: Docker,
}

impl Reader {
    /// Returns a reader of the engine behind `connection`.
    pub fn new(connection: &Connection) -> Self {
        Self { docker: connection.docker() }
    }

    /// Learns the engine's settings of now.
    pub async fn facts(&self) -> Result<Facts, EngineError> {
        facts(&self.docker).await
    }

    /// Returns whether the engine does its work. It is asked for a list of networks: a stuck engine still answers a ping.
    pub async fn answers(&self) -> bool {
        let options = ListNetworksOptionsBuilder::default().build();
        bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await.is_ok()
    }

    /// Listens to the engine's events about containers that carry a platform label, those since `since` first. The stream
    /// ends with an error when the connection breaks. Another platform's events come too: which platform this is may not
    /// be known yet, and a pass too many costs nothing.
    pub fn events(
        &self,
        since: Timestamp,
    ) -> impl Stream<Item = Result<EngineEvent, EngineError>> + Send + use<> {
        let filters = HashMap::from([("label", vec![berth_plan::label::PLATFORM])]);
        let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
        let options = EventsOptionsBuilder::default().filters(&filters).since(&since).build();
        self.docker.events(Some(options)).map(|event| match event {
            Ok(message) => Ok(EngineEvent {
                action: message.action.unwrap_or_default(),
                subject: message.actor.and_then(|actor| actor.id).unwrap_or_default(),
            }),
            Err(source) => Err(EngineError::from_call("hear of events", source)),
        })
    }
}

/// Something that happened to one of our objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The engine's word: `die`, `update`, `destroy`, …
    pub action: String,
    /// The engine's id of the object.
    pub subject: String,
}
