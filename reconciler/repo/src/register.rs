//! The registers of server ids and of certificates, each kept in a ref of its own, which travels with the repository.

use berth_schema::certificate_register::CertificateRegister;
use berth_schema::name::Invalid;
use berth_schema::register::IdRegister;

use crate::marks::{CERTIFICATES, IDS};
use crate::{Edit, Error, Revision, Signature, StateRepo, Words};

/// A register's place: its ref, and the path in the ref's revisions.
struct Shelf {
    reference: &'static str,
    file: &'static str,
}

const ID_SHELF: Shelf = Shelf { reference: IDS, file: "ids.toml" };
const CERTIFICATE_SHELF: Shelf = Shelf { reference: CERTIFICATES, file: "certificates.toml" };

impl StateRepo {
    /// The register of server ids. Where none is kept yet, it is gathered from every revision that `main` was built of up to
    /// `tip`, by first parents: some of them may never have been in force.
    pub fn ids(&self, tip: &Revision) -> Result<IdRegister, Error> {
        match self.kept_ids()? {
            Some(kept) => Ok(kept),
            None => self.gather_ids(tip),
        }
    }

    /// The register of server ids that is kept; `None` where there is none yet.
    pub fn kept_ids(&self) -> Result<Option<IdRegister>, Error> {
        let Some(revision) = self.find_reference(IDS)? else { return Ok(None) };
        if let Some(known) = self.memory.ids_at(&revision) {
            return Ok(Some(known));
        }
        let kept = self.register_at(&revision, &ID_SHELF, IdRegister::parse)?;
        self.memory.learn_ids(revision, &kept);
        Ok(Some(kept))
    }

    /// Keeps a register in place of the one before.
    pub fn keep_ids(&self, ids: &IdRegister, by: &Signature) -> Result<(), Error> {
        self.keep(&ID_SHELF, ids.text(), "ids: as in force", by)
    }

    /// The register of certificates that is kept; `None` where there is none yet.
    pub fn kept_certificates(&self) -> Result<Option<CertificateRegister>, Error> {
        let revision = self.find_reference(CERTIFICATES)?;
        let kept = revision
            .map(|revision| self.register_at(&revision, &CERTIFICATE_SHELF, CertificateRegister::parse));
        kept.transpose()
    }

    /// Keeps a register of certificates in place of the one before.
    pub fn keep_certificates(&self, certificates: &CertificateRegister, by: &Signature) -> Result<(), Error> {
        self.keep(&CERTIFICATE_SHELF, certificates.text(), "certificates: as in force", by)
    }

    fn register_at<T>(
        &self,
        revision: &Revision,
        Shelf { reference, file }: &Shelf,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<T, Error> {
        let failed = |source| Error::ReadFile { path: format!("{reference}:{file}"), source };
        let bytes = self.files(revision)?.bytes(file).map_err(|source| failed(Box::new(source)))?;
        // An empty register would give everybody's ids and everybody's certificates away.
        let bytes = bytes.ok_or_else(|| failed("there is no such file".into()))?;
        parse(&String::from_utf8_lossy(&bytes)).map_err(|invalid| failed(Box::new(invalid)))
    }

    fn keep(
        &self,
        Shelf { reference, file }: &Shelf,
        text: String,
        message: &str,
        by: &Signature,
    ) -> Result<(), Error> {
        let base = self.find_reference(reference)?;
        let words = Words { author: by, committer: by, message };
        let revision = self.write(base.as_ref(), &[Edit::write(*file, text)], &words)?;
        if Some(revision) == base { Ok(()) } else { self.mark(reference, &revision) }
    }
}
