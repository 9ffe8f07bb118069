//! StateRepo: one git repository that holds state.

use std::borrow::Cow;
use std::collections::HashSet;
use std::env;
use std::path::{Path, PathBuf};

use berth_host::{Acting, Owner, critical};
use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, RepositoryInitOptions};

use crate::closed::close;
use crate::folder::Reader;
use crate::oid::{oid, revision_of};
use crate::source::Opening;
use crate::tree::Trees;
use crate::{CommitInfo, Error, LARGEST_FILE, Loaded, Memory, Revision, Source, commit_info};

/// The one branch that counts.
pub const MAIN: &str = "refs/heads/main";

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// Its bytes.
    Read(Vec<u8>),
    /// It has so many bytes, more than [`LARGEST_FILE`], which nobody reads.
    TooLarge(u64),
}

/// A repository, bare or with a work tree, whose files are read from its objects and never checked out. It belongs to
/// one thread at a time; another thread opens its own.
pub struct StateRepo {
    pub(crate) repository: Repository,
    pub(crate) opening: Opening,
    pub(crate) memory: Memory,
    pub(crate) lifetime: Lifetime,
    /// The folder in which Berth keeps what it could work out anew: the git folder of the state repo itself, for a repository
    /// beside it too.
    pub(crate) kept_at: PathBuf,
}

/// Time for which what is written is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// For ever: it survives a power cut.
    Lasting,
    /// Until the value is dropped.
    Scratch,
}

