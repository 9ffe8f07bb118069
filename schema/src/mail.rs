//! `[mail]`: the server by which the platform sends mails.
//!
//! Owns its address, its encryption and the name by which Berth signs in there. Refuses the password: that is named here and kept on
//! the host.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificates;
use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::secret::{MAIL, Need, Reference, SecretName};
use crate::user::check_email;
use crate::value::{choice_values, text_values};

/// The server by which the platform sends mails. Without this table it sends none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mail {
    /// Name or address of the server.
    pub server: MailServer,
    /// Its port. By default the usual one: 587 for `"starttls"`, 465 for `"tls"`, 25 for `"off"`.
    pub port: Option<NonZeroU16>,
    /// Encryption of the connection.
    #[schemars(default)]
    pub tls: MailTls,
    /// The root certificate of the server, in PEM, if that is a private one which the system doesn't know.
    #[schemars(default)]
    pub ca: Option<Certificates>,
    /// The address that mails come from.
    #[schemars(email)]
    pub from: String,
    /// Name by which Berth signs in at the server. Without one, it doesn't.
    #[schemars(default, length(min = 1, max = 200))]
    pub user: Option<String>,
    /// The name of the secret that holds the password. `berth secret set` stores it.
    #[schemars(default = "Mail::secret")]
    pub secret: SecretName,
}

/// Name or address of a mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MailServer(String);

/// Encryption of the connection to a mail server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS after the command STARTTLS (RFC 3207). A server that doesn't offer it gets no mail.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None: for a server on this machine.
    Off,
}

choice_values! {
    MailTls, "an encryption of mail": "\"starttls\", \"tls\" or \"off\"",
}

impl Mail {
    fn secret() -> SecretName {
        SecretName::default_of(&MAIL)
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        let usual = match self.tls {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::Off => 25,
        };
        self.port.map_or(usual, NonZeroU16::get)
    }

    /// The secret that it refers to.
    pub fn secrets(&self) -> Reference {
        let need = if self.user.is_some() { Need::Needed } else { Need::Unused };
        Reference { by: &MAIL, name: self.secret.clone(), need }
    }

    /// Reads the table. `None` if there is none, or if it has no good `server` or `from`.
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let server = fields.required::<MailServer>("server");
        let from = fields.required::<String>("from");
        if let Some(from) = &from
            && let Err(invalid) = check_email(&from.value)
        {
            fields.found().error(Some(from.at), invalid);
        }
        let tls = fields.optional::<MailTls>("tls");
        let user = fields.optional_if("user", |user: &String| check_user(user));
        if let (Some(tls), Some(server)) = (&tls, &server)
            && tls.value == MailTls::Off
            && !server.value.is_near()
        {
            let message =
                format!("mails to `{}` would travel in plain text, with the links in them", server.value);
            if user.is_some() {
                let message = format!("{message} and the password of `mail.user`");
                let hint = "write `tls = \"starttls\"` or `tls = \"tls\"`";
                fields.found().error(Some(tls.at), Invalid::new(message, hint));
            } else {
                let hint =
                    "write `tls = \"starttls\"` or `tls = \"tls\"`; \"off\" is for a server on this machine";
                fields.found().warning(Some(tls.at), Invalid::new(message, hint));
            }
        }
        let (port, ca) = (fields.value("port"), fields.value("ca"));
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        Some(Self {
            server: server?.value,
            port,
            tls: tls.map(|found| found.value).unwrap_or_default(),
            ca,
            from: from?.value,
            user: user.map(|found| found.value),
            secret,
        })
    }
}

/// Checks a name by which somebody signs in at a mail server.
fn check_user(user: &str) -> Result<(), Invalid> {
    match !user.is_empty() && user.len() <= 200 && !user.contains(char::is_control) {
        true => Ok(()),
        false => Err(Invalid::new(
            "this is no name by which a mail server knows anybody",
            "write what the server's operator gave you, often the address itself",
        )),
    }
}

impl MailServer {
    /// The name, or the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is this very machine.
    pub fn is_near(&self) -> bool {
        self.0 == "localhost" || self.0.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for MailServer {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            // A URL of one may hold a password.
            "this is neither the name of a mail server nor an address",
            "write the name alone, such as \"mail.example.org\"; its port has a field of its own, `port`",
        ))
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as! {
    MailServer: { "type": "string", "pattern": "^[A-Za-z0-9:.-]+$", "maxLength": 253 },
}

text_values! {
    MailServer: "the name of a mail server in quotes, such as \"mail.example.org\"" SECRET,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_without_a_port() {
        for (good, is_near) in [
            ("mail.example.org", false),
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("mx", false),
        ] {
            assert_eq!(good.parse::<MailServer>().unwrap().is_near(), is_near, "{good}");
        }
        for bad in
            ["", "mail.example.org:587", "smtp://mail.example.org", "a b", "-x", "a..b", "mail\r\nRCPT"]
        {
            assert!(bad.parse::<MailServer>().is_err(), "{bad}");
        }
    }
}
