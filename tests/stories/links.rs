//! The links of the user plane are made at each start, by the runtime's own hook: nothing else of Berth runs here. What
//! can't be linked starts closed; what holds the plane closes it with its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use berth_tests::process::Ran;
use berth_tests::{Docker, World, eventually, image};
use rustix::fs::{FlockOperation, flock};

crate::stories! {
    are_made_at_each_start,
    end_with_the_holder_and_come_back_with_it,
    of_the_platform_s_own_containers_leave_their_other_legs_alone,
    are_made_in_the_holder_s_user_namespace,
    are_not_waited_for_when_somebody_hangs,
    need_a_clear_environment,
    are_not_for_an_image_to_choose,
}

fn are_made_at_each_start(world: &World) {
    let plane = Plane::new(world);
    plane.start_holder();
    plane.start_server(1);
    plane.start_server(2);
    for server in [1, 2] {
        assert!(plane.reaches_gateway(server));
        let routes = plane.inside(server, "ip route").good().stdout;
        assert!(routes.contains("default via 10.77.0.1 dev eth0"), "{routes}");
    }
    // There is no wire between servers, and until a firewall has loaded its rules nothing is passed on.
    assert!(!plane.inside(1, "ping -c 1 -W 1 10.77.0.17").is_good());

    let (before, neighbour) = (plane.docker.container(&plane.server(1)), plane.docker.container(&plane.server(2)));
    plane.docker.run(&["restart", "--time", "1", &plane.server(1)]);
    assert_ne!(plane.docker.container(&plane.server(1)).pid, before.pid);
    assert!(plane.reaches_gateway(1));
    assert_eq!(plane.docker.container(&plane.server(2)), neighbour);
    assert!(plane.reaches_gateway(2));

    plane.docker.run(&["stop", "--time", "1", &plane.server(2)]);
    eventually("its port is gone", || (plane.ports() == ["s1"]).then_some(()));
}

fn end_with_the_holder_and_come_back_with_it(world: &World) {
    let plane = Plane::new(world);
    // Before there is a plane.
    plane.start_server(1);
    assert!(plane.is_closed(1));

    plane.start_holder();
    assert!(plane.is_closed(1), "the hook is at its start, which was before");
    plane.restart(1);
    assert!(plane.reaches_gateway(1));

    plane.docker.run(&["kill", &plane.holder()]);
    eventually("the server is closed", || plane.is_closed(1).then_some(()));
    assert!(plane.docker.container(&plane.server(1)).runs());
    plane.restart(1);
    assert!(plane.is_closed(1), "what the registration names has ended");

    plane.docker.run(&["start", &plane.holder()]);
    plane.restart(1);
    assert!(plane.reaches_gateway(1));
}

fn of_the_platform_s_own_containers_leave_their_other_legs_alone(world: &World) {
    let plane = Plane::new(world);
    plane.start_holder();
    let network = plane.named("external");
    plane.docker.run(&["network", "create", "--driver", "bridge", &network]);
    let caddy = plane.named("caddy");
    let environment =
        ["BERTH_PLANE_ROLE=service", "BERTH_PLANE_PORT=caddy", "BERTH_ADDRESS=10.77.0.2", "BERTH_SUBNET=10.77.0.0/24"];
    plane.start(&caddy, &["--network", &network, "--sysctl", "net.ipv4.ip_forward=0"], &environment);

    let routes = plane.docker.shell(&caddy, "/bin/busybox ip route").good().stdout;
    assert!(routes.lines().any(|line| line.starts_with("default via") && line.contains("dev eth0")), "{routes}");
    assert!(routes.contains("10.77.0.0/24 via 10.77.0.1 dev plane0"), "{routes}");
    plane.docker.shell(&caddy, "/bin/busybox ping -c 1 -W 2 10.77.0.1").good();
    assert_eq!(plane.ports(), ["caddy"]);
    // It is no server: its cgroup stays the host's.
    let own = "cd /sys/fs/cgroup; cd pids 2>/dev/null; /bin/busybox mkdir own";
    plane.docker.shell(&caddy, own).coded(1);
}

/// Tries what the firewall's container stands on: it joins the holder's namespace, with NET_ADMIN there and no other
/// right.
fn are_made_in_the_holder_s_user_namespace(world: &World) {
    let plane = Plane::new(world);
    plane.start_holder();
    plane.start_server(1);
    let firewall = plane.named("firewall");
    let joined = format!("container:{}", plane.holder());
    let options = ["--cap-drop=ALL", "--cap-add=NET_ADMIN", "--security-opt=systempaths=unconfined", "--network"];
    plane.docker.run(&[&["run", "--detach", "--name", &firewall], &options[..], &[&joined, image::TINY]].concat());

    let namespaces = |container: &str| {
        let pid = plane.docker.container(container).pid;
        ["net", "user"].map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace"))
    };
    assert_eq!(namespaces(&firewall), namespaces(&plane.holder()));
    let forward = "/proc/sys/net/ipv4/ip_forward";
    assert_eq!(plane.docker.shell(&firewall, &format!("/bin/busybox cat {forward}")).good().stdout.trim(), "0");
    plane.docker.shell(&firewall, &format!("echo 1 > {forward}")).good();
    // It sends from the plane, as DNS does.
    let connected = "/bin/busybox nc -w 2 10.77.0.16 9 2>&1";
    assert!(plane.docker.shell(&firewall, connected).words().contains("refused"));

    // The namespace lives on in whoever joined it, but it is nobody's plane any more.
    plane.docker.run(&["kill", &plane.holder()]);
    plane.restart(1);
    assert!(plane.is_closed(1));
}

