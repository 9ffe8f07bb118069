//! What a push adds, as git itself tells it.
//!
//! Asks the git program, which is there because it runs us: walking history beside what is known already, and comparing
//! trees, is its own work. Where the objects are is said each time: a hook's environment leads to those of the push, and,
//! in a member's view, away from the state repo's. Reads only.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;

use berth_repo::Revision;

/// The history of one repository.
#[derive(Debug, Clone)]
pub struct History {
    git_dir: PathBuf,
    objects: Objects,
}

/// Which objects are seen.
#[derive(Debug, Clone)]
enum Objects {
    /// The repository's own.
    Own,
    /// Those that the environment says, in which git runs a hook of this repository.
    Inherited,
    /// The repository's own, and those in a folder.
    Beside(PathBuf),
}

/// What leads git to objects elsewhere.
const LEADS_AWAY: [&str; 4] =
    ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_DIR"];

/// What counts as new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// Every commit there is.
    Everything,
    /// What isn't in the history of this commit.
    After(Revision),
    /// What no ref of the repository leads to.
    NewToRepository,
}

/// A version of a file that a commit adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The first commit that has it.
    pub commit: Revision,
    /// Where.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// A question that git didn't answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The program can't be run, or its answer can't be read.
    #[error("run `git {command}`")]
    Run {
        /// The command.
        command: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It refused; its own words went to standard error.
    #[error("`git {command}` failed ({status})")]
    Failed {
        /// The command.
        command: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It said something else than it should.
    #[error("the answer of `git {command}` makes no sense")]
    Answer {
        /// The command.
        command: &'static str,
    },
}

/// A version of a file, before its size is known.
struct Version {
    commit: Revision,
    path: String,
    blob: String,
}

impl History {
    /// The history of the repository with this git folder, whatever the environment says.
    pub fn of(git_dir: &Path) -> Self {
        Self { git_dir: git_dir.to_owned(), objects: Objects::Own }
    }

    /// The same with the objects of the push about which git runs a hook of this repository.
    pub fn of_push(git_dir: &Path) -> Self {
        Self { objects: Objects::Inherited, ..Self::of(git_dir) }
    }

    /// The same with the objects in another folder, whatever the environment says.
    pub fn beside(git_dir: &Path, objects: &Path) -> Self {
        Self { objects: Objects::Beside(objects.to_owned()), ..Self::of(git_dir) }
    }

    /// Whether `new` is built on `old`.
    pub fn is_ancestor(&self, old: &Revision, new: &Revision) -> Result<bool, HistoryError> {
        let command = "merge-base";
        let mut git = self.git(command);
        git.args(["--is-ancestor", &old.to_string(), &new.to_string()]);
        let status = git.status().map_err(|source| HistoryError::Run { command, source })?;
        match status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(HistoryError::Failed { command, status }),
        }
    }

    /// The paths of the files that differ between two revisions.
    pub fn changed(&self, old: &Revision, new: &Revision) -> Result<Vec<String>, HistoryError> {
        let arguments = ["-r", "-z", "--no-renames", "--name-only", &old.to_string(), &new.to_string()];
        let bytes = self.ask("diff-tree", &arguments, Vec::new(), read_all)?;
        Ok(nul_separated(&bytes))
    }

    /// Shows `look` every version of a plain file that is new up to `new`, once, with its content; without it where it
    /// has more bytes than `largest`. With a folder, only what is in it.
    pub fn added(
        &self,
        new: &Revision,
        range: &Range,
        folder: Option<&str>,
        largest: usize,
        mut look: impl FnMut(&Added, Option<&[u8]>),
    ) -> Result<(), HistoryError> {
        let versions = self.versions(new, range, folder)?;
        let ids = |versions: &[Version]| {
            versions.iter().flat_map(|v| [v.blob.as_str(), "\n"]).collect::<String>().into_bytes()
        };
        let check = ["--batch-check=%(objectsize)"];
        let sizes = self.ask("cat-file", &check, ids(&versions), read_all)?;
        let sizes: Vec<u64> =
            String::from_utf8_lossy(&sizes).lines().map_while(|line| line.parse().ok()).collect();
        if sizes.len() != versions.len() {
            return Err(HistoryError::Answer { command: "cat-file" });
        }
        let mut small = Vec::new();
        for (version, size) in versions.into_iter().zip(sizes) {
            if size > largest as u64 {
                look(&Added { commit: version.commit, path: version.path, size }, None);
            } else {
                small.push(version);
            }
        }
        let input = ids(&small);
        self.ask("cat-file", &["--batch=%(objectsize)"], input, |answer| {
            for version in small {
                let mut header = String::new();
                answer.read_line(&mut header)?;
                let size: u64 = header.trim_end().parse().map_err(io::Error::other)?;
                let mut content = Vec::new();
                answer.take(size + 1).read_to_end(&mut content)?;
                content.pop();
                look(&Added { commit: version.commit, path: version.path, size }, Some(&content));
            }
            Ok(())
        })
    }

    fn versions(
        &self,
        new: &Revision,
        range: &Range,
        folder: Option<&str>,
    ) -> Result<Vec<Version>, HistoryError> {
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
        let commits = self.ask("rev-list", &arguments, Vec::new(), read_all)?;
        // Of a merge, only what is in none of its parents.
        let mut arguments =
            vec!["--stdin", "-r", "-c", "-z", "--root", "--raw", "--no-renames", "--no-abbrev"];
        arguments.extend(folder.into_iter().flat_map(|folder| ["--", folder]));
        let raw = self.ask("diff-tree", &arguments, commits, read_all)?;
        versions(&raw).ok_or(HistoryError::Answer { command: "diff-tree" })
    }

    fn git(&self, command: &str) -> Command {
        let mut git = Command::new("git");
        // A replacement would show us other objects than those that are going to count.
        git.arg("--no-replace-objects").arg("--git-dir").arg(&self.git_dir).arg(command).stdin(Stdio::null());
        if !matches!(self.objects, Objects::Inherited) {
            for name in LEADS_AWAY {
                git.env_remove(name);
            }
        }
        if let Objects::Beside(objects) = &self.objects {
            git.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
        }
        git
    }

    /// Runs a command that reads `input`, while `read` reads what it says.
    fn ask<T>(
        &self,
        command: &'static str,
        arguments: &[&str],
        input: Vec<u8>,
        read: impl FnOnce(&mut BufReader<ChildStdout>) -> io::Result<T>,
    ) -> Result<T, HistoryError> {
        let failed = |source| HistoryError::Run { command, source };
        let mut git = self.git(command);
        git.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = git.spawn().map_err(failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(HistoryError::Answer { command });
        };
        // Written beside the reading: two full pipes would wait for each other for ever.
        let writer = thread::spawn(move || stdin.write_all(&input));
        let answer = read(&mut BufReader::new(stdout));
        let written = writer.join();
        let status = child.wait().map_err(failed)?;
        if !status.success() {
            return Err(HistoryError::Failed { command, status });
        }
        let answer = answer.map_err(failed)?;
        match written {
            Ok(Ok(())) => Ok(answer),
            Ok(Err(source)) => Err(failed(source)),
            Err(_) => Err(HistoryError::Answer { command }),
        }
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
        // Neither links nor submodules, whose "content" is a name; and not what is removed.
        if mode.starts_with("100") && known.insert(((*blob).to_owned(), path.clone())) {
            versions.push(Version { commit: commit?, path, blob: (*blob).to_owned() });
        }
    }
    Some(versions)
}
