//! `/open`: leads somebody who is signed in to a guarded site, with a way in that the door gives.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::Open;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, REFERRER_POLICY};
use minijinja::context;
use serde::Deserialize;

use super::address::Wishes;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// The gate's wish, in the address to which it sends people.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    host: String,
    challenge: String,
}

/// `GET /open`
///
/// The page goes on by itself, and isn't a redirect: whoever has just sent the form that signs in would be kept from another site by
/// the policy of that form's page.
pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let Wanted { host, challenge } = wanted;
    let opened = visitor.ask(&app, &Open { host: host.clone(), challenge }).await?;
    let mut answer =
        page::render(&app, &visitor, "open.html", context! { site => host, url => opened.url.0 });
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}
