//! The account, the certificate and the standing, on disk: a process that is started again orders nothing that it has.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_ca::{CaError, renew_at};
use berth_schema::name::Fqdn;
use berth_schema::platform::Acme;
use berth_wire::acme::AcmeStanding;
use instant_acme::AccountCredentials;
use jiff::Timestamp;
use x509_parser::pem::Pem;

/// Characters of a digest in a name.
const DIGITS: usize = 16;

/// The files of one account, and of one domain.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

/// The wildcard certificate, with its key and its chain.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Key and chain, in PEM.
    pub(crate) pem: String,
    pub(crate) begins: Timestamp,
    pub(crate) ends: Timestamp,
}

impl Store {
    /// Files in the folder. Another CA has another account, and so has another binding, or another address where there is none: some
    /// bindings work once. Another CA or domain has another certificate.
    pub(crate) fn open(folder: &Path, acme: &Acme, domain: &Fqdn) -> Result<Self, CaError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(CaError::folder(folder))?;
        let [email, bound] = match &acme.eab {
            Some(eab) => ["", &eab.key_id],
            None => [acme.email.as_deref().unwrap_or_default(), ""],
        };
        let account = folder.join(format!("account-{}.json", short(&[&acme.directory, email, bound])));
        let certificate = folder.join(format!("{domain}-{}.pem", short(&[&acme.directory])));
        Ok(Self { folder: folder.to_owned(), account, certificate })
    }

    /// The account's credentials; `None` before there is one.
    pub(crate) fn account(&self) -> Result<Option<AccountCredentials>, CaError> {
        let failed = CaError::folder(&self.account);
        match fs::read(&self.account) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                let read = read.map_err(&failed)?;
                serde_json::from_slice(&read).map(Some).map_err(|error| failed(error.into()))
            }
        }
    }

    /// Keeps the account's credentials.
    pub(crate) fn keep_account(&self, account: &AccountCredentials) -> Result<(), CaError> {
        let text = serde_json::to_vec(account).map_err(|error| CaError::Unreadable(error.into()))?;
        self.replace(&self.account, &text)
    }

    /// Forgets an account that the CA doesn't know any more.
    pub(crate) fn forget_account(&self) -> Result<(), CaError> {
        match fs::remove_file(&self.account) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CaError::folder(&self.account)(error))
            }
            _ => Ok(()),
        }
    }

    /// The certificate of an earlier order. One that can't be used counts for nothing, and the log says why.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        let path = &self.certificate;
        let pem = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.map_err(|error| error.to_string()),
        };
        let found =
            pem.and_then(|pem| Certificate::parse(pem).ok_or_else(|| "it is no certificate".to_owned()));
        found
            .inspect_err(
                |why| tracing::error!(path = %path.display(), why, "the wildcard certificate can't be used"),
            )
            .ok()
    }

    /// Keeps a certificate and its key.
    pub(crate) fn keep_certificate(&self, certificate: &Certificate) -> Result<(), CaError> {
        self.replace(&self.certificate, certificate.pem.as_bytes())
    }

    /// Tells how things are.
    pub(crate) fn tell(&self, standing: &AcmeStanding) -> Result<(), CaError> {
        standing.write(&self.folder).map_err(CaError::folder(&AcmeStanding::path(&self.folder)))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), CaError> {
        berth_host::file::replace(path, content, 0o600).map_err(CaError::folder(path))
    }
}

impl Certificate {
    /// Reads a key and its chain, in PEM. The first certificate is the one that says how long.
    pub(crate) fn parse(pem: String) -> Option<Self> {
        let blocks: Vec<Pem> = Pem::iter_from_buffer(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
        let is_key = |block: &Pem| block.label.ends_with("PRIVATE KEY");
        let first =
            blocks.iter().find(|block| block.label == "CERTIFICATE").filter(|_| blocks.iter().any(is_key))?;
        let validity = first.parse_x509().ok()?.validity().clone();
        let moment = |at: x509_parser::time::ASN1Time| Timestamp::from_second(at.timestamp()).ok();
        Some(Self { begins: moment(validity.not_before)?, ends: moment(validity.not_after)?, pem })
    }

    /// The moment to order another: two thirds of its time are over then.
    pub(crate) fn renew_at(&self) -> Timestamp {
        renew_at(self.begins, self.ends)
    }
}

/// A name that follows from texts.
pub(crate) fn short(texts: &[&str]) -> String {
    let digest = blake3::hash(texts.join("\0").as_bytes()).to_hex();
    digest.chars().take(DIGITS).collect()
}
