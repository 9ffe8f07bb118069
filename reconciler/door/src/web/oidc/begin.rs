//! The beginning of a round: what the browser takes to the provider, and what the door keeps until it is back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use berth_wire::web::{
    OidcBind, OidcConfirm, OidcRound, OidcSignIn, ProviderCard, Refusal, Secret, SignInWays,
};
use openidconnect::core::{CoreAuthPrompt, CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{AuthenticationFlow, ClientId, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl, Scope};

use super::super::factors::prove_code;
use super::super::origin::Origins;
use super::super::panel::{Asker, Panel};
use super::super::read::provider_card;
use super::super::refusals::{bad, signed_out, too_many, unavailable};
use super::super::secret::fresh;
use super::super::user_file::set_here;
use super::provider::{client, provider, settings};
use super::rounds::{Purpose, Round};
use crate::members::Good;

/// Path to which the provider sends the browser back.
const BACK: &str = "/login/oidc/back";
/// The most accounts of one person.
const EACH: usize = 5;

/// Tells whether people can sign in by a provider.
pub(crate) fn sign_in_ways(panel: &Panel, _: SignInWays) -> Result<Option<ProviderCard>, Refusal> {
    Ok(provider_card(&panel.good()?.state.platform))
}

/// Begins a sign-in.
pub(crate) fn oidc_sign_in(panel: &Panel, asked: OidcSignIn) -> Result<OidcRound, Refusal> {
    // It costs no guess, but whoever guesses waits.
    panel.throttle.begin(asked.from, None, panel.now().steady).map_err(too_many)?.take_back();
    begin(panel, &panel.good()?, Purpose::SignIn, &asked.host, asked.from)
}

/// Begins a round in which somebody proves once more who they are. Whoever has a second factor has to know a code, too.
pub(crate) fn oidc_confirm(panel: &Panel, asker: &Asker, asked: OidcConfirm) -> Result<OidcRound, Refusal> {
    let name = &asker.name;
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    if settings(asker.state())?.account_of(user).is_none() {
        return Err(bad("You have no account at the provider.", "Bind it under Account first."));
    }
    let begun = panel.throttle.begin(asked.from, Some(name.as_str()), panel.now().steady);
    let attempt = begun.map_err(too_many)?;
    match user.second_factor {
        Some(_) => prove_code(panel, user, &asked.code, asked.from, attempt)?,
        // Nothing is proved yet, so it forgives no guess at the password.
        None => attempt.take_back(),
    }
    let purpose = Purpose::Confirm { user: name.clone(), token: asker.token };
    begin(panel, &asker.good, purpose, &asked.host, asked.from)
}

/// Begins a round that binds an account.
pub(crate) fn oidc_bind(panel: &Panel, asker: &Asker, asked: OidcBind) -> Result<OidcRound, Refusal> {
    asker.must_be_fresh()?;
    let name = &asker.name;
    set_here(asker.state(), name, "oidc")?;
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    if user.oidc.len() >= EACH {
        return Err(bad(
            format!("You have bound {EACH} accounts already."),
            "Take one out that you don't use.",
        ));
    }
    let purpose = Purpose::Bind { user: name.clone(), token: asker.token };
    begin(panel, &asker.good, purpose, &asked.host, asked.from)
}

fn begin(
    panel: &Panel,
    good: &Good,
    purpose: Purpose,
    host: &str,
    from: IpAddr,
) -> Result<OidcRound, Refusal> {
    let oidc = settings(&good.state)?;
    let origin = Origins::exact(&good.state.platform, host).ok_or_else(|| {
        bad(
            "Signing in by the provider doesn't work at this address.",
            "Open the panel by its own name: `panel.domain` in platform.toml.",
        )
    })?;
    let known = provider(panel, oidc, false)?;
    let metadata: CoreProviderMetadata =
        serde_json::from_value(known.description).map_err(|error| unavailable(&error))?;
    if metadata.issuer().as_str() != oidc.issuer.as_str() {
        return Err(unavailable(&OtherIssuer));
    }
    let [state, nonce, browser] = [fresh(), fresh(), fresh()];
    let failed = |error| unavailable(&error);
    let (state, nonce, browser) = (state.map_err(failed)?, nonce.map_err(failed)?, browser.map_err(failed)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let redirect_uri = format!("{origin}{BACK}");
    let back = RedirectUrl::new(redirect_uri.clone()).map_err(|error| unavailable(&error))?;
    let of_panel = CoreClient::from_provider_metadata(metadata, ClientId::new(oidc.client_id.clone()), None);
    let (csrf, once) = (CsrfToken::new(state.clone()), Nonce::new(nonce.clone()));
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let mut request = of_panel
        .authorize_url(flow, move || csrf, move || once)
        .add_scopes(oidc.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .set_redirect_uri(Cow::Owned(back));
    if let Purpose::Confirm { .. } = purpose {
        // With it, the provider has to say when the person proved who they are.
        request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
    }
    let (url, _, _) = request.url();
    let round = Round {
        purpose,
        client: client(oidc),
        redirect_uri,
        nonce: Secret(nonce),
        verifier: Secret(verifier.into_secret()),
        began: panel.now().date,
    };
    panel.oidc.rounds.begin(&state, &browser, from, round, panel.now().steady);
    Ok(OidcRound { url: url.into(), round: Secret(browser) })
}

/// The process that reaches the provider tells of another one.
#[derive(Debug, thiserror::Error)]
#[error("`berth oidc` tells of another provider than platform.toml")]
struct OtherIssuer;
