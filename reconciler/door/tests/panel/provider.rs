//! A stand-in for `berth oidc` and the provider behind it: it signs whatever a test wants to have said, with a key of its own. What the
//! real process does is tested in its own crate.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub(crate) const ISSUER: &str = "https://login.example.org/realms/faculty";
pub(crate) const CLIENT: &str = "berth";

/// A key pair, and the name by which tokens call it.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Key {
    pub(crate) fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { pair, kid }
    }

    /// The public half, as a provider publishes it.
    pub(crate) fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": part(&point[1..33]), "y": part(&point[33..65]),
        })
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let body = body(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims);
        let signature = self.pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token that is signed with the public half, as if that were a secret which both know.
    pub(crate) fn sign_with_public(&self, claims: &Value) -> String {
        let body = body(&json!({"alg": "HS256", "typ": "JWT", "kid": self.kid}), claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, body.as_bytes()).as_ref()))
    }

    /// A token that nobody has signed.
    pub(crate) fn unsigned(&self, claims: &Value) -> String {
        format!("{}.", body(&json!({"alg": "none", "typ": "JWT"}), claims))
    }
}

fn body(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The provider.
pub(crate) struct Provider {
    told: Arc<Mutex<Told>>,
}

struct Told {
    keys: Vec<Value>,
    /// Keys that it has from the next renewal on.
    next: Option<Vec<Value>>,
    tokens: HashMap<String, String>,
    renewals: usize,
    is_down: bool,
    /// Its silence, until that ends.
    silence: Option<CancellationToken>,
    asked: usize,
    names_itself: bool,
}

impl Provider {
    /// Serves `oidc.sock` in Berth's folder `data`.
    pub(crate) fn serve(data: &Path, keys: &[&Key]) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let listener = UnixListener::bind(data.join("oidc.sock")).unwrap();
        let told = Arc::new(Mutex::new(Told {
            keys: keys.iter().map(|key| key.public()).collect(),
            next: None,
            tokens: HashMap::new(),
            renewals: 0,
            is_down: false,
            silence: None,
            asked: 0,
            names_itself: false,
        }));
        let serving = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&serving)));
            }
        });
        Self { told }
    }

    /// Gives this token for a code, once.
    pub(crate) fn give(&self, code: &str, token: String) {
        self.told.lock().tokens.insert(code.to_owned(), token);
    }

    /// Has it publish these keys from the next renewal on.
    pub(crate) fn rotate(&self, keys: &[&Key]) {
        self.told.lock().next = Some(keys.iter().map(|key| key.public()).collect());
    }

    pub(crate) fn renewals(&self) -> usize {
        self.told.lock().renewals
    }

    pub(crate) fn go_down(&self) {
        self.told.lock().is_down = true;
    }

    /// Has it hear questions and answer none until it hangs up, which the token is for.
    pub(crate) fn fall_silent(&self) -> CancellationToken {
        let silence = CancellationToken::new();
        self.told.lock().silence = Some(silence.clone());
        silence
    }

    /// Questions that it has heard.
    pub(crate) fn asked(&self) -> usize {
        self.told.lock().asked
    }

    /// Has it say that it names itself in each answer (RFC 9207).
    pub(crate) fn name_itself(&self) {
        self.told.lock().names_itself = true;
    }
}

async fn answer(stream: UnixStream, told: Arc<Mutex<Told>>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.unwrap() > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(asked["client"], json!({"issuer": ISSUER, "client_id": CLIENT}));
    let silence = {
        let mut told = told.lock();
        told.asked += 1;
        told.silence.clone()
    };
    if let Some(silence) = silence {
        return silence.cancelled().await;
    }
    let (status, answer) = told.lock().answer(head.split(' ').nth(1).unwrap(), &asked);
    let answer = answer.to_string();
    let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

impl Told {
    fn answer(&mut self, path: &str, asked: &Value) -> (u16, Value) {
        if self.is_down {
            return (502, json!({"kind": "down", "message": "it is on fire"}));
        }
        if path == "/exchange" {
            assert!(asked["verifier"].as_str().unwrap().len() >= 43, "{asked}");
            let code = asked["code"].as_str().unwrap();
            return match self.tokens.remove(code) {
                Some(token) => (200, json!({"id_token": token})),
                None => (403, json!({"kind": "refused", "message": "no such code"})),
            };
        }
        if asked["renew"] == true {
            self.renewals += 1;
            self.keys = self.next.take().unwrap_or_else(|| self.keys.clone());
        }
        let at = |path: &str| format!("{ISSUER}{path}");
        let description = json!({
            "issuer": ISSUER, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": self.names_itself,
        });
        (
            200,
            json!({"description": description, "keys": {"keys": self.keys}, "fetched": "2026-11-30T00:00:00Z"}),
        )
    }
}
