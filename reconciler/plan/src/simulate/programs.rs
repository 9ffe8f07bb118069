//! Programs in the model's containers: only their marks count.

use crate::observed::RunState;
use crate::simulate::{SimulatedError, World};
use crate::step::Step;
use crate::takeover::ProgramSpec;

impl World {
    /// Puts a program in its volume. One that takes over needs a container that runs.
    pub(super) fn take_program(&mut self, step: &Step, spec: &ProgramSpec) -> Result<(), SimulatedError> {
        if let Step::ReplaceProgram(_) = step {
            let missing = || SimulatedError::NoSuch { what: "container", name: spec.container.clone() };
            let state = self.containers.get(&spec.container).ok_or_else(missing)?.state;
            if state != RunState::Running {
                return Err(SimulatedError::WrongState { name: spec.container.clone(), state });
            }
        }
        let missing = || SimulatedError::NoSuch { what: "volume", name: spec.volume.clone() };
        let volume = self.volumes.get_mut(&spec.volume).ok_or_else(missing)?;
        volume.files.insert(spec.program.mark().to_owned(), spec.marked());
        Ok(())
    }
}
