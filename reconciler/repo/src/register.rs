//! The registers of server ids and of certificates, each kept in a ref of its own, which travels with the repository.

use std::collections::HashMap;

use berth_schema::certificate_register::CertificateRegister;
use berth_schema::name::{Invalid, ServerId, UserName};
use berth_schema::policy;
use berth_schema::register::IdRegister;
use git2::{ObjectType, Oid, Sort, Tree};

use crate::marks::{CERTIFICATES, IDS};
use crate::oid::oid;
use crate::{Edit, Error, LARGEST_FILE, Revision, Signature, StateRepo, Words};

/// A register's place: its ref, and the path in the ref's revisions.
struct Shelf {
    reference: &'static str,
    file: &'static str,
}

const ID_SHELF: Shelf = Shelf { reference: IDS, file: "ids.toml" };
const CERTIFICATE_SHELF: Shelf = Shelf { reference: CERTIFICATES, file: "certificates.toml" };

/// Folder of the files that name ids.
const SERVERS: &str = "servers";

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
        self.kept(&ID_SHELF, IdRegister::parse)
    }

    /// Keeps a register in place of the one before.
    pub fn keep_ids(&self, ids: &IdRegister, by: &Signature) -> Result<(), Error> {
        self.keep(&ID_SHELF, ids.text(), "ids: as in force", by)
    }

    /// The register of certificates that is kept; `None` where there is none yet.
    pub fn kept_certificates(&self) -> Result<Option<CertificateRegister>, Error> {
        self.kept(&CERTIFICATE_SHELF, CertificateRegister::parse)
    }

    /// Keeps a register of certificates in place of the one before.
    pub fn keep_certificates(&self, certificates: &CertificateRegister, by: &Signature) -> Result<(), Error> {
        self.keep(&CERTIFICATE_SHELF, certificates.text(), "certificates: as in force", by)
    }

    fn kept<T>(
        &self,
        Shelf { reference, file }: &Shelf,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Error> {
        let Some(revision) = self.find_reference(reference)? else { return Ok(None) };
        let failed = |source| Error::ReadFile { path: format!("{reference}:{file}"), source };
        let bytes = self.files(&revision)?.bytes(file).map_err(|source| failed(Box::new(source)))?;
        // An empty register would give everybody's ids and everybody's certificates away.
        let bytes = bytes.ok_or_else(|| failed("there is no such file".into()))?;
        parse(&String::from_utf8_lossy(&bytes)).map(Some).map_err(|invalid| failed(Box::new(invalid)))
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

    fn gather_ids(&self, tip: &Revision) -> Result<IdRegister, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *tip, source };
        let walk = || {
            let mut walk = self.repository.revwalk()?;
            walk.simplify_first_parent()?;
            walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
            walk.push(oid(tip))?;
            let mut gathered = Gathered::default();
            for commit in walk {
                let tree = self.repository.find_commit(commit?)?.tree()?;
                self.gather(&tree, &mut gathered)?;
            }
            Ok(gathered.found.into_iter().collect())
        };
        walk().map_err(unreadable)
    }

    /// Adds what the files of one revision name that no revision before it had.
    fn gather(&self, tree: &Tree<'_>, gathered: &mut Gathered) -> Result<(), git2::Error> {
        let folder = tree.get_name(SERVERS).filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let Some(folder) = folder.filter(|folder| gathered.folder != Some(folder.id())) else {
            return Ok(());
        };
        gathered.folder = Some(folder.id());
        let mut files = HashMap::new();
        for entry in &self.repository.find_tree(folder.id())? {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if entry.kind() == Some(ObjectType::Blob) && gathered.files.get(&name) != Some(&entry.id()) {
                gathered.found.extend(self.named(&format!("{SERVERS}/{name}"), entry.id())?);
            }
            files.insert(name, entry.id());
        }
        gathered.files = files;
        Ok(())
    }

    /// The id and owner that a version of a file names.
    fn named(&self, path: &str, blob: Oid) -> Result<Option<(ServerId, UserName)>, git2::Error> {
        let objects = self.repository.odb()?;
        if objects.read_header(blob)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        Ok(policy::named_by(path, &String::from_utf8_lossy(objects.read(blob)?.data())))
    }
}

/// Ids and owners gathered so far, and the files that they were gathered from last.
#[derive(Default)]
struct Gathered {
    found: Vec<(ServerId, UserName)>,
    folder: Option<Oid>,
    files: HashMap<String, Oid>,
}
