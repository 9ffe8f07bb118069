//! Canaries: the attacker and its neighbour, confined, linked and filtered as servers are, and somebody on the control
//! networks. Nobody minds their being attacked.

use std::time::Duration;

use berth_engine::{Canaries, Canary, Held, Program, Ran};
use berth_host::loaded_profiles;
use berth_plan::apparmor;
use berth_plan::names::{self, variable};
use berth_plan::spec::{Confinement, ContainerSpec, Published};
use berth_plan::{Desired, plane};
use berth_schema::server::Limits;

use crate::error::DoctorError;
use crate::member::Member;

/// The first process of a canary: the init of a server, without the services that members use. Root would stop those:
/// witnesses listen on their ports, and the inner engine's bridge would swallow packets for the host's.
const BOOTS: [&str; 2] = ["/sbin/init", "--unit=basic.target"];
/// Time to boot, on a machine that has other things to do.
const BOOT_DEADLINE: Duration = Duration::from_secs(90);
/// Script that ends when it has booted. It waits in the canary, so that the engine has one call to answer.
const BOOTED: &str = "until systemctl --quiet is-active basic.target; do sleep 0.1; done";
/// The command of a canary that only has to exist.
const WAITS: [&str; 3] = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"];
/// Port of a panel in its container, and further ports that it may have.
pub(crate) const PANEL: u16 = 3000;
pub(crate) const CONTROL_PORTS: [u16; 4] = [8000, 8080, 80, 443];
/// The canaries' program.
const HOSTILE: &str = include_str!("../../../templates/doctor/hostile.pl");
/// Time for one act: a flood of 40,000 frames takes seconds.
const ACT_DEADLINE: Duration = Duration::from_secs(60);

/// A canary whose root does as the doctor says.
#[derive(Debug)]
pub(crate) struct Root(pub(crate) Canary);

/// Makes a canary and starts it, linked by its runtime, and waits until it has booted.
pub(crate) async fn start(
    canaries: &Canaries,
    desired: &Desired,
    member: &Member,
) -> Result<Canary, DoctorError> {
    let loaded = loaded_profiles().map_err(|error| DoctorError::Kernel {
        path: "the AppArmor profiles".to_owned(),
        why: error.to_string(),
    })?;
    let spec = apparmor::confine(spec(desired, member), apparmor::SERVER, &loaded);
    let canary = canaries.launch(&spec, &BOOTS).await?;
    let boot = Program { command: &["sh", "-c", BOOTED], input: &[], deadline: BOOT_DEADLINE };
    canary.run(&boot).await?;
    Ok(canary)
}

/// Makes a panel's stand-in: at the uplink, with a port that the machine publishes as it does Caddy's.
pub(crate) async fn at_the_uplink(canaries: &Canaries, desired: &Desired) -> Result<Canary, DoctorError> {
    Ok(canaries.launch(&panel(desired), &WAITS).await?)
}

impl Root {
    /// Has it send or take something, and returns its account of it.
    pub(crate) async fn send(&self, arguments: &[&str], input: &[u8]) -> Result<String, DoctorError> {
        self.run(&[&["perl", "-e", HOSTILE, "--"], arguments].concat(), input).await
    }

    /// Has it take something and hold it.
    pub(crate) async fn hold(&self, arguments: &[&str]) -> Result<Held, DoctorError> {
        let command = [&["perl", "-e", HOSTILE, "--"], arguments].concat();
        Ok(self.0.hold(&Program { command: &command, input: &[], deadline: ACT_DEADLINE }).await?)
    }

    /// Has it let go of what it holds, and returns its whole account.
    pub(crate) async fn release(&self, held: Held) -> Result<String, DoctorError> {
        said(held.release(ACT_DEADLINE).await?)
    }

    /// Runs a script, and returns its output.
    pub(crate) async fn shell(&self, script: &str) -> Result<String, DoctorError> {
        self.run(&["sh", "-c", script], &[]).await
    }

    /// Runs a program that must end well: an attack that failed by itself was none.
    async fn run(&self, command: &[&str], input: &[u8]) -> Result<String, DoctorError> {
        said(self.0.run(&Program { command, input, deadline: ACT_DEADLINE }).await?)
    }
}

/// Returns the words of a program that ended well.
fn said(ran: Ran) -> Result<String, DoctorError> {
    match ran.code {
        0 => Ok(ran.said),
        code => Err(DoctorError::Program { code, said: ran.said.replace('\n', ", ") }),
    }
}

/// A server's container, but for its name, its data and the size of it.
fn spec(desired: &Desired, member: &Member) -> ContainerSpec {
    let number = member.number;
    // By its id the runtime gives it an account, or a range of ids, as it does to a server.
    let mut env = vec!["container=docker".to_owned(), format!("{}={}", variable::SERVER_ID, member.id)];
    env.extend(plane::server_environment(&desired.platform, &member.link));
    ContainerSpec {
        name: format!("{}-users-canary-{number}", desired.prefix()),
        image: desired.platform.images.server.to_string(),
        hostname: format!("canary-{number}"),
        env,
        limits: Some(Limits { nano_cpus: 1_000_000_000, memory: 256 << 20, pids: 256 }),
        confinement: desired.confinement.clone(),
        ..ContainerSpec::default()
    }
}

/// The container of a panel's stand-in, which does nothing and may do nothing.
fn panel(desired: &Desired) -> ContainerSpec {
    ContainerSpec {
        name: format!("{}-users-canary-panel", desired.prefix()),
        image: desired.platform.images.server.to_string(),
        hostname: "canary-panel".to_owned(),
        networks: vec![names::network(desired.prefix(), names::EXTERNAL)],
        // Any port of the machine that is free.
        publishes: vec![Published { address: None, host: 0, container: PANEL }],
        limits: Some(Limits { nano_cpus: 100_000_000, memory: 64 << 20, pids: 16 }),
        confinement: Confinement {
            cap_drop: vec!["ALL".to_owned()],
            security_opt: vec!["no-new-privileges".to_owned()],
            sysctls: [("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into(),
            ..Confinement::default()
        },
        ..ContainerSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use berth_schema::{Parsed, State};

    use super::*;
    use crate::member::free_ids;

    #[test]
    fn a_canary_is_specified_as_a_server_is_but_for_its_name_and_its_data() {
        let files = [
            ("platform.toml", "domain = \"example.org\"\n"),
            ("users/ann.toml", "role = \"user\"\n"),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
        ];
        let state = State::assemble(&files.map(|(path, text)| Parsed::parse(path, text))).expect("a state");
        let desired = Desired::from_state(&state);
        let networks = &desired.platform.networks;
        let mut server = desired.server_spec(&desired.servers[0]);
        let [id, _] = free_ids(&desired);
        let mut canary = spec(&desired, &Member::at(networks, networks.canaries()[0], id));
        for spec in [&mut server, &mut canary] {
            // Whose it is and how big it is.
            (spec.name, spec.hostname) = (String::new(), String::new());
            spec.labels.clear();
            spec.mounts.clear();
            spec.limits = None;
            // Its link and its name are its own.
            let is_own = |variable: &String| {
                ["BERTH_ADDRESS=", "BERTH_PLANE_PORT=", "BERTH_SERVER_"]
                    .iter()
                    .any(|name| variable.starts_with(name))
            };
            spec.env.retain(|variable| !is_own(variable));
        }
        assert_eq!(canary, server);
    }
}
