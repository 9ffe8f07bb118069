//! One connection: a request, a command, its bytes in both directions, its exit code.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_schema::door::{Command, ERROR, FRAME_MAX, INPUT, INPUT_END, OUTPUT, REQUEST_MAX, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::ChildStdin;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::child::{Running, Streams, start};
use super::{Door, Limits, Refusal, frame};

/// The router sends the request with the connection.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// What a command wrote is in the pipes when it ends; this is for a peer that is slow to take it.
const DRAIN_TIME: Duration = Duration::from_secs(60);

type Reader = BufReader<OwnedReadHalf>;
type Writer = Arc<Mutex<OwnedWriteHalf>>;

/// How a command came to its end.
enum End {
    /// By itself.
    Exited(ExitStatus),
    /// The other side went, or said what makes no sense.
    Gone,
    /// For this reason, by us.
    Refused(Refusal),
}

/// What went to and fro, and when last.
struct Traffic {
    began: Instant,
    /// Milliseconds after the beginning.
    last: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Serves a connection until its end, and writes a line about it.
pub(super) async fn serve(door: Arc<Door>, stream: UnixStream, stop: CancellationToken) {
    let (read, write) = stream.into_split();
    let mut reader = BufReader::with_capacity(FRAME_MAX, read);
    let writer = Arc::new(Mutex::new(write));
    let request = match tokio::time::timeout(REQUEST_TIME, read_request(&mut reader)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a connection without a request");
            return;
        }
        Err(_) => {
            tracing::warn!("a connection without a request");
            return;
        }
    };
    let traffic = Arc::new(Traffic::new());
    let limits = &door.limits;
    let mut whole = pin!(tokio::time::sleep(limits.whole));
    // Making a view ready takes its time, and is no reason not to hear that nobody waits for it any more. It comes to its own
    // end then, with its place.
    let begun = tokio::select! {
        begun = begin(&door, &request) => begun.map_err(End::Refused),
        () = gone(&mut reader) => Err(End::Gone),
        () = &mut whole => Err(End::Refused(Refusal::TooLong { after: limits.whole })),
        () = stop.cancelled() => Err(End::Refused(Refusal::Ending)),
    };
    let ended = match begun {
        Ok(begun) => relay(begun, reader, &writer, &traffic, whole, limits, &stop).await,
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
            frame::write(&mut *writer, ERROR, format!("berth: {refusal}\n").as_bytes()).await?;
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

async fn read_request(reader: &mut Reader) -> io::Result<Request> {
    let mut line = Vec::new();
    (&mut *reader).take(REQUEST_MAX as u64).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(io::Error::from)
}

/// A command that runs, and its place among those that may.
struct Begun {
    running: Running,
    streams: Streams,
    _places: super::Places,
}

async fn begin(door: &Arc<Door>, request: &Request) -> Result<Begun, Refusal> {
    let (door, asked) = (Arc::clone(door), request.clone());
    // Reads the state repo, and may write its hooks.
    let prepared = tokio::task::spawn_blocking(move || door.prepare(&asked)).await;
    let (user, command, places) = prepared.map_err(|_| Refusal::Broken)??;
    let (running, streams) = start(command, &user).map_err(|source| Refusal::Start { source })?;
    Ok(Begun { running, streams, _places: places })
}

/// Carries bytes until the command has ended, or has to.
async fn relay(
    begun: Begun,
    reader: Reader,
    writer: &Writer,
    traffic: &Arc<Traffic>,
    whole: Pin<&mut tokio::time::Sleep>,
    limits: &Limits,
    stop: &CancellationToken,
) -> End {
    // Until now it was us who were silent.
    traffic.note();
    let Begun { mut running, streams, _places } = begun;
    let Streams { input, output, error } = streams;
    let gone = CancellationToken::new();
    let feeding = tokio::spawn({
        let (traffic, gone) = (Arc::clone(traffic), gone.clone());
        async move {
            feed(reader, input, traffic).await;
            gone.cancel();
        }
    });
    let pouring = TaskTracker::new();
    let pours = [
        pouring.spawn(pour(output, OUTPUT, Arc::clone(writer), Arc::clone(traffic), gone.clone())),
        pouring.spawn(pour(error, ERROR, Arc::clone(writer), Arc::clone(traffic), gone.clone())),
    ];
    pouring.close();
    let ended = tokio::select! {
        ended = running.wait() => match ended {
            Ok(status) => End::Exited(status),
            Err(source) => End::Refused(Refusal::Start { source }),
        },
        () = gone.cancelled() => End::Gone,
        () = traffic.silent(limits.idle) => End::Refused(Refusal::Idle { after: limits.idle }),
        () = whole => End::Refused(Refusal::TooLong { after: limits.whole }),
        () = stop.cancelled() => End::Refused(Refusal::Ending),
    };
    match &ended {
        End::Exited(_) => {
            running.end_rest();
            let _ = tokio::time::timeout(DRAIN_TIME, pouring.wait()).await;
        }
        End::Gone | End::Refused(_) => running.end().await,
    }
    feeding.abort();
    for pour in pours {
        pour.abort();
    }
    // Nobody else holds the writer from here on.
    pouring.wait().await;
    ended
}

/// From the peer into the command. Ends when the peer does.
async fn feed(mut reader: Reader, input: ChildStdin, traffic: Arc<Traffic>) {
    let mut input = Some(input);
    let mut payload = Vec::new();
    loop {
        let kind = match frame::read(&mut reader, &mut payload).await {
            Ok(Some(kind)) => kind,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the connection broke");
                return;
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
            _ => return,
        }
        traffic.received(payload.len());
    }
}

/// From the command to the peer.
async fn pour(
    from: impl AsyncRead + Unpin,
    kind: u8,
    writer: Writer,
    traffic: Arc<Traffic>,
    gone: CancellationToken,
) {
    if let Err(error) = carry(from, kind, &writer, &traffic).await {
        tracing::debug!(%error, "the connection broke");
        gone.cancel();
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

/// One line a command.
fn tell(request: &Request, ended: &End, traffic: &Traffic) {
    let Request { user, command, from, .. } = request;
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
            let why = crate::outcome::chain(refusal);
            tracing::warn!(?user, %from, word, millis, received, sent, why, "a command was refused");
        }
    }
}

fn word(command: &Command) -> String {
    match command {
        Command::ReceivePack => "push".to_owned(),
        Command::UploadPack => "fetch".to_owned(),
        Command::ReviewList => "review list".to_owned(),
        Command::ReviewShow(topic) => format!("review show {topic}"),
        Command::ReviewApprove { topic, at } => format!("review approve {topic} {at}"),
        Command::ReviewReject(topic) => format!("review reject {topic}"),
    }
}
