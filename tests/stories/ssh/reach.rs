//! Addresses of the platform and of the machine that nobody reaches from a session, though something listens there.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use berth_tests::process::within;
use berth_tests::{Docker, Ran, eventually, image, run};

use super::scene::{MACHINE, PATIENCE, Scene, Session};

/// Port of the listener.
const LISTENING: &str = "7000";
/// Arguments of `busybox` that make it the listener; its answer follows.
const LISTEN: [&str; 7] = ["nc", "-ll", "-p", LISTENING, "-e", "/bin/busybox", "echo"];
/// Answer of the listener.
const REACHED: &str = "reached";

/// A process that ends with the story.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A container that listens, in one of the platform's networks.
struct Listener<'a> {
    docker: &'a Docker,
    name: String,
    address: String,
}

impl<'a> Listener<'a> {
    fn start(scene: &'a Scene<'_>, network: &str) -> Self {
        let (docker, prefix) = (scene.platform.docker(), &scene.platform.prefix);
        let network = format!("{prefix}-{network}");
        let name = format!("{network}-listener");
        let mut listener = Self { docker, name, address: String::new() };
        let run = ["run", "--detach", "--name", &listener.name, "--network", &network];
        let program = ["--entrypoint", "/bin/busybox", image::TINY];
        docker.run(&[&run[..], &program, &LISTEN, &[REACHED]].concat());
        let networks = &docker.inspect(&listener.name)["NetworkSettings"]["Networks"];
        listener.address = networks[&network]["IPAddress"].as_str().expect("an address").to_owned();
        listener
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.docker.attempt(&["rm", "--force", &self.name]);
    }
}

pub(super) fn refused_from_a_session(scene: &Scene<'_>) {
    let controls = ["external"];
    let controls = controls.map(|network| Listener::start(scene, network));
    let mut listener = scene.lab.host().command();
    listener.arg("busybox").args(LISTEN).arg(REACHED).stdin(Stdio::null()).stdout(Stdio::null());
    let _listener = Ended(listener.spawn().expect("busybox"));

    let settings = scene.platform.state.read("platform.toml");
    let own_in = |network: &str| {
        let subnet = settings.lines().find_map(|line| line.strip_prefix(network)?.strip_prefix(" = \""));
        format!("{}1", subnet.expect(network).split_once("0/24").expect("a /24").0)
    };
    let machines = [own_in("external")];
    let addresses: Vec<&str> = [MACHINE]
        .into_iter()
        .chain(machines.iter().map(String::as_str))
        .chain(controls.iter().map(|listener| listener.address.as_str()))
        .collect();

    // The machine's own address says nothing, and the server's kernel shall believe that in seconds, not in two minutes.
    let server = scene.platform.server(2).pid;
    let impatient = "echo 1 > /proc/sys/net/ipv4/tcp_syn_retries";
    run(
        Command::new("nsenter").arg(format!("--net=/proc/{server}/ns/net")).args(["sh", "-c", impatient]),
        PATIENCE,
    )
    .good();

    // One connection by itself.
    for address in &addresses {
        let to = format!("busybox nc -w 5 {address} {LISTENING} </dev/null");
        let heard = || scene.lab.host().shell(&to).stdout.contains(REACHED).then_some(());
        eventually(&format!("something listens at {address}"), heard);
        let ran = run(scene.ssh("eve", "wiki").args(["-W", &format!("{address}:{LISTENING}")]), PATIENCE);
        let ran = ran.coded(255).says("open failed");
        assert!(!ran.words().contains(REACHED), "{address}: {ran}");
    }
    scene.logged(&["session ended", "user=eve", " unopened=1 "], addresses.len());

    // Forwarded ports, in a session that goes on.
    let ports = free_ports(scene, addresses.len() + 2);
    let (socks, ports) = ports.split_first().expect("ports");
    let sshd = "127.0.0.1:22".to_owned();
    let all = addresses.iter().map(|address| format!("{address}:{LISTENING}"));
    let all: Vec<String> = [sshd].into_iter().chain(all).collect();
    let mut options = vec!["-D".to_owned(), format!("127.0.0.1:{socks}")];
    for (port, to) in ports.iter().zip(&all) {
        options.extend(["-L".to_owned(), format!("127.0.0.1:{port}:{to}")]);
    }
    let mut eve = Session::with(scene, "eve", "wiki", &options);
    for (port, to) in ports.iter().zip(&all) {
        let own = format!("127.0.0.1:{port}");
        let by_port = || visit(scene, &["--noproxy", "*"], &own);
        let by_socks =
            || visit(scene, &["--noproxy", "", "--proxy", &format!("socks5://127.0.0.1:{socks}")], to);
        if *port == ports[0] {
            // What is the server's own is reached both ways.
            for look in [&by_port as &dyn Fn() -> Ran, &by_socks] {
                within(PATIENCE, "its sshd answers", || look().stdout.starts_with("SSH-2.0").then_some(()));
            }
            continue;
        }
        for ran in [by_port(), by_socks()] {
            assert!(!ran.is_good() && !ran.words().contains(REACHED), "{to}: {ran}");
        }
    }
    assert!(eve.answers());
    drop(eve);
    scene.logged(&["session ended", "user=eve", &format!(" unopened={} ", 2 * addresses.len())], 1);
}

/// Whatever somebody outside gets from a port that they forward.
fn visit(scene: &Scene<'_>, options: &[&str], address: &str) -> Ran {
    let mut command = scene.lab.internet().namespace().command();
    command.args(["curl", "--silent", "--show-error", "--http0.9", "--max-time", "60"]).args(options);
    run(command.arg(format!("http://{address}/")), PATIENCE)
}

/// Ports that nobody has out there.
fn free_ports(scene: &Scene<'_>, count: usize) -> Vec<u16> {
    scene.lab.internet().namespace().enter(|| {
        let listen = || TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let listeners: Vec<TcpListener> = std::iter::repeat_with(listen).take(count).collect();
        listeners.iter().map(|listener| listener.local_addr().expect("a port").port()).collect()
    })
}
