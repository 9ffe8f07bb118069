//! Everything that a request brings along: its body, the object in its path, its wishes behind the question mark. All of it is
//! strict: what isn't known is refused by its name.

use std::num::NonZeroU32;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::caller::Caller;
use super::problem::{BAD_REQUEST, INVALID, More, NOT_JSON, Problem};
use super::shape::Finding;
use crate::app::App;
use crate::page::address::named;

/// A body in JSON.
#[derive(Debug)]
pub(crate) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        let body = Bytes::from_request(request, app).await.map_err(|_| Problem::internal())?;
        if !is_json && !body.is_empty() {
            return Err(Problem::new(&NOT_JSON, "The body isn't said to be JSON.")
                .hint("Send the header `Content-Type: application/json`."));
        }
        // No body is one without a field.
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Self).map_err(|error| unreadable(&error))
    }
}

/// A body without a field, where a request needs none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

fn unreadable(error: &serde_json::Error) -> Problem {
    let hint = "/api/openapi.json says what the body may have.";
    if !error.is_data() {
        return Problem::new(&BAD_REQUEST, format!("The body isn't JSON: {error}.")).hint(hint);
    }
    let message = error.to_string();
    // serde names a field that isn't known, or is missing, in backquotes.
    let is_of_field = ["unknown field `", "missing field `", "duplicate field `"];
    let field = is_of_field.iter().find_map(|words| message.strip_prefix(words)?.split('`').next());
    does_not_fit(field, &message, &message, hint)
}

/// Refusal of a body that doesn't fit: why, as a clause; the same at its field; and the next step.
pub(super) fn does_not_fit(
    field: Option<&str>,
    why: &str,
    at_field: &str,
    hint: impl Into<String>,
) -> Problem {
    let findings = vec![Finding::error(field, at_field)];
    let more = More { hint: Some(hint.into()), findings, ..More::default() };
    Problem::new(&INVALID, format!("The body doesn't fit: {why}.")).with(more)
}

/// The part of a path that names an object. A name that can't be one is nothing that is there.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        named(parts, app).await.map(Self).ok_or_else(Problem::not_found)
    }
}

/// Wishes behind the question mark.
#[derive(Debug)]
pub(crate) struct Wishes<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Wishes<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let Query(wishes) = Query::try_from_uri(&parts.uri).map_err(|error| {
            Problem::new(&BAD_REQUEST, format!("The query can't be read: {}.", error.body_text()))
                .hint("/api/openapi.json says what may stand behind the question mark.")
        })?;
        Ok(Self(wishes))
    }
}

/// A part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Page, from 1; 50 rows each.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u32)]
    page: Option<NonZeroU32>,
    /// Part of a name; nothing for all.
    search: Option<String>,
    /// `true` for those of everybody, which only admins see.
    #[serde(deserialize_with = "flag")]
    #[param(value_type = Option<String>, pattern = "^(true|false)?$")]
    all: bool,
}

impl Part {
    pub(super) fn page(&self) -> u32 {
        self.page.map_or(1, NonZeroU32::get)
    }

    pub(super) fn search(&self) -> String {
        self.search.clone().unwrap_or_default()
    }

    /// Returns whether everybody's are asked for, which is for admins.
    pub(super) fn everybody(&self, caller: &Caller) -> Result<bool, Problem> {
        match self.all && !caller.person.is_admin() {
            true => Err(Problem::admins_only()),
            false => Ok(self.all),
        }
    }
}

/// A part of a list of everybody's.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Found {
    /// Page, from 1; 50 rows each.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u32)]
    page: Option<NonZeroU32>,
    /// Part of a name or an address; nothing for all.
    search: Option<String>,
}

impl Found {
    pub(super) fn page(&self) -> u32 {
        self.page.map_or(1, NonZeroU32::get)
    }

    pub(super) fn search(&self) -> String {
        self.search.clone().unwrap_or_default()
    }
}

/// Reads a switch: `plan`, `plan=true` and `plan=false`.
pub(super) fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(serde::de::Error::custom("write `true` or `false`")),
    }
}

/// Refusal of a field that has to be a commit.
pub(super) fn not_a_revision(field: &str) -> Problem {
    let hint = "Write all 40 hexadecimal digits, as `tip` or `revision` has them.";
    does_not_fit(Some(field), &format!("`{field}` is not a revision"), "this is not a revision", hint)
}
