//! Files that are handed over, in folders that the web server's container and the panel see.

use std::io;

use berth_host::{GuestFile, give_to_panel};
use berth_wire::acme::{ACCOUNT_KEY, CERTIFICATE};
use instant_acme::AccountCredentials;
use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::json;

use crate::settings::AcmeSettings;
use crate::store::Certificate;

/// Name of the wildcard certificate in the web server's folder. Its configuration knows it.
const EDGE_CERTIFICATE: &str = "platform.pem";
/// Names of the account in the web server's folder, which its `account` script knows.
const EDGE_ACCOUNT: [&str; 2] = ["account.json", "account.key"];

/// Part of the credentials that their type doesn't show.
#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Hands over what there is, and takes away what there isn't any more. A folder that isn't there yet gets nothing: its owner makes it.
pub(crate) fn over(
    settings: &AcmeSettings,
    account: Option<&AccountCredentials>,
    certificate: Option<&Certificate>,
) -> io::Result<()> {
    let certificate = certificate.map(|certificate| certificate.pem.as_bytes());
    // Others need no account of ours where the CA gives one to everybody.
    let account = account.filter(|_| settings.acme.eab.is_some());
    let key = account.map(|account| account.private_key().secret_pkcs8_der().to_vec());
    let [registration, key_file] = EDGE_ACCOUNT;
    let (told, pem) = match (account, &key) {
        (Some(account), Some(key)) => {
            let pair = KeyPair::try_from(key.as_slice()).map_err(io::Error::other)?;
            (Some(registration_of(settings, account)?), Some(pair.serialize_pem()))
        }
        _ => (None, None),
    };
    for (name, content) in [
        (EDGE_CERTIFICATE, certificate),
        (key_file, pem.as_deref().map(str::as_bytes)),
        // The last one, since it is what the web server looks for first.
        (registration, told.as_deref()),
    ] {
        GuestFile::at(&settings.edge, name).keep(content)?;
    }
    if let Some(panel) = &settings.panel {
        for (name, content) in [(CERTIFICATE, certificate), (ACCOUNT_KEY, key.as_deref())] {
            give_to_panel(&panel.join(name), content)?;
        }
    }
    Ok(())
}

/// The account as Caddy keeps it.
fn registration_of(settings: &AcmeSettings, account: &AccountCredentials) -> io::Result<Vec<u8>> {
    let Id { id } = serde_json::from_value(serde_json::to_value(account)?)?;
    let contact: Vec<String> = settings.acme.email.iter().map(|email| format!("mailto:{email}")).collect();
    Ok(serde_json::to_vec(&json!({
        "status": "valid",
        "contact": contact,
        "termsOfServiceAgreed": true,
        "orders": "",
        "location": id,
    }))?)
}
