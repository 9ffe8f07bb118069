//! Names in trees that not every system can hold, so that somebody's clone would lack a file or mix up two.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use berth_schema::name::Invalid;
use berth_schema::portable::{alike, unportable};
use git2::{Oid, Repository};

use crate::bounds::{Budget, Excess, Stopped};
use crate::folder::join;
use crate::oid::oid;
use crate::tree::{Difference, Trees};
use crate::{Error, Revision, StateRepo};

/// Names that are told at most, of all commits together.
const MOST: usize = 100;

/// A name that not every system can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    /// Path from the root of the repo, of a file or a folder.
    pub path: String,
    /// The refusal.
    pub invalid: Invalid,
}

impl StateRepo {
    /// The names that commits bring in and that not every system can hold, with the commit of each: a hundred at most. A merge
    /// brings in what none of its parents has.
    pub fn bad_names(&self, commits: &[Revision]) -> Result<Vec<(Revision, BadName)>, Error> {
        let trees = Trees::new(&self.repository);
        let mut found = Vec::new();
        for revision in commits {
            let brought = brought(&self.repository, &trees, revision)
                .map_err(|source| Error::ReadCommit { revision: *revision, source })?;
            found.extend(brought.into_iter().map(|name| (*revision, name)));
            if found.len() >= MOST {
                found.truncate(MOST);
                break;
            }
        }
        Ok(found)
    }

    /// The names that a revision has and that not every system can hold: a hundred at most, of as many paths as one push may bring.
    pub fn bad_names_at(&self, revision: &Revision) -> Result<Vec<BadName>, Error> {
        let unreadable = |source| Error::ReadCommit { revision: *revision, source };
        let commit = self.repository.find_commit(oid(revision)).map_err(unreadable)?;
        let found = new_in(&Trees::new(&self.repository), None, commit.tree_id(), Budget::of_push());
        let (mut found, excess) = found.map_err(unreadable)?;
        found.extend(excess.map(|excess| unseen(&excess)));
        Ok(found)
    }
}

/// The same of the files in a folder on a disk.
pub fn bad_names_below(folder: &Path) -> Result<Vec<BadName>, Error> {
    let mut found = Vec::new();
    let mut budget = Budget::of_push();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((on_disk, path)) = folders.pop() {
        let unreadable =
            |source: io::Error| Error::ReadFolder { path: path.clone(), source: Box::new(source) };
        let mut names = Vec::new();
        for entry in fs::read_dir(&on_disk).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            names.push((entry.file_name(), entry.file_type().map_err(unreadable)?.is_dir()));
        }
        // Git's own folder is no part of what it keeps.
        names.retain(|(name, _)| !(path.is_empty() && name == ".git"));
        for (name, is_folder) in &names {
            let below = join(&path, &name.to_string_lossy());
            if let Err(excess) = budget.pay(below.as_bytes()) {
                let mut found = in_order(found);
                found.push(unseen(&excess));
                return Ok(found);
            }
            if *is_folder {
                folders.push((on_disk.join(name), below));
            }
        }
        let names: Vec<Vec<u8>> =
            names.into_iter().map(|(name, _)| name.as_encoded_bytes().to_vec()).collect();
        found.extend(judged(path.as_bytes(), names.iter().map(Vec::as_slice), &names));
    }
    Ok(in_order(found))
}

/// The word that not all names were looked at.
fn unseen(excess: &Excess) -> BadName {
    let Invalid { message, .. } = excess.in_words();
    let message = format!("not all names were looked at: {message}");
    BadName {
        path: ".".to_owned(),
        invalid: Invalid::new(message, "keep elsewhere what the platform doesn't read"),
    }
}

fn in_order(mut found: Vec<BadName>) -> Vec<BadName> {
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found.truncate(MOST);
    found
}

