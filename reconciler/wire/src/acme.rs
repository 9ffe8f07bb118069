//! The account at the CA and the wildcard certificate, as the process that keeps them tells of them, and the names of the files in
//! which it hands them to the panel.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::certificate::FailedOrder;
use crate::told_file;

/// Name of the wildcard certificate in the panel's folder: key and chain, in PEM.
pub const CERTIFICATE: &str = "certificate.pem";
/// Name of the account's key in the panel's folder, in DER (PKCS #8).
pub const ACCOUNT_KEY: &str = "account.der";
/// Name of the standing's file.
const FILE: &str = "standing.json";

/// The account at the CA that Berth keeps, and the wildcard certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeStanding {
    /// URL of the CA's directory.
    pub directory: String,
    /// Digest of what is asked of the CA and of the name server: a failure says nothing of anything else.
    #[serde(default)]
    pub asked: String,
    /// True if there is an account.
    pub has_account: bool,
    /// The wildcard certificate; `None` where none is ordered.
    pub wildcard: Option<WildcardStanding>,
    /// The last try, if it failed.
    pub failed: Option<FailedOrder>,
}

/// The wildcard certificate of the platform's domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WildcardStanding {
    /// The platform's domain.
    pub domain: String,
    /// The moment from which nobody accepts it any more; `None` before there is one.
    pub ends: Option<Timestamp>,
}

impl AcmeStanding {
    /// Path of the file in the folder of account and certificate.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads what was told; `None` where nothing was.
    pub fn read(folder: &Path) -> Option<Self> {
        told_file::read(&Self::path(folder))
    }

    /// Tells it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        told_file::write(&Self::path(folder), self)
    }
}
