//! The process that whoever starts the door knows. The door itself is its child, which tells it how it is.
//!
//! Asked to end, the front has the door close. It ends once another door may open, and leaves the child to finish what people have begun:
//! a push takes as long as the line of whoever pushes is slow, and an upgrade must not end it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use berth_host::process::Group;
use berth_host::service;
use berth_tasks::Tasks;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::command::Exit;

/// Word of a door that works.
const ALIVE: &str = "alive";
/// Word of a door that is closed, and whose commands run on.
const FINISHING: &str = "finishing";

/// Starts the door as a child, by our own command line and this flag with our id, and stays until it has ended or needs nobody any more.
pub(super) async fn keep(flag: impl AsRef<OsStr>) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let program = std::env::current_exe().context("cannot find our own program")?;
    let mut door = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(flag)
        .arg(std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A Ctrl-C in the terminal reaches it through us, once.
        .process_group(0)
        .spawn()
        .context("cannot start the door")?;
    let group = door.id().and_then(Group::led_by);
    let words = door.stdout.take().context("cannot hear the door")?;
    if hear(words, &tasks, group).await? {
        tracing::info!(pid = door.id(), "commands run on in a process of their own; SIGTERM ends them");
        return Ok(Exit::Ok);
    }
    let ended = door.wait().await.context("cannot wait for the door")?;
    match ended.code() {
        Some(0) => Ok(Exit::Ok),
        // It may have been asked before it could hear that.
        None if tasks.stop().is_cancelled() => Ok(Exit::Ok),
        // It has said why.
        Some(code) => Ok(Exit::As(u8::try_from(code).unwrap_or(1))),
        None => bail!("cannot go on without the door: {ended}"),
    }
}

/// Listens to the door until it ends, or says that it finishes; returns whether it did.
async fn hear(words: ChildStdout, tasks: &Tasks, door: Option<Group>) -> anyhow::Result<bool> {
    let mut words = BufReader::new(words).lines();
    let mut asked = false;
    loop {
        tokio::select! {
            word = words.next_line() => match word.context("cannot hear the door")?.as_deref() {
                Some(ALIVE) => service::alive(),
                Some(FINISHING) if asked => return Ok(true),
                Some(FINISHING) => bail!("cannot go on without the door: somebody else asked it to end"),
                Some(_) => {}
                None => return Ok(false),
            },
            () = tasks.stop().cancelled(), if !asked => {
                asked = true;
                if let Some(door) = door {
                    door.ask_leader();
                }
            }
        }
    }
}

/// Has the door end with its front, the process with this id: one that is killed can't close it, and the next would find this one in its
/// place. The thread that says so may not act as anybody else afterwards: the kernel would forget it.
pub(super) fn end_with(front: u32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot be made to end with the front")?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get().cast_unsigned());
    match parent == Some(front) {
        true => Ok(()),
        false => bail!("cannot go on without the front, which has ended: start `berth git` again"),
    }
}

/// Tells the front that the door works.
pub(super) fn alive() {
    tell(ALIVE);
}

/// Tells the front that it needn't stay: commands run on without it. Returns what has them end, too, which is another SIGTERM.
pub(super) fn leave() -> anyhow::Result<impl Future<Output = ()>> {
    let mut again = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    set_parent_process_death_signal(None).context("cannot outlive the front")?;
    tell(FINISHING);
    Ok(async move {
        again.recv().await;
    })
}

fn tell(word: &str) {
    // Where nobody listens, the front is gone, and this process with it in a moment.
    let _ = writeln!(std::io::stdout(), "{word}");
}
