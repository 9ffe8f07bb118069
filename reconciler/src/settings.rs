//! Where this host keeps things: the settings that can't live in the state repo, because they say where it is.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use berth_plan::render::{Kind, Templates};
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

    /// Berth's own data on this host: keys, journal, control socket, and the secrets that you put there. All else in it can be
    /// lost but the file `identity`, from which the platform's SSH keys follow: keep a copy of that one.
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

    /// A folder whose image recipes and configuration templates replace the embedded ones.
    #[arg(long, env = "BERTH_TEMPLATES", global = true, value_name = "FOLDER")]
    pub templates: Option<PathBuf>,

    /// The resolver that is asked whose a domain is. Default: those of `firewall.dns` in platform.toml.
    #[arg(long, env = "BERTH_RESOLVER", global = true, value_name = "ADDRESS:PORT")]
    pub resolver: Option<SocketAddr>,
}

/// A template that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("read the template {path}")]
pub struct TemplateError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Settings {
    /// The templates of configurations that replace the embedded ones.
    pub fn configuration_templates(&self) -> Result<Templates, TemplateError> {
        let mut templates = Templates::default();
        let Some(folder) = &self.templates else { return Ok(templates) };
        for kind in Kind::ALL {
            let Some(template) = kind.template() else { continue };
            let path = folder.join(template);
            match std::fs::read_to_string(&path) {
                Ok(text) => templates.replace(template, text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(TemplateError { path, source }),
            }
        }
        Ok(templates)
    }

    /// Makes Berth's own folder, open to nobody else, where there is none.
    pub fn make_data(&self) -> io::Result<()> {
        if let Some(parent) = self.data.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(&self.data) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// The reconciler's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// What members see of the state repo.
    pub fn views(&self) -> PathBuf {
        self.data.join("views")
    }

    /// What is known of the forge, and the secrets that it wants.
    pub fn remote(&self) -> PathBuf {
        self.data.join("remote")
    }

    /// Where a background process writes what it would say on a terminal.
    pub fn log(&self) -> PathBuf {
        self.data.join("berth.log")
    }
}
