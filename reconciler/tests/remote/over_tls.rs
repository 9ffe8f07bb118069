//! A forge over HTTPS: the real `git http-backend` and an API, behind TLS, for those who bring the token.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::pulls::fake::{Fake, Kind, Way};
use super::telling::token;
use super::{Bench, InTime as _};

/// A forge: what it has to answer with, and what it has seen.
struct Forge {
    root: PathBuf,
    token: String,
    /// Its pull requests, where it has any.
    pulls: Mutex<Option<Arc<Fake>>>,
    /// Paths of the API that were called with the token.
    called: Mutex<Vec<String>>,
    /// Set where the repository is at another URL by now.
    is_moved: AtomicBool,
    /// Command lines that held the token, which none may.
    leaks: Mutex<Vec<String>>,
}

/// A forge that runs; ends with this value.
struct Running {
    runtime: Option<tokio::runtime::Runtime>,
    forge: Arc<Forge>,
    address: SocketAddr,
    certificate: PathBuf,
}

impl Running {
    fn new(root: &Path) -> Self {
        let (certificate, key) = (root.join("tls.pem"), root.join("tls.key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .in_time();
        assert!(made.status.success(), "{made:?}");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&certificate).unwrap()],
                PrivateKeyDer::from_pem_file(&key).unwrap(),
            )
            .unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let forge = Arc::new(Forge {
            root: root.to_owned(),
            token: token(),
            pulls: Mutex::default(),
            called: Mutex::default(),
            is_moved: AtomicBool::new(false),
            leaks: Mutex::default(),
        });
        runtime.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&forge)));
        Self { runtime: Some(runtime), forge, address, certificate }
    }

    fn called(&self) -> Vec<String> {
        self.forge.called.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, forge: Arc<Forge>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, forge) = (tls.clone(), Arc::clone(&forge));
        tokio::spawn(async move {
            // A client that doesn't believe our certificate hangs up, which is its good right.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(Arc::clone(&forge), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(forge: Arc<Forge>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    // Whoever asks is running in this very moment.
    forge.leaks.lock().unwrap().extend(command_lines_with(&forge.token));
    let given = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let path = head.uri.path().to_owned();
    if path.starts_with("/api/v1/repos/org/state/statuses/") {
        assert_eq!(given, Some(format!("token {}", forge.token)));
        forge.called.lock().unwrap().push(path);
        return Ok(status(StatusCode::CREATED));
    }
    let pulls = forge.pulls.lock().unwrap().clone();
    if let Some(pulls) = pulls.filter(|_| path.starts_with("/api/v1/repos/org/state/pulls")) {
        let text = String::from_utf8_lossy(&body).into_owned();
        let answered = tokio::task::spawn_blocking(move || {
            pulls.answer(&head.method, &head.uri.to_string(), &head.headers, &text)
        });
        let (status, _, body) = answered.await.unwrap();
        return Ok(Response::builder().status(status).body(Full::from(body)).unwrap());
    }
    if forge.is_moved.load(Ordering::SeqCst) {
        let mut answer = status(StatusCode::MOVED_PERMANENTLY);
        answer.headers_mut().insert("location", "/org/renamed.git".parse().unwrap());
        return Ok(answer);
    }
    if given != Some(format!("Basic {}", encoded(&forge.token))) {
        let mut answer = status(StatusCode::UNAUTHORIZED);
        answer.headers_mut().insert("www-authenticate", "Basic realm=\"forge\"".parse().unwrap());
        return Ok(answer);
    }
    let answer = tokio::task::spawn_blocking(move || git_http_backend(&forge.root, &head, &body));
    Ok(answer.await.unwrap())
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// Runs git's own server for one request (CGI, RFC 3875).
fn git_http_backend(root: &Path, head: &http::request::Parts, body: &[u8]) -> Response<Full<Bytes>> {
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut git = super::git(root);
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path().replace("/org/state.git", "/forge.git"))
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = git.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let mut answer = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = match name {
            "Status" => answer.status(&value[..3]),
            _ => answer.header(name, value),
        };
    }
    answer.body(Full::from(output[end + 4..].to_vec())).unwrap()
}

/// Encodes a token as git shows it to a forge.
fn encoded(token: &str) -> String {
    STANDARD.encode(format!("oauth2:{token}"))
}

fn command_lines_with(token: &str) -> Vec<String> {
    let encoded = encoded(token);
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    lines.filter(|line| line.contains(token) || line.contains(&encoded)).collect()
}

#[test]
fn a_private_repository_is_followed_with_a_token() {
    let bench = Bench::new("");
    let forge = Running::new(bench.folder.path());
    let url = format!("https://{}/org/state.git", forge.address);
    bench.move_to(&url, "poll = \"1s\"\nforge = \"forgejo\"\n");
    // As a host that has the forge's CA among its own.
    let trust = [("GIT_SSL_CAINFO", &*forge.certificate), ("SSL_CERT_FILE", &*forge.certificate)];

    let stranger = bench.follow();
    let trouble = bench.until(|standing| standing.trouble.is_some()).trouble.unwrap();
    assert!(trouble.contains("certificate"), "{trouble}");
    stranger.end();

    let without = bench.follow_with(&trust);
    bench.until(|standing| {
        let words = "doesn't let Berth in: the secret `forge-token` is missing, wrong, expired";
        let trouble = standing.trouble.as_deref().unwrap_or_default();
        trouble.contains(words) && !trouble.contains("terminal")
    });
    without.end();
    assert_eq!(forge.called(), Vec::<String>::new());

    let token = &forge.forge.token;
    bench.secret("forge-token", &format!("{token}\n"));
    let follower = bench.follow_with(&trust);
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
    let standing =
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
    assert!(standing.is_fine(), "{standing:#?}");
    assert_eq!(forge.called().last().unwrap(), &format!("/api/v1/repos/org/state/statuses/{tip}"));
    assert_eq!(*forge.forge.leaks.lock().unwrap(), Vec::<String>::new());
    let log = follower.end();
    assert!(!log.contains(token) && !log.contains(&encoded(token)), "{log}");
}

