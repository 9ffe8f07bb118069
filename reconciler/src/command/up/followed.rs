//! A child that runs for as long as `main` wants it, and is started again when what it is given changes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use berth_repo::StateRepo;
use berth_tasks::Pulse;
use tokio_util::sync::CancellationToken;

use super::child::{Kept, Life, Pace, Unasked, arguments, live};
use crate::settings::Settings;
use crate::wakeup::Wakeups;
use crate::watch;

/// Time between two looks at `main`, where its refs can't be watched, and for what a child lacks.
const LOOK: Duration = Duration::from_secs(60);

/// A command of `berth` that runs as such a child.
pub(super) struct Part {
    /// Its name on the command line.
    pub(super) command: &'static str,
    /// Its name in the log.
    pub(super) what: &'static str,
    /// Time to end after it is asked to.
    pub(super) grace: Duration,
}

impl Part {
    /// Keeps it running for as long as `main` wants it, until `stop`. Its failures are its own: the reconciler goes on.
    pub(super) async fn keep<W: PartialEq>(
        &self,
        read: impl Fn(&StateRepo) -> Option<Option<W>>,
        program: PathBuf,
        settings: Settings,
        stop: CancellationToken,
    ) {
        // A plain folder has no history that moves, no door, and nobody who asks.
        let Ok(repo) = StateRepo::open(&settings.state) else { return };
        let kept = |_: &W| {
            Some(Kept {
                what: self.what,
                program: program.clone(),
                arguments: [vec![self.command.into(), "--with-parent".into()], arguments(&settings)].concat(),
                socket: None,
                grace: self.grace,
                unasked: Unasked::IsACrash,
            })
        };
        follow(&repo, read, kept, &stop, &Pulse::default()).await;
    }
}

/// Runs a child until `stop`. `read` says what `main` wants of it: nothing where it wants none, and `None` where that can't be read,
/// which changes nothing. `kept` says how it is started, or that it can't be. While no child lives, `pulse` is this
/// process's.
pub(super) async fn follow<W: PartialEq>(
    repo: &StateRepo,
    read: impl Fn(&StateRepo) -> Option<Option<W>>,
    mut kept: impl FnMut(&W) -> Option<Kept>,
    stop: &CancellationToken,
    pulse: &Pulse,
) {
    let read = || tokio::task::block_in_place(|| read(repo));
    let moved = Wakeups::default();
    let _refs = watch::refs(repo.git_dir(), moved.clone());
    let mut pace = Pace::default();
    let mut wanted = None;
    while !stop.is_cancelled() {
        wanted = read().unwrap_or(wanted);
        let Some(kept) = wanted.as_ref().and_then(&mut kept) else {
            pulse.wait(changed(&moved, stop)).await;
            continue;
        };
        let (started, end) = (Instant::now(), stop.child_token());
        let lives = async {
            let lived = live(&kept, &mut true, &end).await;
            end.cancel();
            lived
        };
        let looks = async {
            while !end.is_cancelled() {
                changed(&moved, &end).await;
                if read().is_some_and(|now| now != wanted) {
                    end.cancel();
                }
            }
        };
        match tokio::join!(lives, looks).0 {
            // It is wanted otherwise by now, or this is the end.
            Life::Over => pace = Pace::default(),
            Life::Broken(why) => pulse.wait(pace.rest(kept.what, &why, started, stop)).await,
        }
    }
}

/// Waits until `main` may have changed.
pub(in crate::command) async fn changed(moved: &Wakeups, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        _ = moved.next() => {}
        () = tokio::time::sleep(LOOK) => {}
    }
}
