//! Secrets of the host, which the state refers to by name and never holds.
//!
//! Owns their names, the forms they have, and the table of the fields that refer to one. The crate `berth-secrets` keeps
//! their values.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::name::{NAME_MAX, is_name};
use crate::value::text_values;

/// The name of a secret, and of its file on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SecretName(Arc<str>);

/// Form of a secret: the kind of text that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Form {
    Token,
    SharedSecret,
    PrivateKey,
    MacKey,
    Password,
    Url,
    Variables,
}

/// A field of the state that refers to a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    /// Dotted name of the field, such as `remote.token`.
    pub field: &'static str,
    /// Name of the secret where the field is left out.
    pub default: &'static str,
    /// Form that the secret must have.
    pub form: Form,
    /// Purpose of the secret, as the rest of a sentence that begins with "without it,".
    pub without: &'static str,
}

/// A field's reference to a secret, in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Reference {
    pub by: &'static Use,
    pub name: SecretName,
    pub need: Need,
}

/// Degree to which the platform needs a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Something doesn't work without it.
    Needed,
    /// Everything works without it, though some of it less well.
    Useful,
    /// The state refers to it and doesn't use it, as a deploy key where git fetches over HTTPS.
    Unused,
}

/// The token that the forge gives for fetching and for its API.
pub const FORGE_TOKEN: Use = Use {
    field: "remote.token",
    default: "forge-token",
    form: Form::Token,
    without: "only a public repository can be fetched, the forge isn't told what becomes of its commits, and no form opens a pull request",
};

/// The secret that the forge signs its webhook with.
pub const FORGE_WEBHOOK: Use = Use {
    field: "remote.webhook_secret",
    default: "forge-webhook",
    form: Form::SharedSecret,
    without: "the webhook doesn't listen",
};

/// The key that git fetches with over SSH.
pub const FORGE_DEPLOY_KEY: Use = Use {
    field: "remote.deploy_key",
    default: "forge-deploy-key",
    form: Form::PrivateKey,
    without: "nothing can be fetched over SSH",
};

/// The key that binds the account at the ACME CA to one that its operator knows.
pub const ACME_EAB: Use = Use {
    field: "acme.eab.secret",
    default: "acme-eab",
    form: Form::MacKey,
    without: "the CA opens no account, and gives no certificate",
};

/// The key that signs updates of the DNS zone.
pub const ACME_DNS: Use = Use {
    field: "acme.dns.secret",
    default: "acme-dns",
    form: Form::MacKey,
    without: "the platform's domain can't be proved to the CA, and gets no wildcard certificate",
};

/// The secret that an OpenID provider gave the panel.
pub const OIDC: Use = Use {
    field: "panel.oidc.secret",
    default: "oidc",
    form: Form::Token,
    without: "nobody signs in by the OpenID provider",
};

/// The password by which Berth signs in at the mail server.
pub const MAIL: Use = Use {
    field: "mail.secret",
    default: "mail",
    form: Form::Password,
    without: "the mail server doesn't let Berth in, and no mail is sent",
};

/// The URL at which a program takes alarms.
pub const ALARMS_WEBHOOK: Use = Use {
    field: "alarms.webhook.secret",
    default: "alarms-webhook",
    form: Form::Url,
    without: "no alarm reaches the webhook",
};

/// The URL of a chat's incoming webhook.
pub const ALARMS_CHAT: Use = Use {
    field: "alarms.chat.secret",
    default: "alarms-chat",
    form: Form::Url,
    without: "no alarm reaches the chat",
};

/// The password that encrypts the backups.
pub const BACKUP_PASSWORD: Use = Use {
    field: "backup.secret",
    default: "backup",
    form: Form::Password,
    without: "no backup can be made or read",
};

/// The credentials that the host of the backups asks for.
pub const BACKUP_CREDENTIALS: Use = Use {
    field: "backup.credentials",
    default: "backup-credentials",
    form: Form::Variables,
    without: "the backup repository lets nobody in",
};

/// Every field that refers to a secret. A new one is a row here, and a line in `State::secrets`.
pub const USES: [&Use; 11] = [
    &FORGE_TOKEN,
    &FORGE_WEBHOOK,
    &FORGE_DEPLOY_KEY,
    &ACME_EAB,
    &ACME_DNS,
    &OIDC,
    &MAIL,
    &ALARMS_WEBHOOK,
    &ALARMS_CHAT,
    &BACKUP_PASSWORD,
    &BACKUP_CREDENTIALS,
];

/// The fewest bytes of a shared secret: less can be guessed, offline, from one message that somebody saw.
pub const SHORTEST_SHARED: usize = 16;

/// The most bytes of any secret, more than any token or key has.
pub const LONGEST: usize = 64 << 10;

impl SecretName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that this field has by default.
    pub(crate) fn default_of(of: &Use) -> Self {
        Self(of.default.into())
    }
}

impl FromStr for SecretName {
    type Err = Invalid;

    /// The naming rule of the seed. The refusal repeats nothing, since it may be the secret itself that somebody wrote.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_name(text, NAME_MAX) && !text.starts_with('-') {
            return Ok(Self(text.into()));
        }
        Err(Invalid::new(
            "this is not the name of a secret",
            format!(
                "name it with 1 to {NAME_MAX} lower-case letters, digits and hyphens; its value is never written here: \
                 `berth secret set <name>` stores it on the host"
            ),
        ))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as! {
    SecretName: { "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,24}$" },
}

text_values! {
    SecretName: "the name of a secret in quotes, such as \"forge-token\"" SECRET,
}

