//! A sham in front of a real engine: tells of more servers than there are. What is asked of those is answered from memory; the lists
//! of containers and of volumes name both kinds; everything else is the real engine's, word for word.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use berth_plan::{Plan, Subject};
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use super::World;

/// The sham, as long as it lives.
pub(crate) struct Front {
    folder: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    real: PathBuf,
    more: Mutex<World>,
    ended: AtomicBool,
}

/// A request, as it came.
struct Request {
    method: String,
    /// Without the version.
    path: String,
    head: String,
    body: Vec<u8>,
    /// Set if the connection becomes something else than HTTP.
    is_upgrade: bool,
}

impl Front {
    /// Listens in front of the engine at `real`, and tells of nothing more yet.
    pub(crate) fn before(real: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("d.sock")).context("bind the sham's socket")?;
        let more = Mutex::new(World::default());
        let shared = Arc::new(Shared { real: real.to_owned(), more, ended: AtomicBool::new(false) });
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
        Ok(Self { folder, shared })
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    /// Tells from now on, besides, of the servers that this plan makes and whose numbers are above `real`.
    pub(crate) fn tell_of(&self, plan: &Plan, real: usize) -> anyhow::Result<()> {
        let mut more = World::default();
        let is_more = |subject: &Subject| match subject {
            Subject::Server { id, .. } => usize::try_from(id.get()).is_ok_and(|id| id > real),
            _ => false,
        };
        for change in plan.changes().filter(|change| is_more(&change.subject)) {
            for step in &change.steps {
                more.apply(step, self.folder.path())?;
            }
        }
        *self.shared.more.lock() = more;
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes whoever waits for a connection.
        let _ = UnixStream::connect(self.socket());
        let _ = fs::remove_file(self.socket());
    }
}

impl Shared {
    /// Answers what comes over a connection, until either side ends it.
    fn serve(&self, stream: UnixStream) -> Option<()> {
        let mut to = stream.try_clone().ok()?;
        let mut from = BufReader::new(stream);
        loop {
            let request = Request::read(&mut from)?;
            let (status, answer) = match self.own(&request)? {
                Some(answered) => answered,
                None => return self.pass(&request, from, to),
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            to.write_all(head.as_bytes()).and_then(|()| to.write_all(answer.as_bytes())).ok()?;
        }
    }

    /// The answer, where it isn't the real engine's alone.
    #[expect(clippy::option_option, reason = "the outer one is a connection that broke")]
    fn own(&self, request: &Request) -> Option<Option<(u16, Value)>> {
        let path = request.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Some(match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["containers", "json"]) => {
                let mut all = self.ask(request)?;
                let more = self.more.lock();
                let more = more.containers.values().map(|container| container.listed.clone());
                all.as_array_mut()?.extend(more);
                Some((200, all))
            }
            ("GET", ["volumes"]) => {
                let mut all = self.ask(request)?;
                // The engine says `null` for none.
                if all["Volumes"].is_null() {
                    all["Volumes"] = Value::Array(Vec::new());
                }
                all["Volumes"].as_array_mut()?.extend(self.more.lock().volumes.iter().cloned());
                Some((200, all))
            }
            (method, ["containers", id, ..]) => {
                let mut more = self.more.lock();
                more.containers.contains_key(*id).then(|| more.answer(method, path, &request.body))
            }
            _ => None,
        })
    }

    /// Asks the real engine for a list.
    fn ask(&self, request: &Request) -> Option<Value> {
        let mut real = UnixStream::connect(&self.real).ok()?;
        let path = &request.path;
        write!(real, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").ok()?;
        let mut answer = String::new();
        real.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Passes a request on, with all that comes after it, and ends the connection with the answer.
    fn pass(&self, request: &Request, mut from: BufReader<UnixStream>, mut to: UnixStream) -> Option<()> {
        let mut real = UnixStream::connect(&self.real).ok()?;
        let head = match request.is_upgrade {
            true => request.head.clone(),
            false => format!("{}Connection: close\r\n\r\n", request.head.strip_suffix("\r\n")?),
        };
        real.write_all(head.as_bytes()).and_then(|()| real.write_all(&request.body)).ok()?;
        let mut back = real.try_clone().ok()?;
        let ended = to.try_clone().ok()?;
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut real);
            // Whoever asked is gone, and wants no answer any more.
            let _ = real.shutdown(Shutdown::Both);
        });
        let _ = std::io::copy(&mut back, &mut to);
        ended.shutdown(Shutdown::Both).ok()
    }
}

impl Request {
    /// Reads one. Bodies of unknown length aren't among those that a reconciler sends.
    fn read(from: &mut BufReader<UnixStream>) -> Option<Self> {
        let (mut head, mut length, mut is_upgrade) = (String::new(), 0, false);
        while !head.ends_with("\r\n\r\n") {
            let begun = head.len();
            from.read_line(&mut head).ok().filter(|length| *length > 0)?;
            let Some((name, value)) = head.get(begun..)?.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "upgrade" => is_upgrade = true,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        let mut words = head.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?);
        let version = path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/'));
        let path = version.map_or_else(|| path.to_owned(), |(_, rest)| format!("/{rest}"));
        Some(Self { method, path, head, body, is_upgrade })
    }
}
