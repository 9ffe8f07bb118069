//! `[acme]`: the CA that gives certificates, the account there, and the wildcard certificate of the platform's domain.
//!
//! Owns the CA's address, the binding to an account that its operator knows (RFC 8555, 7.3.4), and the way to the DNS zone by
//! which the platform's domain is proved (RFC 8555, 8.4). Refuses every secret: they are named here and kept on the host.

use std::net::SocketAddr;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificates;
use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::json_schema::written::ListenAddress;
use crate::name::{Fqdn, NAME_MAX, is_name};
use crate::secret::{ACME_DNS, ACME_EAB, Need, Reference, SecretName};
use crate::text::shown;
use crate::user::check_email;
use crate::value::choice_values;

/// Source of certificates (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Acme {
    /// The contact that the CA gets, so that it can warn of trouble. None by default.
    #[schemars(email)]
    pub email: Option<String>,
    /// The URL of the CA's directory. Let's Encrypt by default; its staging directory is the one for trials.
    #[schemars(regex(pattern = "^https://"))]
    pub directory: String,
    /// The root certificate of the server behind `directory`, in PEM, if that is a private one which the system
    /// doesn't know. None by default.
    pub ca: Option<Certificates>,
    /// Binding to an account that the CA's operator knows, where the CA asks for one.
    pub eab: Option<AccountBinding>,
    /// The way to the DNS zone of the platform's domain. With it, one wildcard certificate serves all names directly below that domain.
    pub dns: Option<DnsProof>,
}

/// Binding to an account that the CA's operator knows (RFC 8555, 7.3.4), as the CA gives it to its customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccountBinding {
    /// The key's identifier, as the CA tells it.
    pub key_id: String,
    /// The name of the secret that holds the MAC key, in base64url as the CA tells it. `berth secret set` stores it.
    #[schemars(default = "AccountBinding::secret")]
    pub secret: SecretName,
}

/// The way to the DNS zone in which a CA looks for the proof of the platform's domain: dynamic updates (RFC 2136), signed with a key
/// (RFC 8945), or a program of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DnsProof {
    /// Address and port of the name server that takes dynamic updates. With `program`, it is only asked whether it serves the proof.
    #[schemars(default, with = "Option<ListenAddress>")]
    pub server: Option<SocketAddr>,
    /// The zone that is updated. Without it, `server` is asked.
    #[schemars(default)]
    pub zone: Option<Fqdn>,
    /// The name of the key at the name server. Needed without `program`.
    #[schemars(default)]
    pub key: Option<String>,
    /// The key's algorithm.
    #[schemars(default)]
    pub algorithm: KeyAlgorithm,
    /// The name of the secret that holds the key, in base64. `berth secret set` stores it.
    #[schemars(default = "DnsProof::secret")]
    pub secret: SecretName,
    /// A program of this host that puts the proof into the zone and takes it away, for name servers that take no updates: the name of
    /// its file in `<data>/dns`.
    #[schemars(default)]
    pub program: Option<String>,
    /// The name that `_acme-challenge.<domain>` is an alias (CNAME) of, where the proof lies in another zone.
    #[schemars(default)]
    pub alias: Option<Fqdn>,
}

/// Algorithm of a key that signs dynamic updates (RFC 8945, 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// Way of a proof into its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsWay<'a> {
    /// Dynamic updates to this server, signed with the key of this name.
    Update(SocketAddr, &'a str),
    /// A program of this host.
    Program(&'a str),
}

choice_values! {
    KeyAlgorithm, "an algorithm of a key for updates": "\"hmac-sha256\", \"hmac-sha384\" or \"hmac-sha512\"",
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            email: None,
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            ca: None,
            eab: None,
            dns: None,
        }
    }
}