impl Form {
    /// Description of the form, as the object of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Token => "an access token, on one line without spaces",
            Self::SharedSecret => "16 characters or more, on one line",
            Self::PrivateKey => "a private key in PEM or OpenSSH's own format",
            Self::Password => "a password, on one line",
            Self::MacKey => "a key in base64 or base64url, on one line",
            Self::Url => "an `https` URL, or an `http` one of this machine, on one line",
            Self::Variables => "lines `NAME=value`",
        }
    }

    /// Checks that a text, without the end of its last line, has the form.
    pub fn fits(self, text: &str) -> bool {
        match self {
            // No space and no control character can end a header early.
            Self::Token => {
                !text.is_empty() && text.len() <= 4096 && text.chars().all(|c| c.is_ascii_graphic())
            }
            Self::Password => !text.is_empty() && text.len() <= 1024 && !text.contains(char::is_control),
            Self::Url => is_url(text),
            Self::Variables => variables(text).is_some_and(|variables| !variables.is_empty()),
            Self::SharedSecret => text.len() >= SHORTEST_SHARED && !text.contains(['\n', '\r']),
            Self::PrivateKey => text.starts_with("-----BEGIN ") && text.contains(" PRIVATE KEY-----"),
            Self::MacKey => {
                let letters = text.trim_end_matches('=');
                letters.len() >= SHORTEST_SHARED
                    && letters.chars().all(|c| c.is_ascii_alphanumeric() || "+/-_".contains(c))
            }
        }
    }
}

/// Returns whether a text is a URL that can be asked without anybody on the way reading it: its path is what opens the door.
fn is_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        Some("https") => !host.is_empty() && !has_user && text.len() <= 4096,
        Some("http") => is_near && !has_user && text.len() <= 4096,
        _ => false,
    }
}

/// Variables that a secret sets: each line `NAME=value`, apart from empty ones; `None` where another line is among them.
pub fn variables(text: &str) -> Option<Vec<(&str, &str)>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let variable = |line: &'_ str| {
        let (name, value) = line.split_once('=')?;
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        (is_name && !value.contains(char::is_control)).then_some(())
    };
    lines.map(|line| variable(line).and_then(|()| line.split_once('='))).collect()
}

/// The form that a secret of this name has where `references` or the table say it.
pub fn form_of(name: &SecretName, references: &[Reference]) -> Option<Form> {
    let referred = references.iter().find(|reference| reference.name == *name).map(|reference| reference.by);
    referred.or_else(|| USES.into_iter().find(|of| of.default == name.as_str())).map(|of| of.form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_s_name_and_a_refusal_repeats_nothing() {
        for good in ["forge-token", "a", "2fa", &"a".repeat(25)] {
            assert_eq!(good.parse::<SecretName>().unwrap().as_str(), good);
        }
        for bad in ["", "-rf", "..", "a/b", "a b", "Token", "ghp_abc", &"a".repeat(26)] {
            let refused = bad.parse::<SecretName>().unwrap_err();
            assert!(bad.is_empty() || !format!("{refused:?}").contains(&format!("`{bad}`")), "{refused:?}");
        }
    }

    #[test]
    fn every_default_is_a_name_and_none_is_there_twice() {
        for of in USES {
            assert_eq!(of.default.parse::<SecretName>().unwrap(), SecretName::default_of(of));
            assert_eq!(USES.iter().filter(|other| other.default == of.default).count(), 1);
            assert_eq!(form_of(&SecretName::default_of(of), &[]), Some(of.form));
        }
    }

    #[test]
    fn each_form_has_its_shape() {
        for bad in ["", "two words", "two\nlines", "two\r\nlines: x", "ö"] {
            assert!(!Form::Token.fits(bad), "{bad:?}");
        }
        assert!(Form::Token.fits("glpat-S3cret_x"));
        assert!(!Form::SharedSecret.fits("fifteen letters"));
        assert!(!Form::SharedSecret.fits("sixteen letters\nand more"));
        assert!(Form::SharedSecret.fits("sixteen letters!"));
        assert!(!Form::PrivateKey.fits("ssh-ed25519 AAAA"));
        assert!(!Form::PrivateKey.fits("-----BEGIN CERTIFICATE-----\n"));
        assert!(Form::PrivateKey.fits(concat!("-----BEGIN ", "OPENSSH PRIVATE KEY-----\nAAAA")));
        assert!(Form::PrivateKey.fits(concat!("-----BEGIN ", "PRIVATE KEY-----\nAAAA")));
        for bad in ["", "c2hvcnQ=", "a key with spaces in it", "c2VjcmV0c2VjcmV0c2VjcmV0\n"] {
            assert!(!Form::MacKey.fits(bad), "{bad:?}");
        }
        for bad in [
            "",
            "hooks.example.org/x",
            "http://hooks.example.org/x",
            "ftp://a.example.org",
            "https://a b",
            "https://ann:x@a.example.org/",
        ] {
            assert!(!Form::Url.fits(bad), "{bad:?}");
        }
        for good in [
            "https://hooks.example.org/T0/x?wait=true",
            "http://127.0.0.1:80/x",
            "http://[::1]:8080",
            "http://localhost/",
        ] {
            assert!(Form::Url.fits(good), "{good:?}");
        }
        for bad in ["", "\n", "a b", "name=value", "=value", "A=1\nB", "A=\u{7}"] {
            assert!(!Form::Variables.fits(bad), "{bad:?}");
        }
        assert!(Form::Variables.fits("AWS_ACCESS_KEY_ID=a\n\nAWS_SECRET_ACCESS_KEY=b=c\n"));
        assert!(Form::MacKey.fits("c2VjcmV0c2VjcmV0-_8=") && Form::MacKey.fits("c2VjcmV0c2VjcmV0+/8"));
    }
}
