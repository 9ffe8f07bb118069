//! A proxy in front of the engine's socket: counts the calls that change something, and makes faults at a call of the
//! story's choice. The faults are real ones: a killed process, a cut connection, an engine that says 500.
//!
//! It relays bytes. Of HTTP it understands as much as it takes to see where a request begins; of the answers, only
//! that there is one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::ground::scratch;
use crate::process::PATIENCE;

/// A call that changes something on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number since the count began, from 1; a program that is held isn't counted, and has 0.
    pub number: usize,
    /// `POST` or `DELETE`.
    pub method: String,
    /// The path and query, without the version of the API.
    pub path: String,
}

/// Fate of a call.
pub enum Act {
    /// It goes through.
    Pass,
    /// The proxy answers it, with this status; the engine never hears of it.
    Answer(u16),
    /// The connection is cut; the engine never hears of it.
    Cut,
    /// It goes through. Once the engine has answered, and before anybody hears the answer, this happens; then the
    /// connection is cut.
    AfterAnswer(Box<dyn FnOnce() + Send>),
}

/// A program that is held back: words of its command, whom to tell that it has come, and who lets it through.
struct Held {
    words: String,
    reached: Sender<Call>,
    is_open: Receiver<()>,
}

type Judge = Box<dyn FnMut(&Call) -> Act + Send>;
/// Action to take when the engine answers next.
type Then = Option<Box<dyn FnOnce() + Send>>;

struct Shared {
    upstream: PathBuf,
    calls: Mutex<Vec<Call>>,
    judge: Mutex<Option<Judge>>,
    /// Hold back a program that is to be run in a container.
    program: Mutex<Option<Held>>,
    /// Refuse to list anything, with this status.
    refusing: Mutex<Option<u16>>,
    over: AtomicBool,
}

/// A proxy, as long as it lives.
pub struct Proxy {
    shared: Arc<Shared>,
    folder: TempDir,
}

impl Proxy {
    /// A proxy in front of the engine at `upstream`.
    pub fn before(upstream: &Path) -> Self {
        let folder = scratch();
        let listener = UnixListener::bind(folder.path().join("d.sock")).expect("a socket");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            calls: Mutex::default(),
            judge: Mutex::default(),
            program: Mutex::default(),
            refusing: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if theirs.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&theirs);
                std::thread::spawn(move || serve(&shared, client));
            }
        });
        Self { shared, folder }
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    /// Lets `judge` decide about every call that changes something. It may take its time: the call waits.
    pub fn judge(&self, judge: impl FnMut(&Call) -> Act + Send + 'static) {
        *self.shared.judge.lock() = Some(Box::new(judge));
    }

    /// Holds the call of this number back until the gate is opened.
    pub fn hold(&self, number: usize) -> Gate {
        let (reached, is_reached) = channel();
        let (open, is_open) = channel::<()>();
        self.judge(move |call| {
            if call.number == number {
                let _ = reached.send(call.clone());
                // Opened, or dropped with the story.
                let _ = is_open.recv();
            }
            Act::Pass
        });
        Gate { is_reached, open }
    }

    /// Holds the next program that is to be run in a container, and has these words in its command (as JSON), back until
    /// the gate is opened.
    pub fn hold_program(&self, words: &str) -> Gate {
        let (reached, is_reached) = channel();
        let (open, is_open) = channel();
        *self.shared.program.lock() = Some(Held { words: words.to_owned(), reached, is_open });
        Gate { is_reached, open }
    }

    /// Makes no more faults and begins to count anew.
    pub fn calm(&self) {
        *self.shared.program.lock() = None;
        *self.shared.judge.lock() = None;
        *self.shared.refusing.lock() = None;
        self.shared.calls.lock().clear();
    }

    /// Answers every request for a list with `status` until `calm`; all else goes through, so that it shows what somebody
    /// makes of it.
    pub fn refuse_lists(&self, status: u16) {
        *self.shared.refusing.lock() = Some(status);
    }

    /// The calls so far that were to change something.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().clone()
    }
}

/// A call that is held back.
pub struct Gate {
    is_reached: Receiver<Call>,
    open: Sender<()>,
}

impl Gate {
    /// Waits until the call has come, and returns it.
    #[track_caller]
    pub fn reached(&self) -> Call {
        self.is_reached.recv_timeout(PATIENCE).expect("the call comes")
    }

    /// Lets it through.
    pub fn open(self) {
        let _ = self.open.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = UnixStream::connect(self.socket());
        let _ = fs::remove_file(self.socket());
    }
}

