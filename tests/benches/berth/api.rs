//! The engine's API, called as barely as can be: what the engine's own limit is measured with.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use berth_plan::spec::{ContainerSpec, VolumeSpec};
use bollard::Docker;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptions, ListContainersOptionsBuilder,
    ListVolumesOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
    StatsOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Runtime;

/// Time that anything may take before a benchmark gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine, by its API.
pub(crate) struct Api {
    runtime: Runtime,
    docker: Docker,
}

/// Something that the engine said happened to a container.
#[derive(Debug)]
pub(crate) struct Heard {
    id: String,
    action: String,
    /// Time by the engine's clock, which is this machine's.
    at: i64,
}

/// Events that the engine tells, from the moment on at which one began to listen.
pub(crate) struct Ears {
    heard: Receiver<Heard>,
}

impl Api {
    /// Connects as `berth` does.
    pub(crate) fn connect(address: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let path = address.strip_prefix("unix://").unwrap_or(address);
        let docker = Docker::connect_with_unix(path, DEADLINE.as_secs(), bollard::API_DEFAULT_VERSION)?;
        let docker = runtime.block_on(docker.negotiate_version())?;
        Ok(Self { runtime, docker })
    }

    /// The engine's version.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let version = self.runtime.block_on(self.docker.version())?;
        Ok(version.version.unwrap_or_default())
    }

    /// Makes and starts containers with their volumes, `width` at a time.
    pub(crate) fn make_all(
        &self,
        all: &[(Vec<VolumeSpec>, ContainerSpec)],
        width: usize,
    ) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            stream::iter(all)
                .map(|(volumes, container)| self.make(volumes, container))
                .buffer_unordered(width)
                .try_collect::<Vec<_>>()
                .await?;
            Ok(())
        })
    }

    async fn make(&self, volumes: &[VolumeSpec], container: &ContainerSpec) -> anyhow::Result<()> {
        for volume in volumes {
            let labels: HashMap<_, _> = volume.labels.clone().into_iter().collect();
            let request = VolumeCreateRequest {
                name: Some(volume.name.clone()),
                labels: Some(labels),
                ..Default::default()
            };
            self.docker.create_volume(request).await?;
        }
        let options = CreateContainerOptionsBuilder::default().name(&container.name).build();
        let body = berth_engine::create_body(container);
        let made = self.docker.create_container(Some(options), body).await?;
        Ok(self.docker.start_container(&made.id, None::<StartContainerOptions>).await?)
    }

    /// The engine's id of a container.
    pub(crate) fn id(&self, name: &str) -> anyhow::Result<String> {
        let found = self.runtime.block_on(
            self.docker.inspect_container(name, None::<bollard::query_parameters::InspectContainerOptions>),
        )?;
        found.id.context("a container without an id")
    }

    /// The limit in force, in billionths of a processor.
    pub(crate) fn nano_cpus(&self, name: &str) -> anyhow::Result<i64> {
        let found = self.runtime.block_on(
            self.docker.inspect_container(name, None::<bollard::query_parameters::InspectContainerOptions>),
        )?;
        found.host_config.and_then(|host| host.nano_cpus).context("a container without limits")
    }

    /// `docker stats --no-stream` of one container, as barely as the engine can answer it: without a second look.
    pub(crate) fn stats(&self, id: &str) -> anyhow::Result<()> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        self.runtime.block_on(async {
            let mut stats = self.docker.stats(id, Some(options));
            stats.try_next().await?.context("no stats")?;
            Ok(())
        })
    }

    /// `docker kill`.
    pub(crate) fn kill(&self, id: &str) -> anyhow::Result<()> {
        Ok(self.runtime.block_on(self.docker.kill_container(id, None::<KillContainerOptions>))?)
    }

    /// `docker start`.
    pub(crate) fn start(&self, id: &str) -> anyhow::Result<()> {
        Ok(self.runtime.block_on(self.docker.start_container(id, None::<StartContainerOptions>))?)
    }

    /// Removes every container whose name begins so, then every volume: one after the other, since an engine before 23
    /// can block for good when it removes several at once.
    pub(crate) fn remove_all(&self, beginning: &str) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let options = ListContainersOptionsBuilder::default().all(true).build();
            for container in self.docker.list_containers(Some(options)).await? {
                let names = container.names.unwrap_or_default();
                let Some(id) = container.id else { continue };
                if names.iter().any(|name| name.trim_start_matches('/').starts_with(beginning)) {
                    let options = RemoveContainerOptionsBuilder::default().force(true).build();
                    self.docker.remove_container(&id, Some(options)).await?;
                }
            }
            for volume in
                self.docker.list_volumes(None::<ListVolumesOptions>).await?.volumes.unwrap_or_default()
            {
                if volume.name.starts_with(beginning) {
                    self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await?;
                }
            }
            Ok(())
        })
    }

    /// Begins to listen to what happens to containers.
    pub(crate) fn listen(&self) -> Ears {
        let (sender, heard) = channel();
        let filters = HashMap::from([("type", vec!["container"])]);
        let mut events = self.docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        self.runtime.spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
                let (action, at) = (event.action.unwrap_or_default(), event.time_nano.unwrap_or_default());
                if sender.send(Heard { id, action, at }).is_err() {
                    return;
                }
            }
        });
        // The engine answers before it listens itself; nothing tells when it does.
        std::thread::sleep(Duration::from_millis(200));
        Ears { heard }
    }
}

impl Ears {
    /// Waits until something has happened to a container, and returns when it did, in nanoseconds since 1970.
    pub(crate) fn wait(&self, id: &str, action: &str) -> anyhow::Result<i64> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(heard) if heard.id == id && heard.action == action => return Ok(heard.at),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("no `{action}` of container {id} within {DEADLINE:?}")
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the engine's events broke off"),
            }
        }
    }
}
