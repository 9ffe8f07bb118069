//! Keeps the panel running for as long as `main` has `[panel]`. Its failures are its own: the reconciler goes on.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_plan::system;
use berth_repo::StateRepo;
use berth_schema::certificate::Certificates;
use berth_schema::country::Country;
use berth_schema::name::Prefix;
use berth_schema::panel::{Panel, PanelEdge};
use berth_schema::platform::Acme;
use berth_tasks::Pulse;
use berth_wire::acme::ACCOUNT_KEY;
use berth_wire::certificate::Proof;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Unasked};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// The panel's program.
const PROGRAM: &str = "berth-web";
/// Time for it to end: its child's, and a little.
const PANEL_GRACE: Duration = Duration::from_secs(GRACE.as_secs() + 10);

/// Runs until `stop`, and ends what it started.
pub(in crate::command) async fn keep(
    own: PathBuf,
    settings: Settings,
    stop: CancellationToken,
    pulse: &Pulse,
) {
    // A plain folder has no door, and so nobody whom the panel could ask.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let mut missed = false;
    let kept = |wanted: &Wanted| {
        let Some(program) = program(&own) else {
            if !std::mem::replace(&mut missed, true) {
                tracing::error!(
                    "there is no panel: the program {PROGRAM} is neither beside `berth` nor on the PATH"
                );
            }
            return None;
        };
        Some(Kept {
            what: "the panel",
            program,
            arguments: wanted.arguments(&settings),
            socket: None,
            grace: PANEL_GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    follow(&repo, read, kept, &stop, pulse).await;
}

/// Settings of the panel in `platform.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    panel: Panel,
    prefix: Prefix,
    networks: Vec<IpNet>,
    countries: Vec<Country>,
    /// Port at which the world reaches it.
    public_port: u16,
    edge: PanelEdge,
    /// Ports of the edge, the one that the world knows first.
    edge_ports: Vec<u16>,
    /// The CA that gives it a certificate, and the proof of its name; `None` where none does.
    acme: Option<(Acme, Proof)>,
}

/// Reads what `main` says of the panel, and nothing else of it. `None` where that can't be read.
fn read(repo: &StateRepo) -> Option<Option<Wanted>> {
    let platform = source::platform(repo)?;
    let wanted = |panel: &Panel| Wanted {
        panel: panel.clone(),
        prefix: platform.prefix.clone(),
        networks: platform.access.panel.clone(),
        countries: platform.access.panel_countries.clone(),
        public_port: platform.public_panel_port().unwrap_or(panel.port.get()),
        edge: platform.panel_edge(),
        edge_ports: vec![platform.public_https_port(), platform.web.https_port.get()],
        acme: Proof::of(&platform).map(|proof| (platform.acme.clone(), proof)),
    };
    Some(platform.panel.as_ref().map(wanted))
}

impl Wanted {
    fn arguments(&self, settings: &Settings) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "--with-parent".into(),
            "--listen".into(),
            SocketAddr::new(
                self.panel.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()),
                self.panel.port.get(),
            )
            .to_string()
            .into(),
            "--domain".into(),
            self.panel.domain.as_str().into(),
            "--sockets".into(),
            settings.panel(&self.prefix).into(),
            "--tickets".into(),
            system::tickets(&self.prefix).into(),
            "--data".into(),
            settings.panel_data().into(),
        ];
        if self.public_port != self.panel.port.get() {
            arguments.extend(["--public-port".into(), self.public_port.to_string().into()]);
        }
        if self.edge != PanelEdge::None {
            // With a redirect, questions of an ACME CA still come this way.
            arguments.extend(["--edge".into(), system::edge(&self.prefix).into()]);
        }
        if self.edge == PanelEdge::Proxy {
            let mut ports = self.edge_ports.clone();
            ports.dedup();
            for port in ports {
                arguments.extend(["--edge-port".into(), port.to_string().into()]);
            }
        }
        for network in &self.networks {
            arguments.extend(["--allow".into(), network.to_string().into()]);
        }
        for country in &self.countries {
            arguments.extend(["--allow-country".into(), country.as_str().into()]);
        }
        if let Some((Acme { email, directory, ca, .. }, proof)) = &self.acme {
            let ca = ca.as_ref().map(Certificates::as_str);
            arguments.extend(["--acme-directory".into(), directory.into()]);
            arguments.extend(["--acme-proof".into(), proof.name().to_ascii_lowercase().into()]);
            for (name, value) in [("--acme-email", email.as_deref()), ("--acme-ca", ca)] {
                arguments.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
            }
        }
        if let Some((Acme { eab: Some(_), .. }, _)) = &self.acme {
            let key = settings.panel(&self.prefix).join(ACCOUNT_KEY);
            arguments.extend(["--acme-account".into(), key.into()]);
        }
        if let Some(templates) = &settings.templates {
            arguments.extend(["--templates".into(), templates.into()]);
        }
        arguments
    }
}

