//! Settings of this host: those that can't live in the state repo, because they say where it is.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_acme::{AcmeSettings, ZonePace};
use berth_alarms::AlarmSettings;
use berth_ca::Pace;
use berth_door::{DoorSettings, letters};
use berth_engine::HostPrograms;
use berth_engine::templates::{self, TemplateError};
use berth_forge::FollowSettings;
use berth_host::Owner;
use berth_host::{PANELS, make_passage};
use berth_judge::hook::view::ViewSettings;
use berth_mail::MailSettings;
use berth_oidc::OidcSettings;
use berth_plan::program::Program;
use berth_plan::render::Templates;
use berth_plan::system;
use berth_schema::name::Prefix;
use berth_schema::oidc::Oidc;
use berth_schema::platform::Platform;
use berth_secrets::Secrets;
use berth_wire::mail::Spool;
use clap::Args;

/// Places of the state repo, the engine and our own data.
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

    /// Berth's own data on this host: keys, secrets, journal, control socket. `berth backup` copies it; without backups, keep
    /// the file `identity`, from which the platform's SSH keys follow, and the folder `secrets`.
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

    /// The folder of the sockets that the panel connects to. Default: the one of the platform in /run/berth/panel
    #[arg(long, env = "BERTH_PANEL", global = true, value_name = "FOLDER")]
    pub panel_folder: Option<PathBuf>,

    /// A folder of image recipes and configuration templates that replace the embedded ones.
    #[arg(long, env = "BERTH_TEMPLATES", global = true, value_name = "FOLDER")]
    pub templates: Option<PathBuf>,

    /// The resolver for proofs of domains. Default: those of `firewall.dns` in platform.toml.
    #[arg(long, env = "BERTH_RESOLVER", global = true, value_name = "ADDRESS:PORT")]
    pub resolver: Option<SocketAddr>,
}

impl Settings {
    /// Reads the templates of configurations that replace the embedded ones.
    pub fn configuration_templates(&self) -> Result<Templates, TemplateError> {
        templates::read(self.templates.as_deref())
    }

    /// The programs of this host that belong in the platform's own containers: beside this one, unless the environment says where.
    pub fn programs(&self) -> HostPrograms {
        let places = [(Program::Gate, "BERTH_GATE"), (Program::Router, "BERTH_SSH_ROUTER")];
        let own = std::env::current_exe().unwrap_or_default();
        let path = |(program, variable): (Program, &str)| {
            let given = std::env::var_os(variable).map(PathBuf::from);
            (program, given.unwrap_or_else(|| own.with_file_name(program.file())))
        };
        HostPrograms::at(places.map(path).into())
    }

