//! A program run in a container, waited for, with the end of what it said. The one place where programs are run there.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::api::{Connection, READ_DEADLINE, bounded};
use crate::error::EngineError;

/// Deadline of a program: a check of ten thousand domains takes seconds.
const DEADLINE: Duration = Duration::from_secs(90);
/// Bytes that are kept of the end of its output.
const SAID_MAX: usize = 4096;
/// Time between two questions to the engine whether a silent program has ended.
const GLANCE: Duration = Duration::from_millis(50);
/// Time that a program may still run after its last word. One that goes on was cut off from us.
const SILENCE: Duration = Duration::from_secs(15);

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: i64,
    /// The end of its output, both streams as they came.
    pub said: String,
}

/// A program to be run.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name and its arguments.
    pub command: &'a [&'a str],
    /// Its standard input; nothing is attached there when this is empty.
    pub input: &'a [u8],
    #[expect(missing_docs, reason = "the name says it")]
    pub deadline: Duration,
}

impl Connection {
    /// Runs a program in a container and waits until it has ended.
    ///
    /// # Errors
    /// It is an error if the end of the program is unknown, or a part of its output is missing.
    pub async fn run(&self, container: &str, command: &[&str]) -> Result<Ran, EngineError> {
        run(&self.docker(), container, command).await
    }
}

pub(crate) async fn run(docker: &Docker, container: &str, command: &[&str]) -> Result<Ran, EngineError> {
    run_program(docker, container, &Program { command, input: &[], deadline: DEADLINE }).await
}

/// Runs a program in the container with this id or name and waits until it has ended.
///
/// # Errors
/// It is an error if the end of the program is unknown, or a part of its output is missing.
pub(crate) async fn run_program(
    docker: &Docker,
    id: &str,
    program: &Program<'_>,
) -> Result<Ran, EngineError> {
    let act = format!("run {}", program.command.first().copied().unwrap_or_default());
    match tokio::time::timeout(program.deadline, run_on(docker, id, program, &act)).await {
        Ok(ran) => ran,
        Err(_) => Err(EngineError::Deadline { act, after: program.deadline }),
    }
}

async fn run_on(docker: &Docker, id: &str, program: &Program<'_>, act: &str) -> Result<Ran, EngineError> {
    let stdin = if program.input.is_empty() { Stdin::Nothing } else { Stdin::Attached };
    let Attached { exec, mut output, mut input } = attach(docker, id, program.command, stdin, act).await?;
    let give = async {
        // One that ends before it has read everything tells by its exit code whether that was right.
        let _ = input.write_all(program.input).await;
        let _ = input.flush().await;
    };
    let take = async {
        let mut said = String::new();
        while hear(&mut output, &mut said, act).await? {}
        Ok::<_, EngineError>(said)
    };
    let ((), said) = tokio::join!(give, take);
    let said = said?;
    Ok(Ran { code: ended(docker, &exec, act).await?, said: said.trim().to_owned() })
}

/// Runs a program in the container with this id or name, and waits until it has said its first line or has ended.
///
/// # Errors
/// It is an error if a part of its output is missing, or if the deadline passes.
pub(crate) async fn hold_program(
    docker: &Docker,
    id: &str,
    program: &Program<'_>,
) -> Result<Held, EngineError> {
    let act = format!("run {}", program.command.first().copied().unwrap_or_default());
    let held = async {
        let Attached { exec, mut output, input } =
            attach(docker, id, program.command, Stdin::Attached, &act).await?;
        let mut said = String::new();
        while !said.contains('\n') && hear(&mut output, &mut said, &act).await? {}
        Ok(Held { docker: docker.clone(), exec, act: act.clone(), output, input, said })
    };
    match tokio::time::timeout(program.deadline, held).await {
        Ok(held) => held,
        Err(_) => Err(EngineError::Deadline { act, after: program.deadline }),
    }
}

/// A program that has said its first line, and ends when it is told to. If this is dropped, its standard input ends.
pub struct Held {
    docker: Docker,
    exec: String,
    act: String,
    output: Output,
    input: Input,
    /// Its words so far: a line, unless it has ended.
    pub said: String,
}