fn are_not_waited_for_when_somebody_hangs(world: &World) {
    let plane = Plane::new(world);
    plane.start_holder();
    let lock = File::open(plane.registered(".lock")).expect("the plane's lock");
    flock(&lock, FlockOperation::LockExclusive).expect("held");
    plane.start_server(1);
    assert!(plane.is_closed(1));
    drop(lock);
    plane.restart(1);
    assert!(plane.reaches_gateway(1));
}

fn need_a_clear_environment(world: &World) {
    let plane = Plane::new(world);
    let name = plane.server(1);
    let environment = ["BERTH_PLANE_ROLE=server", "BERTH_PLANE_PORT=s1"];
    plane.attempt(&name, &["--network", "none"], &environment).coded(125).says("BERTH_ADDRESS is not set");
    assert!(!plane.docker.container(&name).runs());
}

fn are_not_for_an_image_to_choose(world: &World) {
    let plane = Plane::new(world);
    plane.start_holder();
    // An image that would be somebody else.
    let image = plane.named("image");
    let dressed = [
        "ENV BERTH_PLANE_ROLE=holder BERTH_PLANE=other BERTH_PLANE_PORT=s9 BERTH_ADDRESS=10.77.0.24",
        "CMD [\"/bin/busybox\", \"sleep\", \"3600\"]",
    ];
    plane.docker.run(&["create", "--name", &plane.named("source"), image::TINY]);
    let commit = ["commit", "--change", dressed[0], "--change", dressed[1], &plane.named("source"), &image];
    plane.docker.run(&commit);
    let environment = ["BERTH_PLANE_ROLE=server", "BERTH_PLANE_PORT=s1", "BERTH_ADDRESS=10.77.0.16"];
    plane.attempt_of(&image, &plane.server(1), &["--network", "none"], &environment).good();
    assert_eq!(plane.ports(), ["s1"]);
    assert!(plane.reaches_gateway(1));
}

/// A plane of a story's own, and its containers.
struct Plane<'a> {
    docker: &'a Docker,
    prefix: String,
}

impl<'a> Plane<'a> {
    fn new(world: &'a World) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { docker: world.engine().docker(), prefix: format!("links-{}-{number}", std::process::id()) }
    }

    fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn holder(&self) -> String {
        self.named("filtered-users")
    }

    fn server(&self, id: u32) -> String {
        self.named(&format!("users-dind-{id}"))
    }

    fn start_holder(&self) {
        self.start(&self.holder(), &["--network", "none"], &["BERTH_PLANE_ROLE=holder"]);
    }

    fn start_server(&self, id: u32) {
        let (port, address) = (format!("BERTH_PLANE_PORT=s{id}"), format!("BERTH_ADDRESS=10.77.0.{}", 15 + id));
        self.start(&self.server(id), &["--network", "none"], &["BERTH_PLANE_ROLE=server", &port, &address]);
    }

    fn restart(&self, id: u32) {
        self.docker.run(&["restart", "--time", "1", &self.server(id)]);
    }

    #[track_caller]
    fn start(&self, name: &str, options: &[&str], environment: &[&str]) {
        self.attempt(name, options, environment).good();
    }

    #[track_caller]
    fn attempt(&self, name: &str, options: &[&str], environment: &[&str]) -> Ran {
        self.attempt_of(image::TINY, name, options, environment)
    }

    #[track_caller]
    fn attempt_of(&self, image: &str, name: &str, options: &[&str], environment: &[&str]) -> Ran {
        let plane = format!("BERTH_PLANE={}", self.prefix);
        let mut arguments = vec!["run", "--detach", "--runtime", "berth", "--name", name];
        for line in [&[plane.as_str(), "BERTH_GATEWAY=10.77.0.1"], environment].concat() {
            arguments.extend(["--env", line]);
        }
        arguments.extend(options);
        arguments.push(image);
        self.docker.attempt(&arguments)
    }

    /// Runs a command of busybox in a server.
    #[track_caller]
    fn inside(&self, id: u32, command: &str) -> Ran {
        self.docker.shell(&self.server(id), &format!("/bin/busybox {command}"))
    }

    fn reaches_gateway(&self, id: u32) -> bool {
        self.inside(id, "ping -c 1 -W 2 10.77.0.1").is_good()
    }

    /// Returns whether a server has nothing but its loopback.
    fn is_closed(&self, id: u32) -> bool {
        self.inside(id, "ls /sys/class/net").good().stdout.trim() == "lo"
    }

    /// The file that says who holds the plane, or another of its name.
    fn registered(&self, suffix: &str) -> PathBuf {
        Path::new("/run/berth/planes").join(format!("{}{suffix}", self.prefix))
    }

    /// The ports of the plane.
    fn ports(&self) -> Vec<String> {
        let listed = self.docker.shell(&self.holder(), "/bin/busybox ls /sys/class/net").good().stdout;
        listed.split_whitespace().filter(|name| *name != "lo").map(str::to_owned).collect()
    }
}

impl Drop for Plane<'_> {
    fn drop(&mut self) {
        for name in self.docker.containers().into_keys().filter(|name| name.starts_with(&self.prefix)) {
            self.docker.attempt(&["rm", "--force", &name]);
        }
        self.docker.attempt(&["network", "rm", &self.named("external")]);
        self.docker.attempt(&["image", "rm", "--force", &self.named("image")]);
        for suffix in ["", ".lock"] {
            let _ = fs::remove_file(self.registered(suffix));
        }
    }
}
