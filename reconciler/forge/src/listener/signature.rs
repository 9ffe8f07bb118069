//! Proof that a request is the forge's own.
//!
//! GitHub, Forgejo and Gitea sign the body with HMAC-SHA256; GitLab sends the secret itself. Both are compared in constant
//! time.

use std::fmt;

use axum::http::HeaderMap;
use berth_schema::remote::Forge;
use berth_schema::secret::SHORTEST_SHARED;
use ring::hmac;

/// The secret that the forge's webhook and this host share. Shown by nothing.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

/// A request that isn't proved to be the forge's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unproved {
    /// The header isn't there.
    Missing(&'static str),
    /// It holds something else than it should.
    Wrong(&'static str),
}

impl Secret {
    /// Returns the secret with these bytes; `None` when they are too few.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= SHORTEST_SHARED).then(|| Self(bytes.to_vec()))
    }

    pub(crate) fn check(&self, forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<(), Unproved> {
        match forge {
            Forge::Github => self.signed("x-hub-signature-256", "sha256=", headers, body),
            Forge::Forgejo if headers.contains_key("x-forgejo-signature") => {
                self.signed("x-forgejo-signature", "", headers, body)
            }
            Forge::Forgejo => self.signed("x-gitea-signature", "", headers, body),
            Forge::Gitlab => {
                let given = one(headers, "x-gitlab-token")?;
                // Both under one key: a comparison of two HMACs tells nothing of what they are of, not even its length.
                let key = self.key();
                let ours = hmac::sign(&key, &self.0);
                hmac::verify(&key, given, ours.as_ref()).map_err(|_| Unproved::Wrong("x-gitlab-token"))
            }
        }
    }

    fn signed(
        &self,
        header: &'static str,
        prefix: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Unproved> {
        let given = one(headers, header)?;
        let digest =
            given.strip_prefix(prefix.as_bytes()).and_then(from_hex).ok_or(Unproved::Wrong(header))?;
        hmac::verify(&self.key(), body, &digest).map_err(|_| Unproved::Wrong(header))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Unproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(header) => write!(f, "{header} is missing"),
            Self::Wrong(header) => write!(f, "{header} doesn't fit the body and the secret"),
        }
    }
}

/// The value of a header that may be there only once.
fn one<'a>(headers: &'a HeaderMap, header: &'static str) -> Result<&'a [u8], Unproved> {
    let mut values = headers.get_all(header).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(Unproved::Missing(header)),
        (Some(_), Some(_)) => Err(Unproved::Wrong(header)),
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    /// The example of GitHub's own documentation, "Validating webhook deliveries".
    #[test]
    fn githubs_own_example_is_good() {
        let secret = Secret::new(b"It's a Secret to Everybody").unwrap();
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = headers(&[("x-hub-signature-256", signature)]);
        assert_eq!(secret.check(Forge::Github, &headers, b"Hello, World!"), Ok(()));
        assert_eq!(
            secret.check(Forge::Github, &headers, b"Hello, World?"),
            Err(Unproved::Wrong("x-hub-signature-256"))
        );
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn digest(secret: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn each_forge_has_its_own_header_and_no_other_counts() {
        let text = "a secret of some length";
        let (secret, body) = (Secret::new(text.as_bytes()).unwrap(), b"{}");
        let good = digest(text, body);
        let prefixed = format!("sha256={good}");
        let all = [
            (Forge::Github, "x-hub-signature-256", prefixed.as_str()),
            (Forge::Forgejo, "x-forgejo-signature", &good),
            (Forge::Forgejo, "x-gitea-signature", &good),
            (Forge::Gitlab, "x-gitlab-token", text),
        ];
        for (of, name, value) in all {
            for forge in [Forge::Github, Forge::Gitlab, Forge::Forgejo] {
                let checked = secret.check(forge, &headers(&[(name, value)]), body);
                assert_eq!(checked.is_ok(), forge == of, "{name} for {forge:?}: {checked:?}");
            }
            let twice = headers(&[(name, value), (name, value)]);
            assert_eq!(secret.check(of, &twice, body), Err(Unproved::Wrong(name)));
        }
    }

    #[test]
    fn what_is_nearly_right_is_wrong() {
        let text = "a secret of some length";
        let secret = Secret::new(text.as_bytes()).unwrap();
        let good = digest(text, b"{}");
        let other = digest("another secret of some length", b"{}");
        for value in ["", "sha256=", &good[..62], &format!("{good}00"), &good.replacen('a', "g", 1), &other] {
            let checked = secret.check(Forge::Forgejo, &headers(&[("x-forgejo-signature", value)]), b"{}");
            assert_eq!(checked, Err(Unproved::Wrong("x-forgejo-signature")), "{value}");
        }
        for value in ["", "a secret of some lengt", "a secret of some lengthh", &good] {
            let checked = secret.check(Forge::Gitlab, &headers(&[("x-gitlab-token", value)]), b"{}");
            assert_eq!(checked, Err(Unproved::Wrong("x-gitlab-token")), "{value}");
        }
        assert!(Secret::new(b"short").is_none());
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
