//! The gate, an app, a door's stand-in and the edge's end of the socket.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_gate::Finish;
use berth_tasks::Tasks;
use berth_wire::grant::{Ending, Endings, GRANT_LIFE, Grant};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub(crate) const HOST: &str = "shop.example.org";
pub(crate) const PANEL: &str = "https://panel.example.org:8443";
pub(crate) const SESSION: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Bench {
    home: TempDir,
    pub(crate) door: Arc<StandIn>,
    /// Address of the app.
    pub(crate) app: String,
    _tasks: Tasks,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The door's stand-in.
pub(crate) struct StandIn {
    pair: Ed25519KeyPair,
    /// Questions, in order.
    pub(crate) asked: Mutex<Vec<(String, Value)>>,
    /// Answers that wait: a status and a body.
    answers: Mutex<VecDeque<(u16, Value)>>,
}

impl StandIn {
    /// Signs a grant.
    pub(crate) fn sign(&self, grant: &Grant) -> String {
        grant.with_signature(self.pair.sign(&grant.signed()).as_ref())
    }

    /// Has the next question answered so.
    pub(crate) fn answer(&self, status: u16, body: Value) {
        self.answers.lock().push_back((status, body));
    }

    /// Has the next question answered by a grant.
    pub(crate) fn grant(&self, grant: &Grant) {
        self.answer(200, json!({ "grant": self.sign(grant) }));
    }

    /// Has the next question refused.
    pub(crate) fn refuse(&self, why: &str) {
        let status = if why == "unavailable" { 503 } else { 403 };
        self.answer(status, json!({ "why": { "why": why }, "message": "no", "hint": null }));
    }
}

/// A grant for ann that is good for so many seconds yet.
pub(crate) fn grant(seconds: i64) -> Grant {
    let until = Timestamp::now() + SignedDuration::from_secs(seconds);
    Grant {
        until: Timestamp::from_second(until.as_second()).unwrap(),
        host: HOST.parse().unwrap(),
        user: "ann".parse().unwrap(),
        session: SESSION.parse().unwrap(),
    }
}

/// The whole life of a grant, in seconds.
pub(crate) fn whole() -> i64 {
    GRANT_LIFE.as_secs()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.head, name)
    }

    /// Value of the cookie that it sets.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.values("set-cookie").into_iter();
        let value = set.filter_map(|set| set.strip_prefix(name)?.strip_prefix('=')).next()?;
        value.split(';').next()
    }
}

/// The values of a header in a text.
pub(crate) fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let home = TempDir::new().unwrap();
        let folder = home.path().join("door");
        fs::create_dir(&folder).unwrap();
        let door = Arc::new(StandIn {
            pair: Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap(),
            asked: Mutex::default(),
            answers: Mutex::default(),
        });
        let app = serve_app().await;
        let stop = CancellationToken::new();
        let bench = Self { home, door, app, _tasks: Tasks::new(stop.clone()), stop: stop.clone() };
        bench.open_door();
        bench.tell_key();
        let (listen, tasks) = (bench.socket(), Tasks::new(stop));
        let finish = Finish { longest: Duration::from_secs(60), now: CancellationToken::new() };
        let listener = berth_gate::bind(&listen).unwrap();
        let (say, ready) = tokio::sync::oneshot::channel();
        let ready_is = move || say.send(()).map_err(|()| std::io::Error::other("nobody waits"));
        tokio::spawn(
            async move { berth_gate::serve(listener, &folder, finish, &tasks, ready_is).await.unwrap() },
        );
        ready.await.unwrap();
        bench
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("door")
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("gate.sock")
    }

    pub(crate) fn tell_key(&self) {
        put(&self.folder().join("key"), &URL_SAFE_NO_PAD.encode(self.door.pair.public_key()));
    }

    pub(crate) fn lose_key(&self) {
        fs::remove_file(self.folder().join("key")).unwrap();
    }

    fn open_door(&self) {
        let listener = UnixListener::bind(self.folder().join("gate.sock")).unwrap();
        let door = Arc::clone(&self.door);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = converse(stream, &door).await;
            }
        });
    }

    /// Takes the door's socket away, so that nobody answers there.
    pub(crate) fn close_door(&self) {
        fs::remove_file(self.folder().join("gate.sock")).unwrap();
    }

    /// Tells that everything of the session has ended just now.
    pub(crate) fn end_session(&self) {
        let ending = Ending::of_session(&SESSION.parse().unwrap(), Timestamp::now());
        put(&self.folder().join("ended"), &Endings::write([&ending]));
    }

    /// Tells that this grant's session has lost the right to a host.
    pub(crate) fn end_host(&self, host: &str) {
        let ending = Ending::of_host(&SESSION.parse().unwrap(), &host.parse().unwrap(), Timestamp::now());
        put(&self.folder().join("ended"), &Endings::write([&ending]));
    }

    /// Asks the gate to end, and waits until it takes nobody else.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        let until = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.socket()).await.is_ok() {
            assert!(Instant::now() < until, "it still listens");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Opens a connection, as the edge does.
    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }

    /// Head of a request, with what the edge adds.
    pub(crate) fn head(&self, line: &str, more: &str) -> String {
        self.head_at(&self.app, line, more)
    }

    pub(crate) fn head_at(&self, app: &str, line: &str, more: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: {HOST}\r\nBerth-Host: {HOST}\r\nBerth-Scheme: https\r\nBerth-Gate: {app}\r\n\
             Berth-Panel: {PANEL}\r\n{more}\r\n"
        )
    }

    /// Sends bytes and reads the answer.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Answer {
        let mut stream = BufReader::new(self.connect().await);
        stream.write_all(bytes).await.unwrap();
        answer(&mut stream).await
    }

    /// Asks for a page with these header lines.
    pub(crate) async fn get(&self, path: &str, more: &str) -> Answer {
        self.say(self.head(&format!("GET {path}"), more).as_bytes()).await
    }

    /// Asks for a page with this grant.
    pub(crate) async fn get_with(&self, path: &str, grant: &str) -> Answer {
        self.get(path, &cookie(grant)).await
    }
}

