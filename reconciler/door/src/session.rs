//! One connection: a request, a command, its bytes in both directions, its exit code.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_count::{Counted, Timed};
use berth_fault::chain;
use berth_schema::door::{
    Asked, Command, ERROR, FRAME_MAX, INPUT, INPUT_END, OUTPUT, Place, REQUEST_MAX, Request,
};
use berth_schema::name::UserName;
use berth_schema::organisation::addressed;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::ChildStdin;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::child::{Running, Streams, start};
use crate::door::{Door, Prepared};
use crate::frame::{self, Reader};
use crate::lease::{Line, Redeeming};
use crate::refusal::Refusal;
use crate::scratch::Scratch;

/// Time for the request, which the router sends with the connection.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time for a slow peer to take the rest: all that a command wrote is in the pipes when it ends.
const DRAIN_TIME: Duration = Duration::from_secs(60);

type Writer = Arc<Mutex<OwnedWriteHalf>>;

/// End of a command.
enum End {
    /// It ended by itself.
    Exited(ExitStatus),
    /// The other side left, or sent something that makes no sense.
    Gone,
    /// We ended it, for this reason.
    Refused(Refusal),
}

/// Bytes that went to and fro, and the time of the last ones.
struct Traffic {
    began: Instant,
    /// Milliseconds from `began` to the last byte.
    last: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Serves a connection until its end, and writes a line about it. A lease gives the place back: it has another.
pub(super) async fn serve(
    door: Arc<Door>,
    redeeming: Arc<Redeeming>,
    stream: UnixStream,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) {
    let (read, write) = stream.into_split();
    let mut reader = BufReader::with_capacity(FRAME_MAX, read);
    let asked = match tokio::time::timeout(REQUEST_TIME, read_request(&mut reader)).await {
        Ok(Ok(asked)) => asked,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a connection without a request");
            return;
        }
        Err(_) => {
            tracing::warn!("a connection without a request");
            return;
        }
    };
    match asked {
        Asked::Redeem(asked) => {
            drop(place);
            redeeming.keep(asked, Line { reader, writer: write }).await;
        }
        Asked::Command(request) => {
            command(door, request, (reader, write), stop).await;
            drop(place);
        }
    }
}

