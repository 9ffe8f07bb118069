//! The listener, with a reconciler that answers, one that is away, and scrapers that don't behave.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

/// A socket that answers as the reconciler's does, with this address.
struct Reconciler {
    listen: Arc<Mutex<Option<SocketAddr>>>,
    is_away: Arc<AtomicBool>,
}

impl Reconciler {
    fn begin(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let reconciler = Self { listen: Arc::default(), is_away: Arc::default() };
        let (listen, is_away) = (Arc::clone(&reconciler.listen), Arc::clone(&reconciler.is_away));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if is_away.load(Ordering::SeqCst) {
                    continue;
                }
                let listen = Arc::clone(&listen);
                let service = service_fn(move |request: Request<Incoming>| {
                    let text = match request.uri().path() {
                        "/listen" => serde_json::json!({"listen": *listen.lock().unwrap()}).to_string(),
                        _ => format!("asked {}\n", request.uri()),
                    };
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)))) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        reconciler
    }

    fn say(&self, listen: Option<SocketAddr>) {
        *self.listen.lock().unwrap() = listen;
    }
}

/// A free port of this machine.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Sends a request, and returns the answer's status, media type and text.
async fn get(at: SocketAddr, method: &str, path: &str, accept: &str) -> (u16, String, String) {
    let stream = loop {
        match TcpStream::connect(at).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(ACCEPT, accept);
    let answer = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    connection.abort();
    let media_type = head.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
    (head.status.as_u16(), media_type, text)
}

struct Bench {
    _home: tempfile::TempDir,
    reconciler: Reconciler,
    tasks: Tasks,
}

impl Bench {
    fn begin() -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("metrics.sock");
        let reconciler = Reconciler::begin(&socket);
        let tasks = Tasks::new(CancellationToken::new());
        let running = tasks.clone();
        tokio::spawn(async move {
            run(ScrapeSettings { socket, look: Duration::from_millis(20) }, &running).await.unwrap();
        });
        Self { _home: home, reconciler, tasks }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stop().cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapers_are_answered_where_the_state_says_and_nowhere_else() {
    let bench = Bench::begin();
    let (first, second) = (free().await, free().await);
    bench.reconciler.say(Some(first));
    let (status, media_type, text) = get(first, "GET", "/metrics", "*/*").await;
    assert_eq!((status, text.as_str()), (200, "asked /metrics?openmetrics=false\n"));
    assert!(media_type.starts_with("text/plain; version=0.0.4"));
    let (_, media_type, text) = get(first, "GET", "/metrics", "application/openmetrics-text").await;
    assert_eq!(text, "asked /metrics?openmetrics=true\n");
    assert!(media_type.starts_with("application/openmetrics-text"));
    assert_eq!(get(first, "GET", "/sync", "*/*").await.0, 404);
    assert_eq!(get(first, "POST", "/metrics", "*/*").await.0, 405);
    // A commit moves it.
    bench.reconciler.say(Some(second));
    assert_eq!(get(second, "GET", "/metrics", "*/*").await.0, 200);
    assert!(TcpStream::connect(first).await.is_err());
    // Another takes it away. The backlog may still hold a connection that nobody will answer.
    bench.reconciler.say(None);
    while TcpStream::connect(second).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_is_away_is_told_of() {
    let bench = Bench::begin();
    let at = free().await;
    bench.reconciler.say(Some(at));
    assert_eq!(get(at, "GET", "/metrics", "*/*").await.0, 200);
    bench.reconciler.is_away.store(true, Ordering::SeqCst);
    let (status, _, text) = get(at, "GET", "/metrics", "*/*").await;
    assert_eq!(status, 200);
    assert!(text.contains("\nberth_up 0\n"), "{text}");
    bench.reconciler.is_away.store(false, Ordering::SeqCst);
    let (_, _, text) = get(at, "GET", "/metrics", "*/*").await;
    assert!(text.starts_with("asked"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_something_else_has_is_tried_again() {
    let bench = Bench::begin();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap();
    bench.reconciler.say(Some(at));
    // It takes the other's connection, and no more.
    let (mut stream, _) = tokio::join!(TcpStream::connect(at), taken.accept());
    drop(taken);
    assert_eq!(get(at, "GET", "/metrics", "*/*").await.0, 200);
    let mut rest = String::new();
    let _ = stream.as_mut().unwrap().read_to_string(&mut rest).await;
    assert_eq!(rest, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_and_silent_scrapers_are_cut_off_and_the_next_is_answered() {
    let bench = Bench::begin();
    let at = free().await;
    bench.reconciler.say(Some(at));
    assert_eq!(get(at, "GET", "/metrics", "*/*").await.0, 200);
    let mut silent = Vec::new();
    // Each holds a place, until one finds none and is cut off.
    let cut = loop {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut begin = [0; 4];
        match stream.read_exact(&mut begin).await {
            Ok(_) => silent.push(stream),
            Err(_) => break silent.len(),
        }
    };
    assert!(cut <= CONNECTIONS, "{cut}");
    drop(silent);
    loop {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).await.is_ok() && answer.contains("asked /metrics") {
            break;
        }
    }
}
