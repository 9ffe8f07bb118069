//! Requests that a page of another site makes in somebody's browser.
//!
//! A member's app is of the same site as a server's own page, in a browser's eyes: its requests there carry the grant, whatever
//! `SameSite` says. Those pages have no login of their own that would stop it, so the gate does. What a member's guarded app lets
//! others' pages do is up to the app.

use http::header::{HeaderName, ORIGIN};
use http::{HeaderMap, Method};

use crate::visit::Visit;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Returns whether a page of another site makes a request, other than by leading somebody to a page in a tab of its own.
pub(crate) fn is_foreign(method: &Method, headers: &HeaderMap, visit: &Visit) -> bool {
    let one = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if one(ORIGIN).is_some_and(|origin| !is_of(origin, visit)) {
        return true;
    }
    let leads = || {
        *method == Method::GET && one(MODE) == Some("navigate") && one(DEST).is_none_or(|to| to == "document")
    };
    match one(SITE) {
        Some("same-origin" | "none") => false,
        Some(_) => !leads(),
        // A browser that doesn't say it says the origin of whatever could change something.
        None => false,
    }
}

/// Returns whether an origin is the site's own, at whatever port the world reaches it.
fn is_of(origin: &str, visit: &Visit) -> bool {
    let Some(authority) = origin.strip_prefix("https://") else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host == visit.host.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(method: &Method, lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        let edge = [
            ("berth-host", "dockge--shop.example.org"),
            ("berth-scheme", "https"),
            ("berth-gate", "172.19.2.16:15001"),
            ("berth-panel", "https://panel.example.org"),
        ];
        for (name, value) in edge.iter().chain(lines) {
            headers.append(*name, value.parse().unwrap());
        }
        is_foreign(method, &headers, &Visit::read(&headers).unwrap())
    }

    #[test]
    fn a_page_of_the_same_site_is_another_s() {
        let fetched =
            |site, mode, dest| [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        for site in ["same-site", "cross-site", "?"] {
            for (mode, dest) in
                [("cors", "empty"), ("no-cors", "image"), ("websocket", "websocket"), ("navigate", "iframe")]
            {
                assert!(is(&Method::GET, &fetched(site, mode, dest)), "{site} {mode} {dest}");
            }
            assert!(is(&Method::POST, &fetched(site, "navigate", "document")), "a form of {site}");
            assert!(!is(&Method::GET, &fetched(site, "navigate", "document")), "a link of {site}");
        }
        for site in ["same-origin", "none"] {
            assert!(!is(&Method::POST, &fetched(site, "cors", "empty")));
        }
    }

    #[test]
    fn an_origin_is_the_site_s_own_or_another_s() {
        for origin in ["https://dockge--shop.example.org", "https://dockge--shop.example.org:8443"] {
            assert!(!is(&Method::GET, &[("origin", origin)]), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://dockge--shop.example.org",
            "https://shop.example.org",
            "https://files--shop.example.org",
            "https://dockge--shop.example.org.evil.org",
            "https://evil.org:dockge--shop.example.org",
        ] {
            assert!(is(&Method::GET, &[("origin", origin), ("sec-fetch-site", "same-origin")]), "{origin}");
        }
        assert!(!is(&Method::GET, &[]));
    }
}