pub(crate) fn cookie(grant: &str) -> String {
    format!("Cookie: __Host-berth-app={grant}\r\n")
}

/// An end that waits for nobody.
pub(crate) fn at_once() -> Finish {
    Finish { longest: Duration::ZERO, now: CancellationToken::new() }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn put(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

/// Reads the head of a message.
pub(crate) async fn head(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Reads an answer whose length is known.
pub(crate) async fn answer(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Answer {
    let head = head(stream).await.expect("an answer");
    let length = values(&head, "content-length").first().map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

async fn converse(stream: UnixStream, door: &StandIn) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let request = head(&mut stream).await?;
    let length = values(&request, "content-length").first()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let path = request.split(' ').nth(1)?.to_owned();
    // What the gate has counted is no question, and comes when it likes.
    let (status, body) = match path.ends_with("/counted") {
        true => (200, serde_json::json!({})),
        false => {
            door.asked.lock().push((path, serde_json::from_slice(&body).ok()?));
            door.answers.lock().pop_front()?
        }
    };
    let body = body.to_string();
    let text =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.ok()
}

/// Serves an app that tells what it got.
async fn serve_app() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tell(stream));
        }
    });
    address
}

async fn tell(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = head(&mut stream).await?;
        if request.to_ascii_lowercase().contains("upgrade: websocket") {
            let switched =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(switched.as_bytes()).await.ok()?;
            // A frame of five bytes, and then whatever comes.
            stream.write_all(b"\x82\x05hello").await.ok()?;
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await.ok()?;
            return None;
        }
        if request.starts_with("GET /events") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: first\n\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            let _ = stream.read(&mut [0]).await;
            return None;
        }
        if request.starts_with("GET /download") {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun";
            stream.write_all(head.as_bytes()).await.ok()?;
            let _ = stream.read(&mut [0]).await;
            return None;
        }
        if request.starts_with("GET /never") {
            let _ = stream.read(&mut [0]).await;
            return None;
        }
        let length = values(&request, "content-length").first().and_then(|length| length.parse().ok());
        let body = match length {
            Some(length) => {
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.ok()?;
                length
            }
            None if request.to_ascii_lowercase().contains("transfer-encoding: chunked") => {
                chunks(&mut stream).await?
            }
            None => 0,
        };
        let text = format!("{request}body: {body}\n");
        let cookies = "Set-Cookie: own=1\r\nSet-Cookie: __Host-berth-app=evil; Path=/\r\n";
        let head = format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).await.ok()?;
    }
}

/// Reads a body in chunks, and says how long it was.
async fn chunks(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut all = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        all += length;
        if length == 0 {
            return Some(all);
        }
    }
}
