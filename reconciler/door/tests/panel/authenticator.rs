//! An authenticator and its browser, after WebAuthn alone: they make a passkey and sign challenges, also in ways in which no honest
//! one does.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// The origin of the bench's panel.
pub(crate) const ORIGIN: &str = "https://panel.example.net:8443";
/// The host by which a browser calls it.
pub(crate) const HOST: &str = "panel.example.net:8443";

/// Flags of what an authenticator has seen: the person is there, and is who they are.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
/// Flag for the data of a new key.
const KEY: u8 = 0x40;

/// An authenticator with one passkey.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    id: [u8; 32],
    handle: String,
    /// Counter of its signatures.
    pub(crate) counter: u32,
    /// Origin that the browser says.
    pub(crate) origin: String,
    /// RP ID that the authenticator signs for, in place of the one that it was asked for.
    pub(crate) rp: Option<String>,
    /// Set if it asks the person for a finger or a PIN.
    pub(crate) verifies: bool,
}

impl Authenticator {
    pub(crate) fn new(number: u8) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
        Self {
            key,
            id: [number; 32],
            handle: String::new(),
            counter: 1,
            origin: ORIGIN.to_owned(),
            rp: None,
            verifies: true,
        }
    }

    /// Id of its passkey, as the file has it.
    pub(crate) fn id(&self) -> String {
        base64(&self.id)
    }

    /// Makes its passkey, as the options say.
    pub(crate) fn make(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required", "{options}");
        self.handle = options["user"]["id"].as_str().unwrap().to_owned();
        let client = self.client("webauthn.create", &options);
        let point = self.key.public_key().as_ref();
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), KEY);
        data.extend([0; 16]);
        data.extend([0, 32]);
        data.extend(self.id);
        // A COSE key: EC2, ES256, P-256, x, y.
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..65]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let response = json!({
            "clientDataJSON": base64(client.as_bytes()),
            "attestationObject": base64(&object),
            "transports": ["internal"],
        });
        self.credential(&response)
    }

    /// Signs a challenge.
    pub(crate) fn sign(&self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        assert_eq!(options["userVerification"], "required", "{options}");
        let client = self.client("webauthn.get", &options);
        let data = self.data(options["rpId"].as_str().unwrap(), 0);
        let signed = [&data[..], digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let response = json!({
            "clientDataJSON": base64(client.as_bytes()),
            "authenticatorData": base64(&data),
            "signature": base64(signature.as_ref()),
            "userHandle": self.handle,
        });
        self.credential(&response)
    }

    fn client(&self, kind: &str, options: &Value) -> String {
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
    }

    fn data(&self, rp: &str, flags: u8) -> Vec<u8> {
        let rp = digest(&SHA256, self.rp.as_deref().unwrap_or(rp).as_bytes());
        let verified = if self.verifies { VERIFIED } else { 0 };
        let mut data = rp.as_ref().to_vec();
        data.push(PRESENT | verified | flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn credential(&self, response: &Value) -> String {
        json!({
            "id": self.id(),
            "rawId": self.id(),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        })
        .to_string()
    }
}

fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
