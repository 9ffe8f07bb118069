//! The hook, with real namespaces where root runs the tests.

use super::*;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process in a network namespace of its own. It ends with its value.
struct Container(Child);

impl Container {
    /// `None` where no namespace can be made; a test that is skipped says so.
    fn start() -> Option<Self> {
        let may = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            berth_testing::skipped("making a network namespace needs root and `unshare`");
            return None;
        }
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().expect("unshare");
        let container = Self(child);
        let comm = format!("/proc/{}/comm", container.pid());
        berth_testing::until("the namespace is there", || {
            fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep")
        });
        Some(container)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn has(&self, interface: &str) -> bool {
        let path = format!("/proc/{}/net/dev", self.pid());
        fs::read_to_string(path).expect("interfaces").contains(&format!("{interface}:"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const HOLDER: &[&str] = &["BERTH_PLANE=test", "BERTH_PLANE_ROLE=holder", "BERTH_GATEWAY=10.77.0.1"];
const SERVER: &[&str] = &[
    "BERTH_PLANE=test",
    "BERTH_PLANE_ROLE=server",
    "BERTH_PLANE_PORT=s1",
    "BERTH_ADDRESS=10.77.0.16",
    "BERTH_GATEWAY=10.77.0.1",
];

/// Runs the hook for a container, and returns its exit code and what is in the runtime's log.
fn hook(folder: &Path, pid: u32, environment: &[&str]) -> (ExitCode, String) {
    let config = serde_json::json!({"process": {"env": environment}});
    fs::write(folder.join("config.json"), config.to_string()).expect("config.json");
    let state = serde_json::json!({"ociVersion": "1.0.2", "id": "abc", "status": "creating", "pid": pid,
        "bundle": folder});
    run(folder, &state.to_string())
}

fn run(folder: &Path, state: &str) -> (ExitCode, String) {
    let log = folder.join("log.json");
    let _ = fs::remove_file(&log);
    let arguments = ["--log".into(), log.clone().into(), "--log-format=json".into(), "link".into()];
    let folders = Folders { registrations: folder.join("planes"), host_rules: folder.join("host") };
    let code =
        link(&Invocation::parse("berth-runtime".as_ref(), arguments.to_vec()), state.as_bytes(), &folders);
    (code, fs::read_to_string(log).unwrap_or_default())
}

#[test]
fn a_holder_becomes_the_plane_and_a_server_is_linked_to_it() {
    let Some(holder) = Container::start() else { return };
    let Some(server) = Container::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(hook(folder.path(), holder.pid(), HOLDER), (ExitCode::SUCCESS, String::new()));
    assert_eq!(hook(folder.path(), server.pid(), SERVER), (ExitCode::SUCCESS, String::new()));
    assert!(holder.has("s1") && server.has("eth0"));
}

#[test]
fn a_server_without_a_plane_starts_closed() {
    let Some(server) = Container::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (code, log) = hook(folder.path(), server.pid(), SERVER);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(log.contains("\"warning\"") && log.contains("test is not there"), "{log}");
    assert!(!server.has("eth0"));
}

#[test]
fn a_server_that_can_t_be_linked_starts_closed() {
    let Some(holder) = Container::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    hook(folder.path(), holder.pid(), HOLDER);
    // Its namespace is the host's.
    let (code, log) = hook(folder.path(), std::process::id(), SERVER);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(log.contains("\"warning\"") && log.contains("the host's own"), "{log}");
    assert!(!holder.has("s1"));
}

#[test]
fn a_lock_that_is_never_given_back_leaves_a_server_closed() {
    let Some(holder) = Container::start() else { return };
    let Some(server) = Container::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    hook(folder.path(), holder.pid(), HOLDER);
    let held = fs::File::open(folder.path().join("planes/test.lock")).expect("the lock");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).expect("held");
    let (code, log) = hook(folder.path(), server.pid(), SERVER);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(log.contains("another process has held it"), "{log}");
    assert!(!server.has("eth0"));
    // A holder is not for starting without its registration.
    assert_eq!(hook(folder.path(), holder.pid(), HOLDER).0, ExitCode::FAILURE);
}

#[test]
fn a_holder_that_can_t_be_prepared_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, log) = hook(folder.path(), std::process::id(), HOLDER);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(log.contains("\"error\"") && log.contains("the host's own"), "{log}");
    assert!(!folder.path().join("planes/test").exists());
}

#[test]
fn a_holder_gets_most_of_the_time_that_runc_gives() {
    let task = |environment: &[&str]| {
        let member = Member::from_environment(environment.iter().copied()).expect("an environment");
        Task { pid: 1, member: member.expect("a member") }.patience()
    };
    let all = Duration::from_secs(crate::bundle::HOOK_SECONDS.into());
    assert!(task(SERVER) < all / 3, "a server's start isn't held up");
    // Enough is left to say why it failed.
    assert!(task(HOLDER) > all * 4 / 5 && task(HOLDER) + Duration::from_secs(3) < all);
}

#[test]
fn what_the_hook_does_not_understand_stops_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(folder.path(), "").0, ExitCode::FAILURE);
    assert_eq!(run(folder.path(), "{\"pid\": 1}").0, ExitCode::FAILURE);
    let (code, log) = hook(folder.path(), 1, &["BERTH_PLANE=test"]);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(log.contains("BERTH_GATEWAY is not set"), "{log}");
    assert_eq!(hook(folder.path(), 1, &["PATH=/bin"]).0, ExitCode::SUCCESS);
}

