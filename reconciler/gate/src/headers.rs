//! Headers of a request on its way to an app: nobody but the gate says there who somebody is, and what is for one connection stays on
//! it.

use berth_schema::name::UserName;
use http::header::{CONNECTION, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

/// Name of the person, for every app.
const BERTH_USER: HeaderName = HeaderName::from_static("berth-user");
/// The same, under the name by which many programs take a proxy's word.
const REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");

/// Beginnings of names under which programs take a proxy's word about who somebody is.
const IDENTITY: [&str; 11] = [
    "berth-",
    "remote-",
    "x-remote-",
    "x-berth-",
    "x-auth-request-",
    "x-authentik-",
    "x-webauth-",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
];

/// Headers that are for one connection, whatever `Connection` names.
const HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    UPGRADE,
];

/// Returns whether an app could take a header of this name for a proxy's word about the visitor. Some programs can't tell an
/// underscore from a hyphen.
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    IDENTITY.iter().any(|beginning| name.starts_with(beginning))
}

/// Takes out what a visitor says about who they are, and says it.
pub(crate) fn introduce(headers: &mut HeaderMap, user: &UserName) {
    let said: Vec<HeaderName> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in said {
        headers.remove(name);
    }
    // A name of ours is always a header.
    if let Ok(value) = HeaderValue::from_str(user.as_str()) {
        headers.insert(BERTH_USER, value.clone());
        headers.insert(REMOTE_USER, value);
    }
}

/// The protocol that a message wants to change to, or has changed to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let is_wanted =
        connection.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")));
    headers.get(UPGRADE).filter(|_| is_wanted).cloned()
}

/// Takes out what is for this connection alone.
pub(crate) fn end_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // How long a body is isn't for anybody to hide.
        .filter(|name| ![http::header::CONTENT_LENGTH, TRANSFER_ENCODING, http::header::HOST].contains(name))
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}

/// Asks for a change of protocol, or grants one.
pub(crate) fn begin_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn nobody_but_the_gate_says_who_somebody_is() {
        let mut all = headers(&[
            ("Berth-User", "evil"),
            ("BERTH_USER", "evil"),
            ("berth-anything", "evil"),
            ("Remote_User", "evil"),
            ("X-Forwarded-User", "evil"),
            ("x_forwarded_user", "evil"),
            ("X-Auth-Request-Email", "evil"),
            ("X-Webauth-User", "evil"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("X-Real-Ip", "192.0.2.1"),
            ("Authorization", "Basic eA=="),
            ("Accept", "*/*"),
            ("X-Auth-Token", "the app's own"),
        ]);
        introduce(&mut all, &"ann".parse().unwrap());
        let mut left: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                ("accept", "*/*"),
                ("authorization", "Basic eA=="),
                ("berth-user", "ann"),
                ("remote-user", "ann"),
                ("x-auth-token", "the app's own"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-real-ip", "192.0.2.1"),
            ]
        );
    }

    #[test]
    fn what_is_for_one_connection_stays_on_it() {
        let lines =
            [("Connection", "keep-alive, X-Odd, content-length"), ("X-Odd", "1"), ("Content-Length", "3")];
        let mut all = headers(&lines);
        assert_eq!(upgrade(&all), None);
        end_hop(&mut all);
        assert_eq!(all.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-length"]);
        let all = headers(&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")]);
        assert_eq!(upgrade(&all).unwrap(), "websocket");
        assert_eq!(upgrade(&headers(&[("Upgrade", "websocket")])), None);
    }
}