impl Acme {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            email: fields.optional_if("email", |email: &String| check_email(email)).map(|found| found.value),
            directory: fields
                .optional_if("directory", |url: &String| check_directory(url))
                .map_or_else(|| Self::default().directory, |found| found.value),
            ca: fields.value("ca"),
            eab: fields.table("eab", "`[acme.eab]`", AccountBinding::read),
            dns: fields.table("dns", "`[acme.dns]`", DnsProof::read),
        }
    }

    /// The secrets that it refers to.
    pub fn secrets(&self) -> impl Iterator<Item = Reference> {
        let eab = self.eab.iter().map(|eab| (&ACME_EAB, &eab.secret, Need::Needed));
        let dns = self.dns.iter().map(|dns| {
            let need = if dns.program.is_none() { Need::Needed } else { Need::Unused };
            (&ACME_DNS, &dns.secret, need)
        });
        eab.chain(dns).map(|(by, name, need)| Reference { by, name: name.clone(), need })
    }

    /// Returns whether Berth itself keeps the account at the CA, and doesn't leave that to whoever orders.
    pub fn keeps_account(&self) -> bool {
        self.eab.is_some() || self.dns.is_some()
    }
}

impl AccountBinding {
    fn secret() -> SecretName {
        SecretName::default_of(&ACME_EAB)
    }

    /// Reads the table. `None` if there is none, or if it has no good `key_id`.
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let key_id = fields.required::<String>("key_id");
        let key_id = key_id.and_then(|found| match is_plain(&found.value) {
            true => Some(found.value),
            false => {
                let message =
                    "this is not a key's identifier: it is empty, too long or has a character that none has";
                let hint =
                    "copy it from the CA's page; the MAC key beside it is a secret and never written here";
                fields.found().error(Some(found.at), Invalid::new(message, hint));
                None
            }
        });
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        Some(Self { key_id: key_id?, secret })
    }
}

impl DnsProof {
    fn secret() -> SecretName {
        SecretName::default_of(&ACME_DNS)
    }

    /// The way of the proof into its zone.
    pub fn way(&self) -> Option<DnsWay<'_>> {
        let update = || Some(DnsWay::Update(self.server?, self.key.as_deref()?));
        self.program.as_deref().map(DnsWay::Program).or_else(update)
    }

    /// The name at which the proof of a domain is put.
    pub fn place(&self, domain: &Fqdn) -> String {
        let usual = || format!("_acme-challenge.{domain}");
        self.alias.as_ref().map_or_else(usual, ToString::to_string)
    }

    /// Reads the table. `None` if there is none, or if it says no way.
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let is_there = fields.is_there();
        let server = fields.optional::<SocketAddr>("server");
        let program = fields.optional_if("program", |name: &String| check_program(name));
        let key = fields.optional_if("key", |name: &String| check_key(name));
        let zone = one_name(fields, "zone");
        let alias = one_name(fields, "alias");
        let algorithm = fields.value("algorithm").unwrap_or_default();
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        match (&server, &program) {
            (None, None) if is_there => {
                let hint = "write `server` and `key` for dynamic updates (RFC 2136), or `program` for a program of this host";
                let message = "`[acme.dns]` doesn't say how a proof gets into the zone";
                fields.found().missing("server", Invalid::new(message, hint));
            }
            (Some(At { at, .. }), None) if key.is_none() => {
                let message = "updates of a zone have to be signed, and no `key` is named";
                let hint = "write the key's name as the name server knows it, and store the key: `berth secret set acme-dns`";
                fields.found().error(Some(*at), Invalid::new(message, hint));
            }
            _ => {}
        }
        let dns = Self {
            server: server.map(|found| found.value),
            zone,
            key: key.map(|found| found.value),
            algorithm,
            secret,
            program: program.map(|found| found.value),
            alias,
        };
        dns.way().is_some().then_some(dns)
    }
}

