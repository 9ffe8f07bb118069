//! Findings, as every command shows them.

use berth_repo::Loaded;
use berth_schema::Finding;
use berth_schema::brief::{Extent, LINES};
use berth_schema::report::{Look, WHOLE, report_of};

use crate::draw::say;

/// Extent of what a command tells, unless it is asked for everything.
pub(super) const BRIEF: Extent<'static> = Extent::Brief { lines: LINES, whole: WHOLE };

/// Shows the findings of a load on standard error.
pub(super) fn show_findings(loaded: &Loaded) {
    show_these(loaded.findings(), loaded, BRIEF);
}

/// Shows findings, some of which point into the files of a load.
pub(super) fn show_these(findings: &[Finding], loaded: &Loaded, extent: Extent<'_>) {
    let look = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => Look::Plain,
        _ => Look::Coloured,
    };
    let text = report_of(findings, |path| loaded.source(path), look, extent);
    if !text.is_empty() {
        say(text.trim_end());
    }
}