#[test]
fn a_members_change_is_pushed_with_the_token_and_comes_back_merged() {
    let bench = Bench::new("");
    let forge = Running::new(bench.folder.path());
    let url = format!("https://{}/org/state.git", forge.address);
    bench.push(&[("users/bob.toml", "email = \"bob@example.org\"\n")]);
    bench.move_to(&url, "poll = \"1s\"\nforge = \"forgejo\"\n");
    let taking = super::git(&bench.forge).args(["config", "http.receivepack", "true"]).in_time();
    assert!(taking.status.success());
    let token = &forge.forge.token;
    let pulls = Arc::new(Fake::new(Kind::Forgejo, &bench.forge, token));
    *forge.forge.pulls.lock().unwrap() = Some(Arc::clone(&pulls));
    bench.secret("forge-token", &format!("{token}\n"));
    let trust = [("GIT_SSL_CAINFO", &*forge.certificate), ("SSL_CERT_FILE", &*forge.certificate)];
    let follower = bench.follow_with(&trust);
    let mut lobby = bench.berth();
    let sent = lobby.args(["lobby", "--wait", "0", "--as", "bob", "new blog"]).in_time();
    let said = super::said(&sent);
    assert!(said.contains(&format!("This goes to {url} as the pull request server-blog")), "{said}");
    super::until(|| !pulls.pulls.lock().unwrap().is_empty(), || follower.log());
    let tip = pulls.merge(12, Way::Squash);
    bench.until_main_is(&tip);
    assert!(bench.has("main:servers/blog.toml"));
    assert_eq!(*forge.forge.leaks.lock().unwrap(), Vec::<String>::new());
    let log = follower.end();
    assert!(!log.contains(token) && !log.contains(&encoded(token)), "{log}");
}

/// A proxy that makes tunnels, and what it was asked for; ends with the test's process.
fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let heads = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut client, heads) = (stream.unwrap(), Arc::clone(&heads));
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    if client.read(&mut byte).unwrap_or_default() == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
                let mut server = std::net::TcpStream::connect(to.unwrap()).unwrap();
                heads.lock().unwrap().push(head);
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut forth);
                    let _ = forth.shutdown(std::net::Shutdown::Write);
                });
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    (address, asked)
}

#[test]
fn git_and_the_api_go_through_the_hosts_proxy() {
    let bench = Bench::new("");
    let forge = Running::new(bench.folder.path());
    bench
        .move_to(&format!("https://{}/org/state.git", forge.address), "poll = \"1s\"\nforge = \"forgejo\"\n");
    bench.secret("forge-token", &forge.forge.token);
    let (address, asked) = proxy();
    let url = format!("http://ann:secret@{address}");
    let mut environment = vec![
        ("GIT_SSL_CAINFO", &*forge.certificate),
        ("SSL_CERT_FILE", &*forge.certificate),
        ("https_proxy", Path::new(&url)),
    ];
    let follower = bench.follow_with(&environment);
    super::until(|| !forge.called().is_empty(), || follower.log());
    let heads = asked.lock().unwrap().clone();
    let (gits, ours): (Vec<_>, Vec<_>) = heads.iter().partition(|head| head.contains("git/"));
    assert!(!gits.is_empty() && !ours.is_empty(), "{heads:#?}");
    for head in ours {
        // `ann:secret`, for the proxy and for nobody else.
        assert!(head.to_lowercase().contains("proxy-authorization: basic "), "{head}");
        assert!(head.contains("YW5uOnNlY3JldA=="), "{head}");
    }
    assert!(!follower.end().contains(&forge.forge.token));

    // What `no_proxy` names is reached straight.
    let (before, tip) = (asked.lock().unwrap().len(), bench.push(&[("docs/a.md", "a\n")]));
    environment.push(("no_proxy", Path::new("127.0.0.1")));
    let _follower = bench.follow_with(&environment);
    bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
    assert_eq!(asked.lock().unwrap().len(), before);
}

#[test]
fn a_repository_that_moved_is_found_again_at_its_new_place() {
    let bench = Bench::new("");
    let forge = Running::new(bench.folder.path());
    bench.move_to(&format!("https://{}/org/state.git", forge.address), "poll = \"1s\"\n");
    bench.secret("forge-token", &forge.forge.token);
    forge.forge.is_moved.store(true, Ordering::SeqCst);
    let trust = [("GIT_SSL_CAINFO", &*forge.certificate), ("SSL_CERT_FILE", &*forge.certificate)];
    let _follower = bench.follow_with(&trust);
    let trouble = bench.until(|standing| standing.trouble.is_some()).trouble.unwrap();
    assert!(trouble.contains("is elsewhere now: set `remote.url`"), "{trouble}");
    // As docs/forge.md says: the commit that names the new place is brought here by hand.
    bench.move_to(bench.forge.to_str().unwrap(), "poll = \"1s\"\n");
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
}
