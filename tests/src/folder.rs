//! A folder of state files, as an author edits it, and the git checkout that it may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{PATIENCE, Ran, run};

/// A folder of state files.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, made if it isn't there.
    pub fn at(root: &Path) -> Self {
        fs::create_dir_all(root).expect("a folder");
        Self { root: root.to_owned() }
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Writes a file, whatever was there.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        berth_testing::put(&self.root, path, text);
        self
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Adds lines to the end of a file.
    pub fn append(&self, path: &str, text: &str) -> &Self {
        let before = self.read(path);
        self.write(path, &format!("{before}{text}"))
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> &Self {
        fs::remove_file(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        self
    }

    /// Writes the file of a server of `ann`'s, with more lines of its own.
    pub fn server(&self, name: &str, id: u32, more: &str) -> &Self {
        self.write(&format!("servers/{name}.toml"), &format!("id = {id}\nowner = \"ann\"\n{more}"))
    }

    /// Removes the file of a server.
    pub fn without_server(&self, name: &str) -> &Self {
        self.remove(&format!("servers/{name}.toml"))
    }

    /// Commits everything and pushes it, and returns the revision.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]).good();
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]).good();
        self.git(&["push", "--quiet", "origin", "HEAD:main"]).good();
        self.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned()
    }

    /// Runs git in the folder.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> Ran {
        run(git().arg("-C").arg(&self.root).args(arguments), PATIENCE)
    }
}

/// The newest commit of `main` in a bare repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Name of its author.
    pub author: String,
    /// Its whole message.
    pub message: String,
    /// Text of the file that was asked for; empty without one.
    pub file: String,
}

impl Tip {
    /// Reads it, with a file.
    pub fn of(repo: &Path, path: &str) -> Self {
        let ask = |arguments: &[&str]| run(git().arg("--git-dir").arg(repo).args(arguments), PATIENCE).stdout;
        let line = ask(&["log", "-1", "--format=%an%n%B", "main"]);
        let (author, message) = line.split_once('\n').expect("a commit");
        let file = ask(&["show", &format!("main:{path}")]);
        Self { author: author.to_owned(), message: message.to_owned(), file }
    }
}

/// Git as Ann, with nobody's settings.
pub fn git() -> Command {
    let mut git = berth_testing::git(Path::new("."));
    for role in ["AUTHOR", "COMMITTER"] {
        berth_testing::git::signed(&mut git, role, "Ann");
    }
    git
}
