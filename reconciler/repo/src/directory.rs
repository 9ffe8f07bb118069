//! State from a plain directory, such as an editor or a CI job has on disk, without history.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use berth_schema::{Finding, Parsed};

use crate::content::{Content, DEEPEST, Refusal, is_state};
use crate::folder::join;
use crate::{Error, LARGEST_FILE, Loaded};

/// Reads the files below `path`. Links are not followed: each is a finding, as it would be in a commit.
pub fn load_directory(path: &Path) -> Result<Loaded, Error> {
    if !path.is_dir() {
        return Err(Error::Missing { path: path.to_owned() });
    }
    let mut walk = Walk::default();
    walk.folder(path, "", 0)?;
    let Walk { parsed, refused, read } = walk;
    let parsed: Vec<_> = parsed.iter().map(Arc::as_ref).collect();
    Ok(Loaded::assemble(&parsed, refused, read))
}

#[derive(Default)]
struct Walk {
    parsed: Vec<Arc<Parsed>>,
    refused: Vec<Finding>,
    read: usize,
}

impl Walk {
    fn folder(&mut self, on_disk: &Path, path: &str, depth: usize) -> Result<(), Error> {
        let unreadable =
            |source: io::Error| Error::ReadFolder { path: path.to_owned(), source: Box::new(source) };
        let mut entries = Vec::new();
        for entry in fs::read_dir(on_disk).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            entries.push((entry.file_type().map_err(unreadable)?, entry));
        }
        // Files before folders, each by name: the order in which a revision is read.
        entries.sort_by_key(|(kind, entry)| (kind.is_dir(), entry.file_name()));
        for (kind, entry) in entries {
            let name = entry.file_name();
            let path = join(path, &name.to_string_lossy());
            if !is_state(&path) {
                continue;
            }
            if name.to_str().is_none() {
                self.keep(Content::refuse(&path, Refusal::NameNotText));
            } else if kind.is_symlink() {
                self.keep(Content::refuse(&path, Refusal::Link));
            } else if kind.is_dir() && depth == DEEPEST {
                self.keep(Content::refuse(&path, Refusal::TooDeep));
            } else if kind.is_dir() {
                self.folder(&entry.path(), &path, depth + 1)?;
            } else if kind.is_file() {
                self.file(&entry.path(), &path)?;
            } else {
                self.keep(Content::refuse(&path, Refusal::Special));
            }
        }
        Ok(())
    }

    fn file(&mut self, on_disk: &Path, path: &str) -> Result<(), Error> {
        self.read += 1;
        let unreadable =
            |source: io::Error| Error::ReadFile { path: path.to_owned(), source: Box::new(source) };
        let file = File::open(on_disk).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        if size > LARGEST_FILE as u64 {
            self.keep(Content::refuse(path, Refusal::TooLarge(size)));
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // The file may grow while it is read: one byte above the limit is enough to notice.
        file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        self.keep(Content::parse(path, &bytes));
        Ok(())
    }

    fn keep(&mut self, content: Content) {
        match content {
            Content::Parsed(parsed) => self.parsed.push(parsed),
            Content::Refused(finding) => self.refused.push(Finding::clone(&finding)),
        }
    }
}
