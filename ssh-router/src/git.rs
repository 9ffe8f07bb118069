//! The login `git`: carries commands to the control plane's git door, in frames.
//!
//! Nothing runs here, and there is no shell or forwarding. Whoever asks for a terminal gets line ends for one, and Ctrl-C. Data
//! from the person waits in the end's queue, as it does for a server. Data from the door is read only when the person has taken the data before it. Neither fills memory.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_schema::door::{
    Command, FRAME_MAX, FrameError, Head, INPUT, INPUT_END, Places, Request, Said, no_files,
};
use berth_schema::name::{Invalid, UserName};
use russh::server::Msg;
use russh::{ChannelId, ChannelWriteHalf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::end::End;
use crate::event::Event;
use crate::link::Links;
use crate::screen::Screen;
use crate::settings::Settings;
use crate::unjoined::Unjoined;

/// Way to the control plane's git door, and places for the commands in it.
#[derive(Debug)]
pub(crate) struct Door {
    socket: PathBuf,
    places: Arc<Places>,
}

/// Channel that runs nothing yet.
struct Ready {
    channel: Unjoined,
    protocol: Option<String>,
    screen: Screen,
}

/// Person who asks, and the address that they come from.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) user: UserName,
    pub(crate) peer: SocketAddr,
}

/// Login as `git` of one connection.
pub(crate) struct Login {
    door: Arc<Door>,
    links: Arc<Links>,
    caller: Caller,
    ready: HashMap<ChannelId, Ready>,
}

/// Reasons why a command broke off before its own end.
#[derive(Debug, thiserror::Error)]
enum GitError {
    #[error(
        "the git door isn't open: the control plane doesn't run or is just starting; try again in a moment"
    )]
    Closed(#[source] io::Error),
    #[error("too many commands of this login are running; try again in a moment")]
    Busy,
    #[error(
        "the control plane broke off; a change may have been accepted all the same, which `log` and `git fetch` show"
    )]
    BrokenOff(#[source] io::Error),
    #[error(
        "the router doesn't understand the control plane's answer; ask an admin whether both are of the same release"
    )]
    Frame(#[from] FrameError),
    #[error(
        "cannot hold more for a control plane that takes nothing: the overflow limit is reached; try again in a moment"
    )]
    Overflow,
    #[error("interrupted; a change that was accepted goes on")]
    Interrupted,
    /// Told to nobody: only the log has it.
    #[error("the person left")]
    Left,
}

/// Longest wait for the door. It answers at once or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Exit code of a command that the router refuses.
const REFUSED: u32 = 1;
/// Exit code of a command that the person interrupted: a shell's for SIGINT.
const INTERRUPTED: u32 = 130;

impl Door {
    /// Way to the door of the settings; `None` if they name none.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        Some(Self {
            socket: settings.git_socket.clone()?,
            places: Places::new(settings.git_commands, settings.git_commands_each),
        })
    }

    async fn open(&self, request: &Request) -> Result<UnixStream, GitError> {
        let open = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            Ok(stream)
        };
        let opened = tokio::time::timeout(CONNECT_MAX, open).await;
        opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(GitError::Closed)
    }
}

impl Login {
    pub(crate) fn new(door: Arc<Door>, links: Arc<Links>, caller: Caller) -> Self {
        Self { door, links, caller, ready: HashMap::new() }
    }

    /// Takes a channel that the person opened.
    pub(crate) fn open(&mut self, channel: Unjoined) {
        self.ready.insert(channel.id(), Ready { channel, protocol: None, screen: Screen::None });
    }

    /// Returns whether the channel runs a command, which takes the person's data.
    pub(crate) fn runs(&self, id: ChannelId) -> bool {
        !self.ready.contains_key(&id)
    }

    /// Sets a variable of the coming command; returns whether the login takes it.
    pub(crate) fn set_env(&mut self, id: ChannelId, name: &str, value: &str) -> bool {
        let Some(ready) = self.ready.get_mut(&id).filter(|_| name == "GIT_PROTOCOL") else { return false };
        ready.protocol = Command::protocol(value.as_bytes());
        ready.protocol.is_some()
    }

    /// Gives the coming command a screen; returns whether the channel waits for one.
    pub(crate) fn set_screen(&mut self, id: ChannelId) -> bool {
        let Some(ready) = self.ready.get_mut(&id) else { return false };
        ready.screen = Screen::Terminal;
        true
    }

    /// Runs a command line, or without one greets the person. Either happens beside the callback that asks and speaks after
    /// it. Returns `false` if the channel has asked before.
    pub(crate) fn run(&mut self, id: ChannelId, line: Option<&[u8]>) -> bool {
        let Some(ready) = self.ready.remove(&id) else { return false };
        let command = Command::parse(line.unwrap_or_default());
        run(Arc::clone(&self.door), &self.links, ready, self.caller.clone(), command);
        true
    }

    /// Tells somebody who wants to copy files that there are none here. Returns `false` if the channel has asked before.
    pub(crate) fn tell_no_files(&mut self, id: ChannelId) -> bool {
        let Some(ready) = self.ready.remove(&id) else { return false };
        run(Arc::clone(&self.door), &self.links, ready, self.caller.clone(), Err(no_files()));
        true
    }

    /// Forgets a channel that the person closed.
    pub(crate) fn close(&mut self, id: ChannelId) {
        self.ready.remove(&id);
    }
}

