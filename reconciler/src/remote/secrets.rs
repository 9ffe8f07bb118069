//! The secrets that a forge wants, each a file in `<data>/remote` that nobody else may read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Which secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For HTTPS and for the forge's API.
    Token,
    /// What the forge signs a webhook with.
    WebhookSecret,
    /// The private key for SSH.
    DeployKey,
}

/// A secret that can't be used. Never holds it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    /// It isn't there.
    #[error("{path} is missing: put {what} there, readable by root alone (chmod 600)")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        what: &'static str,
    },
    /// Others may read it.
    #[error(
        "{path} can be read by others: `chmod 600 {path}`, and take a new one if anybody else is on this machine"
    )]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{path} doesn't hold {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// It can't be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// More than any token or key has.
const LARGEST: u64 = 64 << 10;

impl Kind {
    pub(super) fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Token => "token",
            Self::WebhookSecret => "webhook-secret",
            Self::DeployKey => "deploy-key",
        })
    }

    fn what(self) -> &'static str {
        match self {
            Self::Token => "the forge's access token, on one line",
            Self::WebhookSecret => {
                "the secret that the forge signs its webhook with, 16 characters or more, on one line"
            }
            Self::DeployKey => "the private key of a deploy key",
        }
    }

    /// The secret in `folder`, without the end of its line.
    pub(super) fn read(self, folder: &Path) -> Result<String, SecretError> {
        let path = self.path(folder);
        let failed = |source| SecretError::Read { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SecretError::Missing { path, what: self.what() });
            }
            Err(source) => return Err(failed(source)),
        };
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(SecretError::Open { path });
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8(bytes).ok().map(|text| text.trim_end().to_owned());
        text.filter(|text| self.fits(text)).ok_or(SecretError::Unusable { path, what: self.what() })
    }

    fn fits(self, text: &str) -> bool {
        let line = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        match self {
            // What is neither a space nor a control character can't end a header early.
            Self::Token => line && text.len() <= 4096,
            Self::WebhookSecret => text.len() >= berth_web::Secret::SHORTEST && !text.contains(['\n', '\r']),
            Self::DeployKey => text.starts_with("-----BEGIN "),
        }
    }
}

impl SecretError {
    /// Whether it just isn't there, which is fine where it is needed for nothing.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_a_file_that_nobody_else_reads() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = Kind::Token.path(folder.path());
        assert!(Kind::Token.read(folder.path()).unwrap_err().is_missing());
        fs::write(&path, "s3cret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Kind::Token.read(folder.path()).unwrap_err();
        assert!(matches!(error, SecretError::Open { .. }) && !error.to_string().contains("s3cret"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Kind::Token.read(folder.path()).unwrap(), "s3cret");
        for bad in ["", "\n", "two words", "two\r\nlines: x"] {
            fs::write(&path, bad).unwrap();
            let error = Kind::Token.read(folder.path()).unwrap_err();
            assert!(matches!(error, SecretError::Unusable { .. }), "{bad:?}");
        }
    }

    #[test]
    fn each_secret_has_its_own_shape() {
        let folder = tempfile::TempDir::new().unwrap();
        let put = |kind: Kind, text: &str| {
            let path = kind.path(folder.path());
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            kind.read(folder.path()).is_ok()
        };
        assert!(!put(Kind::WebhookSecret, "fifteen letters"));
        assert!(put(Kind::WebhookSecret, "sixteen letters!\n"));
        assert!(!put(Kind::DeployKey, "ssh-ed25519 AAAA"));
        assert!(put(Kind::DeployKey, concat!("-----BEGIN ", "OPENSSH PRIVATE KEY-----\n")));
    }
}
