//! The panel's way in: a ticket at a unix socket, in place of a key.
//!
//! The panel has no key and no say. The door says whom a ticket stands for, which server and which act; the routes say whether
//! they may enter. What follows is a session like any other: the same limits, the same line in the log, the same revocation.
//! It has one channel, whose frames go to the panel instead of packets to a client.

mod act;
mod frames;
mod lease;
mod over;

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_host::StagedSocket;
use berth_schema::door::Places;
use berth_schema::ticket::{Act, Errand, Opening, Size};
use russh::client::Msg;
use russh::{ChannelWriteHalf, Disconnect};
use tokio::io::BufReader;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decide::{self, Grant};
use crate::end::{End, Side};
use crate::event::Event;
use crate::routes::Table;
use crate::services::Services;
use crate::session::Shared;
use crate::spill::Overflow;
use crate::upstream;
use frames::{Heard, Reader, Say, hear, read_line, say};
use over::Over;

/// Desk at which the panel hands its tickets in.
pub(crate) struct Desk {
    services: Arc<Services>,
    overflow: Arc<Overflow>,
    /// Cancelled when every session has to end.
    over: CancellationToken,
    /// Socket of the door that redeems tickets.
    door: PathBuf,
    places: Arc<Places>,
}

/// Time for the panel's opening.
const OPENING_MAX: Duration = Duration::from_secs(10);
/// Time for the server to begin.
const BEGIN_MAX: Duration = Duration::from_secs(20);
/// Time for the panel to take the last frame, and for the server to hear that nobody is there any more.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause between attempts to accept while the process has no descriptors left.
const BREATH: Duration = Duration::from_millis(100);
/// Kind of terminal that the panel shows.
const TERM: &str = "xterm-256color";
/// Mode of a folder whose files are its group's: the reconciler makes the panel's so.
const SETGID: u32 = 0o2000;
/// Kind of extended data that is standard error.
const STANDARD_ERROR: u32 = 1;
/// Exit code of a program that a signal ended, as shells say it without the signal's number.
const SIGNALLED: u32 = 128;

impl Desk {
    /// A desk that redeems tickets at the git door; `None` where the settings name no socket or no door.
    pub(crate) fn new(
        services: Arc<Services>,
        overflow: Arc<Overflow>,
        over: CancellationToken,
    ) -> Option<Arc<Self>> {
        let settings = &services.settings;
        let (_, door) = (settings.ticket_socket.as_ref()?, settings.git_socket.clone()?);
        let places = Places::new(settings.panel_sessions, settings.panel_sessions_each);
        Some(Arc::new(Self { services, overflow, over, door, places }))
    }

    /// Accepts for as long as it is asked to. Without a socket it waits: people's own clients need none.
    pub(crate) async fn serve(self: Arc<Self>, sessions: &TaskTracker) {
        let Some(path) = &self.services.settings.ticket_socket else { return std::future::pending().await };
        let listener = match listen(path) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the panel can't reach this router");
                return std::future::pending().await;
            }
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&self);
                    sessions.spawn(async move { desk.attend(stream).await });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection of the panel");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Serves one connection up to its last frame.
    async fn attend(&self, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let ended = self.admit(&mut reader, &mut writer).await;
        let words;
        let last = match &ended {
            Err(Over::Left) => return,
            Ok(code) => Say::Exit(*code),
            Err(over) => {
                words = over.to_string();
                Say::Words(&words)
            }
        };
        // Whoever is gone doesn't hear it.
        let _ = tokio::time::timeout(FAREWELL, say(&mut writer, last)).await;
    }

    /// Finds out who comes and for what, lets them in or not, and writes the log.
    async fn admit(&self, reader: &mut Reader, writer: &mut OwnedWriteHalf) -> Result<u32, Over> {
        let opening = tokio::time::timeout(OPENING_MAX, read_line(reader)).await;
        let opening: Opening =
            opening.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Over::Opening)?;
        let (errand, mut lease) = lease::redeem(&self.door, opening.ticket).await?;
        let Errand { user, server, act, from } = &errand;
        // Taken before the check, so that no change after it is missed.
        let mut table = self.services.changes();
        let grant = decide::by_ticket(&table.borrow_and_update().routes, user, *server);
        let Some(grant) = grant else {
            tracing::info!(peer = %from, %user, id = %server, %act, via = "panel", "session refused");
            return Err(Over::Forbidden);
        };
        let _place = self.places.take(user).map_err(|_| Over::Busy)?;
        let _entry = self.services.roll.enter(user);
        let (start, name, by) = (Instant::now(), grant.target.to_string(), grant.credential.kind());
        tracing::info!(peer = %from, %user, server = name, by, %act, via = "panel", "session began");
        let shared = Arc::new(Shared::new(Arc::clone(&self.overflow), 1));
        shared.set_grant(grant.clone());
        let ended = tokio::select! {
            ended = self.run(&shared, *act, opening.size.bounded(), reader, writer) => ended,
            over = lease.over() => Err(over),
            () = revoked(&mut table, &grant) => Err(Over::Revoked),
            () = until(act::longest(*act)) => Err(Over::TooLong),
            () = self.over.cancelled() => Err(Over::Stopped),
        };
        shared.cut.cancel();
        let seconds = start.elapsed().as_secs();
        match &ended {
            Ok(code) => {
                tracing::info!(peer = %from, %user, server = name, by, %act, via = "panel", seconds, code, "session ended");
            }
            Err(over) => {
                let over: &dyn std::error::Error = over;
                tracing::info!(peer = %from, %user, server = name, by, %act, via = "panel", seconds, ending = over, "session ended");
            }
        }
        ended
    }

    /// Logs in to the server, begins the act there, and carries it until it ends.
    async fn run(
        &self,
        shared: &Arc<Shared>,
        act: Act,
        size: Size,
        reader: &mut Reader,
        writer: &mut OwnedWriteHalf,
    ) -> Result<u32, Over> {
        let table = self.services.table();
        let server = shared.grant().and_then(|grant| table.server(grant)).ok_or(Over::Forbidden)?;
        let (key, keepalive) = (Arc::clone(&table.key), self.services.settings.keepalive);
        let upstream = upstream::connect(Arc::clone(shared), server, key, keepalive).await;
        let upstream = upstream.map_err(Over::Unreached)?;
        let begun = tokio::time::timeout(BEGIN_MAX, async {
            let channel = upstream.channel_open_session().await.map_err(|_| Over::Refused)?;
            let half = Arc::new(channel.split().1);
            let end = shared.links.end(Side::Server, half.id());
            end.lead(Arc::clone(&half));
            match begin(&end, act, size).await {
                true => Ok((end, half)),
                false => Err(Over::Refused),
            }
        });
        let (end, half) = begun.await.unwrap_or(Err(Over::TooLong))?;
        let ended = tokio::select! {
            ended = download(&end, writer) => ended,
            () = upload(reader, act, &half) => Err(Over::Left),
            () = end.inbox.broken() => Err(Over::Overflow),
        };
        end.inbox.abandon();
        // A program without a terminal would go on for nobody.
        let goodbye = upstream.disconnect(Disconnect::ByApplication, "", "");
        let _ = tokio::time::timeout(FAREWELL, goodbye).await;
        ended
    }
}

