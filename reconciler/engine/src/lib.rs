//! The engine: the only room that talks to Docker.
//!
//! `observe` reads and `apply` writes; they mirror each other, and a [`Reader`] has no way to write. `image` makes images,
//! [`Canaries`] are the doctor's containers, [`Drills`] try copies of servers, and a [`Lookout`] looks for whoever plans without a pass. Nobody outside needs
//! the API's own types: a [`Connection`] can be opened and handed on, and no more.
//!
//! Refuses to decide: what is to be done is a plan's, what is said of it is a listener's.

pub mod address;
mod api;
mod apply;
mod canary;
mod drill;
mod error;
mod exec;
mod facts;
mod host;
mod identity;
pub mod image;
mod look;
mod observe;
mod programs;
pub mod templates;
mod volume_file;

pub use api::{Connection, connect};
pub use apply::{
    After, ConfigureError, HoldError, LinkError, PlaceError, ProgramError, RestartError, StepError, Still,
    Writer, apply, create_body,
};
pub use canary::{Canaries, Canary};
pub use drill::{BootError, Drills};
pub use error::EngineError;
pub use exec::{Held, Program, Ran};
pub use facts::{Facts, Swarm, Unfit};
pub use host::{HostError, PlaneError};
pub use identity::Identity;
pub use look::{LookError, LookSettings, Lookout, Unheard};
pub use observe::{EngineEvent, Foreign, Inspections, ObserveError, Places, Reader, Running, Sighting};
pub use programs::HostPrograms;
