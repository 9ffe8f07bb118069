//! Additions of a push, as git itself lists them.
//!
//! Git walks the history beside what is known already, and compares the trees. Each [`History`] says which objects git sees:
//! the repository's own, those of the push as well, or those beside a member's view. Nothing here writes.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ChildStdout;
use std::time::Duration;

use berth_repo::Revision;
use berth_repo::git::{Git, GitError, Objects};

/// Time that git may take for one answer: the history of years takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// The history of one repository.
#[derive(Debug, Clone)]
pub struct History(Git);

/// Commits that count as new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// Every commit there is.
    Everything,
    /// Those that aren't in the history of this commit.
    After(Revision),
    /// Those that no ref of the repository leads to.
    NewToRepository,
}

/// A version of a file that a commit adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The first commit that has it.
    pub commit: Revision,
    /// The file's path.
    pub path: String,
}

/// The content of a version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// The bytes of a plain file.
    Plain(&'a [u8]),
    /// A plain file of so many bytes, which are too many to be read.
    TooLarge(u64),
    /// A link or a submodule, whose "content" is a name.
    Other,
}

/// A version of a file, before its size is known.
struct Version {
    commit: Revision,
    path: String,
    blob: String,
    is_plain: bool,
}

impl History {
    /// Returns the history of the repository with this git folder.
    pub fn of(git_dir: &Path) -> Self {
        Self(Git::at(git_dir, PATIENCE))
    }

    /// Returns the same with the objects of the push for which git runs a hook of this repository.
    pub fn of_push(git_dir: &Path) -> Self {
        Self(Git::at(git_dir, PATIENCE).objects(Objects::OfPush))
    }

    /// Returns the same with the objects in another folder.
    pub fn beside(git_dir: &Path, objects: &Path) -> Self {
        Self(Git::at(git_dir, PATIENCE).objects(Objects::Beside(objects.to_owned())))
    }

