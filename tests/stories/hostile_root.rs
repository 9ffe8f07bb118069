//! Root in a server tries everything against the host and the neighbours (`berth_tests::hostile`), and is refused, on
//! both versions of cgroups, and with ids of its own. What it takes for itself nobody else lacks.

pub(crate) mod hog;

use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_tests::engine::{Data, OWN_RANGES};
use berth_tests::hostile::{ATTEMPTS, Attempt};
use berth_tests::process::{is_alive, run, within};
use berth_tests::{Cgroup, Docker, Engine, Mapping, Platform, Skipped, World, image};
use serde_json::{Value, json};

crate::stories! { is_refused_on_cgroup_v1, is_refused_on_cgroup_v2, is_refused_with_ids_of_its_own }

const BOOT: Duration = Duration::from_secs(180);
const ATTACKER: u32 = 1;
const NEIGHBOUR: u32 = 2;

fn is_refused_on_cgroup_v1(world: &World) -> Result<(), Skipped> {
    if version(world.engine()) != "1" {
        return Err(Skipped("this machine has no cgroup v1".to_owned()));
    }
    let platform = real_servers(world.engine_with_servers(), "running");
    platform.apply();
    everything_is_refused(platform.docker(), &platform.name(ATTACKER), &platform.name(NEIGHBOUR), hog::OF_THE_MAKER);
    Ok(())
}

fn is_refused_with_ids_of_its_own(world: &World) {
    let platform = real_servers(world.engine_with_servers(), "stopped");
    platform.apply();
    let servers = [ATTACKER, NEIGHBOUR].map(|id| platform.name(id));
    for name in &servers {
        platform.docker().make_again(name, |body| body["HostConfig"]["Runtime"] = json!(OWN_RANGES));
    }
    let roots = servers.each_ref().map(|name| root_of(platform.docker(), name));
    assert!(roots.iter().all(|root| *root >= 0x7000_0000) && roots[0] != roots[1], "{roots:?}");
    let kinds = [hog::OF_THE_MAKER, hog::OF_THE_USER].concat();
    everything_is_refused(platform.docker(), &servers[0], &servers[1], &kinds);
}

/// The host's id of a server's root.
fn root_of(docker: &Docker, server: &str) -> u32 {
    let pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", server]);
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("a mapping");
    map.split_ascii_whitespace().nth(1).and_then(|id| id.parse().ok()).expect("an id")
}

fn is_refused_on_cgroup_v2(world: &World) {
    if version(world.engine()) == "2" {
        let platform = real_servers(world.engine_with_servers(), "running");
        platform.apply();
        let (attacker, neighbour) = (platform.name(ATTACKER), platform.name(NEIGHBOUR));
        everything_is_refused(platform.docker(), &attacker, &neighbour, hog::OF_THE_MAKER);
        return;
    }
    // On a machine with v1, a v2 tree has no controllers to set limits with, and the engine then refuses to make what
    // asks for limits. So the servers are made exactly as Berth made them on the other engine, but for their limits.
    let made = real_servers(world.engine_with_servers(), "stopped");
    made.apply();
    let engine = Engine::start("unified", Mapping::Remapped, Cgroup::Unified, Data::KeepImages);
    world.bring_server(&engine);
    assert_eq!(version(&engine), "2");
    for id in [ATTACKER, NEIGHBOUR] {
        let name = made.name(id);
        engine.docker().post(&format!("/containers/create?name={name}"), &without_limits(&made.docker().inspect(&name)));
        engine.docker().run(&["start", &name]);
    }
    everything_is_refused(engine.docker(), &made.name(ATTACKER), &made.name(NEIGHBOUR), hog::OF_THE_MAKER);
}

/// Two servers of the real image.
fn real_servers(engine: &Engine, power: &str) -> Platform {
    Platform::new(engine, |state| {
        let settings = state.read("platform.toml");
        let settings = settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
        state.write("platform.toml", &settings);
        let more = format!("state = \"{power}\"\nmemory = \"768 MiB\"\npids = 1024\ncpus = 1\n");
        state.server("attacker", ATTACKER, &more).server("neighbour", NEIGHBOUR, &more);
    })
}

/// Request that makes the same container again, limits aside.
fn without_limits(inspected: &Value) -> Value {
    let mut body = inspected["Config"].clone();
    body["HostConfig"] = inspected["HostConfig"].clone();
    for limit in ["NanoCpus", "Memory", "MemorySwap", "MemoryReservation"] {
        body["HostConfig"][limit] = json!(0);
    }
    body["HostConfig"]["PidsLimit"] = Value::Null;
    body
}

fn everything_is_refused(docker: &Docker, attacker: &str, neighbour: &str, kinds: &[&str]) {
    for server in [attacker, neighbour] {
        within(BOOT, &format!("{server} has started"), || {
            let state = docker.attempt(&["exec", server, "systemctl", "is-system-running"]).stdout;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
    }
    // The nested containers of some attempts are made of it.
    within(BOOT, "the server's own image is there", || {
        docker.attempt(&["exec", attacker, "docker", "image", "inspect", "berth/endpoint:local"]).is_good().then_some(())
    });
    let bystander = Bystander::start();
    let volume = docker.run(&["volume", "inspect", "--format", "{{.Mountpoint}}", &format!("{neighbour}-apps")]);
    let secret = format!("{volume}/secret");
    std::fs::write(&secret, "the neighbour's secret").expect("a secret");
    let device = std::fs::metadata(&secret).expect("the secret").dev();
    let disk = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let facts = [("HOST_PID", bystander.pid().to_string()), ("HOST_DISK", disk), ("VICTIM_SECRET", secret.clone())];

    hog::takes_only_its_own(docker, attacker, neighbour, kinds);
    let breaches: Vec<String> =
        ATTEMPTS.iter().filter_map(|attempt| breach(docker, attacker, attempt, &facts)).collect();
    assert!(breaches.is_empty(), "{} of {} attempts:\n{}", breaches.len(), ATTEMPTS.len(), breaches.join("\n"));
    assert!(is_alive(bystander.pid()), "the host's process lives");
    assert_eq!(std::fs::read_to_string(&secret).expect("the secret"), "the neighbour's secret");
    assert!(docker.container(neighbour).runs());
}

/// Describes what an attempt achieved; `None` when it was refused and left no trace on the host.
fn breach(docker: &Docker, attacker: &str, attempt: &Attempt, facts: &[(&str, String)]) -> Option<String> {
    let host = || {
        let mut command = Command::new("sh");
        command.args(["-c", attempt.host]).envs(facts.iter().map(|(name, value)| (name, value)));
        run(&mut command, Duration::from_secs(20)).words()
    };
    let before = host();
    let facts: Vec<String> = facts.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]).collect();
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    let ran = docker.attempt(&[&["exec"], &facts[..], &[attacker, "sh", "-c", attempt.command]].concat());
    let after = host();
    let words = ran.words();
    let said_no = attempt.refusals.iter().any(|refusal| words.contains(refusal));
    match (ran.is_good(), said_no, before == after) {
        (false, true, true) => None,
        (true, ..) => Some(format!("- {}: worked\n{words}", attempt.name)),
        (_, _, false) => Some(format!("- {}: the host was `{before}` and is `{after}`", attempt.name)),
        (_, false, _) => Some(format!("- {}: failed, but for no reason that is a refusal\n{words}", attempt.name)),
    }
}

/// The cgroup version that an engine sees.
fn version(engine: &Engine) -> String {
    engine.docker().run(&["info", "--format", "{{.CgroupVersion}}"])
}

/// A process of the host that has nothing to do with any server.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("3600").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
