//! Cookies of a request: the gate's own are taken out, and all others go on to the app.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// Cookie that holds a grant. Its prefix makes browsers refuse it from any other host, and without encryption.
pub(crate) const GRANT: &str = "__Host-berth-app";
/// Cookie of a browser that is on its way in.
pub(crate) const ENTRY: &str = "__Host-berth-enter";

/// Values of the gate's own cookies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) grant: Found,
    pub(crate) entry: Found,
}

/// A cookie of ours in a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    #[default]
    None,
    One(String),
    /// Two of one name: no browser sends that, so it is nobody's word.
    Several,
}

impl Found {
    pub(crate) fn one(&self) -> Option<&str> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Several => None,
        }
    }

    fn add(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        *self = if *self == Self::None { Self::One(value) } else { Self::Several };
    }
}

/// Takes the gate's own cookies out of a request.
pub(crate) fn take(headers: &mut HeaderMap) -> Own {
    let mut own = Own::default();
    let mut rest: Vec<u8> = Vec::new();
    for pair in headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        let value = value.strip_prefix(b"=").unwrap_or_default().trim_ascii();
        match name.trim_ascii() {
            name if name == GRANT.as_bytes() => own.grant.add(value),
            name if name == ENTRY.as_bytes() => own.entry.add(value),
            _ if pair.is_empty() => {}
            _ => {
                if !rest.is_empty() {
                    rest.extend(b"; ");
                }
                rest.extend(pair);
            }
        }
    }
    headers.remove(COOKIE);
    if let (false, Ok(rest)) = (rest.is_empty(), HeaderValue::from_bytes(&rest)) {
        headers.insert(COOKIE, rest);
    }
    own
}

/// Returns whether an app's answer sets a cookie of the gate's: that isn't for it to do.
pub(crate) fn is_own(set_cookie: &HeaderValue) -> bool {
    let name = set_cookie.as_bytes().split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default();
    [GRANT, ENTRY].iter().any(|own| name.trim_ascii().eq_ignore_ascii_case(own.as_bytes()))
}

/// A header that gives the browser a cookie until it is closed, or, for an empty value, takes it away.
pub(crate) fn set(name: &str, value: &str) -> HeaderValue {
    let more = if value.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{more}");
    // Base64, names and numbers are always a header.
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Own, Option<String>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        let own = take(&mut headers);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        (own, headers.get(COOKIE).map(|rest| rest.to_str().unwrap().to_owned()))
    }

    #[test]
    fn only_the_gate_s_own_cookies_are_taken_out() {
        let (own, rest) = taken(&["a=1; __Host-berth-app=x~y; b=\"2; 3\"; c", "__Host-berth-enter=n"]);
        assert_eq!(own, Own { grant: Found::One("x~y".to_owned()), entry: Found::One("n".to_owned()) });
        assert_eq!(rest.as_deref(), Some("a=1; b=\"2; 3\"; c"));
        assert_eq!(taken(&["__Host-berth-app=x"]).1, None);
        let (own, rest) = taken(&["x__Host-berth-app=1; __Host-berth-app2=1"]);
        assert_eq!((own.grant, rest.is_some()), (Found::None, true));
    }

    #[test]
    fn two_of_one_name_are_nobody_s() {
        for lines in
            [&["__Host-berth-app=x; __Host-berth-app=x"][..], &["__Host-berth-app=x", "__Host-berth-app =y"]]
        {
            let (own, rest) = taken(lines);
            assert_eq!((own.grant, rest), (Found::Several, None), "{lines:?}");
        }
    }

    #[test]
    fn an_app_sets_no_cookie_of_the_gate_s() {
        let is_own = |text: &str| is_own(&HeaderValue::from_str(text).unwrap());
        assert!(is_own("__Host-berth-app=x; Path=/") && is_own(" __host-berth-enter =; Path=/"));
        assert!(!is_own("a=__Host-berth-app=x") && !is_own("__Host-berth=x"));
    }
}
