//! TLS: versions, protocols, and the certificate of an admin.

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_util::task::AbortOnDropHandle;

use crate::panel::{DOMAIN, Panel};

#[tokio::test(flavor = "multi_thread")]
async fn http_2_has_the_same_guards() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let stream = browser.connect_with(|config| config.alpn_protocols = vec![b"h2".to_vec()]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    for (host, status) in
        [(panel.host(), StatusCode::OK), ("evil.example".to_owned(), StatusCode::MISDIRECTED_REQUEST)]
    {
        let request = Request::get(format!("https://{host}/login")).body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
        answer.into_body().collect().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_of_an_admin_browsers_insist_on_tls() {
    let panel = Panel::start_with(|settings| {
        let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).unwrap();
        let folder = settings.data.join("tls");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    })
    .await;
    let page = panel.browser().get("/login").await;
    page.says(StatusCode::OK, "Sign in");
    assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
    assert!(!berth_web::tls::ca_path(&panel.data(), DOMAIN).exists(), "no CA is made that nobody needs");
}
