//! The forge over HTTPS: the real `git http-backend` and the API, behind TLS, for those who bring the token.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_testing::{InTime as _, git};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::api::{Api, Kind};
use crate::token;

/// Path of the repository in the forge's URL.
const PATH: &str = "/org/state.git";

/// A forge that listens on the loopback; ends with this value.
#[derive(Debug)]
pub struct Forge {
    runtime: Option<Runtime>,
    served: Arc<Served>,
    address: SocketAddr,
    /// The certificate that clients have to trust.
    pub certificate: PathBuf,
}

/// What the forge answers with, and what it has seen.
#[derive(Debug)]
struct Served {
    repository: PathBuf,
    token: String,
    api: Arc<Api>,
    /// Set where the repository has another URL by now.
    is_renamed: AtomicBool,
    /// Connections so far.
    connections: AtomicUsize,
    leaks: Mutex<Vec<String>>,
}

impl Forge {
    /// Serves a bare repository, which takes pushes from now on. Certificate and key lie beside it.
    pub fn open(kind: Kind, repository: &Path) -> Self {
        let taking = git(repository).args(["config", "http.receivepack", "true"]).in_time();
        assert!(taking.status.success(), "{taking:?}");
        let (certificate, key) = (repository.with_file_name("tls.pem"), repository.with_file_name("tls.key"));
        make_certificate(&certificate, &key);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&certificate).expect("a certificate")],
                PrivateKeyDer::from_pem_file(&key).expect("a key"),
            )
            .expect("a key of the certificate");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("a port");
        let token = token();
        let api = Arc::new(Api::new(kind, repository, &token));
        let served = Served {
            repository: repository.to_owned(),
            token,
            api,
            is_renamed: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            leaks: Mutex::default(),
        };
        let served = Arc::new(served);
        runtime.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&served)));
        Self { runtime: Some(runtime), served, address, certificate }
    }

    /// Connections that it has had, however they came.
    pub fn connections(&self) -> usize {
        self.served.connections.load(Ordering::SeqCst)
    }

    /// URL of the repository, as git takes it.
    pub fn url(&self) -> String {
        format!("https://{}{PATH}", self.address)
    }

    /// The token that it takes.
    pub fn token(&self) -> &str {
        &self.served.token
    }

    /// Renames the repository: whoever asks at its old URL is sent elsewhere.
    pub fn rename(&self) {
        self.served.is_renamed.store(true, Ordering::SeqCst);
    }

    /// What happens there, beside pushes.
    pub fn api(&self) -> &Api {
        &self.served.api
    }

    /// Command lines that held the token while somebody asked, which none may.
    pub fn leaks(&self) -> Vec<String> {
        self.served.leaks.lock().expect("a lock").clone()
    }

    /// Environment of a program that trusts the forge's certificate, as on a host that has its CA among its own.
    pub fn trust(&self) -> [(&'static str, &Path); 2] {
        [("GIT_SSL_CAINFO", &self.certificate), ("SSL_CERT_FILE", &self.certificate)]
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Makes a certificate for the loopback, and its key.
fn make_certificate(certificate: &Path, key: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .in_time();
    assert!(made.status.success(), "{made:?}");
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, forge: Arc<Served>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        forge.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, forge) = (tls.clone(), Arc::clone(&forge));
        tokio::spawn(async move {
            // A client that doesn't believe our certificate hangs up, which is its good right.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(Arc::clone(&forge), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(forge: Arc<Served>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let answered = tokio::task::spawn_blocking(move || {
        // Whoever asks is running in this very moment.
        forge.leaks.lock().expect("a lock").extend(command_lines_with(&forge.token));
        if head.uri.path().starts_with(forge.api.base()) {
            let text = String::from_utf8_lossy(&body);
            let (status, headers, body) =
                forge.api.answer(&head.method, &head.uri.to_string(), &head.headers, &text);
            let mut answer = Response::new(Full::from(body));
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
            return answer;
        }
        if forge.is_renamed.load(Ordering::SeqCst) {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
            answer.headers_mut().insert("location", "/org/renamed.git".parse().expect("a header"));
            return answer;
        }
        let given = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        if let Some(given) = given
            && given != format!("Basic {}", encoded(&forge.token))
        {
            // As chatty as some proxies are: git shows this to whoever runs it.
            let mut answer = Response::new(Full::from(format!("You may not. You sent: {given}\n")));
            *answer.status_mut() = StatusCode::FORBIDDEN;
            answer.headers_mut().insert("content-type", "text/plain".parse().expect("a header"));
            return answer;
        }
        if given.is_none() {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            answer
                .headers_mut()
                .insert("www-authenticate", "Basic realm=\"forge\"".parse().expect("a header"));
            return answer;
        }
        git_http_backend(&forge.repository, &head, &body)
    });
    Ok(answered.await.expect("an answer"))
}

/// Runs git's own server for one request (CGI, RFC 3875).
fn git_http_backend(repository: &Path, head: &http::request::Parts, body: &[u8]) -> Response<Full<Bytes>> {
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let root = repository.parent().expect("a folder");
    let name = repository.file_name().expect("a name").to_string_lossy();
    let mut git = git(root);
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path().replace(PATH, &format!("/{name}")))
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = git.spawn().expect("git");
    child.stdin.take().expect("its input").write_all(body).expect("it reads");
    let output = child.wait_with_output().expect("its output").stdout;
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").expect("a header's end");
    let mut answer = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        answer = match name {
            "Status" => answer.status(&value[..3]),
            _ => answer.header(name, value),
        };
    }
    answer.body(Full::from(output[end + 4..].to_vec())).expect("an answer")
}

/// Encodes a token as git shows it to a forge.
pub fn encoded(token: &str) -> String {
    STANDARD.encode(format!("oauth2:{token}"))
}

fn command_lines_with(token: &str) -> Vec<String> {
    let encoded = encoded(token);
    let lines = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    lines.filter(|line| line.contains(token) || line.contains(&encoded)).collect()
}
