//! The daemon: listens, and runs one pass after the other, never two at once.

use std::time::Instant;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::control::{Control, ControlError, Socket};
use crate::docker::connect;
use crate::figures;
use crate::pass::{PassError, Reconciler};
use crate::settings::Settings;
use crate::sshrouter::SshRouter;
use crate::wakeup::{Reason, Wakeups};
use crate::watch::{self, EngineHealth};

/// Why the daemon could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Something that a pass needs isn't there.
    #[error(transparent)]
    Open(#[from] PassError),
    /// The control socket can't be opened.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The task that serves it broke.
    #[error("serve the control socket")]
    Socket(#[source] JoinError),
    /// The system refuses to tell us of signals.
    #[error("listen to signals")]
    Signals(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT; the step in hand is finished.
pub async fn run(settings: &Settings) -> Result<(), DaemonError> {
    let stop = stop_on_signals().map_err(DaemonError::Signals)?;
    let mut reconciler = Reconciler::open(settings).await?;
    let wakeups = Wakeups::default();
    let health = EngineHealth::default();
    let ssh_router =
        SshRouter::open(&settings.data, reconciler.identity().clone()).map_err(PassError::from)?;
    let control = Control::new(wakeups.clone(), health.clone()).with_ssh_router(ssh_router.clone());
    control.look_from(reconciler.lookout().clone());
    // Opened before anything else is begun: a reconciler that nobody can ask is of no use, and says so at once.
    let socket = Socket::open(&settings.socket())?;
    // The socket outlives the request to end: whoever waits for our end sees it go.
    let closing = CancellationToken::new();
    let mut server = tokio::spawn(control.clone().serve(socket, closing.clone()));
    let _refs = reconciler.source().git_dir().map(|git_dir| {
        watch::refs(git_dir, wakeups.clone()).inspect_err(|error| {
            tracing::warn!(%error, "the state repo can't be watched; it is looked at once a minute");
        })
    });
    tokio::spawn(watch::timer(wakeups.clone(), stop.clone()));
    tokio::spawn(watch::engine(
        reconciler.reader().clone(),
        Timestamp::now(),
        health,
        wakeups.clone(),
        stop.clone(),
    ));
    let (engine, _) = connect(&settings.docker).await.map_err(PassError::from)?;
    tokio::spawn(figures::watch(engine, control.clone(), stop.clone()));
    tracing::info!(pid = std::process::id(), engine = reconciler.engine().version, "the reconciler runs");
    wakeups.events_missed(Reason::Start);

    while !stop.is_cancelled() {
        let pending = tokio::select! {
            pending = wakeups.next() => pending,
            () = until(reconciler.next_retry()) => {
                wakeups.wake(Reason::Retry);
                continue;
            }
            () = stop.cancelled() => break,
            ended = &mut server => return closed(ended),
        };
        reconciler.inspections().forget_these(&pending.forget, pending.forget_all);
        reconciler.lookout().forget(&pending.forget, pending.forget_all);
        let words: Vec<&str> = pending.reasons.iter().map(|reason| reason.word()).collect();
        let record = reconciler.pass(&words.join(", "), &control, &stop).await;
        publish(&reconciler, &control);
        ssh_router.publish(reconciler.state());
        for request in pending.requests {
            // Whoever asked may have gone.
            let _ = request.send(record.clone());
        }
    }
    tracing::info!("the reconciler ends");
    closing.cancel();
    closed(server.await)
}

/// How the control socket's task has ended.
fn closed(ended: Result<Result<(), ControlError>, JoinError>) -> Result<(), DaemonError> {
    Ok(ended.map_err(DaemonError::Socket)??)
}

fn publish(reconciler: &Reconciler, control: &Control) {
    if let Some(mut status) = reconciler.status() {
        status.pid = Some(std::process::id());
        control.publish(status);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A token that SIGTERM and SIGINT cancel.
pub(crate) fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end; the step in hand is finished first");
        token.cancel();
    });
    Ok(stop)
}
