//! Apply: how we change the engine. One step, one effect; nothing here chooses anything.

mod configure;
mod container;
mod error;
mod hold;
mod host_rules;
mod identity;
mod link;
mod network;
mod own;
mod perform;
mod probe;
mod program;
mod restart;
mod schedule;
mod turns;
mod volume;
mod writer;

pub use container::create_body;
pub use error::{After, ConfigureError, LinkError, PlaceError, ProgramError, StepError};
pub use hold::{HoldError, Still};
pub use restart::RestartError;
pub use schedule::apply;
pub use writer::Writer;
