//! The provider, as `berth oidc` tells of it: asked by an answer's own thread, and with one sentence for the person where it says no.

use berth_fault::chain;
use berth_schema::State;
use berth_schema::oidc::Oidc;
use berth_wire::oidc::{AskProvider, Client, Exchange, FetchError, Provider, Trouble, TroubleKind};
use berth_wire::web::{Refusal, Secret, Why};
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;

use super::super::panel::Panel;
use super::super::refusals::{forbidden, not_found};
use super::rounds::Round;

/// The settings of the provider.
pub(super) fn settings(state: &State) -> Result<&Oidc, Refusal> {
    state.platform.panel.as_ref().and_then(|panel| panel.oidc.as_ref()).ok_or_else(not_found)
}

/// The client as the state has it.
pub(super) fn client(oidc: &Oidc) -> Client {
    Client { issuer: oidc.issuer.to_string(), client_id: oidc.client_id.clone() }
}

/// Asks for the provider's description and keys.
pub(super) fn provider(panel: &Panel, oidc: &Oidc, renew: bool) -> Result<Provider, Refusal> {
    let asked = AskProvider { client: client(oidc), renew };
    let _place = place(panel, oidc)?;
    let answer = Handle::current().block_on(panel.oidc.fetcher.provider(&asked));
    answer.map_err(|error| refusal(oidc, &error))
}

/// Exchanges a code for the provider's word, which nobody has checked yet.
pub(super) fn exchange(panel: &Panel, oidc: &Oidc, round: &Round, code: Secret) -> Result<Secret, Refusal> {
    let (client, redirect_uri) = (round.client.clone(), round.redirect_uri.clone());
    let asked = Exchange { client, code, verifier: round.verifier.clone(), redirect_uri };
    let _place = place(panel, oidc)?;
    let answer = Handle::current().block_on(panel.oidc.fetcher.exchange(&asked));
    Ok(answer.map_err(|error| refusal(oidc, &error))?.id_token)
}

/// Takes a place among those that wait for the provider, for as long as it is held.
fn place<'p>(panel: &'p Panel, oidc: &Oidc) -> Result<SemaphorePermit<'p>, Refusal> {
    panel.oidc.places.try_acquire().map_err(|_| Refusal {
        why: Why::TooMany { seconds: 1 },
        message: format!("Many people wait for {} at once.", oidc.issuer.host()),
        hint: Some("Begin again in a moment, or sign in another way.".to_owned()),
    })
}

fn refusal(oidc: &Oidc, error: &FetchError) -> Refusal {
    let host = oidc.issuer.host();
    tracing::warn!(error = chain(error), host, "the OpenID provider can't be asked");
    match error {
        FetchError::Trouble(Trouble { kind: TroubleKind::Refused, .. }) => forbidden(
            format!("{host} doesn't stand by this sign-in any more."),
            "Begin again: each sign-in is good once.",
        ),
        FetchError::Trouble(Trouble { kind: TroubleKind::Settings, .. }) => Refusal {
            why: Why::Unavailable,
            message: format!("The platform and {host} don't agree on how people sign in."),
            hint: Some(
                "Sign in another way, and tell {help}: the platform's log says what is wrong.".to_owned(),
            ),
        },
        _ => Refusal {
            why: Why::Unavailable,
            message: format!("{host} can't be reached, so nobody can sign in by it now."),
            hint: Some("Try again in a while, or sign in another way.".to_owned()),
        },
    }
}