/// Opens the socket in place of what is there. Whoever may enter the folder as its group may connect: a ticket counts, not a
/// user's number, which reads as nobody's across user namespaces.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let is_shared = std::fs::metadata(folder)?.mode() & SETGID != 0;
    let staged = StagedSocket::make(folder)?;
    if is_shared {
        std::fs::set_permissions(staged.path(), std::fs::Permissions::from_mode(0o660))?;
    }
    let listener = UnixListener::from_std(staged.put(path)?)?;
    tracing::info!(path = %path.display(), "the panel may hand tickets in");
    Ok(listener)
}

/// Has the server begin the act; returns whether it does.
async fn begin(end: &End, act: Act, Size { columns, rows }: Size) -> bool {
    let (columns, rows) = (columns.into(), rows.into());
    match act::command(act) {
        Some(command) => end.request(|half| async move { half.exec(true, command).await }).await,
        None => {
            let pty = |half: Arc<ChannelWriteHalf<Msg>>| async move {
                half.request_pty(true, TERM, columns, rows, 0, 0, &[]).await
            };
            end.request(pty).await && end.request(|half| async move { half.request_shell(true).await }).await
        }
    }
}

/// Passes on what the panel sends, until it leaves.
async fn upload(reader: &mut Reader, act: Act, half: &ChannelWriteHalf<Msg>) {
    loop {
        let sent = match hear(reader).await {
            // The commands read nothing.
            Ok(_) if act != Act::Terminal => Ok(()),
            Ok(Heard::Input(data)) => half.data_bytes(data).await,
            Ok(Heard::InputEnd) => half.eof().await,
            Ok(Heard::Resize(Size { columns, rows })) => {
                half.window_change(columns.into(), rows.into(), 0, 0).await
            }
            Err(_) => return,
        };
        if sent.is_err() {
            // The other direction tells how it ended.
            return std::future::pending().await;
        }
    }
}

/// Writes what the server sends, each piece only when the panel has taken the one before, and returns the exit code.
async fn download(end: &End, writer: &mut OwnedWriteHalf) -> Result<u32, Over> {
    let mut code = None;
    loop {
        let event = end.inbox.next().await.map_err(|_| Over::Overflow)?;
        let said = match event {
            Event::Data(data) => say(writer, Say::Output(&data)).await,
            Event::Extended(STANDARD_ERROR, data) => say(writer, Say::Error(&data)).await,
            Event::ExitStatus(status) => {
                code = Some(status);
                Ok(())
            }
            Event::ExitSignal(_) => {
                code = Some(SIGNALLED);
                Ok(())
            }
            Event::Close => return code.ok_or(Over::Server),
            Event::Extended(..) | Event::Eof => Ok(()),
        };
        said.map_err(|_| Over::Left)?;
    }
}

/// Waits until the routes no longer give the grant.
async fn revoked(table: &mut watch::Receiver<Arc<Table>>, grant: &Grant) {
    loop {
        if table.changed().await.is_err() {
            // The router stops, and says so.
            return std::future::pending().await;
        }
        if !decide::still_stands(&table.borrow_and_update().routes, grant) {
            return;
        }
    }
}

/// Waits for so long; without a time, for ever.
async fn until(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
