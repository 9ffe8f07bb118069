//! Namespaces for tests, each held by a process that is ended with it.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Output, Stdio};

use berth_link::{Inside, Link, Namespace, Plane, Port};
pub(crate) use berth_testing::until;
use tempfile::TempDir;

pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Returns from a test that can't be made here, and says so.
macro_rules! may_test {
    () => {
        if let Some(why) = $crate::ground::hindrance() {
            berth_testing::skipped(why);
            return;
        }
    };
}
pub(crate) use may_test;

pub(crate) fn hindrance() -> Option<&'static str> {
    let ready = |program: &str, arguments: &[&str]| {
        let ran = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    };
    if !ready("unshare", &["--net", "true"]) {
        Some("no network namespace can be made here; that needs root and `unshare`")
    } else if !ready("busybox", &["ip", "link"]) {
        Some("there is no busybox")
    } else if !ready("ip", &["link"]) {
        Some("there is no `ip` (iproute2)")
    } else {
        None
    }
}

/// A plane, its registration in a folder of its own.
pub(crate) struct Ground {
    pub(crate) folder: TempDir,
    pub(crate) space: Space,
    pub(crate) plane: Plane,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let (folder, space) = (tempfile::tempdir().expect("a folder"), Space::new());
        let plane = Plane::prepare_in(folder.path(), "test", space.pid(), GATEWAY).expect("a plane");
        Self { folder, space, plane }
    }

    pub(crate) fn ports(&self) -> Vec<Port> {
        self.plane.ports().expect("ports")
    }
}

/// A network namespace.
pub(crate) struct Space(Child);

impl Space {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "600"]).stdin(Stdio::null()).stdout(Stdio::null());
        let space = Self(command.spawn().expect("unshare"));
        let own = Namespace::current().expect("a namespace").inode();
        until("it has a namespace of its own", || {
            fs::read_to_string(format!("/proc/{}/comm", space.pid())).is_ok_and(|name| name.trim() == "sleep")
        });
        assert_ne!(space.namespace().inode(), own);
        space.runs("ip link set dev lo up");
        space
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn namespace(&self) -> Namespace {
        Namespace::of_process(self.pid()).expect("a namespace")
    }

    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace().run(work).expect("work in a namespace")
    }

    /// Runs a command of busybox that must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn runs(&self, line: &str) -> String {
        let output = self.run(|| busybox(line));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command of busybox that must fail.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str) {
        assert!(!self.run(|| busybox(line)).status.success(), "{line} succeeded");
    }

    /// Runs a script, whatever comes of it.
    pub(crate) fn shell(&self, script: &str) {
        self.run(|| Command::new("sh").args(["-c", script]).output().expect("sh"));
    }

    pub(crate) fn read(&self, setting: &str) -> String {
        let text = self.run(|| fs::read_to_string(format!("/proc/sys/{setting}"))).expect(setting);
        text.trim().to_owned()
    }

    pub(crate) fn write(&self, setting: &str, value: &str) {
        self.run(|| fs::write(format!("/proc/sys/{setting}"), value)).expect(setting);
    }

    /// One of the kernel's extended counters (netstat(8)): a line of names, then a line of numbers.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = self.run(|| fs::read_to_string("/proc/thread-self/net/netstat")).expect("counters");
        let lines: Vec<&str> = text.lines().collect();
        let found = lines.chunks(2).find_map(|pair| {
            let (names, numbers) = (pair.first()?.split(' '), pair.get(1)?.split(' '));
            names.zip(numbers).find(|(other, _)| *other == name)?.1.parse().ok()
        });
        found.expect(name)
    }

    /// Ends the process, and leaves it lying.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("killed");
        let stat = format!("/proc/{}/stat", self.pid());
        until("it has ended", || fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z ")));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn busybox(line: &str) -> Output {
    Command::new("busybox").args(line.split(' ')).output().expect("busybox")
}

/// The link of a server.
pub(crate) fn link_of(id: u16) -> Link {
    let [high, low] = (15 + id).to_be_bytes();
    let address = Ipv4Addr::new(10, 77, high, low);
    Link { port: format!("s{id}"), address, gateway: GATEWAY, inside: Inside::Only }
}
