//! Links of the state's pages: to folders, files and revisions.

use berth_wire::web::At;
use serde::Serialize;

use crate::page::address::Link;
use crate::page::words::query;

/// A path in an address, each of its parts as it has to be written there.
pub(super) fn in_address(path: &str) -> String {
    path.split('/').map(query).collect::<Vec<_>>().join("/")
}

/// A revision that somebody asked for, as it goes on in links.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Revision {
    /// Id of the commit.
    id: String,
    is_tip: bool,
    /// Words of the query that name it, with `&` at their end; empty for the newest.
    query: String,
}

impl Revision {
    pub(super) fn of(at: &At) -> Self {
        let id = at.revision.to_string();
        let query = if at.is_tip { String::new() } else { format!("rev={id}&") };
        Self { id, is_tip: at.is_tip, query }
    }

    pub(super) fn query(&self) -> &str {
        &self.query
    }

    /// Address of a folder.
    pub(super) fn folder(&self, path: &str) -> String {
        match path {
            "" => format!("/admin/state?{}", self.query).trim_end_matches(['?', '&']).to_owned(),
            path => format!("/admin/state?{}folder={}", self.query, query(path)),
        }
    }

    /// Address of a file.
    pub(super) fn file(&self, path: &str) -> String {
        format!("/admin/state/file/{}?{}", in_address(path), self.query)
            .trim_end_matches(['?', '&'])
            .to_owned()
    }

    /// Links to the folders that lead to a path, from the root on.
    pub(super) fn crumbs(&self, path: &str) -> Vec<Link> {
        let mut crumbs = vec![Link::new(self.folder(""), "State")];
        let mut folder = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !folder.is_empty() {
                folder.push('/');
            }
            folder.push_str(part);
            crumbs.push(Link::new(self.folder(&folder), part));
        }
        crumbs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_revision_and_every_sign() {
        let revision = berth_schema::Revision::from_bytes([0xab; 20]);
        let tip = Revision::of(&At { revision, is_tip: true });
        assert_eq!(tip.folder(""), "/admin/state");
        assert_eq!(tip.file("docs/a b?.md"), "/admin/state/file/docs/a%20b%3F.md");
        let old = Revision::of(&At { revision, is_tip: false });
        assert_eq!(old.folder("docs"), format!("/admin/state?rev={revision}&folder=docs"));
        let crumbs = old.crumbs("docs/x");
        assert_eq!(crumbs.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["State", "docs", "x"]);
        assert_eq!(crumbs[2].url, format!("/admin/state?rev={revision}&folder=docs%2Fx"));
    }
}
