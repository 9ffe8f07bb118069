//! The provider: its description and keys, kept for an hour, and the exchange of codes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_schema::secret::Form;
use berth_wire::oidc::{AskProvider, Client, Exchange, Exchanged, Provider, ProviderStanding};
use berth_wire::web::Secret;
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use openidconnect::core::{
    CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreJsonWebKeySet, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest, HttpResponse, OAuth2TokenResponse as _,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, TokenResponse as _,
};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use crate::http::Http;
use crate::settings::OidcSettings;
use crate::standing::Standing;
use crate::trouble::ProviderError;

/// Time after which description and keys are fetched anew.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// Time for which they may be used while the provider can't be reached.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Time that lies between two fetches because of a key that nobody knows: whoever forges tokens can't have the provider asked
/// for each.
const BETWEEN: Duration = Duration::from_secs(30);
/// Time for which nobody asks the provider again after it has failed: who waited meanwhile gets the same answer at once.
const PAUSE: Duration = Duration::from_secs(15);
/// Exchanges at once.
const AT_ONCE: usize = 16;

/// The provider, as it was last heard.
pub(crate) struct Keeper {
    settings: OidcSettings,
    /// Held while it is fetched: many who ask wait for one fetch.
    known: Mutex<Known>,
    room: Semaphore,
    standing: Standing,
}

/// Knowledge of the provider.
#[derive(Default)]
struct Known {
    held: Option<Held>,
    /// The last fetch, if it failed, and when it did.
    failed: Option<(Instant, Arc<ProviderError>)>,
}

struct Held {
    provider: Provider,
    metadata: CoreProviderMetadata,
    at: Instant,
}

impl Keeper {
    pub(crate) fn new(settings: OidcSettings) -> Self {
        let standing = Standing::default();
        Self { settings, known: Mutex::default(), room: Semaphore::new(AT_ONCE), standing }
    }

    /// Tells of the provider.
    pub(crate) async fn provider(&self, asked: &AskProvider) -> Result<Provider, ProviderError> {
        self.check(&asked.client)?;
        self.with(asked.renew, |held| held.provider.clone()).await
    }

    /// Tells how the provider does, without asking it.
    pub(crate) fn standing(&self) -> ProviderStanding {
        self.standing.told(self.settings.oidc.issuer.as_str())
    }

    /// Exchanges a code for the provider's word.
    pub(crate) async fn exchange(&self, asked: Exchange) -> Result<Exchanged, ProviderError> {
        let exchanged = self.exchanged(asked).await;
        self.standing.exchanged(&exchanged);
        exchanged
    }

