//! Backups by restic: of the platform and of each server; and what is restored of them.
//!
//! Owns what is copied, under which names, and where restored data goes. Refuses to reach the engine or git: the reconciler says where
//! volumes lie and has servers stand still, and whoever calls brings the state repo in one file. restic alone talks to the repository.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod copy;
mod drill;
mod error;
mod place;
mod record;
mod restore;
mod run;
mod swap;
mod vault;
mod view;

pub use copy::Sources;
pub use drill::drill;
pub use error::BackupError;
pub use place::{NoServerPath, ServerPath};
pub use record::{DrillRecord, DrillResult, Drills, FOLDER, Part, PartRecord, PartResult, RunRecord, Runs};
pub use restore::{RESTORED, Request, Restored, Way, expire, restore};
pub use run::{Bundle, Heard, Job, Means, Progress, run};
pub use vault::{Copied, Order, Snapshot, Vault, VaultError};
