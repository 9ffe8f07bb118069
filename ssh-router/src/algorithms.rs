//! Algorithms that the router offers: modern ones only, post-quantum key exchange first.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, SshId, cipher, compression, kex, mac};

use crate::offer::Offer;

/// Unanswered keepalives after which a peer is given up.
pub(crate) const KEEPALIVE_MAX: usize = 4;

/// RSA with SHA-2.
pub(crate) static RSA: [Algorithm; 2] =
    [Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }];

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
/// Ciphers for clients that know AES-GCM; see [`crate::offer`].
const GCM: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::AES_128_GCM];
/// Name that the router shows to its peers. It has no version, which would only help scanners.
pub(crate) const NAME: &str = "SSH-2.0-berth";
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

pub(crate) fn ident() -> SshId {
    SshId::Standard(Cow::Borrowed(NAME))
}

/// Offer to people's clients.
pub(crate) fn client(offered: Offer) -> Preferred {
    let ciphers = match offered {
        Offer::Gcm => GCM,
        Offer::Other | Offer::Unfinished => CIPHERS,
    };
    offer(Cow::Borrowed(KEYS), ciphers)
}

/// Offer to a server, whose host key is known.
pub(crate) fn upstream(host_key: Cow<'static, [Algorithm]>) -> Preferred {
    offer(host_key, CIPHERS)
}

fn offer(key: Cow<'static, [Algorithm]>, ciphers: &'static [cipher::Name]) -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEX),
        key,
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(ciphers),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}
