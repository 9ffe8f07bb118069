//! The account's key and the certificate, on disk: a process that is started again orders nothing that it has.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_ca::CaError;
use berth_wire::certificate::Proof;
use ring::digest::{SHA256, digest};
use rustls_acme::acme::Account;

use super::settings::Acme;
use super::trouble::OrderError;
use crate::tls::Ordered;

/// Characters of a digest in a name.
const DIGITS: usize = 16;

/// The files of one CA, one account and one name.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    account: PathBuf,
    /// File of the account's key, where Berth keeps the account.
    kept: Option<PathBuf>,
    certificate: PathBuf,
}

impl Store {
    /// Files in the panel's data. Another directory, address or name has others.
    pub fn new(data: &Path, acme: &Acme, domain: &str) -> Self {
        let folder = data.join("acme").join(short(&acme.directory));
        let account =
            folder.join(format!("account-{}.der", short(acme.email.as_deref().unwrap_or_default())));
        // One that Berth has ordered is nobody's to keep but Berth's.
        let certificate = match acme.proof {
            Proof::Dns01 => acme.given.clone(),
            Proof::Http01 | Proof::TlsAlpn01 => folder.join(format!("{domain}.pem")),
        };
        Self { folder, account, kept: acme.account.clone(), certificate }
    }

    /// Reads the certificate of an earlier order. One that can't be used counts for nothing, and the log says why.
    pub fn ordered(&self) -> Option<Ordered> {
        let path = &self.certificate;
        let read = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read,
        };
        let ordered = read
            .map_err(|error| error.to_string())
            .and_then(|pem| Ordered::parse(&pem).map_err(|error| berth_fault::chain(&error)));
        ordered
            .inspect_err(|error| {
                tracing::error!(path = %path.display(), error, "the ordered certificate can't be used");
            })
            .ok()
    }

    /// Keeps a certificate and its key.
    pub(super) fn keep(&self, pem: &str) -> Result<(), CaError> {
        replace(&self.certificate, pem.as_bytes())
    }

    /// Reads the account's key, or makes one. Where Berth keeps the account, it is that one's or none.
    pub(super) fn account(&self) -> Result<Vec<u8>, OrderError> {
        if let Some(kept) = &self.kept {
            return match fs::read(kept) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OrderError::NoAccount),
                read => Ok(read.map_err(CaError::folder(kept))?),
            };
        }
        let path = &self.account;
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return Ok(read.map_err(CaError::folder(path))?),
        }
        let failed = CaError::folder(&self.folder);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        let key = Account::generate_key_pair();
        replace(path, &key)?;
        Ok(key)
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<(), CaError> {
    berth_host::file::replace(path, content, 0o600).map_err(CaError::folder(path))
}

/// A name for a file that follows from a text.
fn short(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let mut digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(DIGITS);
    digits
}
