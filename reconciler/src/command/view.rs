//! `berth view`: makes a member's view ready and becomes the program of git's that serves it. The door runs it: what a long history takes
//! of memory ends with it. And `berth tidy`, which the door runs when nobody else runs anything.

use std::cell::Cell;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use berth_fault::chain;
use berth_host::process::Stopped;
use berth_judge::hook::view::{self, ViewHookError};
use berth_repo::view::{Progress, ViewError};
use berth_schema::name::UserName;
use berth_schema::text::counted;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::draw::say;
use crate::settings::Settings;

/// Commits from which on it is told how far it has come: fewer are done at once.
const MANY: usize = 100;
/// Time between two such lines.
const PAUSE: Duration = Duration::from_secs(2);

/// A view to serve.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member whose view it is
    #[arg(long = "as", value_name = "USER")]
    user: UserName,
    /// Seconds that git may take
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    longest: u64,
    /// The program of git's
    service: Service,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Service {
    UploadPack,
    ReceivePack,
}

/// Variables by which the door tells git and the hooks of whom it runs for.
const OF_THE_DOOR: [&str; 4] = ["BERTH_USER", "BERTH_FROM", "BERTH_LOG_FILE", "GIT_PROTOCOL"];

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let program = std::env::current_exe().context("cannot find the program `berth`")?;
    let told = Cell::new(None);
    let tell = |progress| {
        if let Some(line) = in_words(progress)
            && (told.get().is_none_or(|told: Instant| told.elapsed() > PAUSE) || is_whole(progress))
        {
            told.set(Some(Instant::now()));
            say(&line);
        }
    };
    let prepared = match args.service {
        Service::UploadPack => view::prepare_telling(&settings.viewer(), &program, &args.user, &tell),
        Service::ReceivePack => {
            view::prepare_to_push_telling(&settings.viewer(), &program, &args.user, &tell)
        }
    };
    let path = match prepared {
        Ok(path) => path,
        Err(error) => {
            tracing::error!(error = chain(&error), "a view can't be made ready");
            say(&format!("berth: {}", refusal(&error)));
            return Ok(Exit::Failed);
        }
    };
    let service = match args.service {
        Service::UploadPack => "upload-pack",
        Service::ReceivePack => "receive-pack",
    };
    let mut git = berth_door::service_on(service, &path, Duration::from_secs(args.longest));
    let passed = OF_THE_DOOR.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    git.envs(passed).stdin(Stdio::inherit());
    Err(git.exec()).with_context(|| format!("cannot run `git {service}`"))
}

/// Words for somebody whose view can't be made ready. The cause stays in the log.
fn refusal(error: &ViewHookError) -> String {
    match error {
        ViewHookError::View(ViewError::Busy { after, .. }) => format!(
            "another of your commands has made ready what you may see for {} s; try again when it is done",
            after.as_secs()
        ),
        ViewHookError::View(ViewError::Line { after }) => format!(
            "what all members see is being made ready for somebody else for {} s; try again in some minutes",
            after.as_secs()
        ),
        _ => "cannot make ready what you may see; try again in a moment; if it lasts, tell whoever runs the \
              platform, since the log says why"
            .to_owned(),
    }
}

fn in_words(progress: Progress) -> Option<String> {
    match progress {
        Progress::Waits { done } => Some(format!(
            "Waiting: what all members see is being made ready for somebody else ({} so far).",
            counted(done, "commit")
        )),
        Progress::Shared { done, of } if of >= MANY => {
            Some(format!("What all members see is made ready: {done} of {}.", counted(of, "commit")))
        }
        Progress::Own { done, of } if of >= MANY => {
            Some(format!("Your view is made ready: {done} of {}.", counted(of, "commit")))
        }
        Progress::Shared { .. } | Progress::Own { .. } => None,
    }
}

fn is_whole(progress: Progress) -> bool {
    match progress {
        Progress::Waits { .. } => true,
        Progress::Shared { done, of } | Progress::Own { done, of } => done == of,
    }
}

/// Puts together what pushes left, until it is asked to end.
pub(super) async fn tidy(settings: &Settings) -> anyhow::Result<Exit> {
    let mut asked = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let (stop, stopped) = Stopped::pair().context("cannot make a pipe")?;
    let viewer = settings.viewer();
    let mut work = tokio::task::spawn_blocking(move || view::tidy(&viewer, stopped));
    let packed = tokio::select! {
        packed = &mut work => packed.context("the housekeeping broke off")??,
        _ = asked.recv() => {
            // Ends git, and what it has written so far is of no consequence. The rest is done the next time.
            drop(stop);
            return Ok(Exit::Ok);
        }
    };
    tracing::info!(packed, "housekeeping is done");
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_is_told_of_and_a_short_one_is_not() {
        assert_eq!(in_words(Progress::Own { done: 3, of: 5 }), None);
        let told = in_words(Progress::Own { done: 1200, of: 3449 }).unwrap();
        assert_eq!(told, "Your view is made ready: 1200 of 3449 commits.");
        assert!(in_words(Progress::Waits { done: 1 }).unwrap().ends_with("(1 commit so far)."));
        assert!(
            is_whole(Progress::Shared { done: 7, of: 7 }) && !is_whole(Progress::Shared { done: 6, of: 7 })
        );
    }
}
