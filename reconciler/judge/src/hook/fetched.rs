//! A forge's branch, judged as a push by whoever has the repository's files: the state has to be good and history
//! free of secrets. Who may push there is the forge's to say.

use berth_repo::{Revision, StateRepo};
use berth_schema::report::Look;
use berth_schema::{Finding, Severity};

use super::{Acts, Asker, HookError, Push};
use crate::history::{History, Range};
use crate::sights::Unseen;

/// Every reason to refuse `tip`, which is built on `main`, sorted by place; none when it is good. `repo` knows both.
pub fn judge_fetched(
    repo: &mut StateRepo,
    main: &Revision,
    tip: &Revision,
) -> Result<Vec<Finding>, HookError> {
    let history = History::of(repo.git_dir());
    let asker = Asker {
        user: None,
        look: Look::Plain,
        engine: &Unseen,
        resolver: None,
        from: None,
        acts: Acts::AsThemselves,
    };
    let mut push = Push::new(repo, history, asker);
    let range = Range::After(*main);
    if push.is_measured(tip, &range)? {
        let loaded = push.load_change(main, tip)?;
        push.found.findings.extend_from_slice(loaded.findings());
        push.search_history(tip, &range)?;
    }
    let mut findings = push.found.findings;
    findings.retain(|finding| finding.severity == Severity::Error);
    findings.sort();
    findings.dedup();
    Ok(findings)
}
