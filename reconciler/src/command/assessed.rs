//! A change that was tried, as commands show it.

use berth_judge::review::Assessment;
use berth_schema::brief::split;
use berth_schema::report::{Look, report};
use berth_schema::text::{counted, safe};

use crate::draw::say;

/// Lines for the files of a change.
const FILES: usize = 20;

/// Tells the mistakes of a change, and why some proofs could not be looked for.
pub(super) fn say_findings(assessment: &Assessment) {
    let source = |path: &str| assessment.sources.get(path).map(String::as_str);
    let found = report(&assessment.findings, source, Look::Plain);
    if !found.is_empty() {
        say(found.trim_end());
    }
    if !assessment.note.is_empty() {
        say(assessment.note.trim_end());
    }
}

/// Tells the files that a change touches.
pub(super) fn say_files(assessment: &Assessment) {
    say(&format!("{} changes:", counted(assessment.files.len(), "file")));
    let (shown, others) = split(&assessment.files, FILES);
    for file in shown {
        say(&format!("  {} +{} -{}", safe(&file.path), file.added, file.removed));
    }
    if others > 0 {
        say(&format!("  … and {others} more"));
    }
}