/// Serves a command until its end.
async fn command(
    door: Arc<Door>,
    request: Request,
    (mut reader, write): (Reader, OwnedWriteHalf),
    stop: CancellationToken,
) {
    let writer = Arc::new(Mutex::new(write));
    let traffic = Arc::new(Traffic::new());
    let limits = &door.limits;
    let mut whole = pin!(tokio::time::sleep(limits.whole));
    // Preparing a view can be slow, so a hang-up is listened for meanwhile. If the client leaves, the work finishes on its own
    // and frees its place.
    let begun = tokio::select! {
        begun = begin(&door, &request) => begun.map_err(End::Refused),
        () = gone(&mut reader) => Err(End::Gone),
        () = &mut whole => Err(End::Refused(Refusal::TooLong { after: limits.whole })),
        () = stop.cancelled() => Err(End::Refused(Refusal::Ending)),
    };
    let ended = match begun {
        Ok(begun) => {
            let takes_input = matches!(request.command, Command::ReceivePack | Command::UploadPack);
            let talk = Talk { reader, takes_input, writer: &writer, traffic: &traffic };
            let until = Until { whole, idle: limits.idle, longest: limits.whole, stop: &stop };
            let Begun { user, running, streams, scratch, place } = begun;
            let ended = relay(running, streams, talk, until).await;
            tidy(&door, &request, user, scratch).await;
            drop(place);
            ended
        }
        Err(ended) => ended,
    };
    tell(&request, &ended, &traffic);
    let code = match &ended {
        End::Gone => return,
        End::Exited(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        End::Refused(_) => 1,
    };
    let goodbye = async {
        let mut writer = writer.lock().await;
        if let End::Refused(refusal) = &ended {
            let words = addressed(&format!("berth: {refusal}\n"), door.members().contact().as_deref());
            frame::write(&mut *writer, ERROR, words.as_bytes()).await?;
        }
        frame::write_exit(&mut *writer, code).await?;
        writer.shutdown().await
    };
    // Whoever is gone doesn't hear it.
    let _ = tokio::time::timeout(DRAIN_TIME, goodbye).await;
}

/// Ends when the other side goes. What it sends meanwhile is left for the command; it isn't seen to go after that.
async fn gone(reader: &mut Reader) {
    match reader.fill_buf().await {
        Ok([]) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

async fn read_request(reader: &mut Reader) -> io::Result<Asked> {
    let mut line = Vec::new();
    (&mut *reader).take(REQUEST_MAX as u64).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(io::Error::from)
}

/// A command that runs, and its place among those that may.
struct Begun {
    user: UserName,
    running: Running,
    streams: Streams,
    scratch: Scratch,
    place: Place,
}

async fn begin(door: &Arc<Door>, request: &Request) -> Result<Begun, Refusal> {
    let (door, asked) = (Arc::clone(door), request.clone());
    // Reads the state repo, and may write its hooks.
    let prepared = tokio::task::spawn_blocking(move || door.prepare(&asked)).await;
    let prepared = prepared.inspect_err(|error| tracing::error!(%error, "a command can't be prepared"));
    let Prepared { user, command, place, scratch } = prepared.map_err(|_| Refusal::Broken)??;
    let started = start(command, &user, scratch.path());
    let (running, streams) = started.map_err(|source| Refusal::Start { source })?;
    Ok(Begun { user, running, streams, scratch, place })
}

/// Takes away what a command left of temporary files.
async fn tidy(door: &Arc<Door>, request: &Request, user: UserName, scratch: Scratch) {
    let (door, request) = (Arc::clone(door), request.clone());
    let tidied = tokio::task::spawn_blocking(move || door.tidy(&request, &user, scratch)).await;
    if let Err(error) = tidied {
        tracing::error!(%error, "a command's temporary files can't be removed");
    }
}

/// The other side of a command.
struct Talk<'a> {
    reader: Reader,
    /// Set for git. What a review or the lobby is sent is thrown away, so that a hang-up is seen behind it.
    takes_input: bool,
    writer: &'a Writer,
    traffic: &'a Arc<Traffic>,
}

/// The ends that a command may come to from outside.
struct Until<'a> {
    /// Ends when the command has taken the longest that it may.
    whole: Pin<&'a mut tokio::time::Sleep>,
    longest: Duration,
    idle: Duration,
    stop: &'a CancellationToken,
}

/// Carries bytes until the command has ended, or has to.
async fn relay(mut running: Running, streams: Streams, talk: Talk<'_>, until: Until<'_>) -> End {
    let Talk { reader, takes_input, writer, traffic } = talk;
    // Until now it was us who were silent.
    traffic.note();
    let Streams { input, output, error } = streams;
    let mut carriers = JoinSet::new();
    let feeding = carriers.spawn(feed(reader, takes_input.then_some(input), Arc::clone(traffic)));
    carriers.spawn(pour(output, OUTPUT, Arc::clone(writer), Arc::clone(traffic)));
    carriers.spawn(pour(error, ERROR, Arc::clone(writer), Arc::clone(traffic)));
    let ended = tokio::select! {
        ended = running.wait() => match ended {
            Ok(status) => End::Exited(status),
            Err(source) => End::Refused(Refusal::Start { source }),
        },
        ended = cut_off(&mut carriers) => ended,
        () = traffic.silent(until.idle) => End::Refused(Refusal::Idle { after: until.idle }),
        () = until.whole => End::Refused(Refusal::TooLong { after: until.longest }),
        () = until.stop.cancelled() => End::Refused(Refusal::Ending),
    };
    match &ended {
        End::Exited(_) => {
            running.end_rest();
            feeding.abort();
            let drained = async { while carriers.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
        }
        End::Gone | End::Refused(_) => running.end().await,
    }
    // Nobody else holds the writer from here on.
    carriers.shutdown().await;
    ended
}

/// State of the connection when a carrier has ended.
enum Carried {
    /// The command closed the stream.
    Whole,
    /// The other side went.
    Gone,
}

/// Waits until a carrier finds the other side gone, or panics.
async fn cut_off(carriers: &mut JoinSet<Carried>) -> End {
    loop {
        match carriers.join_next().await {
            Some(Ok(Carried::Whole)) => {}
            Some(Ok(Carried::Gone)) => return End::Gone,
            Some(Err(error)) => {
                tracing::error!(%error, "a command's bytes are carried no further");
                return End::Refused(Refusal::Broken);
            }
            None => return std::future::pending().await,
        }
    }
}

/// Carries bytes from the peer into the command. Ends when the peer does.
async fn feed(mut reader: Reader, mut input: Option<ChildStdin>, traffic: Arc<Traffic>) -> Carried {
    let mut payload = Vec::new();
    loop {
        let kind = match frame::read(&mut reader, &mut payload).await {
            Ok(Some(kind)) => kind,
            Ok(None) => return Carried::Gone,
            Err(error) => {
                tracing::debug!(%error, "the connection broke");
                return Carried::Gone;
            }
        };
        match (kind, &mut input) {
            (INPUT, Some(to)) => {
                // A command that reads no more may still have something to say.
                if to.write_all(&payload).await.is_err() {
                    input = None;
                }
            }
            (INPUT, None) => {}
            (INPUT_END, _) => input = None,
            _ => return Carried::Gone,
        }
        traffic.received(payload.len());
    }
}

/// Carries output of the command to the peer.
async fn pour(from: impl AsyncRead + Unpin, kind: u8, writer: Writer, traffic: Arc<Traffic>) -> Carried {
    match carry(from, kind, &writer, &traffic).await {
        Ok(()) => Carried::Whole,
        Err(error) => {
            tracing::debug!(%error, "the connection broke");
            Carried::Gone
        }
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    kind: u8,
    writer: &Writer,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; FRAME_MAX];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        frame::write(&mut *writer.lock().await, kind, bytes).await?;
        traffic.sent(length);
    }
}

impl Traffic {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.note();
    }

    fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.note();
    }

    fn note(&self) {
        self.last.store(self.millis(), Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends when nothing went to or fro for so long.
    async fn silent(&self, idle: Duration) {
        loop {
            let due = Duration::from_millis(self.last.load(Ordering::Relaxed)).saturating_add(idle);
            let left = due.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Counts a command.
fn count(command: &Command, ended: &End, traffic: &Traffic) {
    use Counted as Is;
    let (time, [good, failed, refused, lost]) = match command {
        Command::ReceivePack => (Timed::Push, [Is::PushEnded, Is::PushFailed, Is::PushRefused, Is::PushLost]),
        Command::UploadPack => {
            (Timed::Fetch, [Is::FetchEnded, Is::FetchFailed, Is::FetchRefused, Is::FetchLost])
        }
        _ => (Timed::Lobby, [Is::LobbyEnded, Is::LobbyFailed, Is::LobbyRefused, Is::LobbyLost]),
    };
    let counted = match ended {
        End::Exited(status) if status.success() => good,
        End::Exited(_) => failed,
        End::Refused(_) => refused,
        End::Gone => lost,
    };
    berth_count::count(counted, 1);
    berth_count::took(time, Duration::from_millis(traffic.millis()));
}

/// One line a command.
fn tell(request: &Request, ended: &End, traffic: &Traffic) {
    let Request { user, command, from, .. } = request;
    count(command, ended, traffic);
    let word = word(command);
    let millis = traffic.millis();
    let received = traffic.received.load(Ordering::Relaxed);
    let sent = traffic.sent.load(Ordering::Relaxed);
    match ended {
        End::Exited(status) => {
            tracing::info!(?user, %from, word, millis, received, sent, %status, "a command has ended");
        }
        End::Gone => {
            tracing::info!(?user, %from, word, millis, received, sent, "a command lost its connection");
        }
        End::Refused(refusal) => {
            let why = addressed(&chain(refusal), None);
            tracing::warn!(?user, %from, word, millis, received, sent, why, "a command was refused");
        }
    }
}

fn word(command: &Command) -> String {
    match command {
        Command::ReceivePack => "push".to_owned(),
        Command::UploadPack => "fetch".to_owned(),
        Command::ReviewList => "review list".to_owned(),
        Command::ReviewListWhole => "review list --all".to_owned(),
        Command::ReviewShow(topic) => format!("review show {topic}"),
        Command::ReviewShowWhole(topic) => format!("review show {topic} --all"),
        Command::ReviewApprove { topic, at, .. } => format!("review approve {topic} {at}"),
        Command::ReviewReject(topic) => format!("review reject {topic}"),
        Command::Lobby(line) => format!("lobby {line}").trim_end().to_owned(),
    }
}
