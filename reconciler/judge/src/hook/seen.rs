//! The eyes of whoever pushed into a view: their commits have other ids there, their own file another text,
//! and other people's files aren't theirs to read.

use std::collections::HashMap;
use std::path::PathBuf;

use berth_repo::Revision;
use berth_repo::view::{Own, Received};
use berth_schema::finding::Position;
use berth_schema::{Finding, Kind, Parsed};

use crate::pages::Pages;

/// The eyes of a member.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The folder of the objects that are judged.
    pub(super) objects: PathBuf,
    own: Option<Own>,
    /// The judged commits, each with the one that was pushed.
    commits: Vec<(Revision, Revision)>,
}

impl Seen {
    /// The eyes of whoever pushed this.
    pub fn of(received: &Received) -> Self {
        Self { objects: received.objects(), own: received.own.clone(), commits: received.commits.clone() }
    }

    /// The same where a merge is judged that stands for what was pushed: first the merge, then the commit that was pushed.
    pub(super) fn standing_for(mut self, merge: Option<(Revision, Revision)>) -> Self {
        if let Some((merged, pushed)) = merge {
            let shown = self.commits.iter().find(|(judged, _)| *judged == pushed).map(|(_, shown)| *shown);
            self.commits.push((merged, shown.unwrap_or(pushed)));
        }
        self
    }

    /// Moves findings to where the member sees what they are about, and takes away the lines that aren't theirs to see.
    pub(super) fn place(&self, findings: &mut [Finding], sources: &mut HashMap<String, String>) {
        // A push of a hidden page isn't judged.
        hide(self.own.as_ref().map(|own| own.path.as_str()), Pages::Shown, findings, sources);
        let Some(own) = &self.own else { return };
        // Whoever looks over their shoulder needn't see a password either.
        let shown = Parsed::parse(&own.path, &own.text);
        sources.extend(shown.source().map(|text| (own.path.clone(), text.to_owned())));
        let Some(inserted) = own.inserted else { return };
        for finding in findings.iter_mut().filter(|finding| *finding.path == *own.path) {
            finding.position = finding.position.filter(|position| position.line != inserted);
            if let Some(position) = &mut finding.position
                && position.line > inserted
            {
                position.line -= 1;
            }
        }
    }

    /// The text with the pushed commits' ids in place of the judged ones'.
    pub(super) fn say(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (judged, pushed) in self.commits.iter().filter(|(judged, pushed)| judged != pushed) {
            text = text
                .replace(&judged.to_string(), &pushed.to_string())
                .replace(&judged.short(), &pushed.short());
        }
        text
    }
}

/// Takes from findings what a member may not read, who looks at the state repo itself: where others' files differ from a guess.
/// Pages of the wiki are hidden where they don't read those.
pub(crate) fn hide_from(
    member: &str,
    pages: Pages,
    findings: &mut [Finding],
    sources: &mut HashMap<String, String>,
) {
    hide(Some(&format!("users/{member}.toml")), pages, findings, sources);
}

fn hide(
    own_path: Option<&str>,
    pages: Pages,
    findings: &mut [Finding],
    sources: &mut HashMap<String, String>,
) {
    sources.retain(|path, _| Kind::of(path) != Some(Kind::User) && !pages.hide(path));
    for finding in findings.iter_mut().filter(|finding| pages.hide(&finding.path)) {
        finding.position = None;
    }
    let of_others =
        |finding: &Finding| Kind::of(&finding.path) == Some(Kind::User) && Some(&*finding.path) != own_path;
    for finding in findings.iter_mut().filter(|finding| of_others(finding)) {
        // How far a guess agrees with the real file isn't theirs to know.
        finding.position = finding.position.map(|_| Position { line: 1, column: 1 });
    }
}
