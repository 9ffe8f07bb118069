//! Folder: one tree of a revision, kept in memory so that the next revision reads only what changed.
//!
//! Three levels of sameness: an equal tree id keeps the whole folder; an equal (path, blob id, mode) keeps the parsed
//! file; the rest is read and parsed. A new folder shares everything kept with the old one, so a load that fails half-way
//! leaves the old one as it was.

use std::sync::Arc;

use berth_schema::{Finding, Parsed};
use git2::{ObjectType, Odb, Oid, Repository};

use crate::content::{Content, DEEPEST, Refusal, is_state};
use crate::source::Opening;
use crate::work::Work;
use crate::{Error, LARGEST_FILE};

#[derive(Debug)]
pub(crate) struct Folder {
    id: Oid,
    /// Sorted by name.
    files: Vec<File>,
    /// Sorted by name.
    folders: Vec<(Arc<str>, Arc<Folder>)>,
}

#[derive(Debug, Clone)]
struct File {
    name: Arc<[u8]>,
    id: Oid,
    mode: i32,
    content: Content,
}

/// A file that has to be read.
struct Wanted {
    name: Arc<[u8]>,
    path: String,
    id: Oid,
    mode: i32,
}

const MODE_FOLDER: i32 = 0o040_000;
const MODE_LINK: i32 = 0o120_000;
const MODE_SUBMODULE: i32 = 0o160_000;

/// A thread is worth its own handle on the repository from this many files on.
const FILES_PER_THREAD: usize = 256;

/// Reads one revision against the one before.
pub(crate) struct Reader<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) opening: &'a Opening,
    pub(crate) work: &'a Work,
    pub(crate) parsed_again: usize,
}

impl Reader<'_> {
    /// Reads the tree `id` at `path`; `before` is what stood at the same path.
    pub(crate) fn folder(
        &mut self,
        id: Oid,
        path: &str,
        before: Option<&Arc<Folder>>,
        depth: usize,
    ) -> Result<Arc<Folder>, Error> {
        if let Some(before) = before.filter(|before| before.id == id) {
            return Ok(Arc::clone(before));
        }
        let unreadable =
            |source: git2::Error| Error::ReadFolder { path: path.to_owned(), source: Box::new(source) };
        let tree = self.repository.find_tree(id).map_err(unreadable)?;
        self.work.folder();
        let mut known = before.map_or(&[][..], |before| &before.files).iter().peekable();
        let (mut files, mut wanted) = (Vec::with_capacity(tree.len()), Vec::new());
        let mut folders: Vec<(Arc<str>, Arc<Folder>)> = Vec::new();
        for entry in &tree {
            let (name, mode) = (entry.name_bytes(), entry.filemode_raw());
            if mode != MODE_FOLDER {
                // Git sorts the files of a tree by name. Should a forged tree not be, a file is missed here and read.
                while known.next_if(|file| *file.name < *name).is_some() {}
                let same = |file: &&File| *file.name == *name && file.id == entry.id() && file.mode == mode;
                if let Some(file) = known.next_if(same) {
                    files.push(file.clone());
                    continue;
                }
            }
            let path = join(path, &String::from_utf8_lossy(name));
            if !is_state(&path) {
                continue;
            }
            let refuse = |refusal| File {
                name: Arc::from(name),
                id: entry.id(),
                mode,
                content: Content::refuse(&path, refusal),
            };
            match (std::str::from_utf8(name), mode) {
                (Err(_), _) => files.push(refuse(Refusal::NameNotText)),
                (Ok(_), MODE_LINK) => files.push(refuse(Refusal::Link)),
                (Ok(_), MODE_SUBMODULE) => files.push(refuse(Refusal::Submodule)),
                (Ok(_), MODE_FOLDER) if depth == DEEPEST => files.push(refuse(Refusal::TooDeep)),
                (Ok(name), MODE_FOLDER) => {
                    let before = before.and_then(|before| before.folder_called(name));
                    let folder = self.folder(entry.id(), &path, before, depth + 1)?;
                    folders.push((Arc::from(name), folder));
                }
                (Ok(_), _) => wanted.push(Wanted { name: Arc::from(name), path, id: entry.id(), mode }),
            }
        }
        if !wanted.is_empty() {
            self.parsed_again += wanted.len();
            self.work.files(wanted.len());
            files.extend(self.read_all(wanted)?);
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        folders.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Arc::new(Folder { id, files, folders }))
    }

    fn read_all(&self, wanted: Vec<Wanted>) -> Result<Vec<File>, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(wanted.len() / FILES_PER_THREAD);
        if threads < 2 {
            return read_some(self.repository, &wanted);
        }
        let share = wanted.len().div_ceil(threads);
        std::thread::scope(|scope| {
            let readers: Vec<_> = wanted
                .chunks(share)
                .map(|some| scope.spawn(|| read_some(&self.opening.open()?, some)))
                .collect();
            let mut files = Vec::with_capacity(wanted.len());
            for reader in readers {
                match reader.join() {
                    Ok(some) => files.extend(some?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(files)
        })
    }
}

fn read_some(repository: &Repository, wanted: &[Wanted]) -> Result<Vec<File>, Error> {
    let unreadable = |path: &str, source| Error::ReadFile {
        path: path.to_owned(),
        source: Box::<git2::Error>::new(source),
    };
    let path = wanted.first().map_or("", |first| first.path.as_str());
    let objects = repository.odb().map_err(|source| unreadable(path, source))?;
    let file = |Wanted { name, path, id, mode }: &Wanted| {
        let content = read(&objects, path, *id).map_err(|source| unreadable(path, source))?;
        Ok(File { name: Arc::clone(name), id: *id, mode: *mode, content })
    };
    wanted.iter().map(file).collect()
}

fn read(objects: &Odb<'_>, path: &str, id: Oid) -> Result<Content, git2::Error> {
    // The header comes first, so that a blob of gigabytes costs its length and not its bytes.
    let (size, kind) = objects.read_header(id)?;
    if kind != ObjectType::Blob {
        return Err(git2::Error::from_str("the tree calls it a file, but the object is none"));
    }
    if size > LARGEST_FILE {
        return Ok(Content::refuse(path, Refusal::TooLarge(size as u64)));
    }
    Ok(Content::parse(path, objects.read(id)?.data()))
}

impl Folder {
    pub(crate) fn id(&self) -> Oid {
        self.id
    }

    fn folder_called(&self, name: &str) -> Option<&Arc<Folder>> {
        let at = self.folders.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        self.folders.get(at).map(|(_, folder)| folder)
    }

    /// Every file below, parsed or refused, in the same order for the same files.
    pub(crate) fn collect<'a>(&'a self, parsed: &mut Vec<&'a Parsed>, refused: &mut Vec<Finding>) {
        for file in &self.files {
            match &file.content {
                Content::Parsed(file) => parsed.push(file),
                Content::Refused(finding) => refused.push(Finding::clone(finding)),
            }
        }
        for (_, folder) in &self.folders {
            folder.collect(parsed, refused);
        }
    }
}

/// `folder/name`, or `name` at the root.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match folder.is_empty() {
        true => name.to_owned(),
        false => format!("{folder}/{name}"),
    }
}
