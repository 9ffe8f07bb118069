//! Proof that a request is the forge's own.
//!
//! GitHub signs the body with HMAC-SHA256; Forgejo and Gitea sign the JSON, which in a form is its field `payload`. GitLab sends the
//! secret itself, or, with a signing token, signs the body as Standard Webhooks has it
//! (<https://github.com/standard-webhooks/standard-webhooks>). All are compared in constant time.

use std::fmt;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_schema::remote::Forge;
use berth_schema::secret::SHORTEST_SHARED;
use ring::hmac;

use super::form::hex;

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

    /// Begins to check a request: by its headers alone, or together with the body that follows.
    pub(crate) fn begin(&self, forge: Forge, headers: &HeaderMap) -> Result<Check, Unproved> {
        match forge {
            Forge::Github => self.signed("x-hub-signature-256", "sha256=", headers, Form::Signed),
            Forge::Forgejo if headers.contains_key("x-forgejo-signature") => {
                self.signed("x-forgejo-signature", "", headers, Form::Unwrapped)
            }
            Forge::Forgejo => self.signed("x-gitea-signature", "", headers, Form::Unwrapped),
            // A webhook may have both, and we know one of them.
            Forge::Gitlab if headers.contains_key(TOKEN) => match self.is_token(headers) {
                Err(_) if headers.contains_key(SIGNATURE) => self.standard(headers),
                checked => checked.map(|()| Check::Proved),
            },
            Forge::Gitlab if headers.contains_key(SIGNATURE) => self.standard(headers),
            Forge::Gitlab => Err(Unproved::Missing(TOKEN)),
        }
    }

    /// Checks the secret that GitLab sends.
    fn is_token(&self, headers: &HeaderMap) -> Result<(), Unproved> {
        let given = one(headers, TOKEN)?;
        if is_equal(&self.key(), given, &self.0) { Ok(()) } else { Err(Unproved::Wrong(TOKEN)) }
    }

    fn signed(
        &self,
        header: &'static str,
        prefix: &str,
        headers: &HeaderMap,
        form: Form,
    ) -> Result<Check, Unproved> {
        let given = one(headers, header)?;
        let digest =
            given.strip_prefix(prefix.as_bytes()).and_then(from_hex).ok_or(Unproved::Wrong(header))?;
        let key = self.key();
        let sum = hmac::Context::with_key(&key);
        Ok(Check::Signed(Box::new(Signed { header, digests: vec![digest], form, key, sum })))
    }

    /// Standard Webhooks: base64 of the HMAC of id, time and body, joined by dots. There may be several, for a key that is being
    /// changed. The time isn't compared with ours: a request that is sent again does no harm.
    fn standard(&self, headers: &HeaderMap) -> Result<Check, Unproved> {
        let given = String::from_utf8_lossy(one(headers, SIGNATURE)?);
        let digests = given.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        let digests: Vec<Vec<u8>> = digests.collect();
        if digests.is_empty() {
            return Err(Unproved::Wrong(SIGNATURE));
        }
        let text = String::from_utf8_lossy(&self.0);
        let decoded = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
        let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(&self.0));
        let mut sum = hmac::Context::with_key(&key);
        for header in ["webhook-id", "webhook-timestamp"] {
            sum.update(one(headers, header)?);
            sum.update(b".");
        }
        Ok(Check::Signed(Box::new(Signed { header: SIGNATURE, digests, form: Form::Signed, key, sum })))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

/// GitLab's header with the secret itself.
const TOKEN: &str = "x-gitlab-token";
/// The header of Standard Webhooks.
const SIGNATURE: &str = "webhook-signature";

/// A check of a request that goes along with its body.
pub(crate) enum Check {
    /// The headers prove it.
    Proved,
    Signed(Box<Signed>),
}

/// A signature, and the sum over the body so far.
pub(crate) struct Signed {
    header: &'static str,
    digests: Vec<Vec<u8>>,
    form: Form,
    key: hmac::Key,
    sum: hmac::Context,
}

/// The way in which a forge signs a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is sent.
    Signed,
    /// The JSON within.
    Unwrapped,
}

/// The part of a request that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    Body,
    Payload,
}

impl Check {
    /// The part that is signed, in a form or in something else.
    pub(super) fn over(&self, is_form: bool) -> Over {
        match self {
            Self::Proved => Over::Nothing,
            Self::Signed(signed) if is_form && signed.form == Form::Unwrapped => Over::Payload,
            Self::Signed(_) => Over::Body,
        }
    }

    pub(super) fn update(&mut self, part: &[u8]) {
        if let Self::Signed(signed) = self {
            signed.sum.update(part);
        }
    }

    pub(super) fn finish(self) -> Result<(), Unproved> {
        let Self::Signed(signed) = self else { return Ok(()) };
        let Signed { header, digests, key, sum, .. } = *signed;
        let ours = sum.sign();
        match digests.iter().any(|given| is_equal(&key, given, ours.as_ref())) {
            true => Ok(()),
            false => Err(Unproved::Wrong(header)),
        }
    }
}

/// Compares in constant time. A comparison of two HMACs tells nothing of what they are of, not even its length.
fn is_equal(key: &hmac::Key, given: &[u8], ours: &[u8]) -> bool {
    hmac::verify(key, given, hmac::sign(key, ours).as_ref()).is_ok()
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
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(hex(*pair.first()?)? << 4 | hex(*pair.last()?)?)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    impl Secret {
        fn check(&self, forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<(), Unproved> {
            let mut check = self.begin(forge, headers)?;
            check.update(body);
            check.finish()
        }
    }

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

    /// The example of Standard Webhooks' own libraries.
    #[test]
    fn standard_webhooks_own_example_is_good() {
        let secret = Secret::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let signed = |signature: &str| {
            headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                (SIGNATURE, signature),
            ])
        };
        assert_eq!(secret.check(Forge::Gitlab, &signed(good), body), Ok(()));
        let two = format!("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x {good}");
        assert_eq!(secret.check(Forge::Gitlab, &signed(&two), body), Ok(()));
        assert_eq!(secret.check(Forge::Gitlab, &signed(good), b"{}"), Err(Unproved::Wrong(SIGNATURE)));
        for bad in ["", "v1,", "v1,x", &good[3..], "v1,AAAA", &good.replace("v1,", "v1a,")] {
            let checked = secret.check(Forge::Gitlab, &signed(bad), body);
            assert_eq!(checked, Err(Unproved::Wrong(SIGNATURE)), "{bad}");
        }
        // A webhook that has both, of which we know one.
        let mut both = signed(good);
        both.append(TOKEN, "another secret, long enough".parse().unwrap());
        assert_eq!(secret.check(Forge::Gitlab, &both, body), Ok(()));
        let token = Secret::new(b"another secret, long enough").unwrap();
        assert_eq!(token.check(Forge::Gitlab, &both, body), Ok(()));
        for header in ["webhook-id", "webhook-timestamp"] {
            let mut without = signed(good);
            without.remove(header);
            assert_eq!(secret.check(Forge::Gitlab, &without, body), Err(Unproved::Missing(header)));
        }
    }
}