/// The panel's program: beside ours, or on the PATH.
fn program(own: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(PROGRAM));
    [own.with_file_name(PROGRAM)].into_iter().chain(on_path).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use berth_testing::{git, put, until};
    use tempfile::TempDir;

    use super::*;

    /// Stands in for the panel: notes how it was called, and that it was asked to end.
    const PANEL: &str = "#!/bin/sh
cd \"$(dirname \"$0\")\"
sleep 600 &
trap 'kill $!; echo ended >> log; exit 0' TERM
echo \"$@\" >> log
wait
";

    struct Host(TempDir);

    impl Host {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join("state")).unwrap();
            let host = Self(home);
            git(&host.at("state")).args(["init", "-q", "-b", "main"]).status().unwrap();
            host
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn install(&self) {
            put(self.0.path(), "script", PANEL);
            // By a program of its own: a child that another test starts meanwhile would hold ours open for writing.
            let installed = Command::new("install").arg(self.at("script")).arg(self.at(PROGRAM)).status();
            assert!(installed.unwrap().success());
        }

        /// Commits a `platform.toml`.
        fn commit(&self, panel: &str) {
            let state = self.at("state");
            put(&state, "platform.toml", format!("domain = \"hosting.example.org\"\n{panel}"));
            for arguments in [&["add", "."][..], &["commit", "-q", "-m", "platform"]] {
                assert!(git(&state).args(arguments).status().unwrap().success());
            }
        }

        fn log(&self) -> Vec<String> {
            fs::read_to_string(self.at("log")).unwrap_or_default().lines().map(str::to_owned).collect()
        }

        fn settings(&self) -> Settings {
            Settings {
                state: self.at("state"),
                data: self.at("data"),
                docker: String::new(),
                panel_folder: None,
                templates: None,
                resolver: None,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_panel_follows_what_main_says_of_it() {
        let host = Host::new();
        host.install();
        host.commit("[panel]\ndomain = \"panel.example.org\"\n[access]\npanel = [\"10.0.0.0/8\"]\npanel_countries = [\"LT\", \"LV\"]\n");
        let stop = CancellationToken::new();
        let pulse = Pulse::default();
        let kept = keep(host.at("berth"), host.settings(), stop.clone(), &pulse);
        let admin = tokio::task::spawn_blocking(move || {
            // Whatever becomes of this, the other half ends.
            let _end = stop.drop_guard();
            changes(&host);
            host
        });
        let ((), host) = tokio::join!(kept, admin);
        assert_eq!(host.unwrap().log().iter().filter(|line| *line == "ended").count(), 3);
    }

    /// A commit of an admin, and what comes of it.
    fn changes(host: &Host) {
        until("the panel is started", || !host.log().is_empty());
        let data = host.at("data-panel");
        let called = |port: u16, more: &str| {
            format!(
                "--with-parent --listen [::]:{port} --domain panel.example.org --sockets /run/berth/panel/hosting \
                 --tickets /run/berth/tickets/hosting --data {}{more}",
                data.display()
            )
        };
        let edge = " --edge /run/berth/edge/hosting";
        let acme = " --acme-directory https://acme-v02.api.letsencrypt.org/directory --acme-proof";
        assert_eq!(
            host.log(),
            [called(
                8443,
                &format!(
                    "{edge} --edge-port 443 --allow 10.0.0.0/8 --allow-country LT --allow-country LV{acme} http-01"
                )
            )]
        );
        // A mistake changes nothing, and what comes after it does.
        host.commit("[panel]\n");
        host.commit(
            "[panel]\ndomain = \"panel.example.org\"\nport = 9443\nedge = \"redirect\"\n[public]\npanel_port = 443\n",
        );
        until("it is started with the new port", || host.log().len() == 3);
        // A CA comes to 443, which is the panel's own now.
        let more = format!(" --public-port 443{edge}{acme} tls-alpn-01");
        assert_eq!(host.log()[1..], ["ended".to_owned(), called(9443, &more)]);
        host.commit("");
        until("it ends with its table", || host.log().len() == 4);
        host.commit("[panel]\ndomain = \"panel.example.org\"\ntls = \"internal\"\n");
        until("it is back", || host.log().len() == 5);
        assert_eq!(host.log()[4], called(8443, &format!("{edge} --edge-port 443")));
    }

    #[test]
    fn the_program_beside_ours_comes_first() {
        let host = Host::new();
        host.install();
        assert_eq!(program(&host.at("berth")), Some(host.at(PROGRAM)));
    }
}