    /// Shows `look` every version of a file that is new up to `new`, once. With a folder, only what is in it. A plain file
    /// of more than `largest` bytes isn't read.
    pub fn added(
        &self,
        new: &Revision,
        range: &Range,
        folder: Option<&str>,
        largest: usize,
        mut look: impl FnMut(&Added, Content<'_>),
    ) -> Result<(), GitError> {
        let (versions, others): (Vec<_>, Vec<_>) =
            self.versions(new, range, folder)?.into_iter().partition(|version| version.is_plain);
        for version in others {
            look(&Added { commit: version.commit, path: version.path }, Content::Other);
        }
        let ids = |versions: &[Version]| {
            versions.iter().flat_map(|v| [v.blob.as_str(), "\n"]).collect::<String>().into_bytes()
        };
        let check = ["--batch-check=%(objectsize)"];
        let sizes = self.0.stream("cat-file", check, ids(&versions), read_all)?;
        let sizes: Vec<u64> =
            String::from_utf8_lossy(&sizes).lines().map_while(|line| line.parse().ok()).collect();
        if sizes.len() != versions.len() {
            return Err(GitError::Answer { command: "cat-file" });
        }
        let mut small = Vec::new();
        for (version, size) in versions.into_iter().zip(sizes) {
            if size > largest as u64 {
                look(&Added { commit: version.commit, path: version.path }, Content::TooLarge(size));
            } else {
                small.push(version);
            }
        }
        let input = ids(&small);
        self.0.stream("cat-file", ["--batch=%(objectsize)"], input, |answer| {
            for version in small {
                let mut header = String::new();
                answer.read_line(&mut header)?;
                let size: u64 = header.trim_end().parse().map_err(io::Error::other)?;
                let mut content = Vec::new();
                answer.take(size + 1).read_to_end(&mut content)?;
                content.pop();
                look(&Added { commit: version.commit, path: version.path }, Content::Plain(&content));
            }
            Ok(())
        })
    }

    /// Shows `look` every commit that is new up to `new`, as git keeps it, and the annotated tag that `new` may be; without its
    /// text where that has more bytes than `largest`.
    pub fn texts(
        &self,
        new: &Revision,
        range: &Range,
        largest: usize,
        mut look: impl FnMut(Revision, Option<&[u8]>),
    ) -> Result<(), GitError> {
        let mut input = format!("{new}\n").into_bytes();
        input.extend(self.commits(new, range, None)?);
        let form = "--batch=%(objectname) %(objecttype) %(objectsize)";
        self.0.stream("cat-file", [form], input, |answer| {
            let mut is_first = true;
            loop {
                let mut header = String::new();
                if answer.read_line(&mut header)? == 0 {
                    return Ok(());
                }
                let fields: Vec<&str> = header.split_whitespace().collect();
                let [id, kind, size] = fields[..] else { return Err(io::ErrorKind::InvalidData.into()) };
                let id: Revision = id.parse().map_err(io::Error::other)?;
                let size: u64 = size.parse().map_err(io::Error::other)?;
                let is_small = size <= largest as u64;
                let mut content = Vec::new();
                let mut rest = answer.take(size + 1);
                if is_small {
                    rest.read_to_end(&mut content)?;
                    content.pop();
                }
                io::copy(&mut rest, &mut io::sink())?;
                // Where it is no tag, `new` comes once more if it is new at all.
                if !std::mem::take(&mut is_first) || kind == "tag" {
                    look(id, is_small.then_some(&content[..]));
                }
            }
        })
    }

    /// The commits that are new up to `new`, the oldest first.
    pub fn new_up_to(&self, new: &Revision, range: &Range) -> Result<Vec<Revision>, GitError> {
        let listed = self.commits(new, range, None)?;
        let parsed: Result<Vec<Revision>, _> =
            String::from_utf8_lossy(&listed).lines().map(str::parse).collect();
        parsed.map_err(|_| GitError::Answer { command: "rev-list" })
    }

    /// The ids of the commits that are new up to `new`, one a line, the oldest first.
    fn commits(&self, new: &Revision, range: &Range, folder: Option<&str>) -> Result<Vec<u8>, GitError> {
        let new = new.to_string();
        let mut arguments = vec!["--reverse".to_owned(), new];
        match range {
            Range::Everything => {}
            Range::After(old) => arguments.push(format!("^{old}")),
            Range::NewToRepository => arguments.extend(["--not".to_owned(), "--all".to_owned()]),
        }
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let Some(folder) = folder {
            // Every commit that touches it: git would leave out side branches that came to the same.
            arguments.extend(["--full-history", "--", folder]);
        }
        self.0.stream("rev-list", arguments, Vec::new(), read_all)
    }

    fn versions(
        &self,
        new: &Revision,
        range: &Range,
        folder: Option<&str>,
    ) -> Result<Vec<Version>, GitError> {
        let commits = self.commits(new, range, folder)?;
        // Of a merge, only what is in none of its parents.
        let mut arguments =
            vec!["--stdin", "-r", "-c", "-z", "--root", "--raw", "--no-renames", "--no-abbrev"];
        arguments.extend(folder.into_iter().flat_map(|folder| ["--", folder]));
        let raw = self.0.stream("diff-tree", arguments, commits, read_all)?;
        versions(&raw).ok_or(GitError::Answer { command: "diff-tree" })
    }
}

fn read_all(answer: &mut BufReader<ChildStdout>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn nul_separated(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Reads raw differences: a commit's id, then for each file `:<modes> <ids> <status>` and its path. A merge has one colon,
/// mode and id more for each further parent.
fn versions(raw: &[u8]) -> Option<Vec<Version>> {
    let mut known = HashSet::new();
    let mut versions = Vec::new();
    let mut commit = None;
    let mut parts = nul_separated(raw).into_iter();
    while let Some(part) = parts.next() {
        let Some(rest) = part.strip_prefix(':') else {
            commit = Some(part.parse::<Revision>().ok()?);
            continue;
        };
        let path = parts.next()?;
        let fields = rest.trim_start_matches(':');
        let parents = part.len() - fields.len();
        let fields: Vec<&str> = fields.split(' ').collect();
        let (mode, blob) = (fields.get(parents)?, fields.get(2 * parents + 1)?);
        let is_removed = *mode == "000000";
        if !is_removed && known.insert(((*blob).to_owned(), path.clone())) {
            let (blob, is_plain) = ((*blob).to_owned(), mode.starts_with("100"));
            versions.push(Version { commit: commit?, path, blob, is_plain });
        }
    }
    Some(versions)
}