/// Runs a command line beside the callback that brought it.
fn run(door: Arc<Door>, links: &Links, ready: Ready, caller: Caller, parsed: Result<Command, Invalid>) {
    links.spawn(async move {
        let (words, code) = match parsed {
            Ok(command) => {
                let is_greeting = matches!(&command, Command::Lobby(line) if line.as_str().is_empty());
                match attempt(&door, &ready, &caller, command).await {
                    Ok(code) => (None, code),
                    Err(GitError::Closed(_)) if is_greeting => (Some(greeting(&caller.user)), 0),
                    Err(error @ GitError::Interrupted) => (Some(format!("berth: {error}\n")), INTERRUPTED),
                    Err(error) => (Some(format!("berth: {error}\n")), REFUSED),
                }
            }
            Err(refusal) => {
                tracing::info!(peer = %caller.peer, user = %caller.user, "git command refused");
                (Some(format!("berth: {}\n  hint: {}\n", refusal.message, refusal.hint)), REFUSED)
            }
        };
        ready.channel.finish(words.map(|words| ready.screen.text(words)), code).await;
    });
}

/// Runs one command and logs it.
async fn attempt(
    door: &Arc<Door>,
    ready: &Ready,
    caller: &Caller,
    command: Command,
) -> Result<u32, GitError> {
    let Caller { user, peer } = caller;
    let from = peer.ip().to_canonical();
    let request = Request { user: user.to_string(), command, protocol: ready.protocol.clone(), from };
    let start = Instant::now();
    // Git draws no lines: its bytes are its own.
    let screen = match &request.command {
        Command::ReceivePack | Command::UploadPack => Screen::None,
        _ => ready.screen,
    };
    let outcome = carry(door, user, &request, &ready.channel, screen).await;
    let (command, seconds) = (&request.command, start.elapsed().as_secs());
    match &outcome {
        Ok(code) => tracing::info!(%peer, %user, ?command, seconds, code, "git command ended"),
        Err(error @ (GitError::Left | GitError::Interrupted)) => {
            let is_left = matches!(error, GitError::Left);
            tracing::info!(%peer, %user, ?command, seconds, is_left, "git command left");
        }
        Err(error) => {
            let error: &dyn std::error::Error = error;
            tracing::error!(%peer, %user, ?command, seconds, error, "git command broke off");
        }
    }
    outcome
}

/// Tells somebody their name and the purpose of this login while the door, which knows more, is closed.
fn greeting(user: &UserName) -> String {
    format!(
        "Hello {user}. This login is for git and for commands, and has no shell. The control plane doesn't run or is just starting; \
         once it does, `ssh git@<host> -p <port> help` lists the commands.\n\
         git clone ssh://git@<host>:<port>/state gets the state repo, with the host and the port that you used now.\n\
         Into a server: ssh <server>@<host> -p <port>\n"
    )
}

/// Carries a command until it ends or breaks off.
async fn carry(
    door: &Arc<Door>,
    user: &UserName,
    request: &Request,
    Unjoined { end, half, .. }: &Unjoined,
    screen: Screen,
) -> Result<u32, GitError> {
    let _place = door.places.take(user).map_err(|_| GitError::Busy)?;
    let carried = async {
        let (from, to) = door.open(request).await?.into_split();
        let up = upload(end, to, screen);
        let down = download(BufReader::with_capacity(FRAME_MAX, from), half, screen);
        tokio::pin!(up, down);
        tokio::select! {
            code = &mut down => code,
            // The door's last words come after the end of the input.
            uploaded = &mut up => match uploaded {
                Uploaded::Whole => down.await,
                Uploaded::Interrupted => Err(GitError::Interrupted),
            },
        }
    };
    tokio::select! {
        outcome = carried => outcome,
        () = end.closed.cancelled() => Err(GitError::Left),
        () = end.inbox.broken() => Err(GitError::Overflow),
    }
}

/// End of what a person sends.
enum Uploaded {
    /// The door takes no more.
    Whole,
    /// They typed Ctrl-C at a terminal.
    Interrupted,
}

/// Writes the person's data to the door until the door takes no more.
async fn upload(end: &End, mut door: OwnedWriteHalf, screen: Screen) -> Uploaded {
    loop {
        let sent = match end.inbox.next().await {
            Ok(Event::Data(data)) if screen.interrupts(&data) => return Uploaded::Interrupted,
            Ok(Event::Data(data)) => send(&mut door, &data).await,
            Ok(Event::Eof) => door.write_all(&Head { kind: INPUT_END, length: 0 }.bytes()).await,
            // The channel's own token tells of its close, and a client sends nothing else.
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if sent.is_err() {
            end.inbox.abandon();
            return Uploaded::Whole;
        }
    }
}

async fn send(door: &mut OwnedWriteHalf, data: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(Head::BYTES + data.len().min(FRAME_MAX));
    for piece in data.chunks(FRAME_MAX) {
        frame.clear();
        frame.extend_from_slice(&Head { kind: INPUT, length: piece.len() }.bytes());
        frame.extend_from_slice(piece);
        door.write_all(&frame).await?;
    }
    Ok(())
}

/// Reads the door's answer up to the exit code, each piece only when the person has taken the one before.
async fn download(
    mut door: BufReader<OwnedReadHalf>,
    half: &ChannelWriteHalf<Msg>,
    screen: Screen,
) -> Result<u32, GitError> {
    loop {
        let mut head = [0; Head::BYTES];
        door.read_exact(&mut head).await.map_err(GitError::BrokenOff)?;
        let (length, is_error) = match Said::try_from(Head::read(head)?)? {
            Said::Output(length) => (length, false),
            Said::Error(length) => (length, true),
            Said::Exit => return door.read_u32().await.map_err(GitError::BrokenOff),
        };
        let mut data = vec![0; length];
        door.read_exact(&mut data).await.map_err(GitError::BrokenOff)?;
        let data = screen.bytes(data);
        let taken = match is_error {
            false => half.data_bytes(data).await,
            true => half.extended_data_bytes(1, data).await,
        };
        taken.map_err(|_| GitError::Left)?;
    }
}