fn brought(
    repository: &Repository,
    trees: &Trees<'_>,
    revision: &Revision,
) -> Result<Vec<BadName>, git2::Error> {
    let commit = repository.find_commit(oid(revision))?;
    let parents: Vec<Option<Oid>> = match commit.parent_count() {
        0 => vec![None],
        _ => commit.parents().map(|parent| Some(parent.tree_id())).collect(),
    };
    let mut all: Option<Vec<BadName>> = None;
    for before in parents {
        // What a push changes was counted before, all of its commits together, and what is over a bound was refused.
        let (found, _) = new_in(trees, before, commit.tree_id(), Budget::of_push())?;
        let is_known = |name: &BadName| {
            found.iter().any(|found| folded(found.path.as_bytes()) == folded(name.path.as_bytes()))
        };
        let both = match all {
            None => found,
            Some(before) => before.into_iter().filter(is_known).collect(),
        };
        if both.is_empty() {
            return Ok(both);
        }
        all = Some(both);
    }
    Ok(all.unwrap_or_default())
}

/// New names in one folder.
struct Fresh {
    /// The folder, as it is after.
    tree: Oid,
    /// Its path.
    folder: Vec<u8>,
    names: Vec<Vec<u8>>,
}

/// Judges the names that `after` has and `before` hasn't, up to a bound, which is told if it was passed.
fn new_in(
    trees: &Trees<'_>,
    before: Option<Oid>,
    after: Oid,
    mut budget: Budget,
) -> Result<(Vec<BadName>, Option<Excess>), git2::Error> {
    let mut all: Vec<Fresh> = Vec::new();
    let walked = trees.walk::<Stopped>(before, Some(after), |difference| {
        let &Difference { path, old: None, new: Some(new), folder: Some(tree) } = difference else {
            return Ok(());
        };
        budget.pay(path)?;
        let (tree, name) = (tree.id(), new.name_bytes().to_vec());
        let folder = path.len().saturating_sub(name.len() + 1);
        let folder = path.get(..folder).unwrap_or_default();
        // The entries of a folder come one after the other.
        match all.last_mut().filter(|last| last.tree == tree && last.folder == folder) {
            Some(last) => last.names.push(name),
            None => all.push(Fresh { tree, folder: folder.to_vec(), names: vec![name] }),
        }
        Ok(())
    });
    let excess = match walked {
        Ok(()) => None,
        Err(Stopped::Excess(excess)) => Some(excess),
        Err(Stopped::Git(error)) => return Err(error),
    };
    let mut found = Vec::new();
    for Fresh { tree, folder, names } in all {
        let tree = trees.find(tree)?;
        let there: Vec<_> = tree.iter().collect();
        found.extend(judged(&folder, there.iter().map(|entry| entry.name_bytes()), &names));
        if found.len() >= MOST {
            break;
        }
    }
    Ok((in_order(found), excess))
}

/// Judges new names in a folder in which all of these are.
fn judged<'n>(folder: &[u8], there: impl Iterator<Item = &'n [u8]>, new: &[Vec<u8>]) -> Vec<BadName> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = |name: &[u8]| match folder {
        [] => name.to_vec(),
        folder => [folder, b"/", name].concat(),
    };
    let mut found = Vec::new();
    let mut wanted: HashMap<String, Vec<&[u8]>> = HashMap::new();
    for name in new {
        let path = path(name);
        match unportable(&path) {
            Some(invalid) => found.push(BadName { path: text(&path), invalid }),
            None => wanted.entry(folded(name).into_owned()).or_default().push(name),
        }
    }
    for other in there {
        let Some(names) = wanted.get_mut(&*folded(other)) else { continue };
        names.retain(|name| {
            if *name == other {
                return true;
            }
            found.push(BadName { path: text(&path(name)), invalid: alike(&text(name), &text(other)) });
            false
        });
    }
    found
}

/// A name as a system has it that tells upper from lower case nowhere.
fn folded(name: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(name);
    match text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        true => text,
        false => Cow::Owned(text.to_lowercase()),
    }
}
