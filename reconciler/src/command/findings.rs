//! Findings, as every command shows them.

use berth_repo::Loaded;
use berth_schema::Finding;
use berth_schema::report::{Look, report};

use crate::draw::say;

/// Shows the findings of a load on standard error.
pub(super) fn show_findings(loaded: &Loaded) {
    show_these(loaded.findings(), loaded);
}

/// Shows findings, some of which point into the files of a load.
pub(super) fn show_these(findings: &[Finding], loaded: &Loaded) {
    let look = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => Look::Plain,
        _ => Look::Coloured,
    };
    let text = report(findings, |path| loaded.source(path), look);
    if !text.is_empty() {
        say(text.trim_end());
    }
}
