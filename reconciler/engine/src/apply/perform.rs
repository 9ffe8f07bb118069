//! One step: one effect.

use berth_plan::Step;

use super::container::require_address;
use super::error::StepError;
use super::host_rules;
use super::writer::{Made, Writer};

impl Writer {
    /// Does one step. A step that finds its effect already there succeeds.
    pub(super) async fn perform(&self, step: &Step, made: &mut Made) -> Result<(), StepError> {
        match step {
            Step::CreateNetwork(spec) => self.create_network(spec).await?,
            Step::RemoveNetwork { name, id } => self.remove_network(name, id).await?,
            Step::CreateVolume(spec) => self.create_volume(spec).await?,
            Step::RemoveVolume { name } => self.remove_volume(name).await?,
            Step::RequireAddress { address } => require_address(*address)?,
            Step::RequireImage { image } => self.require_image(image).await?,
            Step::CreateContainer(spec) => made.container = Some(self.create_container(spec).await?),
            Step::StartContainer(container) => self.start(made.id(container)?).await?,
            Step::UnpauseContainer(container) => self.unpause(made.id(container)?).await?,
            Step::StopContainer { container, timeout } => self.stop(made.id(container)?, *timeout).await?,
            Step::UpdateLimits { container, limits } => self.update(made.id(container)?, limits).await?,
            Step::RemoveContainer(container) => self.remove(made.id(container)?).await?,
            Step::Connect { plane, links } => self.connect(plane, links, made).await?,
            Step::Configure(spec) => self.configure(spec).await?,
            Step::PlaceIdentity(spec) => self.place_identity(spec).await?,
            Step::PlaceProgram(spec) => self.place_program(spec).await?,
            Step::ReplaceProgram(spec) => self.replace_program(spec).await?,
            Step::Reload { kind, container } => self.reload(*kind, container).await?,
            Step::WithdrawHostRules { platform } => host_rules::withdraw(platform).await?,
        }
        Ok(())
    }
}
