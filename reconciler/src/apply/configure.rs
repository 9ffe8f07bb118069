//! A configuration put in force: written beside the last one, checked by the program that reads it, loaded, tried from
//! outside, and kept. When anything goes wrong after it was loaded, the last one is loaded again.

use std::fmt;
use std::path::Path;

use berth_plan::configuration::{ConfigurationSpec, Expectation, Place, Probe};
use berth_plan::label::PLATFORM;
use berth_plan::plane::LISTED;
use berth_plan::render::Kind;
use berth_plan::system::CONFIGURATION;

use super::{StepError, Writer, host_rules, probe};
use crate::docker::{EngineError, READ_DEADLINE, bounded, first_process};
use crate::observe::listed_rules;
use crate::outcome::chain;
use crate::volume_file::{NEXT, Owner, VolumeFile};

/// The programs that every container with a configuration has (templates/*/).
const CHECK: &str = "/usr/lib/berth/check";
const LOAD: &str = "/usr/lib/berth/load";

/// Why a configuration is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The program that reads it found a mistake in it. Nothing was changed.
    #[error("the new configuration is refused, and the last one stays in force: {said}")]
    Refused {
        /// What the program said.
        said: String,
    },
    /// What was confirmed could not be loaded again.
    #[error("the {kind} configuration that was confirmed last could not be loaded again: {said}")]
    NotReloaded {
        /// Which.
        kind: Kind,
        /// What the program said.
        said: String,
    },
    /// It could not be loaded.
    #[error("the new configuration could not be loaded: {said}. {after}")]
    NotLoaded {
        /// What the program said.
        said: String,
        /// What is in force now.
        after: After,
    },
    /// It was loaded, and then something did not work that must.
    #[error("the new configuration was loaded and did not pass: {}. {after}", failures.join("; "))]
    NotConfirmed {
        /// What did not work.
        failures: Vec<String>,
        /// What is in force now.
        after: After,
    },
}

/// What is in force after a new configuration failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The last one that was confirmed.
    Restored,
    /// There was none before.
    NothingBefore,
    /// The last one could not be loaded again.
    NotRestored(String),
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => f.write_str("The last one is in force again"),
            Self::NothingBefore => f.write_str("There was none before that could be put back"),
            Self::NotRestored(why) => write!(f, "The last one could not be put back either: {why}"),
        }
    }
}

impl Writer {
    pub(super) async fn configure(&self, spec: &ConfigurationSpec) -> Result<(), StepError> {
        let spec = &self.without_orders(spec).await;
        let (container, volume, name) = match &spec.place {
            Place::Container { container, volume, file } => (container, volume, file),
            Place::Host { platform } => return host_rules::configure(spec, platform).await,
        };
        let (folder, platform) = self.system_volume(volume).await?;
        let file = VolumeFile::new(Path::new(&folder), name);
        let container = self.own(container, &platform).await?;
        let host =
            |act: &str, source| EngineError::Host { act: format!("{act} {}", file.path().display()), source };
        let owner = if spec.kind.is_secret() { Owner::ContainerAlone } else { Owner::Host };
        file.write_next(spec.text.as_bytes(), owner).map_err(|source| host("write", source))?;
        match self.put_in_force(spec, &container, &platform, (&file, name)).await {
            Ok(listed) => {
                file.keep_next().map_err(|source| host("keep", source))?;
                // In this order: were it cut off between them, what is in force is not what is written down, and is loaded
                // again.
                write_down(&folder, listed)
            }
            Err(error) => {
                file.drop_next().map_err(|source| host("drop the new version of", source))?;
                Err(error)
            }
        }
    }

    /// Loads what was confirmed last. It was tried when it was confirmed.
    pub(super) async fn reload(&self, kind: Kind, name: &str) -> Result<(), StepError> {
        let (folder, platform) = self.system_volume(name).await?;
        let container = self.own(name, &platform).await?;
        let path = format!("{CONFIGURATION}/{}", kind.file());
        let ran = self.run(&container, &[LOAD, kind.as_str(), &path]).await?;
        if ran.code != 0 {
            return Err(ConfigureError::NotReloaded { kind, said: ran.said }.into());
        }
        write_down(&folder, self.listed(kind, &container).await?)
    }

