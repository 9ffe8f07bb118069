//! `GET /certificates?domains=a,b`: the certificates of domains.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use berth_schema::name::Fqdn;
use berth_wire::site::DOMAINS_AT_ONCE;
use serde::Deserialize;

use crate::certificates::Sites;

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Names with commas between them.
    domains: String,
}

pub(super) async fn certificates(State(sites): State<Sites>, Query(asked): Query<Asked>) -> Response {
    let refused = |why: String| (StatusCode::BAD_REQUEST, why).into_response();
    let names = asked.domains.split(',').filter(|name| !name.is_empty()).take(DOMAINS_AT_ONCE + 1);
    let names: Vec<Fqdn> = match names.map(str::parse).collect() {
        Ok(names) => names,
        Err(_) => {
            return refused(
                "cannot read the names; write ?domains=shop.example.org,www.example.org\n".to_owned(),
            );
        }
    };
    if names.len() > DOMAINS_AT_ONCE {
        return refused(format!("cannot answer for so many domains at once; ask for {DOMAINS_AT_ONCE}\n"));
    }
    match sites.of(&names) {
        Some(certificates) => Json(certificates).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the web server wasn't looked at yet\n").into_response(),
    }
}