impl StateRepo {
    /// Opens the repository at `path`, whoever owns it. For a work tree that is the repository inside; its files on disk
    /// are not looked at.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let git_dir = match Source::of(path)? {
            Source::Bare => path.to_owned(),
            Source::WorkTree { git_dir } => git_dir,
            Source::Directory => return Err(Error::NotARepository { path: path.to_owned() }),
        };
        Self::open_as(Opening { git_dir, quarantine: None })
    }

    /// Opens the same repository once more, for another thread, with what this one knows by now.
    pub fn again(&self) -> Result<Self, Error> {
        Ok(Self {
            memory: self.memory.apart(),
            kept_at: self.kept_at.clone(),
            ..Self::open_as(self.opening.clone())?
        })
    }

    /// Opens the repository that git runs this hook for, with the objects of the push that is not accepted yet.
    pub fn open_from_env() -> Result<Self, Error> {
        let git_dir = env::var_os("GIT_DIR").map(PathBuf::from).ok_or(Error::NoEnvironment)?;
        let quarantine = env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from);
        Self::open_as(Opening { git_dir, quarantine })
    }

    /// Opens the bare repository at `git_dir`, with the objects in another folder besides.
    pub fn open_beside(git_dir: &Path, objects: &Path) -> Result<Self, Error> {
        Self::open_as(Opening { git_dir: git_dir.to_owned(), quarantine: Some(objects.to_owned()) })
    }

    pub(crate) fn open_as(opening: Opening) -> Result<Self, Error> {
        let (repository, memory) = (opening.open()?, Memory::default());
        let kept_at = repository.commondir().to_owned();
        Ok(Self { repository, opening, memory, lifetime: Lifetime::Lasting, kept_at })
    }

    /// Shares this memory, which is of the same repository.
    pub fn knowing(self, memory: &Memory) -> Self {
        Self { memory: memory.clone(), ..self }
    }

    /// The revisions that were read last.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Creates a bare repository at `path`, with history that can't be rewritten and pushes that are checked and kept. Nobody
    /// but its owner can read it.
    pub fn init(path: &Path) -> Result<Self, Error> {
        let mut options = RepositoryInitOptions::new();
        // No template: the hooks and settings of whoever runs this are not the platform's.
        options.bare(true).no_reinit(true).external_template(false).initial_head("main");
        let failed = |source: git2::Error| match source.code() {
            ErrorCode::Exists => Error::Exists { path: path.to_owned() },
            _ => Error::Init { path: path.to_owned(), source },
        };
        let repository = Repository::init_opts(path, &options).map_err(failed)?;
        let mut config = repository.config().map_err(failed)?;
        for (name, value) in SETTINGS {
            config.set_str(name, value).map_err(failed)?;
        }
        close(path)?;
        Self::open_as(Opening { git_dir: path.to_owned(), quarantine: None })
    }

    /// The folder that holds the objects and refs, for a watcher to watch.
    pub fn git_dir(&self) -> &Path {
        &self.opening.git_dir
    }

    /// The tip of `main`; `None` before the first commit.
    pub fn head(&self) -> Result<Option<Revision>, Error> {
        match self.repository.refname_to_id(MAIN) {
            Ok(id) => Ok(Some(revision_of(id))),
            Err(source) if source.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(Error::ReadHead { source }),
        }
    }

    /// The commit that an expression means: an id, its beginning, a branch, a tag, `main~3`, …
    pub fn resolve(&self, spec: &str) -> Result<Revision, Error> {
        let failed = |source: git2::Error| match source.code() {
            ErrorCode::NotFound | ErrorCode::InvalidSpec => Error::Unknown { spec: spec.to_owned() },
            ErrorCode::Ambiguous => Error::Ambiguous { spec: spec.to_owned() },
            _ => Error::Resolve { spec: spec.to_owned(), source },
        };
        let object = self.repository.revparse_single(&self.branch_first(spec)).map_err(failed)?;
        object
            .peel_to_commit()
            .map(|commit| revision_of(commit.id()))
            .map_err(|source| Error::Resolve { spec: spec.to_owned(), source })
    }

    /// Writes a branch's name in full where a spec begins with one, also a remote's, such as `origin/main`: git would take a tag of
    /// that name first, and whoever may push a tag could have another commit taken for the branch.
    fn branch_first<'a>(&self, spec: &'a str) -> Cow<'a, str> {
        let (name, rest) = spec.split_at(spec.find(['~', '^', '@', ':']).unwrap_or(spec.len()));
        if name.starts_with("refs/") {
            return Cow::Borrowed(spec);
        }
        let mut names = ["refs/heads/", "refs/remotes/"].into_iter().map(|folder| format!("{folder}{name}"));
        match names.find(|reference| self.repository.find_reference(reference).is_ok()) {
            Some(reference) => Cow::Owned(reference + rest),
            None => Cow::Borrowed(spec),
        }
    }

    /// Returns whether an object is a commit, or an annotated tag of one. A tag of a tag is neither.
    pub fn leads_to_commit(&self, object: &Revision) -> Result<bool, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *object, source };
        let found = self.repository.find_object(oid(object), None).map_err(unreadable)?;
        let tagged = found.as_tag().and_then(git2::Tag::target_type);
        Ok([found.kind(), tagged].contains(&Some(ObjectType::Commit)))
    }

    /// Lets this thread write as the repository's owner, until the value is dropped.
    pub(crate) fn as_owner(&self) -> Result<Acting, Error> {
        let path = self.repository.commondir();
        Owner::of(path).and_then(Owner::act).map_err(|source| Error::Owner { path: path.to_owned(), source })
    }

    /// Points a ref outside `refs/heads/` at `revision`, whatever it pointed at before. Branches move by
    /// [`StateRepo::commit`] alone.
    pub fn mark(&self, reference: &str, revision: &Revision) -> Result<(), Error> {
        let failed = |source| Error::Mark { reference: reference.to_owned(), source };
        if reference.starts_with("refs/heads/") {
            return Err(failed(git2::Error::from_str("a branch is not a mark")));
        }
        let _owner = self.as_owner()?;
        let _section = critical::enter();
        let moved = self.repository.reference(reference, oid(revision), true, "berth: mark");
        moved.map(|_| ()).map_err(failed)
    }

    /// Describes a commit: its author and committer, their times, and its message.
    pub fn commit_info(&self, revision: &Revision) -> Result<CommitInfo, Error> {
        commit_info::read(&self.repository, revision)
    }

    /// Reads the state at `revision`. Only files that are not as in the load before are read and parsed, and of a revision that
    /// was read just now, nothing is. When this fails, the next load still knows what the one before knew.
    pub fn load(&mut self, revision: &Revision) -> Result<Loaded, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let commit = self.repository.find_commit(oid(revision)).map_err(unreadable)?;
        let tree = commit.tree_id();
        if let Some(loaded) = self.memory.recall(tree) {
            return Ok(loaded);
        }
        let before = self.memory.newest();
        let mut reader = Reader {
            repository: &self.repository,
            opening: &self.opening,
            work: self.memory.work(),
            parsed_again: 0,
        };
        let folder = reader.folder(tree, "", before.as_ref(), 0)?;
        let parsed_again = reader.parsed_again;
        let (mut parsed, mut refused) = (Vec::new(), Vec::new());
        folder.collect(&mut parsed, &mut refused);
        let loaded = Loaded::assemble(&parsed, refused, parsed_again);
        tracing::debug!(%revision, files = loaded.files, parsed_again, "state loaded");
        self.memory.learn(folder, &loaded);
        Ok(loaded)
    }

    /// Reads the state at `revision` as a change of `base`. Where two files claim the same, what is at `base` already has it, and the
    /// finding stands at the file that the change brings in.
    pub fn load_change(&mut self, base: &Revision, revision: &Revision) -> Result<Loaded, Error> {
        let loaded = self.load(revision)?;
        // Nobody claims what is another's in a good state.
        if loaded.state.is_ok() {
            return Ok(loaded);
        }
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let tree = self.repository.find_commit(oid(revision)).map_err(unreadable)?.tree_id();
        let Some(folder) = self.memory.folder(tree) else { return Ok(loaded) };
        let new: HashSet<String> = self.changed(base, revision)?.into_iter().collect();
        let (mut parsed, mut refused) = (Vec::new(), Vec::new());
        folder.collect(&mut parsed, &mut refused);
        Ok(Loaded::assemble_change(&parsed, refused, loaded.parsed_again, |path| new.contains(path)))
    }

    /// The bytes of one file at `revision`; `None` when there is no plain file, or it is above [`LARGEST_FILE`].
    pub fn read(&self, revision: &Revision, path: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(match self.read_plain(revision, path)? {
            Some(Plain::Read(bytes)) => Some(bytes),
            Some(Plain::TooLarge(_)) | None => None,
        })
    }

    /// One file at `revision`; `None` when there is no plain file.
    pub fn read_plain(&self, revision: &Revision, path: &str) -> Result<Option<Plain>, Error> {
        self.files(revision)?.read(path)
    }

    /// Returns the files at `revision`, of which many can be read: a folder of ten thousand is looked through once.
    pub fn files(&self, revision: &Revision) -> Result<Files<'_>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let commit = self.repository.find_commit(oid(revision)).map_err(unreadable)?;
        let objects = self.repository.odb().map_err(unreadable)?;
        Ok(Files { root: commit.tree_id(), trees: Trees::new(&self.repository), objects })
    }

    /// A commit as git keeps it: headers, an empty line, the message.
    pub fn raw_commit(&self, revision: &Revision) -> Result<Vec<u8>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let objects = self.repository.odb().map_err(unreadable)?;
        Ok(objects.read(oid(revision)).map_err(unreadable)?.data().to_vec())
    }
}

