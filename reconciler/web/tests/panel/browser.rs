//! As much of a browser as the panel needs: TLS with a known CA, one cookie, the headers that tell where a form comes from. It
//! follows no redirect, so that a test sees each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::panel::DOMAIN;

/// A browser.
pub(crate) struct Browser {
    address: SocketAddr,
    origin: String,
    data: PathBuf,
    cookie: Mutex<Option<String>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Bytes of it as they came, compressed or not.
    pub(crate) size: usize,
}

impl Page {
    /// Address that it leads to.
    #[track_caller]
    pub(crate) fn goes_to(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header(LOCATION.as_str())
    }

    /// A header; empty for none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Checks that it is a page with these words.
    #[track_caller]
    pub(crate) fn says(&self, status: StatusCode, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "no \"{words}\" in {}", self.text);
    }
}

impl Browser {
    /// A browser that trusts the CA of the panel whose data is there.
    pub(crate) fn new(address: SocketAddr, origin: String, data: &Path) -> Self {
        Self { address, origin, data: data.to_owned(), cookie: Mutex::default() }
    }

    /// The value of the session's cookie.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().clone()
    }

    /// Puts a cookie in.
    pub(crate) fn set_cookie(&self, value: Option<String>) {
        *self.cookie.lock() = value;
    }

    /// Fetches a page.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path, "")).await
    }

    /// Sends a form from a page of the panel.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.send(self.form(path, form)).await
    }

    /// A form as a page of the panel sends it.
    pub(crate) fn form(&self, path: &str, form: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let mut request = self.request(Method::POST, path, &pairs.join("&"));
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        headers.insert(ORIGIN, self.origin.parse().unwrap());
        headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
        headers.insert("sec-fetch-mode", "navigate".parse().unwrap());
        request
    }

    /// A request with the cookie.
    pub(crate) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(body.to_owned())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let headers = request.headers_mut();
        headers.insert(HOST, self.origin.strip_prefix("https://").unwrap().parse().unwrap());
        if let Some(cookie) = &*self.cookie.lock() {
            headers.insert(COOKIE, format!("theme=dark; __Host-berth={cookie}").parse().unwrap());
        }
        request
    }

    /// Sends a request and keeps the cookie of its answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Page {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await.unwrap())).await.unwrap();
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answer = sender.send_request(request).await.unwrap();
        self.page(answer).await
    }

    async fn page(&self, answer: Response<hyper::body::Incoming>) -> Page {
        let (parts, body) = answer.into_parts();
        for line in parts.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (value, attributes) = line.strip_prefix("__Host-berth=").unwrap().split_once(';').unwrap();
            *self.cookie.lock() = (!attributes.contains("Max-Age=0")).then(|| value.to_owned());
        }
        let body = body.collect().await.unwrap().to_bytes();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
            size: body.len(),
        }
    }

    /// A connection with TLS.
    pub(crate) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(|_| {}).await
    }

    /// A connection with other settings of TLS.
    pub(crate) async fn connect_with(
        &self,
        change: impl FnOnce(&mut ClientConfig),
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        // The panel's own CA, or what an admin gave it.
        for path in [berth_web::tls::ca_path(&self.data, DOMAIN), self.data.join("tls/cert.pem")] {
            if let Ok(certificate) = CertificateDer::from_pem_file(path) {
                roots.add(certificate).unwrap();
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        change(&mut config);
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(DOMAIN).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}
