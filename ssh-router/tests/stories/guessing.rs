//! Guesses at a password, which cost their source however the connection goes on.

use std::sync::Arc;
use std::time::Instant;

use russh::client;
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};

use crate::harness::{PATIENCE, Place};

/// A client that trusts any router.
struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Guesses twice at a password for ann's server and then logs in to eve's own, all on one connection. `None` when the router
/// doesn't admit the connection any more.
async fn guess_and_enter(place: &Place) -> Option<()> {
    let config = Arc::new(client::Config::default());
    let mut session = client::connect(config, (place.host(), place.port), Trusting).await.ok()?;
    for _ in 0..2 {
        assert!(!session.authenticate_password("shop", "wrong").await.unwrap().success());
    }
    let key = Arc::new(russh::keys::load_secret_key(place.path("eve"), None).unwrap());
    let shown = session.authenticate_publickey("wiki", PrivateKeyWithHashAlg::new(key, None)).await.unwrap();
    assert!(shown.success());
    Some(())
}

/// Each attempt to log in may name another login, so a connection that ends with one's own key would be a free guess at
/// everybody's password.
#[tokio::test]
async fn a_key_of_ones_own_pays_for_no_guess_at_the_password_of_others() {
    let place = Place::with(&["--exempt", "192.0.2.0/24", "--failure-delay", "10ms"]);
    let deadline = Instant::now() + PATIENCE;
    while guess_and_enter(&place).await.is_some() {
        assert!(Instant::now() < deadline, "guesses go on:\n{}", place.log());
    }
    place.await_log("source refused for a while");
    let log = place.log();
    let told = log.lines().filter(|line| line.contains("password refused") && line.contains("shop")).count();
    assert!(told >= 3, "{log}");
    assert!(log.contains("user=eve server=wiki"), "{log}");
}
