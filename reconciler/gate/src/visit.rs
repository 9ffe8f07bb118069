//! Facts about a visit that the edge passes on. It strips these headers from what a visitor sends, and the gate's socket is open to
//! nobody else.

use berth_schema::name::Fqdn;
use http::header::{ACCEPT, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};

/// Name of the site, without a port.
const HOST: HeaderName = HeaderName::from_static("berth-host");
/// `http` or `https`.
const SCHEME: HeaderName = HeaderName::from_static("berth-scheme");
/// The app's address and port, or the word for a server that is stopped.
const APP: HeaderName = HeaderName::from_static("berth-gate");
/// Origin of the panel.
const PANEL: HeaderName = HeaderName::from_static("berth-panel");
const STOPPED: &str = "stopped";

/// A visit to a guarded site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) host: Fqdn,
    pub(crate) app: App,
    /// Origin of the panel, where people sign in.
    pub(crate) panel: Origin,
}

/// App behind a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum App {
    At(Authority),
    Stopped,
}

/// `https://` and an authority, with nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    fn read(text: &str) -> Option<Self> {
        let authority: Authority = text.strip_prefix("https://")?.parse().ok()?;
        (!authority.as_str().contains('@')).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Visit {
    /// Reads what the edge says; `None` where it says nothing that makes sense, or the visit isn't encrypted.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let one = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(first)
        };
        if one(SCHEME)? != "https" {
            return None;
        }
        let host: Fqdn = one(HOST)?.to_ascii_lowercase().parse().ok()?;
        let app = match one(APP)? {
            STOPPED => App::Stopped,
            address => App::At(address.parse().ok()?),
        };
        let panel = Origin::read(one(PANEL)?)?;
        (!host.is_wildcard()).then_some(Self { host, app, panel })
    }
}

/// Returns whether a request is a person going to a page, whom a sign-in may be put in the way of.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    *method == Method::GET
        && match text(HeaderName::from_static("sec-fetch-mode")) {
            Some(mode) => mode == "navigate",
            None => text(ACCEPT).is_some_and(|accept| accept.contains("text/html")),
        }
}

/// Path and query of a request.
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_edge_says_everything_or_nothing_counts() {
        let good = [
            ("berth-host", "Shop.example.org"),
            ("berth-scheme", "https"),
            ("berth-gate", "172.19.2.16:80"),
            ("berth-panel", "https://panel.example.org:8443"),
        ];
        let visit = Visit::read(&headers(&good)).unwrap();
        assert_eq!((visit.host.as_str(), visit.panel.as_str()), ("shop.example.org", good[3].1));
        assert_eq!(visit.app, App::At("172.19.2.16:80".parse().unwrap()));
        for (at, (name, _)) in good.iter().enumerate() {
            let without: Vec<_> = good.iter().filter(|(other, _)| other != name).copied().collect();
            assert_eq!(Visit::read(&headers(&without)), None, "without {name}");
            let twice = [&good[..], &good[at..=at]].concat();
            assert_eq!(Visit::read(&headers(&twice)), None, "{name} twice");
        }
        for (at, bad) in
            [(1, "http"), (3, "http://panel.example.org"), (3, "https://a@b"), (0, "*.example.org")]
        {
            let mut other = good;
            other[at].1 = bad;
            assert_eq!(Visit::read(&headers(&other)), None, "{bad}");
        }
        let mut stopped = good;
        stopped[2].1 = "stopped";
        assert_eq!(Visit::read(&headers(&stopped)).unwrap().app, App::Stopped);
    }

    #[test]
    fn a_person_who_goes_to_a_page_is_told_from_a_program() {
        let is = |method, lines: &[(&'static str, &str)]| is_navigation(&method, &headers(lines));
        assert!(is(Method::GET, &[("sec-fetch-mode", "navigate")]));
        assert!(is(Method::GET, &[("accept", "text/html,*/*")]));
        assert!(!is(Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")]));
        assert!(!is(Method::GET, &[("accept", "*/*")]) && !is(Method::GET, &[]));
        assert!(!is(Method::POST, &[("sec-fetch-mode", "navigate")]));
    }
}
