//! Certificates from a real CA (pebble), and what becomes of the panel when there is none.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use berth_ca::Pace;
use berth_testing::Pebble;
use berth_testing::pebble::Places;
use berth_testing::process::within;
use berth_web::acme::Acme;
use berth_wire::certificate::{CertificateSource, CertificateStanding, FailedOrder, OrderFailure, Proof};
use http::StatusCode;
use rustix::process::geteuid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::block_in_place;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::panel::{DOMAIN, Panel};
use crate::program::{NOBODY, Program};

/// Asking a CA takes some round trips between busy processes.
const ISSUING: Duration = Duration::from_secs(60);

/// Deadlines and waits that a test can wait for. No deadline can run out by chance.
const PACE: Pace = Pace {
    request: Duration::from_secs(60),
    order: Duration::from_secs(120),
    first: Duration::from_millis(200),
    longest: Duration::from_millis(400),
    limited: Duration::from_millis(400),
    near: Duration::from_millis(400),
    look: Duration::from_millis(50),
};

/// A CA, and a panel that orders from it by TLS-ALPN-01.
struct Scene {
    folder: TempDir,
    pebble: Pebble,
    panel: Panel,
}

impl Scene {
    async fn start(change: impl FnOnce(&mut Places)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut pebble = None;
        let panel = Panel::start_with(|settings| {
            // Some good requests are refused, as a CA may that has forgotten a nonce.
            let mut places = Places { tls: settings.port, refused: 20, ..Places::free() };
            change(&mut places);
            let started =
                block_in_place(|| Pebble::start(folder.path(), places, |program| Command::new(program)));
            settings.acme = Some(acme(started.directory(), started.server_root()));
            pebble = Some(started);
        })
        .await;
        Self { folder, pebble: pebble.unwrap(), panel }
    }

    /// The certificate that the panel shows, checked as a browser does that knows the CA; `None` for another.
    async fn certificate(&self) -> Option<Vec<u8>> {
        shown(self.panel.address, &self.root()).await
    }

    fn root(&self) -> String {
        block_in_place(|| self.pebble.root(|program| Command::new(program)))
    }

    fn standing(&self) -> Option<CertificateStanding> {
        CertificateStanding::read(&self.panel.data())
    }

    /// Waits for a certificate of the CA.
    async fn certified(&self) -> Vec<u8> {
        block_in_place(|| {
            within(ISSUING, "a certificate of the CA", || {
                self.standing().filter(|standing| standing.source == CertificateSource::Acme)
            })
        });
        self.certificate().await.unwrap()
    }

    /// Waits for an order of this kind of end.
    fn failed(&self, kind: OrderFailure) -> FailedOrder {
        failed(&self.panel.data(), kind)
    }
}

fn acme(directory: String, roots: String) -> Acme {
    Acme {
        directory,
        email: Some("ops@example.org".to_owned()),
        roots: Some(roots),
        proof: Proof::TlsAlpn01,
        account: None,
        given: PathBuf::new(),
        pace: PACE,
    }
}

fn failed(data: &Path, kind: OrderFailure) -> FailedOrder {
    block_in_place(|| {
        within(ISSUING, "an order that fails", || {
            let order = CertificateStanding::read(data)?.order?;
            order.failed.filter(|failed| failed.kind == kind)
        })
    })
}

/// The certificate at an address, if a root vouches for it.
async fn shown(address: SocketAddr, root: &str) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(DOMAIN).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_comes_by_tls_alpn_01_and_outlives_the_process() {
    let mut scene = Scene::start(|_| {}).await;
    let first = scene.certified().await;
    let data = scene.panel.data();
    let standing = scene.standing().unwrap();
    assert!(standing.ends.is_some() && standing.order.unwrap().failed.is_none());
    // The next process asks nobody.
    let root = scene.root();
    let Scene { folder, pebble, panel } = &mut scene;
    panel
        .again_with(|settings| {
            settings.acme = Some(acme(pebble.directory(), pebble.server_root()));
        })
        .await;
    assert_eq!(shown(panel.address, &root).await, Some(first));
    let log = std::fs::read_to_string(folder.path().join("pebble.log")).unwrap();
    assert_eq!(log.matches("Issued certificate").count(), 1, "{log}");

    let mut files = 0;
    for folder in [data.join("acme"), data.join("acme").read_dir().unwrap().next().unwrap().unwrap().path()] {
        assert_eq!(mode(&folder), 0o700);
        for file in folder.read_dir().unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file())
        {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
            files += 1;
        }
    }
    assert_eq!(files, 2, "the account's key and the certificate");
}

