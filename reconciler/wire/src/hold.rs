//! Holds: a server that stands still while somebody copies its data, and the places of that data. Whoever backs up has no engine, so the
//! reconciler does it.

use std::path::PathBuf;

use berth_schema::backup::Pause;
use berth_schema::name::ServerId;
use serde::{Deserialize, Serialize};

/// Order to hold a server still until whoever asks lets it go, or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOrder {
    /// The server.
    pub server: ServerId,
    /// State that it is to be in meanwhile.
    pub pause: Pause,
    /// A command that runs in it before.
    pub before: Option<String>,
    /// A command that runs in it afterwards.
    pub after: Option<String>,
}

/// A volume of the platform, and its place on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSight {
    /// Its name.
    pub name: String,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// Its purpose.
    pub of: VolumeOf,
}

/// Purpose of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeOf {
    /// Data of a server.
    Data(ServerId),
    /// Data that was restored beside a server's own.
    Restored(ServerId),
    /// The platform's own.
    System,
    /// A drill's.
    Drill,
}

/// Order to make room for a drill: volumes like a server's, which are gone when whoever asks lets them go, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillOrder {
    /// The server whose copy is tried.
    pub server: ServerId,
}

/// A restored server that came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booted {
    /// Milliseconds that it took.
    pub millis: u64,
    /// Proof of it.
    pub by: BootProof,
}

/// Proof that a server came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootProof {
    /// systemd says that it runs and that no unit failed.
    Systemd,
    /// Its image has no systemd; its first process runs.
    FirstProcess,
}
