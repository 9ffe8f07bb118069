//! The `docker` command line, pointed at one engine: how stories look at the engine and meddle with it by hand.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{PATIENCE, Ran, run};

/// The label that says whose an object is.
const PLATFORM: &str = "berth.platform";

/// One engine, by its socket.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
}

/// A container, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// When it was last started.
    pub started_at: String,
    /// `running`, `exited`, …
    pub status: String,
    /// The image reference that it was made of.
    pub image: String,
    /// Bytes.
    pub memory: u64,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Its first process, as the host knows it; 0 when it doesn't run.
    pub pid: u32,
}

impl Container {
    /// Returns whether it runs.
    pub fn runs(&self) -> bool {
        self.status == "running"
    }

    fn of(value: &Value) -> Self {
        let text =
            |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        Self {
            id: text("/Id"),
            started_at: text("/State/StartedAt"),
            status: text("/State/Status"),
            image: text("/Config/Image"),
            memory: number("/HostConfig/Memory"),
            nano_cpus: number("/HostConfig/NanoCpus"),
            pids: number("/HostConfig/PidsLimit"),
            pid: number("/State/Pid").try_into().unwrap_or_default(),
        }
    }
}

impl Docker {
    /// The engine behind `socket`.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A `docker` command, to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(self.host()).args(arguments).env_remove("DOCKER_CONTEXT");
        command
    }

    /// Runs a `docker` command, whatever comes of it.
    #[track_caller]
    pub fn attempt(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), PATIENCE)
    }

    /// Runs a `docker` command that must succeed, and returns what it printed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        self.attempt(arguments).good().stdout.trim().to_owned()
    }

    /// Checks that the engine answers. Asks with `network ls` and not a ping, since a stuck engine still answers pings.
    pub fn answers(&self) -> bool {
        run(&mut self.command(&["network", "ls", "-q"]), Duration::from_secs(20)).is_good()
    }

    /// A container by its name; `None` when there is none.
    #[track_caller]
    pub fn find(&self, name: &str) -> Option<Container> {
        let ran = self.attempt(&["container", "inspect", name]);
        if !ran.is_good() {
            // Only the engine's "no" means that it isn't there.
            assert!(ran.stderr.to_lowercase().contains("no such container"), "{ran}");
            return None;
        }
        let list: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        Some(Container::of(&list[0]))
    }

    /// A container that must be there.
    #[track_caller]
    pub fn container(&self, name: &str) -> Container {
        self.find(name).unwrap_or_else(|| panic!("there is no container {name}"))
    }

    /// All that is written about an object of any kind.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        let mut list: Value = serde_json::from_str(&self.run(&["inspect", name])).expect("JSON");
        list[0].take()
    }

    /// Runs a shell command in a container. The images of the stories have busybox at least.
    #[track_caller]
    pub fn shell(&self, container: &str, script: &str) -> Ran {
        self.attempt(&["exec", container, "/bin/busybox", "sh", "-c", script])
    }

    /// Every container of the engine, stopped ones included, by name.
    #[track_caller]
    pub fn containers(&self) -> BTreeMap<String, Container> {
        self.inspected(&self.lines(&["ps", "-aq", "--no-trunc"]))
    }

    /// The containers of one platform, by name.
    #[track_caller]
    pub fn containers_of(&self, platform: &str) -> BTreeMap<String, Container> {
        let filter = format!("label={PLATFORM}={platform}");
        self.inspected(&self.lines(&["ps", "-aq", "--no-trunc", "--filter", &filter]))
    }

    #[track_caller]
    fn inspected(&self, ids: &[String]) -> BTreeMap<String, Container> {
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let mut arguments = vec!["container", "inspect"];
        arguments.extend(ids.iter().map(String::as_str));
        // One that vanishes between list and look makes the command fail, and isn't in its output.
        let ran = self.attempt(&arguments);
        let list: Vec<Value> = serde_json::from_str(&ran.stdout).expect("JSON");
        let name =
            |value: &Value| value["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        list.iter().map(|value| (name(value), Container::of(value))).collect()
    }

    /// The volumes of one platform.
    #[track_caller]
    pub fn volumes_of(&self, platform: &str) -> Vec<String> {
        self.lines(&["volume", "ls", "-q", "--filter", &format!("label={PLATFORM}={platform}")])
    }

    /// The networks of one platform.
    #[track_caller]
    pub fn networks_of(&self, platform: &str) -> Vec<String> {
        let filter = format!("label={PLATFORM}={platform}");
        self.lines(&["network", "ls", "--format", "{{.Name}}", "--filter", &filter])
    }

    /// Asks the engine's API for something that the command line has no words for.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        let mut socket = UnixStream::connect(&self.socket).expect("connect to the engine");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        // HTTP/1.0 ends its answer by closing, and sends it in one piece.
        let head = "HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length:";
        write!(socket, "POST {path} {head} {}\r\n\r\n{body}", body.len()).expect("ask the engine");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the engine's answer");
        assert!(
            answer.split(' ').nth(1).is_some_and(|status| status.starts_with('2')),
            "POST {path}: {answer}"
        );
        answer
    }

    /// Makes a container anew that doesn't run, as it is but for what `change` changes in the request, and starts it.
    #[track_caller]
    pub fn make_again(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let inspected = self.inspect(name);
        let mut body = inspected["Config"].clone();
        body["HostConfig"] = inspected["HostConfig"].clone();
        change(&mut body);
        self.run(&["rm", name]);
        self.post(&format!("/containers/create?name={name}"), &body);
        self.run(&["start", name]);
    }

    /// Removes what carries a platform's label, one thing after the other: an engine before 23 can block for good when
    /// it removes several at once. Goes on over failures and returns them.
    pub fn remove_platform(&self, platform: &str) -> Vec<String> {
        let filter = format!("label={PLATFORM}={platform}");
        self.remove_all(&["--filter", &filter])
    }

    /// Removes every container, volume and network of the engine.
    pub fn remove_everything(&self) -> Vec<String> {
        self.remove_all(&[])
    }

    fn remove_all(&self, filter: &[&str]) -> Vec<String> {
        let mut failures = Vec::new();
        let lists: [(&[&str], &[&str]); 3] = [
            (&["ps", "-aq"], &["rm", "-f", "-v"]),
            (&["volume", "ls", "-q"], &["volume", "rm", "-f"]),
            (&["network", "ls", "-q", "--filter", "type=custom"], &["network", "rm"]),
        ];
        for (list, remove) in lists {
            for name in self.lines(&[list, filter].concat()) {
                let ran = self.attempt(&[remove, &[&name]].concat());
                let gone = ran.stderr.to_lowercase().contains("no such");
                if !ran.is_good() && !gone {
                    failures.push(ran.to_string());
                }
            }
        }
        failures
    }

    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        self.run(arguments).lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
    }
}
