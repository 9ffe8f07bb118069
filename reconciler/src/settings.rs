//! Where this host keeps things: the settings that can't live in the state repo, because they say where it is.

use std::path::PathBuf;

use clap::Args;

/// Where the state repo, the engine and our own data are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "This host", next_display_order = 900)]
pub struct Settings {
    /// The state repo: a git repository, or a plain folder of TOML files.
    #[arg(
        long,
        env = "BERTH_STATE",
        default_value = "/var/lib/berth/state.git",
        global = true,
        value_name = "PATH"
    )]
    pub state: PathBuf,

    /// Berth's own data on this host: journal and control socket. Everything in it can be lost.
    #[arg(
        long,
        env = "BERTH_DATA",
        default_value = "/var/lib/berth/data",
        global = true,
        value_name = "PATH"
    )]
    pub data: PathBuf,

    /// The Docker engine.
    #[arg(
        long,
        env = "DOCKER_HOST",
        default_value = "unix:///var/run/docker.sock",
        global = true,
        value_name = "ADDRESS"
    )]
    pub docker: String,
}

impl Settings {
    /// The reconciler's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Where a background process writes what it would say on a terminal.
    pub fn log(&self) -> PathBuf {
        self.data.join("berth.log")
    }
}
