//! Folders, with the newest commit of each entry.

use std::collections::HashMap;
use std::sync::Arc;

use berth_repo::{Listed, What};
use berth_schema::text::safe_line;
use berth_wire::web::{CommitLine, Is, Page, Refusal, StateTree, TreeEntry, TreeSheet};

use super::super::panel::{Asker, Panel};
use super::super::past::Made;
use super::super::read::{line, page};
use super::super::refusals::{not_found, unavailable};
use super::revision::{find, past};

/// Characters of a name that are shown.
const NAME: usize = 200;

/// Lists a folder.
pub(crate) fn tree(panel: &Panel, asker: &Asker, asked: StateTree) -> Result<TreeSheet, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = find(&repo, &asked.at)?;
    let folder = asked.folder.trim_matches('/');
    let listed = repo.list(&at.revision, folder).map_err(|error| unavailable(&error))?;
    let listed = listed.ok_or_else(not_found)?;
    let Page { rows, page, pages, all } = page(&listed, asked.page, |listed| entry(folder, listed));
    let wanted: Vec<&String> = rows.iter().filter_map(|entry| entry.path.as_ref()).collect();
    let mut newest: HashMap<String, Arc<Made>> = HashMap::new();
    let mut own: Option<Arc<Made>> = None;
    past(panel, &repo, &at.revision, |made| {
        own.get_or_insert_with(|| Arc::clone(made));
        for path in &wanted {
            if !newest.contains_key(*path) && touches(made, path) {
                newest.insert((*path).clone(), Arc::clone(made));
            }
        }
        newest.len() == wanted.len()
    })?;
    let told = panel.outcomes.told(&repo).map_err(|error| unavailable(&error))?;
    let sight = asker.sight();
    let of = |made: &Arc<Made>| -> Result<CommitLine, Refusal> { line(&told, &sight, made) };
    let made_by = own.filter(|made| made.revision == at.revision).as_ref().map(of).transpose()?;
    let rows = rows.into_iter().map(|entry| {
        let newest = entry.path.as_ref().and_then(|path| newest.get(path)).map(of).transpose()?;
        Ok(TreeEntry { newest, ..entry })
    });
    let rows = rows.collect::<Result<_, Refusal>>()?;
    Ok(TreeSheet { at, made_by, entries: Page { rows, page, pages, all } })
}

fn entry(folder: &str, listed: &Listed) -> TreeEntry {
    let path = match folder {
        "" => listed.name.clone(),
        folder => format!("{folder}/{}", listed.name),
    };
    let is = match listed.what {
        What::Folder => Is::Folder,
        What::File { size } => Is::File { size },
        What::Link => Is::Link,
        What::Submodule => Is::Submodule,
    };
    let name = safe_line(&listed.name, NAME);
    TreeEntry { name, path: listed.is_text.then_some(path), is, newest: None }
}

/// Returns whether a commit changed a file, or anything in a folder. The paths of a commit are sorted.
fn touches(made: &Made, path: &str) -> bool {
    let from = made.paths.partition_point(|known| known.as_str() < path);
    let is_inside = |known: &String| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    made.paths.get(from).is_some_and(|known| known == path)
        || made.paths.iter().skip(from).take_while(|known| known.starts_with(path)).any(is_inside)
}