/// The host of this test is a namespace of its own, so the hook is run as runc does: as a process.
#[test]
fn a_holder_starts_once_the_host_s_rules_are_in_force_and_not_without() {
    let (Some(host), Some(holder)) = (Container::start(), Container::start()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let within = berth_link::Namespace::of_process(host.pid()).expect("a namespace");
    let shell = |script: &str| {
        let net = format!("--net=/proc/{}/ns/net", host.pid());
        let output = Command::new("nsenter").args([&net, "sh", "-euc", script]).output().expect("nsenter");
        String::from_utf8(output.stdout).expect("text")
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lead = |from: &str| berth_link::Lead { from: words(from), rule: words("-i br-test -j berth-test") };
    let mut kept = berth_link::KeptRules {
        leads: vec![lead("INPUT"), lead("DOCKER-USER FORWARD")],
        rules: "*filter\n:berth-test - [0:0]\n-A berth-test -j DROP\nCOMMIT\n".to_owned(),
    };
    kept.write(&folder.path().join("host"), "test").expect("keep them");
    let run = || within.run(|| hook(folder.path(), holder.pid(), HOLDER)).expect("enter it");

    shell("iptables -A INPUT -p tcp --dport 22 -j ACCEPT");
    // Twice: nothing is led in twice.
    for _ in 0..2 {
        let (code, log) = run();
        assert_eq!((code, log.as_str()), (ExitCode::SUCCESS, ""));
        assert_eq!(
            shell("iptables -S | grep -v ^-P"),
            "-N berth-test\n-A INPUT -i br-test -j berth-test\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
             -A FORWARD -i br-test -j berth-test\n-A berth-test -j DROP\n"
        );
    }
    // A plane that is there already must not be what makes it succeed.
    kept.rules = kept.rules.replace("DROP", "NOWHERE");
    kept.write(&folder.path().join("host"), "test").expect("keep them");
    let (code, log) = run();
    assert_eq!(code, ExitCode::FAILURE);
    assert!(log.contains("cannot put the host's rules in force"), "{log}");
    fs::write(folder.path().join("host/test.json"), "half").expect("a file");
    let (code, log) = run();
    assert_eq!(code, ExitCode::FAILURE);
    assert!(log.contains("berth apply"), "{log}");
}
