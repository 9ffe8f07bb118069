//! Observe: how we see the engine. Nothing here can change anything: the connection is private to the reader, and the
//! reader has no method that writes.

mod containers;
mod host_rules;
mod inspections;
mod plane;
mod sighting;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use berth_plan::Desired;
use berth_plan::configuration::digest;
use berth_plan::identity::PLACED;
use berth_plan::label::Tag;
use berth_plan::observed::{Observed, ObservedNetwork, ObservedVolume};
use berth_plan::plane::LISTED;
use berth_plan::render::Kind;
use berth_schema::name::Prefix;
use bollard::Docker;
use bollard::models::Volume;
use bollard::query_parameters::{
    EventsOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use tokio::process::Command;

use crate::docker::{EngineError, READ_DEADLINE, bounded, facts};
use crate::engine::facts::Facts;
use crate::volume_file::VolumeFile;

pub use host_rules::{Kept, MARK, kept_rules, own_chains, saved_rules};
pub use inspections::Inspections;
pub use plane::listed_rules;

/// The engine, to be read.
#[derive(Debug, Clone)]
pub struct Reader {
    docker: Docker,
}

impl Reader {
    /// A reader of the engine behind `docker`.
    pub fn new(docker: Docker) -> Self {
        Self { docker }
    }

    /// What exists of what a platform may have made. Any failed call fails the whole: an error is never an empty world.
    ///
    /// Three lists, side by side. What they don't tell comes from `inspections`; a container that those don't know is
    /// inspected, once.
    pub async fn observe(
        &self,
        desired: &Desired,
        inspections: &mut Inspections,
    ) -> Result<Observed, EngineError> {
        self.look(desired.prefix(), desired.platform.services.firewall, inspections).await
    }

    /// The same for a platform of this prefix. `firewall` says whether it has one, and a part on the host.
    pub async fn look(
        &self,
        platform: &Prefix,
        firewall: bool,
        inspections: &mut Inspections,
    ) -> Result<Observed, EngineError> {
        let (containers, volumes, networks) =
            tokio::try_join!(self.containers(platform), self.list_volumes(), self.networks(platform))?;
        let volumes = volumes_of(platform, volumes, inspections)?;
        let mut observed = Observed { networks, volumes, containers, ..Observed::default() };
        inspections.fill(self, &mut observed.containers).await?;
        observed.plane = self.plane(platform, &observed.containers).await?;
        observed.host_rules = self.host_rules(platform, firewall).await?;
        Ok(observed)
    }

    /// Who the engine is now.
    pub async fn facts(&self) -> Result<Facts, EngineError> {
        facts(&self.docker).await
    }

    /// Whether the engine does its work. Asked by a list of networks: an engine that is stuck still answers a ping.
    pub async fn answers(&self) -> bool {
        let options = ListNetworksOptionsBuilder::default().build();
        bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await.is_ok()
    }

    async fn networks(&self, platform: &Prefix) -> Result<Vec<ObservedNetwork>, EngineError> {
        let options = ListNetworksOptionsBuilder::default().build();
        let list = bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await?;
        Ok(list
            .into_iter()
            .filter_map(|network| {
                let labels = network.labels.unwrap_or_default();
                Some(ObservedNetwork {
                    id: network.id?,
                    name: network.name?,
                    tag: Tag::read(&labels, platform),
                })
            })
            .collect())
    }

    async fn list_volumes(&self) -> Result<Vec<Volume>, EngineError> {
        let options = ListVolumesOptionsBuilder::default().build();
        let list = bounded("list volumes", READ_DEADLINE, self.docker.list_volumes(Some(options))).await?;
        Ok(list.volumes.unwrap_or_default())
    }

    /// The engine's events about containers that carry a platform label, those since `since` first. Ends with an error
    /// when the connection breaks. Another platform's events come too: which platform this is may not be known yet, and
    /// a pass too many costs nothing.
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
            Err(source) => {
                Err(EngineError::Broken { act: "listen to events".to_owned(), source: Box::new(source) })
            }
        })
    }
}

/// What a platform's volumes are, and what is in those that are looked into.
fn volumes_of(
    platform: &Prefix,
    volumes: Vec<Volume>,
    inspections: &mut Inspections,
) -> Result<Vec<ObservedVolume>, EngineError> {
    inspections.keep_volumes(&volumes);
    let observed = volumes.into_iter().map(|volume| {
        let tag = Tag::read(&volume.labels, platform);
        let files = match &tag {
            Some(Tag::System { .. }) => configurations(&volume)?,
            Some(Tag::Ssh { .. }) => {
                inspections.placed(&volume)?.into_iter().map(|digest| (PLACED.to_owned(), digest)).collect()
            }
            _ => BTreeMap::new(),
        };
        Ok(ObservedVolume { tag, files, name: volume.name })
    });
    observed.collect()
}

/// The digests of the configurations in a volume, and of what tells of SSH keys.
fn configurations(volume: &Volume) -> Result<BTreeMap<String, String>, EngineError> {
    let mut files = BTreeMap::new();
    for kind in Kind::ALL {
        let file = VolumeFile::new(Path::new(&volume.mountpoint), kind.file());
        let failed = |source| EngineError::Host { act: format!("read {}", file.path().display()), source };
        if let Some(content) = file.read().map_err(failed)? {
            files.insert(kind.file().to_owned(), digest(&content));
        }
    }
    let listed = VolumeFile::new(Path::new(&volume.mountpoint), LISTED);
    let failed = |source| EngineError::Host { act: format!("read {}", listed.path().display()), source };
    files.extend(listed.read().map_err(failed)?.map(|content| (LISTED.to_owned(), digest(&content))));
    files.extend(placed(volume)?.map(|digest| (PLACED.to_owned(), digest)));
    Ok(files)
}

/// What a program of the host's writes to its standard output, which is text.
async fn said(act: &str, command: &mut Command) -> Result<String, EngineError> {
    let failed = |source| EngineError::Host { act: act.to_owned(), source };
    let output = match tokio::time::timeout(READ_DEADLINE, command.kill_on_drop(true).output()).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => return Err(EngineError::Deadline { act: act.to_owned(), after: READ_DEADLINE }),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(std::io::Error::other(said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The digest of what tells of the SSH keys in a volume. The volume may be a server's, which can make it anything.
fn placed(volume: &Volume) -> Result<Option<String>, EngineError> {
    const LENGTH_MAX: u64 = 4096;
    let file = VolumeFile::new(Path::new(&volume.mountpoint), PLACED);
    let content = file.read_at_most(LENGTH_MAX);
    let failed = |source| EngineError::Host { act: format!("read {}", file.path().display()), source };
    Ok(content.map_err(failed)?.map(|content| digest(&content)))
}

/// Something that happened to one of our objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// In the engine's words: `die`, `update`, `destroy`, …
    pub action: String,
    /// The engine's id of the object.
    pub subject: String,
}
