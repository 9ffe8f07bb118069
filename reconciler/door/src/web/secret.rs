//! Secrets that the door gives out, of which it keeps digests alone, and the digest of somebody's standing, by which a
//! secret dies with what it was given for.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_fault::{Fault, Kind};
use berth_schema::State;
use berth_schema::oidc::OidcAccount;
use berth_schema::user::{Role, SecondFactor, User};
use berth_wire::grant::SessionId;
use blake3::{Hash, Hasher};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::means::Means;
use super::store::StoreError;

/// Bytes of a secret.
const LENGTH: usize = 32;

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot get random bytes from the system")]
pub struct NoRandom;

/// A secret that can't be made, or its record can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There are no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// The record can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for SecretError {
    fn kind(&self) -> Kind {
        match self {
            Self::Random(_) => Kind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Random(_) => None,
            Self::Store(error) => error.hint(),
        }
    }
}

/// A digest. Two are compared in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(Hash);

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// A new secret: 256 random bits, as 43 characters that stand in a URL as they are.
pub(crate) fn fresh() -> Result<String, NoRandom> {
    Ok(URL_SAFE_NO_PAD.encode(random::<LENGTH>()?))
}

/// Name of a letter, which nobody else has.
pub(crate) fn letter_id() -> Result<String, NoRandom> {
    Ok(URL_SAFE_NO_PAD.encode(random::<16>()?))
}

impl Digest {
    /// Digest of a secret.
    pub(crate) fn of(secret: &str) -> Self {
        Self(blake3::hash(secret.as_bytes()))
    }

    /// Name of the session that a token of this digest stands for, in grants: nobody gets from it to the token, or to its digest.
    pub(crate) fn session(self) -> SessionId {
        let mut hasher = Hasher::new_derive_key("berth door 2026-11-29 session of a grant");
        let mut bytes = [0; 16];
        hasher.update(self.0.as_bytes()).finalize_xof().fill(&mut bytes);
        SessionId::of(bytes)
    }

    /// Returns whether a token of this digest of a standing is still good: the person's standing is what it was, and they have the
    /// means that it was given for.
    pub(crate) fn stands(self, state: &State, user: &User, means: &Means) -> bool {
        let has = |id: &String| user.passkeys.iter().any(|passkey| passkey.id() == id);
        let provider = || state.platform.panel.as_ref()?.oidc.as_ref().map(|oidc| oidc.issuer.as_str());
        let signs_in =
            |account: &OidcAccount| user.oidc.contains(account) && provider() == Some(account.issuer());
        Self::of_standing(user) == self
            && means.passkey.as_ref().is_none_or(has)
            && means.oidc.as_ref().is_none_or(signs_in)
    }

    /// Digest of what a secret stands on: the person's name, role, password and second factor.
    pub(crate) fn of_standing(user: &User) -> Self {
        let mut hasher = Hasher::new();
        let role = match user.role {
            Role::Admin => "admin",
            Role::User => "user",
        };
        let password = user.password_hash.as_deref().unwrap_or_default();
        // None of them holds a line feed.
        for part in [user.name.as_str(), role, password] {
            hasher.update(part.as_bytes()).update(b"\n");
        }
        // Whoever has none has the digest that earlier versions made.
        if let Some(SecondFactor::Totp) = user.second_factor {
            hasher.update(b"totp\n");
        }
        Self(hasher.finalize())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl FromStr for Digest {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Hash::from_hex(text).map(Self)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_a_digest_is_read_again() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!((one.len(), one == other), (43, false));
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let digest = Digest::of(&one);
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_ne!(digest, Digest::of(&other));
    }

    #[test]
    fn a_standing_changes_with_the_role_the_password_and_the_second_factor() {
        let user = |role, password_hash: Option<&str>, second_factor| User {
            name: "ann".parse().unwrap(),
            role,
            email: None,
            password_hash: password_hash.map(str::to_owned),
            ssh_keys: Vec::new(),
            passkeys: Vec::new(),
            oidc: Vec::new(),
            forge_accounts: Vec::new(),
            tokens: Vec::new(),
            second_factor,
            quota: Default::default(),
        };
        let all = [
            user(Role::User, None, None),
            user(Role::User, Some("$2b$a"), None),
            user(Role::User, Some("$2b$b"), None),
            user(Role::Admin, Some("$2b$b"), None),
            user(Role::Admin, Some("$2b$b"), Some(SecondFactor::Totp)),
        ];
        let all = all.map(|user| Digest::of_standing(&user));
        for (at, digest) in all.iter().enumerate() {
            assert!(!all[..at].contains(digest), "{at}");
        }
    }
}