/// Passes what a CA asks at a port on to the panel, as the edge does.
async fn pass_on(listener: tokio::net::TcpListener, socket: PathBuf) {
    loop {
        let (mut asked, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(asked.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let words = "berth-client: 192.0.2.7\r\nberth-scheme: http\r\nconnection: close\r\n\r\n";
        let mut panel = UnixStream::connect(&socket).await.unwrap();
        panel.write_all(format!("{}\r\n{words}", head.trim_end()).as_bytes()).await.unwrap();
        tokio::io::copy(&mut panel, &mut asked).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_comes_by_http_01_through_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let edge = folder.path().join("edge");
    std::fs::create_dir(&edge).unwrap();
    if geteuid().is_root() {
        for path in [folder.path(), &edge] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let places = Places { http: listener.local_addr().unwrap().port(), ..Places::free() };
    let _edge = AbortOnDropHandle::new(tokio::spawn(pass_on(listener, edge.join("edge.sock"))));
    let command = |program: &str| Command::new(program);
    let pebble = block_in_place(|| Pebble::start(&folder.path().join("ca"), places, command));
    let panel = block_in_place(|| {
        Program::start_with(|command| {
            if geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.arg("--edge").arg(&edge).args(["--acme-directory", &pebble.directory()]);
            command.args(["--acme-proof", "http-01", "--acme-ca", &pebble.server_root()])
        })
    });
    let root = block_in_place(|| {
        within(ISSUING, "a certificate of the CA", || {
            let standing = CertificateStanding::read(&panel.home.path().join("data"))?;
            (standing.source == CertificateSource::Acme).then_some(())
        });
        pebble.root(command)
    });
    assert!(shown(panel.address, &root).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_it_ends() {
    let scene = Scene::start(|places| places.seconds = 24).await;
    let first = scene.certified().await;
    let ends = scene.standing().unwrap().ends;
    block_in_place(|| {
        within(ISSUING, "a certificate that lasts longer", || {
            let standing = scene.standing()?;
            (standing.source == CertificateSource::Acme && standing.ends > ends).then_some(())
        });
    });
    let second = scene.certificate().await;
    assert!(second.is_some() && second != Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_gets_no_certificate_and_the_panel_goes_on() {
    let scene = Scene::start(|places| places.everybody = Ipv4Addr::new(127, 0, 0, 2)).await;
    let first = scene.failed(OrderFailure::Unproven);
    assert!(
        first.why.contains("the CA didn't find the panel at panel.example.org by TLS-ALPN-01: "),
        "{first:?}"
    );
    assert!(first.again > first.at);
    scene.panel.browser().get("/login").await.says(StatusCode::OK, "Sign in");
    assert_eq!(scene.standing().unwrap().source, CertificateSource::Own);
    block_in_place(|| {
        within(ISSUING, "another order", || {
            (scene.failed(OrderFailure::Unproven).before > first.before).then_some(())
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_silent_holds_nobody_up() {
    // Connections are taken by the kernel, and nobody ever answers them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let directory = format!("https://{}/dir", silent.local_addr().unwrap());
    let root = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap().cert.pem();
    let panel = Panel::start_with(|settings| {
        let pace = Pace { request: Duration::from_millis(300), ..PACE };
        settings.acme = Some(Acme { pace, ..acme(directory.clone(), root) });
    })
    .await;
    let failed = failed(&panel.data(), OrderFailure::Silent);
    assert_eq!(failed.why, format!("the CA at {directory} didn't answer within 0.3 s"));
    panel.browser().get("/login").await.says(StatusCode::OK, "Sign in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_the_words_of_the_ca() {
    let scene = Scene::start(|places| places.refused = 100).await;
    let failed = scene.failed(OrderFailure::Refused);
    assert!(failed.why.starts_with("the CA refuses: JWS has an invalid anti-replay nonce"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_admin_come_before_the_ca_and_the_ca_before_the_own_one() {
    let scene = Scene::start(|_| {}).await;
    scene.certified().await;
    let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
    let tls = scene.panel.data().join("tls");
    std::fs::create_dir(&tls).unwrap();
    std::fs::write(tls.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(tls.join("cert.pem"), made.cert.pem()).unwrap();
    let comes = |source| {
        block_in_place(|| {
            within(ISSUING, "another certificate", || {
                scene.standing().filter(|standing| standing.source == source).map(drop)
            });
        });
    };
    comes(CertificateSource::Files);
    assert_eq!(scene.certificate().await, None);
    std::fs::remove_dir_all(tls).unwrap();
    comes(CertificateSource::Acme);
    assert!(scene.certificate().await.is_some());
}