    /// Makes Berth's own folder, open to nobody else. One that earlier versions have left open is closed.
    pub fn make_data(&self) -> io::Result<()> {
        // The panel's user passes through there to a folder beside this one.
        if let Some(parent) = self.data.parent() {
            make_passage(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(&self.data) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.close_data(),
            made => made,
        }
    }

    /// Closes a folder that Berth has used, and no other: `--data` may name any by mistake.
    fn close_data(&self) -> io::Result<()> {
        let mode = fs::metadata(&self.data)?.permissions().mode();
        match mode & 0o077 != 0 && self.journal().is_dir() {
            true => fs::set_permissions(&self.data, fs::Permissions::from_mode(mode & !0o077)),
            false => Ok(()),
        }
    }

    /// The reconciler's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    /// Socket of the reconciler's for whoever judges pushes.
    pub fn door_socket(&self) -> PathBuf {
        self.data.join("door.sock")
    }

    /// Folder of the sockets that the panel connects to.
    pub fn panel(&self, prefix: &Prefix) -> PathBuf {
        self.panel_folder.clone().unwrap_or_else(|| Path::new(PANELS).join(prefix.as_str()))
    }

    /// Folder of the panel's own data, beside ours: another user has to get there, and nobody else here.
    pub fn panel_data(&self) -> PathBuf {
        let mut name = self.data.file_name().unwrap_or_default().to_owned();
        name.push("-panel");
        self.data.with_file_name(name)
    }

    /// Settings of the git door.
    pub fn door(&self) -> DoorSettings {
        let (state, data) = (self.state.clone(), self.data.clone());
        DoorSettings { state, data, views: self.views(), resolver: self.resolver }
    }

    /// Settings for making views ready and judging what is pushed into them.
    pub fn viewer(&self) -> ViewSettings {
        ViewSettings { state: self.state.clone(), data: self.data.clone(), views: self.views() }
    }

    /// Settings for following the forge.
    pub fn follower(&self) -> FollowSettings {
        FollowSettings {
            state: self.state.clone(),
            folder: self.remote(),
            secrets: Secrets::of(&self.data),
            socket: self.socket(),
        }
    }

    /// Settings of whoever keeps the account at the CA and the wildcard certificate.
    pub fn acme(&self, platform: &Platform) -> AcmeSettings {
        AcmeSettings {
            acme: platform.acme.clone(),
            domain: platform.domain.clone(),
            folder: self.acme_folder(),
            programs: self.data.join("dns"),
            secrets: Secrets::of(&self.data),
            edge: system::certificates(&platform.prefix).into(),
            panel: platform.panel.is_some().then(|| self.panel(&platform.prefix)),
            pace: Pace::default(),
            zone_pace: ZonePace::default(),
        }
    }

    /// Settings of whoever reaches the OpenID provider.
    pub fn oidc(&self, oidc: Oidc, owner: Owner) -> OidcSettings {
        OidcSettings {
            oidc,
            secrets: Secrets::of(&self.data),
            socket: self.data.join(berth_wire::oidc::SOCKET),
            owner: Some(owner),
            within: OidcSettings::WITHIN,
        }
    }

    /// Settings of whoever sends mails; `None` where the platform sends none.
    pub fn mail(&self, platform: &Platform) -> Option<MailSettings> {
        let data = self.data.clone();
        Some(MailSettings {
            mail: platform.mail.clone()?,
            organisation: platform.organisation.clone(),
            domain: platform.domain.clone(),
            spool: Spool::of(&self.data),
            folder: self.mail_folder(),
            secrets: Secrets::of(&self.data),
            templates: self.templates.clone(),
            pace: berth_mail::Pace::default(),
            on_lost: Arc::new(move |lost| letters::lost(&data, lost)),
        })
    }

    /// Folder of what `berth mail` keeps of its own.
    pub fn mail_folder(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// Settings of whoever tells of alarms; `None` where the platform has nobody to tell.
    pub fn alarms(&self, platform: &Platform) -> Option<AlarmSettings> {
        Some(AlarmSettings {
            rules: platform.alarms.clone()?,
            platform: platform.prefix.to_string(),
            domain: platform.domain.to_string(),
            title: platform.organisation.name().to_owned(),
            panel: platform.panel_origins().map(|origins| origins.first().to_owned()),
            sends_mail: platform.mail.is_some(),
            folder: self.alarms_folder(),
            secrets: Secrets::of(&self.data),
            spool: Spool::of(&self.data),
            pace: berth_alarms::Pace::default(),
        })
    }

    /// Folder of what `berth alarms` keeps of its own.
    pub fn alarms_folder(&self) -> PathBuf {
        self.data.join("alarms")
    }

    /// Lock that a command of this name holds for as long as it runs, as a sign of life.
    pub fn alive(&self, name: &str) -> PathBuf {
        self.data.join("alive").join(name)
    }

    /// Folder of the past of servers and of the host.
    pub fn figures(&self) -> PathBuf {
        self.data.join("figures")
    }

    /// Folder of the reconciler's socket for metrics, beside ours: whoever answers scrapers has to get there, and nobody else here.
    pub fn metrics_folder(&self) -> PathBuf {
        let mut name = self.data.file_name().unwrap_or_default().to_owned();
        name.push("-metrics");
        self.data.with_file_name(name)
    }

    /// Folder of the account at the CA and of the wildcard certificate.
    pub fn acme_folder(&self) -> PathBuf {
        self.data.join("acme")
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Folder of members' views of the state repo.
    pub fn views(&self) -> PathBuf {
        self.data.join("views")
    }

    /// Folder for what is known of the forge.
    pub fn remote(&self) -> PathBuf {
        self.data.join("remote")
    }

    /// Log of a background process.
    pub fn log(&self) -> PathBuf {
        self.data.join("berth.log")
    }
}
