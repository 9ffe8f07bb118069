//! Observe: how we see the engine. Nothing here can change anything: the connection is private to the reader, and the
//! reader has no method that writes.

mod containers;
mod error;
mod host_rules;
mod inspections;
mod kept;
mod keys;
mod networks;
mod places;
mod plane;
mod published;
mod reader;
mod running;
mod sessions;
mod sighting;
mod volumes;

use berth_host::loaded_profiles;
use berth_plan::Desired;
use berth_plan::observed::Observed;
use berth_schema::name::Prefix;

pub use error::ObserveError;
pub(crate) use host_rules::{Kept, MARK, kept_rules, own_chains, saved_rules};
pub use inspections::Inspections;
pub use places::Places;
pub(crate) use plane::listed_rules;
pub use reader::{EngineEvent, Reader};
pub use running::Running;
pub use sighting::{Foreign, Sighting};

use crate::host::HostError;
use volumes::volumes_of;

impl Reader {
    /// Reads everything that a platform may have made. Any failed call fails the whole: an error is never an empty world.
    ///
    /// Three lists are read side by side. What they don't tell comes from `inspections`; a container that those don't know
    /// is inspected, once.
    pub async fn observe(
        &self,
        desired: &Desired,
        inspections: &mut Inspections,
    ) -> Result<Observed, ObserveError> {
        self.look(desired.prefix(), desired.platform.services.firewall, inspections).await
    }

    /// Reads the same for the platform of this prefix. `firewall` says whether it has one, and so a part on the host.
    pub async fn look(
        &self,
        platform: &Prefix,
        firewall: bool,
        inspections: &mut Inspections,
    ) -> Result<Observed, ObserveError> {
        let (containers, volumes, networks) =
            tokio::try_join!(self.containers(platform), self.list_volumes(), self.networks(platform))?;
        let volumes = volumes_of(platform, volumes, inspections)?;
        let mut observed = Observed { networks, volumes, containers, ..Observed::default() };
        inspections.fill(self, &mut observed.containers).await?;
        observed.plane = self.plane(platform, &observed.containers).await?;
        observed.host_rules = self.host_rules(platform, firewall).await?;
        observed.profiles =
            loaded_profiles().map_err(|source| HostError::new("list the AppArmor profiles", source))?;
        Ok(observed)
    }
}
