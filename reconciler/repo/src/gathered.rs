//! The register of server ids where none is kept yet: gathered from history once, and from then on added to.
//!
//! The file in the git folder that holds it can be lost: then history is read again.

use std::fs;

use berth_host::file;
use berth_schema::name::{ServerId, UserName};
use berth_schema::policy;
use berth_schema::register::IdRegister;
use git2::{ObjectType, Oid};

use crate::memory::Gathered;
use crate::oid::{oid, revision_of};
use crate::tree::{Difference, Trees};
use crate::{Error, LARGEST_FILE, Revision, StateRepo};

/// Folder of the files that name ids.
const SERVERS: &str = "servers";
/// File in the git folder of the state repo that holds what was gathered.
const FILE: &str = "berth-ids";
/// First words of that file. The revision, and the number of lines below, follow.
const HEADER: &str = "# Gathered from history up to";
/// Commits without a new id that are read again by every process, before one writes down that they were read.
const READ_AGAIN: usize = 64;

impl StateRepo {
    /// Gathers the register from every revision that `main` was built of up to `tip`, by first parents. Those that somebody
    /// read before aren't read again.
    pub(crate) fn gather_ids(&self, tip: &Revision) -> Result<IdRegister, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *tip, source };
        let known = self.memory.gathered().or_else(|| self.gathered_before());
        let (commits, known) = self.not_gathered(oid(tip), known).map_err(unreadable)?;
        if let (true, Some(known)) = (commits.is_empty(), &known) {
            return Ok(known.register.clone());
        }
        let before = known.as_ref().map(|known| known.register.clone());
        let gathered = self.gather(known, &commits).map_err(unreadable)?;
        self.memory.learn_gathered(&gathered);
        if commits.len() >= READ_AGAIN || before.as_ref() != Some(&gathered.register) {
            self.remember(&gathered);
        }
        Ok(gathered.register)
    }

    /// The commits up to `tip` that were not gathered, the oldest first, and what was, if it is on the way there.
    fn not_gathered(
        &self,
        tip: Oid,
        known: Option<Gathered>,
    ) -> Result<(Vec<Oid>, Option<Gathered>), git2::Error> {
        let (mut commits, mut next, mut found) = (Vec::new(), Some(tip), None);
        while let Some(id) = next {
            if known.as_ref().is_some_and(|known| known.tip == id) {
                found = known;
                break;
            }
            commits.push(id);
            next = self.repository.find_commit(id)?.parent_ids().next();
        }
        commits.reverse();
        Ok((commits, found))
    }

    /// Adds what these commits brought, one after the other.
    fn gather(&self, known: Option<Gathered>, commits: &[Oid]) -> Result<Gathered, git2::Error> {
        let trees = Trees::new(&self.repository);
        let mut gathered = known.unwrap_or(Gathered { tip: Oid::ZERO_SHA1, register: IdRegister::default() });
        let mut before = match gathered.tip.is_zero() {
            true => None,
            false => self.servers_at(gathered.tip)?,
        };
        for commit in commits {
            let after = self.servers_at(*commit)?;
            if let Some(folder) = after.filter(|_| before != after) {
                self.memory.work().folder();
                let mut named = Vec::new();
                trees.walk::<git2::Error>(
                    before,
                    Some(folder),
                    |&Difference { path, old, new, .. }| {
                        let new =
                            new.filter(|new| new.kind() == Some(ObjectType::Blob) && !path.contains(&b'/'));
                        if let Some(new) = new.filter(|new| old.is_none_or(|old| old.id() != new.id())) {
                            named.extend(self.named(path, new.id())?);
                        }
                        Ok(())
                    },
                )?;
                for (id, owner) in named {
                    gathered.register.note(id, owner);
                }
            }
            // A revision without the folder says nothing, and what came before it is compared with the next.
            before = after.or(before);
            gathered.tip = *commit;
        }
        Ok(gathered)
    }

    /// The folder of servers in a revision.
    fn servers_at(&self, commit: Oid) -> Result<Option<Oid>, git2::Error> {
        let tree = self.repository.find_commit(commit)?.tree()?;
        let folder = tree.get_name(SERVERS).filter(|entry| entry.kind() == Some(ObjectType::Tree));
        Ok(folder.map(|folder| folder.id()))
    }

    /// The id and owner that a version of a file names.
    fn named(&self, name: &[u8], blob: Oid) -> Result<Option<(ServerId, UserName)>, git2::Error> {
        let path = format!("{SERVERS}/{}", String::from_utf8_lossy(name));
        let objects = self.repository.odb()?;
        if objects.read_header(blob)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        Ok(policy::named_by(&path, &String::from_utf8_lossy(objects.read(blob)?.data())))
    }

    /// Reads what another process gathered; `None` where nobody did, or not all of it is there.
    fn gathered_before(&self) -> Option<Gathered> {
        let text = fs::read_to_string(self.kept_at.join(FILE)).ok()?;
        let (header, lines) = text.split_once('\n')?;
        let (tip, number) = header.strip_prefix(HEADER)?.trim().split_once(": ")?;
        if lines.lines().count().to_string() != number {
            return None;
        }
        let tip: Revision = tip.parse().ok()?;
        Some(Gathered { tip: oid(tip), register: IdRegister::parse(lines).ok()? })
    }

    /// Writes down what was gathered, for the next process. Without it that one reads history again.
    fn remember(&self, gathered: &Gathered) {
        let lines = gathered.register.text();
        let header = format!("{HEADER} {}: {}\n", revision_of(gathered.tip), lines.lines().count());
        let written = self.as_owner().map_err(|error| error.to_string()).and_then(|_owner| {
            let written = file::replace(&self.kept_at.join(FILE), (header + &lines).as_bytes(), 0o600);
            written.map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the server ids of history could not be written down: they are gathered again");
        }
    }
}
