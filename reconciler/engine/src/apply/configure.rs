//! A configuration put in force: written beside the last one, checked by the program that reads it, loaded, tried from
//! outside, and kept. When anything goes wrong after it was loaded, the last one is loaded again.

use std::path::Path;

use berth_fault::chain;
use berth_plan::configuration::{ConfigurationSpec, Expectation, Place, Probe};
use berth_plan::label::PLATFORM;
use berth_plan::plane::LISTED;
use berth_plan::render::Kind;
use berth_plan::system::CONFIGURATION;

use super::error::{After, ConfigureError, StepError};
use super::writer::Writer;
use super::{host_rules, probe};
use crate::api::{READ_DEADLINE, bounded, first_process};
use crate::host::HostError;
use crate::observe::listed_rules;
use crate::volume_file::{NEXT, Owner, VolumeFile};

/// Programs that every container with a configuration has (templates/*/).
const CHECK: &str = "/usr/lib/berth/check";
const LOAD: &str = "/usr/lib/berth/load";
/// Tells `load` that `check` has passed already, so that it doesn't check again.
const CHECKED: &str = "checked";

impl Writer {
    pub(super) async fn configure(&self, spec: &ConfigurationSpec) -> Result<(), StepError> {
        let probes = self.probes(spec).await;
        let (container, volume, name) = match &spec.place {
            Place::Container { container, volume, file } => (container, volume, file),
            Place::Host { platform } => return host_rules::configure(spec, &probes, platform).await,
        };
        let (folder, platform) = self.system_volume(volume).await?;
        let file = VolumeFile::new(Path::new(&folder), name);
        let container = self.own(container, &platform).await?;
        let failed = |act| HostError::on_file(act, file.path());
        let owner = if spec.kind.is_secret() { Owner::ContainerAlone } else { Owner::Host };
        file.write_next(spec.text.as_bytes(), owner).map_err(failed("write"))?;
        let target = Loading { kind: spec.kind, container: &container, file: &file, name };
        match self.put_in_force(&target, &probes, &platform).await {
            Ok(listed) => {
                file.keep_next().map_err(failed("keep"))?;
                // In this order: were it cut off between them, what is in force is not what is written down, and is loaded
                // again.
                write_down(&folder, listed)
            }
            Err(error) => {
                file.drop_next().map_err(failed("drop the new version of"))?;
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

    /// Lists the rules as the kernel has them, if rules are what was loaded.
    async fn listed(&self, kind: Kind, container: &str) -> Result<Option<String>, StepError> {
        if kind != Kind::Firewall {
            return Ok(None);
        }
        match first_process(&self.docker, container, kind.as_str()).await? {
            Some(pid) => Ok(Some(listed_rules(pid).await?)),
            None => Ok(None),
        }
    }

    /// Returns the step's probes without the visits that would order a certificate: a probe carries that condition with
    /// the volume in which certificates lie. Somebody else comes first, and has it ordered.
    async fn probes(&self, spec: &ConfigurationSpec) -> Vec<Expectation> {
        let mut probes = spec.probes.clone();
        for Expectation { probe, .. } in &mut probes {
            if let Probe::Serves { visits, certificates, .. } = probe {
                let folder = self.system_volume(certificates).await.ok().map(|(folder, _)| folder);
                visits.retain(|visit| probe::is_free(visit, folder.as_deref().map(Path::new)));
            }
        }
        probes
    }

    /// Puts it in force, and returns how the kernel lists it then.
    async fn put_in_force(
        &self,
        new: &Loading<'_>,
        probes: &[Expectation],
        platform: &str,
    ) -> Result<Option<String>, StepError> {
        let next = format!("{CONFIGURATION}/{}{NEXT}", new.name);
        let check = self.run(new.container, &[CHECK, new.kind.as_str(), &next]).await?;
        if check.code != 0 {
            return Err(ConfigureError::Refused { said: check.said }.into());
        }
        let worked = probe::working(platform, probes).await;
        let loaded = match self.run(new.container, &[LOAD, new.kind.as_str(), &next, CHECKED]).await {
            Ok(loaded) => loaded,
            Err(error) => {
                // Nobody knows how far it came; what is in force must be what was confirmed.
                self.restore_or_warn(new).await;
                return Err(error.into());
            }
        };
        if loaded.code != 0 {
            let after = self.restore(new).await;
            return Err(ConfigureError::NotLoaded { said: loaded.said, after }.into());
        }
        let listed = match self.listed(new.kind, new.container).await {
            Ok(listed) => listed,
            Err(error) => {
                self.restore_or_warn(new).await;
                return Err(error);
            }
        };
        let failures = probe::failures(platform, probes, &worked).await;
        if failures.is_empty() {
            return Ok(listed);
        }
        let after = self.restore(new).await;
        Err(ConfigureError::NotConfirmed { failures, after }.into())
    }

    async fn restore_or_warn(&self, new: &Loading<'_>) {
        if let After::NotRestored(why) = self.restore(new).await {
            tracing::warn!(kind = %new.kind, why, "the last configuration could not be loaded again");
        }
    }

    /// Loads the last confirmed version again.
    async fn restore(&self, new: &Loading<'_>) -> After {
        match new.file.read() {
            Ok(Some(_)) => {}
            Ok(None) => return After::NothingBefore,
            Err(error) => return After::NotRestored(error.to_string()),
        }
        let path = format!("{CONFIGURATION}/{}", new.name);
        match self.run(new.container, &[LOAD, new.kind.as_str(), &path]).await {
            Ok(ran) if ran.code == 0 => After::Restored,
            Ok(ran) => After::NotRestored(ran.said),
            Err(error) => After::NotRestored(chain(&error)),
        }
    }

    /// Finds a volume of the platform's: its folder on the host, and the platform that its label names.
    pub(super) async fn system_volume(&self, name: &str) -> Result<(String, String), StepError> {
        let act = format!("find volume {name}");
        let mut volume = bounded(&act, READ_DEADLINE, self.docker.inspect_volume(name)).await?;
        match volume.labels.remove(PLATFORM) {
            Some(platform) => Ok((volume.mountpoint, platform)),
            None => Err(StepError::NotOurs { act, why: "carries no label of Berth's" }),
        }
    }
}

/// A configuration that is being loaded into a container.
struct Loading<'a> {
    kind: Kind,
    /// The engine's id of the container.
    container: &'a str,
    file: &'a VolumeFile,
    /// The file's name in the container's folder of configurations.
    name: &'a str,
}

/// Writes down how the kernel lists what was confirmed, so that a later look can tell whether it is still in force.
fn write_down(folder: &str, listed: Option<String>) -> Result<(), StepError> {
    let Some(listed) = listed else { return Ok(()) };
    let file = VolumeFile::new(Path::new(folder), LISTED);
    let written = file.write_next(listed.as_bytes(), Owner::Host).and_then(|()| file.keep_next());
    Ok(written.map_err(HostError::on_file("write", file.path()))?)
}
