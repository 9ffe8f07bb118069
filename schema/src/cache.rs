//! `[cache]`: the cache of images, from which servers pull.

use http::Uri;
use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::Fields;
use crate::finding::shown;
use crate::name::Invalid;

/// The cache of images, from which servers pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Cache {
    /// The registry that it fetches from what it doesn't have: Docker Hub unless said.
    #[schemars(regex(pattern = "^https?://"))]
    pub upstream: String,
}

impl Default for Cache {
    fn default() -> Self {
        Self { upstream: "https://registry-1.docker.io".to_owned() }
    }
}

impl Cache {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let upstream = fields.optional_if("upstream", |url: &String| check_upstream(url));
        upstream.map_or_else(Self::default, |found| Self { upstream: found.value })
    }
}

/// Scheme, host and port, and nothing that would need quoting: the text is written into the registry's YAML.
fn check_upstream(url: &str) -> Result<(), Invalid> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|_| url.parse::<Uri>().ok()).is_some_and(|uri| {
        uri.host().is_some_and(|host| !host.is_empty()) && (uri.path() == "/" || uri.path().is_empty())
    });
    if host && rest.is_some_and(|rest| rest.chars().all(good)) {
        return Ok(());
    }
    Err(Invalid::new(
        format!("`{}` is not the URL of a registry", shown(url)),
        "write scheme and host, such as \"https://registry-1.docker.io\", without a path",
    ))
}
