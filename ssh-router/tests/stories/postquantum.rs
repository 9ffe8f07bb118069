//! A client that insists on post-quantum key exchange. The stories' other clients are older than it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use russh::client::{self, Session};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, Preferred, kex};

use crate::harness::{PATIENCE, Place, public};

/// Knows the router's key, and notes how the keys were agreed on.
struct Client {
    host_key: PublicKey,
    agreed: Arc<AtomicBool>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(
            matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.host_key.key_data()),
        )
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        names: &russh::Names,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.agreed.store(names.kex == kex::MLKEM768X25519_SHA256, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_client_that_takes_only_post_quantum_keys_logs_in_and_runs_a_command() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (said, code) = runtime.block_on(async { tokio::time::timeout(PATIENCE, run(&place)).await }).unwrap();
    assert_eq!((said.as_slice(), code), (&b"said\n"[..], Some(7)));
}

/// Output of a command, and its exit code.
async fn run(place: &Place) -> (Vec<u8>, Option<u32>) {
    let preferred = Preferred { kex: Cow::Borrowed(&[kex::MLKEM768X25519_SHA256]), ..Preferred::default() };
    let config = client::Config { preferred, ..client::Config::default() };
    let agreed = Arc::new(AtomicBool::new(false));
    let host_key = PublicKey::from_openssh(&public(place.folder.path(), "router")).unwrap();
    let client = Client { host_key, agreed: Arc::clone(&agreed) };
    let mut session = client::connect(Arc::new(config), (place.host(), place.port), client).await.unwrap();
    let key = load_secret_key(place.path("ann"), None).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    assert!(session.authenticate_publickey("shop", key).await.unwrap().success());
    assert!(agreed.load(Ordering::Relaxed), "another key exchange");
    let mut channel = session.channel_open_session().await.unwrap();
    channel.exec(true, "read word; echo $word; exit 7").await.unwrap();
    channel.data(&b"said\n"[..]).await.unwrap();
    let (mut said, mut code) = (Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => said.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
            _ => {}
        }
    }
    (said, code)
}
