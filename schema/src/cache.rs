//! `[cache]`: the cache of images, from which servers pull.

use http::Uri;
use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::text::shown;

/// The cache of images, from which servers pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Cache {
    /// The registry from which it fetches images that it doesn't have. Docker Hub by default.
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

/// Checks that a URL is scheme, host and port, without anything that needs quoting in the registry's YAML.
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
