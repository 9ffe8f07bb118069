//! The account at the CA (RFC 8555, 7.3), bound to one that its operator knows where `[acme.eab]` says so.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use berth_schema::secret::{Form, SecretName};
use berth_secrets::Secrets;
use instant_acme::{Account, ExternalAccountKey, NewAccount};

use crate::http::Http;
use crate::settings::AcmeSettings;
use crate::store::Store;
use crate::trouble::OrderError;

/// Opens the account, or registers one and keeps it.
pub(crate) async fn account(settings: &AcmeSettings, store: &Store) -> Result<Account, OrderError> {
    let AcmeSettings { acme, secrets, pace, .. } = settings;
    let directory = &acme.directory;
    let failed = |error| OrderError::of(error, directory);
    let http = tokio::task::block_in_place(|| Http::find(acme.ca.as_ref(), pace.request))?;
    let builder = Account::builder_with_http(Box::new(http));
    if let Some(kept) = store.account()? {
        return builder.from_credentials(kept).await.map_err(failed);
    }
    let contact = acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let key = acme.eab.as_ref().map(|eab| {
        let key = mac_key(secrets, &eab.secret)?;
        Ok::<_, OrderError>(ExternalAccountKey::new(eab.key_id.clone(), &key))
    });
    let key = key.transpose()?;
    let (account, credentials) =
        builder.create(&new, directory.clone(), key.as_ref()).await.map_err(failed)?;
    store.keep_account(&credentials)?;
    tracing::info!(directory, account = account.id(), bound = key.is_some(), "the CA has opened an account");
    Ok(account)
}

/// Reads a key, which may be written in either alphabet of base64, with or without padding.
pub(crate) fn mac_key(secrets: &Secrets, name: &SecretName) -> Result<Vec<u8>, OrderError> {
    let text = secrets.read(name, Form::MacKey)?;
    let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let key = GeneralPurpose::new(&alphabet, config).decode(text.as_bytes());
    key.map_err(|_| OrderError::NoKey(name.to_string()))
}