/// The files of one revision.
pub struct Files<'r> {
    root: Oid,
    trees: Trees<'r>,
    objects: Odb<'r>,
}

impl Files<'_> {
    /// One of them; `None` when there is no plain file. A link's blob holds the name of its target, which isn't the file that
    /// was asked for.
    pub fn read(&self, path: &str) -> Result<Option<Plain>, Error> {
        let failed =
            |source: git2::Error| Error::ReadFile { path: path.to_owned(), source: Box::new(source) };
        let entry = self.trees.entry(self.root, path.as_bytes()).map_err(failed)?;
        let Some(entry) = entry.filter(|entry| entry.is_plain()) else { return Ok(None) };
        let size = self.objects.read_header(entry.id).map_err(failed)?.0;
        if size > LARGEST_FILE {
            return Ok(Some(Plain::TooLarge(size as u64)));
        }
        Ok(Some(Plain::Read(self.objects.read(entry.id).map_err(failed)?.data().to_vec())))
    }

    /// The bytes of one of them, however many; `None` when there is no plain file.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, git2::Error> {
        let entry = self.trees.entry(self.root, path.as_bytes())?.filter(|entry| entry.is_plain());
        entry.map(|entry| Ok(self.objects.read(entry.id)?.data().to_vec())).transpose()
    }

    /// The text of one of them; `None` when there is no plain file of text that isn't too large.
    pub fn text(&self, path: &str) -> Result<Option<String>, Error> {
        match self.read(path)? {
            Some(Plain::Read(bytes)) => Ok(String::from_utf8(bytes).ok()),
            Some(Plain::TooLarge(_)) | None => Ok(None),
        }
    }
}

/// The settings of a new state repo.
const SETTINGS: [(&str, &str); 8] = [
    // Who moved main, when and from where: bare repositories keep no such log unless asked.
    ("core.logAllRefUpdates", "always"),
    ("gc.reflogExpire", "never"),
    // History is the audit trail: it grows, and is neither rewritten nor dropped.
    ("receive.denyDeletes", "true"),
    ("receive.denyNonFastForwards", "true"),
    // A forged object is refused at the door.
    ("receive.fsckObjects", "true"),
    // State is text: a push of this size is a mistake or an attack.
    ("receive.maxInputSize", "64m"),
    // An accepted push survives a power cut.
    ("core.fsync", "committed,reference"),
    // One state, one history: `git gc` may run while Berth reads, so unreferenced objects stay for two weeks.
    ("gc.pruneExpire", "2.weeks.ago"),
];
