//! StateRepo: one git repository that holds state.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{ErrorCode, ObjectType, Repository, RepositoryInitOptions};

use crate::folder::{Folder, Reader};
use crate::source::Opening;
use crate::{CommitInfo, Error, LARGEST_FILE, Loaded, Revision, Source, commit_info};

/// The one branch that counts.
pub const MAIN: &str = "refs/heads/main";

/// A repository, bare or with a work tree, whose files are read from its objects and never checked out. It belongs to
/// one thread at a time; another thread opens its own.
pub struct StateRepo {
    pub(crate) repository: Repository,
    pub(crate) opening: Opening,
    /// The revision loaded last. Its good files are kept even when the revision as a whole was refused.
    before: Option<Arc<Folder>>,
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
        Ok(Self { repository: opening.open()?, opening, before: None })
    }

    /// Creates a bare repository at `path`, with history that can't be rewritten and pushes that are checked and kept.
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
        Self::open_as(Opening { git_dir: path.to_owned(), quarantine: None })
    }

    /// The folder that holds the objects and refs: what a watcher watches.
    pub fn git_dir(&self) -> &Path {
        &self.opening.git_dir
    }

    /// The tip of `main`; `None` before the first commit.
    pub fn head(&self) -> Result<Option<Revision>, Error> {
        match self.repository.refname_to_id(MAIN) {
            Ok(id) => Ok(Some(Revision(id))),
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
        let object = self.repository.revparse_single(spec).map_err(failed)?;
        object
            .peel_to_commit()
            .map(|commit| Revision(commit.id()))
            .map_err(|source| Error::Resolve { spec: spec.to_owned(), source })
    }

    /// Points a ref outside `refs/heads/` at `revision`, whatever it pointed at before. Branches move by
    /// [`StateRepo::commit`] alone.
    pub fn mark(&self, reference: &str, revision: &Revision) -> Result<(), Error> {
        let failed = |source| Error::Mark { reference: reference.to_owned(), source };
        if reference.starts_with("refs/heads/") {
            return Err(failed(git2::Error::from_str("a branch is not a mark")));
        }
        let moved = self.repository.reference(reference, revision.0, true, "berth: mark");
        moved.map(|_| ()).map_err(failed)
    }

    /// Who made a commit, when, and why.
    pub fn commit_info(&self, revision: &Revision) -> Result<CommitInfo, Error> {
        commit_info::read(&self.repository, revision)
    }

    /// Reads the state at `revision`. Only files that are not as in the load before are read and parsed. When this fails,
    /// the next load still knows what the one before knew.
    pub fn load(&mut self, revision: &Revision) -> Result<Loaded, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let commit = self.repository.find_commit(revision.0).map_err(unreadable)?;
        let tree = commit.tree_id();
        let mut reader = Reader { repository: &self.repository, opening: &self.opening, parsed_again: 0 };
        let folder = reader.folder(tree, "", self.before.as_ref(), 0)?;
        let parsed_again = reader.parsed_again;
        let (mut parsed, mut refused) = (Vec::new(), Vec::new());
        folder.collect(&mut parsed, &mut refused);
        let loaded = Loaded::assemble(&parsed, refused, parsed_again);
        tracing::debug!(%revision, files = loaded.files, parsed_again, "state loaded");
        self.before = Some(folder);
        Ok(loaded)
    }

    /// The bytes of one file at `revision`; `None` when there is no plain file, or it is above [`LARGEST_FILE`].
    pub fn read(&self, revision: &Revision, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let tree = self.repository.find_commit(revision.0).and_then(|c| c.tree()).map_err(unreadable)?;
        let failed =
            |source: git2::Error| Error::ReadFile { path: path.to_owned(), source: Box::new(source) };
        let entry = match tree.get_path(Path::new(path)) {
            Ok(entry) => entry,
            Err(source) if source.code() == ErrorCode::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        // A link's blob holds the name of its target, which is not the file that was asked for.
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == i32::from(git2::FileMode::Link) {
            return Ok(None);
        }
        let objects = self.repository.odb().map_err(failed)?;
        if objects.read_header(entry.id()).map_err(failed)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        Ok(Some(objects.read(entry.id()).map_err(failed)?.data().to_vec()))
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
