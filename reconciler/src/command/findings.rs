//! Findings, as every command shows them.

use berth_repo::Loaded;
use berth_schema::report::{Look, report};

use crate::draw::say;

/// Shows the findings of a load on standard error.
pub(super) fn show_findings(loaded: &Loaded) {
    let look = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => Look::Plain,
        _ => Look::Coloured,
    };
    let text = report(loaded.findings(), |path| loaded.source(path), look);
    if !text.is_empty() {
        say(text.trim_end());
    }
}