/// Serves one connection, which may carry several requests one after the other.
fn serve(shared: &Arc<Shared>, mut client: UnixStream) {
    let Some(mut buffer) = read_head(&mut client, Vec::new()) else { return };
    let Ok(mut engine) = UnixStream::connect(&shared.upstream) else {
        // The engine is down: as if nobody listened.
        return;
    };
    let pending: Arc<Mutex<Then>> = Arc::default();
    let answers = {
        let (mut from, mut to) =
            (engine.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
        let pending = Arc::clone(&pending);
        std::thread::spawn(move || relay_answers(&mut from, &mut to, &pending))
    };
    while let Some(request) = Request::parse(&buffer) {
        if request.names_a_program() {
            let whole = request.head + request.body.unwrap_or(0);
            while buffer.len() < whole && read_more(&mut client, &mut buffer) {}
            hold_back(shared, &request, &buffer);
        }
        let refused = *shared.refusing.lock();
        let act = match refused {
            Some(status) if request.is_list() => Act::Answer(status),
            _ if request.changes_something() => judge(shared, &request),
            _ => Act::Pass,
        };
        match act {
            Act::Pass => {}
            Act::AfterAnswer(then) => *pending.lock() = Some(then),
            Act::Cut => break,
            Act::Answer(status) => {
                let body = r#"{"message":"the story says no"}"#;
                let answer = format!(
                    "HTTP/1.1 {status} Story\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = client.write_all(answer.as_bytes());
                break;
            }
        }
        let whole = request.head + request.body.unwrap_or(0);
        while buffer.len() < whole {
            if !read_more(&mut client, &mut buffer) {
                break;
            }
        }
        if request.body.is_none() {
            // Of unknown length, or no HTTP any more: from here on it is just bytes.
            let _ = engine.write_all(&buffer);
            let _ = std::io::copy(&mut client, &mut engine);
            break;
        }
        let rest = buffer.split_off(whole.min(buffer.len()));
        if engine.write_all(&buffer).is_err() {
            break;
        }
        match read_head(&mut client, rest) {
            Some(next) => buffer = next,
            None => break,
        }
    }
    // A client that has closed wants no answer any more; the engine finishes what it began.
    let _ = engine.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = answers.join();
}

/// Waits where this is the program that is held.
fn hold_back(shared: &Shared, request: &Request, whole: &[u8]) {
    let body = String::from_utf8_lossy(whole.get(request.head..).unwrap_or_default());
    let held = shared.program.lock().take_if(|held| body.contains(&held.words));
    if let Some(Held { reached, is_open, .. }) = held {
        let _ = reached.send(Call { number: 0, method: request.method.clone(), path: request.path.clone() });
        // Opened, or dropped with the story.
        let _ = is_open.recv();
    }
}

fn judge(shared: &Shared, request: &Request) -> Act {
    let call = {
        let mut calls = shared.calls.lock();
        let number = calls.len() + 1;
        calls.push(Call { number, method: request.method.clone(), path: request.path.clone() });
        calls[number - 1].clone()
    };
    match shared.judge.lock().as_mut() {
        Some(judge) => judge(&call),
        None => Act::Pass,
    }
}

fn relay_answers(from: &mut UnixStream, to: &mut UnixStream, pending: &Mutex<Then>) {
    let mut bytes = [0; 16384];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 {
            break;
        }
        if let Some(then) = pending.lock().take() {
            then();
            break;
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// The beginning of a request.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    /// Length of the head.
    head: usize,
    /// Length of the body; `None` when only the end of the connection tells.
    body: Option<usize>,
}

impl Request {
    fn parse(buffer: &[u8]) -> Option<Self> {
        let head = end_of_head(buffer)?;
        let text = String::from_utf8_lossy(&buffer[..head]);
        let mut lines = text.lines();
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?);
        let mut body = Some(0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" if body.is_some() => body = value.trim().parse().ok(),
                "transfer-encoding" | "upgrade" => body = None,
                _ => {}
            }
        }
        // `/v1.41/containers/…` and `/containers/…` are the same call.
        let version = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
        let is_version = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let path = match version {
            Some((version, rest)) if is_version(version) => format!("/{rest}"),
            _ => path.to_owned(),
        };
        Some(Self { method, path, head, body })
    }

    /// Returns whether it asks for a list of objects.
    fn is_list(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        self.method == "GET" && ["/containers/json", "/volumes", "/networks"].contains(&path)
    }

    /// Returns whether its body names a program that is to be run in a container.
    fn names_a_program(&self) -> bool {
        self.method == "POST" && self.path.starts_with("/containers/") && self.path.ends_with("/exec")
    }

    /// Returns whether it changes an object of the engine, as opposed to running something in one or waiting for one.
    fn changes_something(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let harmless = ["exec", "wait", "attach", "resize"].contains(&last) || path.starts_with("/exec/");
        self.method != "GET" && self.method != "HEAD" && !harmless
    }
}

fn end_of_head(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads until a whole head is there; `None` when the connection ends before.
fn read_head(client: &mut UnixStream, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
    while end_of_head(&buffer).is_none() {
        if !read_more(client, &mut buffer) {
            return None;
        }
    }
    Some(buffer)
}

fn read_more(client: &mut UnixStream, buffer: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 16384];
    match client.read(&mut bytes) {
        Ok(count) if count > 0 => {
            buffer.extend_from_slice(&bytes[..count]);
            true
        }
        _ => false,
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Request {
        Request::parse(text.as_bytes()).expect("a request")
    }

    #[test]
    fn a_call_is_known_without_its_version() {
        let request = parse("POST /v1.41/containers/create?name=a HTTP/1.1\r\nContent-Length: 7\r\n\r\n{}");
        assert_eq!((request.path.as_str(), request.body), ("/containers/create?name=a", Some(7)));
        assert!(request.changes_something());
        assert_eq!(parse("POST /volumes/create HTTP/1.1\r\n\r\n").path, "/volumes/create");
    }

    #[test]
    fn reads_and_commands_in_a_container_are_no_changes() {
        for line in ["GET /containers/json", "POST /exec/abc/start", "POST /containers/a/exec", "HEAD /_ping"]
        {
            assert!(!parse(&format!("{line} HTTP/1.1\r\n\r\n")).changes_something(), "{line}");
        }
    }

    #[test]
    fn an_upgraded_connection_is_just_bytes() {
        assert_eq!(parse("POST /exec/a/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\n").body, None);
    }
}
