//! Flags that a supervisor gives a process that it starts.

use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

/// Flags of a process that has a supervisor.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Supervised {
    /// End when the process that started this one does
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Supervised {
    /// Has this process end with its supervisor: one that was killed can't say so, and the child of the next would find this one in its
    /// place.
    pub(super) fn end_with_parent(self) -> Result<(), Errno> {
        match self.with_parent {
            true => set_parent_process_death_signal(Some(Signal::TERM)),
            false => Ok(()),
        }
    }
}