impl Held {
    /// Gives it an empty line and the end of its input, and waits until it has ended.
    ///
    /// # Errors
    /// It is an error if its end is unknown, or if the deadline passes.
    pub async fn release(mut self, deadline: Duration) -> Result<Ran, EngineError> {
        let act = self.act.clone();
        let released = async {
            // One that has ended already can't be told.
            let _ = self.input.write_all(b"\n").await;
            let _ = self.input.shutdown().await;
            while hear(&mut self.output, &mut self.said, &self.act).await? {}
            let code = ended(&self.docker, &self.exec, &self.act).await?;
            Ok(Ran { code, said: self.said.trim().to_owned() })
        };
        match tokio::time::timeout(deadline, released).await {
            Ok(ran) => ran,
            Err(_) => Err(EngineError::Deadline { act, after: deadline }),
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("exec", &self.exec).field("said", &self.said).finish_non_exhaustive()
    }
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A program's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdin {
    Nothing,
    Attached,
}

/// A program that was started.
struct Attached {
    exec: String,
    output: Output,
    input: Input,
}

async fn attach(
    docker: &Docker,
    id: &str,
    command: &[&str],
    stdin: Stdin,
    act: &str,
) -> Result<Attached, EngineError> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdin: Some(stdin == Stdin::Attached),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = bounded(act, READ_DEADLINE, docker.create_exec(id, options)).await?.id;
    match bounded(act, READ_DEADLINE, docker.start_exec(&exec, None)).await? {
        StartExecResults::Attached { output, input } => Ok(Attached { exec, output, input }),
        StartExecResults::Detached => Err(cut_off(act, "the engine doesn't pass on what it says")),
    }
}

/// Adds the next words of a program to what it has said. Returns whether more may follow.
async fn hear(output: &mut Output, said: &mut String, act: &str) -> Result<bool, EngineError> {
    let Some(part) = output.next().await else { return Ok(false) };
    match part.map_err(|source| EngineError::from_call(act, source))? {
        LogOutput::StdOut { message } | LogOutput::StdErr { message } => {
            said.push_str(&String::from_utf8_lossy(&message));
            keep_end(said);
            Ok(true)
        }
        // Without a terminal everything is in frames: what isn't is the beginning of one.
        _ => Err(cut_off(act, "the connection to the engine broke while it spoke")),
    }
}

/// Waits for the exit code, which the engine knows a moment after the last word.
async fn ended(docker: &Docker, exec: &str, act: &str) -> Result<i64, EngineError> {
    let until = Instant::now() + SILENCE;
    loop {
        let exec = bounded(act, READ_DEADLINE, docker.inspect_exec(exec)).await?;
        match exec.exit_code {
            Some(code) if exec.running != Some(true) => return Ok(code),
            None if exec.running == Some(false) => {
                return Err(cut_off(act, "the engine doesn't know how it ended"));
            }
            _ if Instant::now() > until => {
                return Err(cut_off(act, "the engine stopped passing on what it says while it runs"));
            }
            _ => tokio::time::sleep(GLANCE).await,
        }
    }
}

fn cut_off(act: &str, why: &'static str) -> EngineError {
    EngineError::CutOff { act: act.to_owned(), why }
}

fn keep_end(said: &mut String) {
    if said.len() > 2 * SAID_MAX {
        let mut from = said.len() - SAID_MAX;
        while !said.is_char_boundary(from) {
            from += 1;
        }
        said.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{UnixListener, UnixStream};

    use berth_fault::chain;

    use super::*;

    /// "hello" on the standard output, as the engine frames it.
    const HELLO: &[u8] = b"\x01\0\0\0\0\0\0\x05hello";

    /// An engine that runs one program, passes on `says` and then ends the connection, and answers `ended` to who asks
    /// how it ended.
    fn engine(says: &'static [u8], ended: &'static str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("engine");
        let listener = UnixListener::bind(&socket).expect("a socket");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, says, ended));
            }
        });
        (folder, socket)
    }

    async fn serve(mut stream: UnixStream, says: &[u8], ended: &str) {
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let first = head.lines().next().unwrap_or_default();
        let json = |status: &str, body: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        };
        let answer = if first.contains("/start") {
            let upgraded = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
            [upgraded.as_bytes(), says].concat()
        } else if first.starts_with("POST") {
            json("201 Created", r#"{"Id":"e"}"#).into_bytes()
        } else {
            json("200 OK", ended).into_bytes()
        };
        let _ = stream.write_all(&answer).await;
    }

    async fn ran(says: &'static [u8], ended: &'static str) -> Result<Ran, EngineError> {
        let (_folder, socket) = engine(says, ended);
        let path = socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, 20, bollard::API_DEFAULT_VERSION).expect("a client");
        run(&docker, "c", &["greet"]).await
    }

    #[tokio::test]
    async fn the_exit_code_and_the_words_are_the_program_s() {
        let ran = ran(HELLO, r#"{"Running":false,"ExitCode":3}"#).await.expect("it ran");
        assert_eq!(ran, Ran { code: 3, said: "hello".to_owned() });
    }

    #[tokio::test]
    async fn words_that_are_cut_off_are_an_error() {
        let failed = ran(&HELLO[..10], r#"{"Running":false,"ExitCode":0}"#).await.expect_err("cut off");
        assert!(failed.to_string().starts_with("cannot run greet"), "{failed}");
    }

    #[tokio::test]
    async fn an_end_that_nobody_knows_is_an_error() {
        let failed = ran(HELLO, r#"{"Running":false}"#).await.expect_err("no exit code");
        assert!(chain(&failed).contains("doesn't know how it ended"), "{failed}");
    }
}
