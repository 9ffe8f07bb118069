//! Addresses of pages: links to them, the object in a path, and what is asked for behind the question mark.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub(crate) url: String,
    pub(crate) name: String,
}

impl Link {
    pub(crate) fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self { url: url.into(), name: name.into() }
    }
}

/// The part of a path that names an object. A name that can't be one is a page that isn't there.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        named(parts, app).await.map(Self).ok_or_else(Problem::not_found)
    }
}

/// Reads what a path names in braces; `None` where nothing can have that name.
pub(crate) async fn named<T: DeserializeOwned + Send>(parts: &mut Parts, app: &App) -> Option<T> {
    Path::<T>::from_request_parts(parts, app).await.ok().map(|Path(name)| name)
}

/// Wishes behind the question mark. Those that make no sense are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequestParts<App> for Wishes<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(Query::try_from_uri(&parts.uri).map(|Query(wishes)| wishes).unwrap_or_default()))
    }
}
