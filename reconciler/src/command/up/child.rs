//! Children of `berth up`: each is started again when it ends by itself, and asked to end when that is wanted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::bail;
use berth_host::Waits;
use berth_host::process::Group;
use berth_wire::client::Daemon;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// A child that lived this long had come up; the next crash is a new story.
const SETTLED: Duration = Duration::from_secs(60);
const WAITS: Waits = Waits::new(Duration::from_millis(500), Duration::from_secs(30));
/// Time between two tries of a socket.
pub(super) const GLANCE: Duration = Duration::from_millis(50);
/// Time for any other child to end: it has nothing of its own to finish.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// A child process that is kept running.
pub(super) struct Kept {
    pub(super) what: &'static str,
    /// Our own program, as it was called when we began: its file may be replaced meanwhile.
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// The socket whose answer says that it has come up. The platform is pointless where it never does; without a socket it
    /// is tried for as long as the platform runs.
    pub(super) socket: Option<PathBuf>,
    /// Time to end after it is asked to.
    pub(super) grace: Duration,
    pub(super) unasked: Unasked,
}

/// Meaning of a child's clean end that its supervisor didn't ask for.
#[derive(Clone, Copy)]
pub(super) enum Unasked {
    /// Somebody else asked it, as `berth down` does: it isn't wanted any more.
    IsTheEnd,
    /// The platform needs it for as long as it runs.
    IsACrash,
}

/// Starts a child again whenever it ends by itself, until `stop` or until it ends as asked.
pub(super) async fn keep(kept: &Kept, stop: &CancellationToken) -> anyhow::Result<()> {
    let (mut pace, mut came_up) = (Pace::default(), kept.socket.is_none());
    while !stop.is_cancelled() {
        let started = Instant::now();
        match live(kept, &mut came_up, stop).await {
            Life::Over => return Ok(()),
            Life::Broken(why) if came_up => pace.rest(kept.what, &why, started, stop).await,
            // What can't begin has said why.
            Life::Broken(why) => bail!("{} could not begin ({why}); what it said is above", kept.what),
        }
    }
    Ok(())
}

/// End of a child's life.
pub(super) enum Life {
    /// Somebody asked it to end.
    Over,
    /// It ended by itself, or never began, for this reason.
    Broken(String),
}

/// Starts a child and stays until it ends, or ends it on `stop`. Says in `came_up` whether it came as far.
pub(super) async fn live(kept: &Kept, came_up: &mut bool, stop: &CancellationToken) -> Life {
    let started = Command::new(&kept.program)
        .args(&kept.arguments)
        .stdin(Stdio::null())
        // Its own process group: a Ctrl-C in the terminal reaches it through us, once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Life::Broken(format!("it can't be started: {error}")),
    };
    let pid = child.id();
    loop {
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = answers(kept.socket.as_deref(), pid), if !*came_up => {
                *came_up = true;
                continue;
            }
            () = stop.cancelled() => {
                end(child, kept).await;
                return Life::Over;
            }
        };
        return match ended {
            Ok(ended) if ended.success() => match kept.unasked {
                Unasked::IsTheEnd => Life::Over,
                Unasked::IsACrash => Life::Broken("nobody asked it to".to_owned()),
            },
            Ok(ended) => {
                // It had no say in that, so it tells nothing of whether it could have begun.
                *came_up |= ended.code().is_none();
                Life::Broken(ended.to_string())
            }
            Err(error) => Life::Broken(format!("it can't be waited for: {error}")),
        };
    }
}

/// Returns when this process answers at the socket.
pub(super) async fn answers(socket: Option<&Path>, pid: Option<u32>) {
    let Some(socket) = socket else { return std::future::pending().await };
    let is_it = |daemon: &Daemon| daemon.pid().map(i32::cast_unsigned) == pid;
    while !matches!(Daemon::find(socket).await, Ok(Some(daemon)) if is_it(&daemon)) {
        tokio::time::sleep(GLANCE).await;
    }
}

/// Pace at which a child that ended by itself is started again.
pub(super) struct Pace(Waits);

impl Default for Pace {
    fn default() -> Self {
        Self(WAITS)
    }
}

impl Pace {
    /// Says why something is started again, and waits, longer each time that it didn't live long.
    pub(super) async fn rest(&mut self, what: &str, why: &str, started: Instant, stop: &CancellationToken) {
        if started.elapsed() > SETTLED {
            self.0.reset();
        }
        let wait = self.0.next_wait();
        tracing::error!(why, wait_ms = wait.as_millis(), "{what} ended by itself; it is started again");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Asks the child to end, and kills it with what it started when it doesn't.
async fn end(mut child: Child, kept: &Kept) {
    if !ends(&mut child, kept.grace).await {
        tracing::error!(grace_s = kept.grace.as_secs(), "{} did not end; it was killed", kept.what);
    }
}

/// Asks a child to end, which ends what it started, and returns whether it did. If not, its group is killed.
pub(super) async fn ends(child: &mut Child, grace: Duration) -> bool {
    let Some(group) = child.id().and_then(Group::led_by) else { return true };
    group.ask_leader();
    let in_time = tokio::time::timeout(grace, child.wait()).await.is_ok();
    if !in_time {
        group.kill();
        if let Err(error) = child.wait().await {
            tracing::error!(%error, "a child cannot be waited for");
        }
    }
    in_time
}

pub(super) fn arguments(settings: &Settings) -> Vec<OsString> {
    let mut arguments = vec![
        "--state".into(),
        settings.state.clone().into(),
        "--data".into(),
        settings.data.clone().into(),
        "--docker".into(),
        settings.docker.clone().into(),
    ];
    if let Some(resolver) = settings.resolver {
        arguments.extend(["--resolver".into(), resolver.to_string().into()]);
    }
    if let Some(folder) = &settings.panel_folder {
        arguments.extend(["--panel-folder".into(), folder.into()]);
    }
    if let Some(templates) = &settings.templates {
        arguments.extend(["--templates".into(), templates.into()]);
    }
    arguments
}