/// Reads a name that is no wildcard.
fn one_name(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Fqdn> {
    let rule = |name: &Fqdn| match name.is_wildcard() {
        false => Ok(()),
        true => {
            let message = format!("`{name}` is a wildcard, and here one name is meant");
            Err(Invalid::new(message, format!("write \"{}\"", name.base())))
        }
    };
    fields.optional_if(key, rule).map(|found| found.value)
}

fn check_directory(url: &str) -> Result<(), Invalid> {
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    match uri.as_ref().map(Uri::scheme_str) {
        Some(Some("https")) => Ok(()),
        _ => Err(Invalid::new(
            format!("`{}` is not the URL of an ACME directory", shown(url)),
            "write it in full, beginning with `https://`",
        )),
    }
}

/// Checks that a text has nothing that a JSON text, a file's name or a terminal could take for something else.
fn is_plain(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/+=@".contains(c))
}

fn check_key(name: &str) -> Result<(), Invalid> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    match name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label) {
        true => Ok(()),
        false => Err(Invalid::new(
            "this is not the name of a key at a name server",
            "write it as the name server knows it, such as \"berth\"; the key itself is a secret and never written here",
        )),
    }
}

fn check_program(name: &str) -> Result<(), Invalid> {
    match is_name(name, NAME_MAX) && !name.starts_with('-') {
        true => Ok(()),
        false => Err(Invalid::new(
            format!("`{}` is not the name of a program in `<data>/dns`", shown(name)),
            format!(
                "name the file with 1 to {NAME_MAX} lower-case letters, digits and hyphens, without a folder"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Parsed, State};

    fn read(acme: &str) -> Result<Acme, String> {
        let text = format!("domain = \"hosting.example.org\"\n{acme}");
        let state = State::assemble(&[Parsed::parse("platform.toml", &text)]);
        state.map(|state| state.platform.acme.clone()).map_err(|found| {
            found.iter().map(|finding| finding.message.clone()).collect::<Vec<_>>().join("; ")
        })
    }

    #[test]
    fn there_is_one_way_into_a_zone() {
        let update = read("[acme.dns]\nserver = \"192.0.2.53:53\"\nkey = \"berth\"\n").unwrap();
        let dns = update.dns.as_ref().unwrap();
        assert_eq!(dns.way(), Some(DnsWay::Update("192.0.2.53:53".parse().unwrap(), "berth")));
        assert_eq!(dns.place(&"h.org".parse().unwrap()), "_acme-challenge.h.org");
        assert!(update.secrets().all(|reference| reference.need == Need::Needed));
        let program = read("[acme.dns]\nprogram = \"desec\"\nalias = \"h.acme.example.net\"\n").unwrap();
        let dns = program.dns.as_ref().unwrap();
        assert_eq!(dns.way(), Some(DnsWay::Program("desec")));
        assert_eq!(dns.place(&"h.org".parse().unwrap()), "h.acme.example.net");
        assert!(program.secrets().all(|reference| reference.need == Need::Unused));
        assert_eq!(read("").unwrap(), Acme::default());
        for (bad, why) in [
            ("[acme.dns]\n", "`[acme.dns]` doesn't say how a proof gets into the zone"),
            (
                "[acme.dns]\nserver = \"192.0.2.53:53\"\n",
                "updates of a zone have to be signed, and no `key` is named",
            ),
            ("[acme.dns]\nprogram = \"../x\"\n", "`../x` is not the name of a program in `<data>/dns`"),
            (
                "[acme.dns]\nprogram = \"x\"\nzone = \"*.h.org\"\n",
                "`*.h.org` is a wildcard, and here one name is meant",
            ),
        ] {
            let found = read(bad).unwrap_err();
            assert!(found.contains(why), "{bad}: {found}");
        }
    }

    #[test]
    fn a_binding_names_its_key_and_holds_no_secret() {
        let bound = read("[acme.eab]\nkey_id = \"kid-1\"\n").unwrap();
        assert_eq!(bound.eab.as_ref().unwrap().secret.as_str(), "acme-eab");
        assert!(bound.keeps_account());
        for bad in ["[acme.eab]\n", "[acme.eab]\nkey_id = \"\"\n", "[acme.eab]\nkey_id = \"a b\"\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
