//! The engine, and what is known of the programs that everything hangs on.

use crate::checkup::diagnosis::{Diagnosis, Weight};
use crate::checkup::facts::{Engine, HostFacts};
use crate::checkup::version::version;

/// The oldest engine that Berth was tried with.
const OLDEST: [u32; 2] = [20, 10];
/// The first engine that refuses clients before API 1.44, and the first client that has it (release notes of Docker 29.0 and 25.0).
const STRICT_ENGINE: [u32; 1] = [29];
const STRICT_CLIENT: [u32; 1] = [25];

/// Caddy's release with the mends of February 2026: CVE-2026-27585 to CVE-2026-27590
/// (github.com/caddyserver/caddy/releases/tag/v2.11.1, and its security advisories).
const MENDED_CADDY: [u32; 3] = [2, 11, 1];

/// The folder in which a snap has its data, Docker's among them.
const SNAP: &str = "/var/snap";

const ABOUT: &str = "engine";

pub(super) fn engine(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    for program in &facts.missing {
        let what = format!("`{}` isn't installed: {}", program.name, program.without);
        let remedy = format!("install the package: `apt install {}`", program.package);
        all.push(Diagnosis::new(Weight::Wrong, "programs", what, remedy));
    }
    for conflict in &facts.conflicts {
        let remedy = "change the engine's configuration file, restart the engine and ask again";
        all.push(Diagnosis::new(Weight::Stops, ABOUT, conflict, remedy));
    }
    match &facts.engine {
        Engine::Absent => {
            let what = "Docker isn't installed: servers are its containers";
            let remedy = "install it: `apt install docker.io`, or Docker's own docker-ce";
            all.push(Diagnosis::new(Weight::Stops, ABOUT, what, remedy));
        }
        Engine::Silent(why) => {
            let what = format!("the engine doesn't answer: {why}");
            let remedy = match facts.is_root {
                true => "start it: `systemctl start docker`, or `scripts/engine.sh` where no systemd runs",
                // Whoever isn't root may not even ask.
                false => "ask as root: `sudo berth doctor`",
            };
            all.push(Diagnosis::new(Weight::Wrong, ABOUT, what, remedy));
        }
        Engine::Running { facts: engine, .. } if engine.root.starts_with(SNAP) => {
            let what =
                "Docker is a snap: it doesn't read /etc/docker/daemon.json, and can't call berth-runtime";
            let remedy = "remove it (`snap remove docker`; its containers and images go with it), and `apt install docker.io`";
            all.push(Diagnosis::new(Weight::Stops, ABOUT, what, remedy));
        }
        Engine::Running { facts: engine, lacks } => {
            let found = &engine.version;
            if version::<2>(found).is_some_and(|found| found < OLDEST) {
                let what = format!("Docker {found} is older than any that Berth was tried with");
                all.push(Diagnosis::new(Weight::Stops, ABOUT, what, "install Docker 20.10 or newer"));
            }
            for lack in lacks {
                let remedy = "`berth engine setup --yes`, and restart the engine; `make up` does both (docs/operations.md)";
                all.push(Diagnosis::new(Weight::Wrong, ABOUT, lack, remedy));
            }
            let is_refused = |client: &String| {
                version(client).is_some_and(|client: [u32; 1]| client < STRICT_CLIENT)
                    && version(found).is_some_and(|found: [u32; 1]| found >= STRICT_ENGINE)
            };
            if let Some(client) = facts.client.as_ref().filter(|client| is_refused(client)) {
                let what = format!(
                    "the `docker` command is {client}, and Docker {found} takes none before 25 (API 1.44): scripts and people \
                     can't reach the engine by it"
                );
                let remedy = "install the command of the engine's version (`docker-cli` or `docker-ce-cli`)";
                all.push(Diagnosis::new(Weight::Wrong, ABOUT, what, remedy));
            }
            // Without it a limit of memory bounds what isn't swapped out, and nothing bounds the rest.
            if facts.swap > 0 && !engine.limits_swap {
                let what = "the kernel doesn't count swap by container: a server can fill the host's swap";
                let remedy = "turn swap off, or boot with `swapaccount=1` on the kernel's command line";
                all.push(Diagnosis::new(Weight::Wrong, ABOUT, what, remedy));
            }
        }
    }
}

/// Known holes, by versions alone: a distribution may have mended an old version.
pub(super) fn holes(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    let ask = "ask your distribution's security tracker whether its package has the mends";
    if let Engine::Running { facts: engine, .. } = &facts.engine {
        match engine.has_old_runc() {
            // github.com/opencontainers/runc/releases: v1.2.8, v1.3.3, v1.4.0-rc.3 (5 November 2025).
            Some(true) => {
                let what = format!(
                    "runc {} is older than the mends for CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 (1.2.8, 1.3.3), by which a \
                     container can get out; a server's user namespace bounds what comes of it (docs/isolation.md)",
                    engine.runc
                );
                let remedy = format!("{ask}, and install a newer one if not");
                all.push(Diagnosis::new(Weight::Advice, "holes", what, remedy));
            }
            None => {
                let what = "the engine doesn't say which runc it has, so its holes aren't known";
                all.push(Diagnosis::new(Weight::Advice, "holes", what, "look: `runc --version`"));
            }
            Some(false) => {}
        }
    }
    let is_old = |caddy: &String| version(caddy).is_some_and(|found: [u32; 3]| found < MENDED_CADDY);
    if let Some(caddy) = facts.caddy.as_ref().filter(|caddy| is_old(caddy)) {
        let what = format!(
            "the web server's Caddy is {caddy}, and 2.11.1 mended holes (CVE-2026-27585 to -27590); those in FastCGI and client \
             certificates aren't in what Berth configures"
        );
        let remedy = format!("{ask}; build the image anew when it has (`berth image build`)");
        all.push(Diagnosis::new(Weight::Advice, "holes", what, remedy));
    }
}
