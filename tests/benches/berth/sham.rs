//! A sham engine: as much of Docker's API as a pass needs, from memory, for more servers than a machine could run. It keeps
//! account of the time that it takes itself.

mod front;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use berth_plan::identity::PLACED;
use berth_plan::recipe::RUNTIME;
use berth_plan::{Plan, Step};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

pub(crate) use front::Front;

/// An engine that listens until it is dropped.
pub(crate) struct Sham {
    socket: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    ended: AtomicBool,
}

#[derive(Default)]
struct World {
    networks: Vec<Value>,
    volumes: Vec<Value>,
    /// Containers by id.
    containers: BTreeMap<String, Container>,
    ids: HashMap<String, String>,
    ears: Vec<UnixStream>,
    busy: Duration,
}

struct Container {
    listed: Value,
    limits: Value,
}

impl Sham {
    /// Holds everything that a plan makes, with its volumes in `folder`, and answers at a socket there.
    pub(crate) fn holding(plan: &Plan, folder: &Path) -> anyhow::Result<Self> {
        let mut world = World::default();
        for step in plan.changes().flat_map(|change| &change.steps) {
            world.apply(step, folder)?;
        }
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).context("bind the engine's socket")?;
        let shared = Arc::new(Shared { world: Mutex::new(world), ended: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ended.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A peer that breaks off ends its own connection alone.
                thread::spawn(move || serving.serve(stream));
            }
        });
        Ok(Self { socket, shared })
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns how long its answers have taken since the last call, all together.
    pub(crate) fn take_busy(&self) -> Duration {
        std::mem::take(&mut self.shared.world().busy)
    }
}

impl Drop for Sham {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes whoever waits for a connection.
        let _ = UnixStream::connect(&self.socket);
        self.shared.world().ears.clear();
    }
}

impl World {
    fn apply(&mut self, step: &Step, folder: &Path) -> anyhow::Result<()> {
        match step {
            Step::CreateNetwork(spec) => {
                let id = format!("network-{}", self.networks.len());
                self.networks.push(json!({"Id": id, "Name": spec.name, "Labels": spec.labels}));
            }
            Step::CreateVolume(spec) => {
                let at = folder.join("volumes").join(&spec.name);
                fs::create_dir_all(&at)?;
                self.volumes.push(json!({
                    "Name": spec.name, "Driver": "local", "Mountpoint": at, "Labels": spec.labels, "Scope": "local",
                    "Options": {},
                }));
            }
            Step::PlaceIdentity(spec) => {
                fs::write(folder.join("volumes").join(&spec.volume).join(PLACED), spec.text())?;
            }
            Step::CreateContainer(spec) => {
                let id = format!("{:064x}", self.containers.len() + 1);
                let listed = json!({
                    "Id": id, "Names": [format!("/{}", spec.name)], "Image": spec.image, "Labels": spec.labels,
                    "State": "exited",
                });
                let limits = spec.limits.map_or(json!({}), |limits| {
                    json!({"NanoCpus": limits.nano_cpus, "Memory": limits.memory, "PidsLimit": limits.pids})
                });
                self.ids.insert(spec.name.clone(), id.clone());
                self.containers.insert(id, Container { listed, limits });
            }
            Step::StartContainer(container) => {
                let id = self.ids.get(&container.name).ok_or_else(|| anyhow!("no {}", container.name))?;
                let found = self.containers.get_mut(id).context("a container")?;
                found.listed["State"] = json!("running");
            }
            // Images are there, and links aren't this engine's.
            _ => {}
        }
        Ok(())
    }

    /// The answer to a call.
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let path = path.split('?').next().unwrap_or_default();
        // `/v1.41/…`
        let parts: Vec<&str> =
            path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1.")).collect();
        let none = || (404, json!({"message": format!("this engine has no {method} {path}")}));
        match (method, parts.as_slice()) {
            ("GET", ["version"]) => {
                (200, json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}))
            }
            ("GET", ["info"]) => (
                200,
                json!({
                    "ServerVersion": "20.10.24", "SecurityOptions": ["name=userns"], "LiveRestoreEnabled": true,
                    "Runtimes": {RUNTIME: {"path": "/berth-runtime"}},
                }),
            ),
            ("GET", ["networks"]) => (200, json!(self.networks)),
            ("GET", ["volumes"]) => (200, json!({"Volumes": self.volumes, "Warnings": []})),
            ("GET", ["containers", "json"]) => {
                (200, self.containers.values().map(|container| container.listed.clone()).collect())
            }
            ("GET", ["containers", id, "json"]) => match self.containers.get(*id) {
                Some(found) => (
                    200,
                    json!({
                        "Id": id, "State": {"Status": found.listed["State"]}, "HostConfig": found.limits,
                        "Config": {"Labels": found.listed["Labels"]},
                    }),
                ),
                None => none(),
            },
            ("POST", ["containers", id, "update"]) => {
                let Ok(wanted) = serde_json::from_slice::<Value>(body) else {
                    return (400, json!({"message": "no JSON"}));
                };
                let Some(found) = self.containers.get_mut(*id) else { return none() };
                for limit in ["NanoCpus", "Memory", "PidsLimit"] {
                    found.limits[limit] = wanted[limit].clone();
                }
                self.tell(
                    &json!({"Type": "container", "Action": "update", "Actor": {"ID": id, "Attributes": {}}}),
                );
                (200, json!({"Warnings": []}))
            }
            _ => none(),
        }
    }

    fn tell(&mut self, event: &Value) {
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        self.ears.retain_mut(|ear| ear.write_all(chunk.as_bytes()).is_ok());
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    /// Answers what comes over a connection, until the other side ends it.
    fn serve(&self, stream: UnixStream) -> Option<()> {
        let mut to = stream.try_clone().ok()?;
        let mut from = BufReader::new(stream);
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok().filter(|length| *length > 0)?;
            let mut words = line.split_whitespace();
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let mut length = 0;
            loop {
                let mut header = String::new();
                from.read_line(&mut header).ok().filter(|length| *length > 0)?;
                let Some((name, value)) = header.split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            from.read_exact(&mut body).ok()?;
            if path.contains("/events") {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                to.write_all(head.as_bytes()).ok()?;
                self.world().ears.push(to.try_clone().ok()?);
                continue;
            }
            let began = Instant::now();
            let (status, answer) = self.world().answer(&method, &path, &body);
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            to.write_all(head.as_bytes()).and_then(|()| to.write_all(answer.as_bytes())).ok()?;
            self.world().busy += began.elapsed();
        }
    }
}
