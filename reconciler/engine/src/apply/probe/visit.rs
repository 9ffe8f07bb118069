//! Visits: the answers that visitors get at the published ports of this host.

use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use berth_plan::configuration::{Probe, Visit, Voice};
use berth_schema::domain::Tls;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::limit::{Limit, PAUSE};

/// Answers of the web server itself: a way to HTTPS, a refusal, no such site, no app that answers. An app with the same
/// answer can't be told from it, and is no help.
const OWN: [u16; 6] = [308, 403, 404, 502, 503, 504];

/// Returns whether asking for a domain orders no certificate. `volume` is where the web server keeps those it has.
pub(in crate::apply) fn is_free(visit: &Visit, volume: Option<&Path>) -> bool {
    if visit.tls != Tls::Auto {
        return true;
    }
    // A folder for each CA, a folder for each name.
    let folders = volume.and_then(|volume| std::fs::read_dir(volume.join("edge/certificates")).ok());
    let certificate = format!("{0}/{0}.crt", visit.host);
    folders.into_iter().flatten().flatten().any(|folder| folder.path().join(&certificate).is_file())
}

/// Tries it until it holds, or the limit is reached.
pub(super) async fn attempt(probe: &Probe, limit: Limit) -> Result<(), String> {
    let mut failure = "there is no answer".to_owned();
    loop {
        match tokio::time::timeout_at(limit.until.into(), once(probe, limit)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => failure = why,
            Err(_) => return Err(failure),
        }
        if !limit.goes_on() {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(probe: &Probe, limit: Limit) -> Result<(), String> {
    match probe {
        Probe::Greets { at } => match greeting(*at).await {
            Ok(first) if first == *b"SSH-2.0-" => Ok(()),
            Ok(_) => Err("what answers is not an SSH server".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        Probe::Answers { at, host, status: expected } => match plain(*at, host).await {
            Ok(status) if status == *expected => Ok(()),
            Ok(status) => Err(format!("the answer is {status}, and should be {expected}")),
            Err(why) => Err(why),
        },
        Probe::Serves { at, visits, .. } => serves(*at, visits, limit).await,
        Probe::Resolves { .. } | Probe::Forwards { .. } | Probe::Opens { .. } | Probe::Refused { .. } => {
            Ok(())
        }
    }
}

/// Reads the first words of an SSH server (RFC 4253, section 4.2).
async fn greeting(at: SocketAddrV4) -> io::Result<[u8; 8]> {
    let mut stream = TcpStream::connect(at).await?;
    let mut first = [0; 8];
    stream.read_exact(&mut first).await?;
    Ok(first)
}

/// Asks for all of them side by side, until an app answers; before a change, until those answer whose voices count.
async fn serves([http, https]: [SocketAddrV4; 2], visits: &[Visit], limit: Limit) -> Result<(), String> {
    let mut answers: FuturesUnordered<_> = visits
        .iter()
        .map(|Visit { host, tls, voice }| async move {
            let answer = match tls {
                Tls::Off => plain(http, host).await,
                Tls::Auto | Tls::Internal => encrypted(https, host).await,
            };
            (*voice, answer)
        })
        .collect();
    let (mut failures, mut voices) = (Vec::new(), Vec::new());
    while let Some((voice, answer)) = answers.next().await {
        match answer {
            Ok(status) if !OWN.contains(&status) => {
                voices.push(voice);
                if !limit.is_before() || Voice::are_enough(voices.iter().copied()) {
                    return Ok(());
                }
            }
            Ok(status) => failures.push(format!("the answer is {status}, which is the platform's")),
            Err(why) => failures.push(why),
        }
    }
    failures.sort();
    failures.dedup();
    Err(failures.join(", "))
}

/// The status of a domain's page over HTTP.
async fn plain(at: SocketAddrV4, host: &str) -> Result<u16, String> {
    status(TcpStream::connect(at).await.map_err(|error| error.to_string())?, host).await
}

/// The status of a domain's page over HTTPS, whoever signed its certificate.
async fn encrypted(at: SocketAddrV4, host: &str) -> Result<u16, String> {
    let failed = |error: &dyn fmt::Display| error.to_string();
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let stream = TcpStream::connect(at).await.map_err(|error| failed(&error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    status(stream.map_err(|error| failed(&error))?, host).await
}

async fn status<S>(stream: S, host: &str) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: &dyn fmt::Display| error.to_string();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| failed(&error))?;
    let request = hyper::Request::get("/")
        .header(hyper::header::HOST, host)
        .header(hyper::header::USER_AGENT, "Berth")
        .header(hyper::header::CONNECTION, "close")
        .body(http_body_util::Empty::<hyper::body::Bytes>::new())
        .map_err(|error| failed(&error))?;
    // Both here, so that whoever gives up waiting ends the connection too.
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may have brought the answer before it ended.
        _ = connection => answer.await,
    };
    Ok(answer.map_err(|error| failed(&error))?.status().as_u16())
}

/// Takes every certificate: what is asked is whether the app answers, and nothing is told to whoever does.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::limit::Tries;
    use super::*;

    #[test]
    fn a_name_without_a_certificate_is_not_asked_for() {
        let volume = tempfile::tempdir().expect("a folder");
        let folder = volume.path().join("edge/certificates/ca.example.org-directory/has.example.org");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("has.example.org.crt"), "").expect("a certificate");
        let is_free = |host: &str, tls, volume| {
            is_free(&Visit { host: host.to_owned(), tls, voice: Voice::Admin }, volume)
        };
        assert!(is_free("has.example.org", Tls::Auto, Some(volume.path())));
        assert!(!is_free("waits.example.org", Tls::Auto, Some(volume.path())));
        assert!(!is_free("has.example.org", Tls::Auto, None));
        assert!(is_free("waits.example.org", Tls::Internal, None));
        assert!(is_free("waits.example.org", Tls::Off, None));
    }

    #[tokio::test]
    async fn before_a_change_one_members_apps_are_not_enough() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let std::net::SocketAddr::V4(at) = listener.local_addr().expect("its address") else {
            panic!("IPv4")
        };
        let app = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 1024];
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut asked).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            }
        });
        let visit = |voice| Visit { host: "a.example.org".to_owned(), tls: Tls::Off, voice };
        let (eves, bobs, admins) = (visit(Voice::Member(0)), visit(Voice::Member(1)), visit(Voice::Admin));
        let (before, after) = (Limit::of(Tries::One), Limit::of(Tries::Many));
        assert!(serves([at; 2], &[eves.clone(), eves.clone()], before).await.is_err());
        assert_eq!(serves([at; 2], &[eves.clone(), bobs], before).await, Ok(()));
        assert_eq!(serves([at; 2], &[admins], before).await, Ok(()));
        assert_eq!(serves([at; 2], &[eves], after).await, Ok(()));
        app.abort();
    }
}