    /// The rules as the kernel lists them, if they are what was loaded.
    async fn listed(&self, kind: Kind, container: &str) -> Result<Option<String>, EngineError> {
        if kind != Kind::Firewall {
            return Ok(None);
        }
        match first_process(&self.docker, container, kind.as_str()).await? {
            Some(pid) => listed_rules(pid).await.map(Some),
            None => Ok(None),
        }
    }

    /// Without visits to domains that have no certificate yet: somebody else comes first, and has it ordered.
    async fn without_orders(&self, spec: &ConfigurationSpec) -> ConfigurationSpec {
        let mut spec = spec.clone();
        for Expectation { probe, .. } in &mut spec.probes {
            if let Probe::Serves { visits, certificates, .. } = probe {
                let folder = self.system_volume(certificates).await.ok().map(|(folder, _)| folder);
                visits.retain(|visit| probe::is_free(visit, folder.as_deref().map(Path::new)));
            }
        }
        spec
    }

    /// Puts it in force, and says how the kernel lists it then.
    async fn put_in_force(
        &self,
        spec: &ConfigurationSpec,
        container: &str,
        platform: &str,
        file: (&VolumeFile, &str),
    ) -> Result<Option<String>, StepError> {
        let next = format!("{CONFIGURATION}/{}{NEXT}", file.1);
        let check = self.run(container, &[CHECK, spec.kind.as_str(), &next]).await?;
        if check.code != 0 {
            return Err(ConfigureError::Refused { said: check.said }.into());
        }
        let worked = probe::working(platform, &spec.probes).await;
        let loaded = match self.run(container, &[LOAD, spec.kind.as_str(), &next]).await {
            Ok(loaded) => loaded,
            Err(error) => {
                // Nobody knows how far it came; what is in force must be what was confirmed.
                self.restore_or_warn(spec.kind, container, file).await;
                return Err(error.into());
            }
        };
        if loaded.code != 0 {
            let after = self.restore(spec.kind, container, file).await;
            return Err(ConfigureError::NotLoaded { said: loaded.said, after }.into());
        }
        let listed = match self.listed(spec.kind, container).await {
            Ok(listed) => listed,
            Err(error) => {
                self.restore_or_warn(spec.kind, container, file).await;
                return Err(error.into());
            }
        };
        let failures = probe::failures(platform, &spec.probes, &worked).await;
        if failures.is_empty() {
            return Ok(listed);
        }
        let after = self.restore(spec.kind, container, file).await;
        Err(ConfigureError::NotConfirmed { failures, after }.into())
    }

    async fn restore_or_warn(&self, kind: Kind, container: &str, file: (&VolumeFile, &str)) {
        if let After::NotRestored(why) = self.restore(kind, container, file).await {
            tracing::warn!(%kind, why, "the last configuration could not be loaded again");
        }
    }

    /// Loads the last confirmed version again.
    async fn restore(&self, kind: Kind, container: &str, (file, name): (&VolumeFile, &str)) -> After {
        match file.read() {
            Ok(Some(_)) => {}
            Ok(None) => return After::NothingBefore,
            Err(error) => return After::NotRestored(error.to_string()),
        }
        let path = format!("{CONFIGURATION}/{name}");
        match self.run(container, &[LOAD, kind.as_str(), &path]).await {
            Ok(ran) if ran.code == 0 => After::Restored,
            Ok(ran) => After::NotRestored(ran.said),
            Err(error) => After::NotRestored(chain(&error)),
        }
    }

    /// Where the engine keeps a volume of the platform's, and the platform that its label names.
    pub(super) async fn system_volume(&self, name: &str) -> Result<(String, String), EngineError> {
        let act = format!("find volume {name}");
        let mut volume = bounded(&act, READ_DEADLINE, self.docker.inspect_volume(name)).await?;
        match volume.labels.remove(PLATFORM) {
            Some(platform) => Ok((volume.mountpoint, platform)),
            None => Err(EngineError::Refused {
                act,
                status: 409,
                message: "a volume of that name is there and carries no label of Berth's".to_owned(),
            }),
        }
    }
}

/// Writes down how the kernel lists what was confirmed, so that it can be told later whether that is still in force.
fn write_down(folder: &str, listed: Option<String>) -> Result<(), StepError> {
    let Some(listed) = listed else { return Ok(()) };
    let file = VolumeFile::new(Path::new(folder), LISTED);
    let written = file.write_next(listed.as_bytes(), Owner::Host).and_then(|()| file.keep_next());
    let act = || format!("write {}", file.path().display());
    Ok(written.map_err(|source| EngineError::Host { act: act(), source })?)
}