    async fn exchanged(&self, asked: Exchange) -> Result<Exchanged, ProviderError> {
        self.check(&asked.client)?;
        let _place = self.room.try_acquire().map_err(|_| ProviderError::Busy)?;
        let metadata = self.with(false, |held| held.metadata.clone()).await?;
        let http = self.http()?;
        let by = ways(&metadata);
        let endpoint = metadata.token_endpoint().map(|url| url.as_str().to_owned());
        let endpoint = endpoint.ok_or(ProviderError::NoToken)?;
        let unusable = |error: &dyn std::fmt::Display| ProviderError::Unreadable {
            url: endpoint.clone(),
            why: error.to_string(),
        };
        let client_id = ClientId::new(self.settings.oidc.client_id.clone());
        let client =
            CoreClient::from_provider_metadata(metadata, client_id, self.secret()?).set_auth_type(by);
        let back = RedirectUrl::new(asked.redirect_uri).map_err(|error| unusable(&error))?;
        let request = client
            .exchange_code(AuthorizationCode::new(asked.code.0))
            .map_err(|error| unusable(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(asked.verifier.0))
            .set_redirect_uri(std::borrow::Cow::Owned(back));
        let send = |request: HttpRequest| send(http.clone(), request);
        let token = request.request_async(&send).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(told) => {
                let words = berth_schema::text::safe_line(&told.to_string(), 200);
                match told.error() {
                    CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                        ProviderError::Client(words)
                    }
                    _ => ProviderError::Code(words),
                }
            }
            RequestTokenError::Request(error) => error,
            error => unusable(&error),
        })?;
        // The access token would open what is theirs at the provider. Nobody here needs it, so it ends here.
        let _ = token.access_token();
        let id_token = token.id_token().ok_or(ProviderError::NoToken)?;
        Ok(Exchanged { id_token: Secret(id_token.to_string()) })
    }

    /// Checks that the door means the client that this process knows.
    fn check(&self, client: &Client) -> Result<(), ProviderError> {
        let oidc = &self.settings.oidc;
        match client.issuer == oidc.issuer.as_str() && client.client_id == oidc.client_id {
            true => Ok(()),
            false => Err(ProviderError::Changed),
        }
    }

    fn secret(&self) -> Result<Option<ClientSecret>, ProviderError> {
        let oidc = &self.settings.oidc;
        if oidc.public {
            return Ok(None);
        }
        let secret = self.settings.secrets.read(&oidc.secret, Form::Token)?;
        Ok(Some(ClientSecret::new(secret.to_string())))
    }

    fn http(&self) -> Result<Http, ProviderError> {
        tokio::task::block_in_place(|| Http::find(&self.settings.oidc, self.settings.within))
    }

    /// Gives what is known of the provider, after a fetch where that is due.
    async fn with<T>(&self, renew: bool, of: impl FnOnce(&Held) -> T) -> Result<T, ProviderError> {
        let mut known = self.known.lock().await;
        let age = known.held.as_ref().map(|held| held.at.elapsed());
        let is_due = age.is_none_or(|age| age >= FRESH || (renew && age >= BETWEEN));
        if is_due
            && let Some(error) = self.renew(&mut known).await
            && age.is_none_or(|age| age >= USABLE)
        {
            return Err(ProviderError::Failed(error));
        }
        known.held.as_ref().map(of).ok_or(ProviderError::NoKeys)
    }

    /// Fetches anew, and returns why that failed. Soon after a failure it fetches nothing and returns that one.
    async fn renew(&self, known: &mut Known) -> Option<Arc<ProviderError>> {
        if let Some((at, error)) = &known.failed
            && at.elapsed() < PAUSE
        {
            return Some(Arc::clone(error));
        }
        match self.fetch().await {
            Ok(fetched) => {
                self.standing.fetched(fetched.provider.fetched);
                *known = Known { held: Some(fetched), failed: None };
                None
            }
            Err(error) => {
                if known.held.is_some() {
                    tracing::warn!(
                        error = berth_fault::chain(&error),
                        "the OpenID provider can't be asked anew; what it said before holds for a day"
                    );
                }
                self.standing.unfetched(&error);
                let error = Arc::new(error);
                known.failed = Some((Instant::now(), Arc::clone(&error)));
                Some(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Held, ProviderError> {
        let http = self.http()?;
        let issuer = self.settings.oidc.issuer.as_str();
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let (description, metadata): (Value, CoreProviderMetadata) = parse(&url, &http.get(&url).await?)?;
        let found = metadata.issuer().as_str();
        if found != issuer {
            return Err(ProviderError::OtherIssuer {
                url,
                expected: issuer.to_owned(),
                found: found.to_owned(),
            });
        }
        let endpoint = metadata.token_endpoint().map(|url| url.as_str());
        for url in [Some(metadata.authorization_endpoint().as_str()), endpoint].into_iter().flatten() {
            http.check(url)?;
        }
        let url = metadata.jwks_uri().as_str().to_owned();
        let (keys, known): (Value, CoreJsonWebKeySet) = parse(&url, &http.get(&url).await?)?;
        if known.keys().is_empty() {
            return Err(ProviderError::NoKeys);
        }
        tracing::info!(issuer, keys = known.keys().len(), "the OpenID provider has told its keys");
        let provider = Provider { description, keys, fetched: Timestamp::now() };
        Ok(Held { provider, metadata, at: Instant::now() })
    }
}

/// The text as JSON, and as what it should be.
fn parse<T: serde::de::DeserializeOwned>(url: &str, text: &Bytes) -> Result<(Value, T), ProviderError> {
    let failed =
        |error: serde_json::Error| ProviderError::Unreadable { url: url.to_owned(), why: error.to_string() };
    let value: Value = serde_json::from_slice(text).map_err(failed)?;
    let read = serde_json::from_slice(text).map_err(failed)?;
    Ok((value, read))
}

/// The way in which the provider wants the secret: in a header, unless it takes it in the form alone.
fn ways(metadata: &CoreProviderMetadata) -> AuthType {
    let known = metadata.token_endpoint_auth_methods_supported();
    let takes = |way: CoreClientAuthMethod| known.is_some_and(|known| known.contains(&way));
    match !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost) {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }
}

async fn send(http: Http, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
    http.check(&request.uri().to_string())?;
    let request: Request<Bytes> = request.map(Bytes::from);
    Ok(http.send(request).await?.map(|body| body.to_vec()))
}
