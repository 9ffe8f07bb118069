//! The ground that the stories stand on: private engines, platform instances, and a proxy that makes faults.
//!
//! Everything here drives real programs: `berth` and `git` as a member of staff calls them, and the engine through the
//! `docker` command line, so that what the stories see doesn't pass through the code that they judge. Whatever is made
//! is removed when it is dropped, also when a story fails. Nothing here touches an engine that it didn't start.

pub mod acme;
pub mod app;
pub mod browser;
pub mod ceiling;
pub mod docker;
pub mod engine;
pub mod fit;
pub mod folder;
pub mod git_door;
pub mod ground;
pub mod hostile;
pub mod image;
pub mod lab;
mod leftovers;
pub mod namespace;
pub mod newcomer;
pub mod panel;
pub mod panel_user;
pub mod place;
pub mod platform;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod seats;
pub mod shared;
pub mod web;
pub mod world;

pub use acme::Acme;
pub use browser::{Browser, Element};
pub use ceiling::Ceiling;
pub use docker::{Container, Docker};
pub use engine::{Cgroup, Engine, Mapping};
pub use fit::Fit;
pub use folder::Folder;
pub use git_door::{GitDoor, Person};
pub use lab::Lab;
pub use newcomer::Newcomer;
pub use panel::Panel;
pub use panel_user::PanelUser;
pub use place::{Answer, Place};
pub use platform::{Daemon, Platform};
pub use process::{Ran, eventually, run};
pub use proxy::{Act, Call, Gate, Proxy};
pub use relay::Relay;
pub use shared::NoGround;
pub use web::Web;
pub use world::{Skipped, Turn, World};
