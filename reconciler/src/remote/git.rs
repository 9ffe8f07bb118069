//! Git's own programs, kept on a short leash: no prompt, nobody's configuration, no hook, a deadline, and no secret on a
//! command line.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_repo::Revision;
use berth_schema::remote::{Forge, Remote, Transport};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::secrets::{Kind, SecretError};

/// How long git has to say where the branch is or how two commits are related, and to bring what is new.
const LOOK: Duration = Duration::from_secs(60);
const FETCH: Duration = Duration::from_secs(10 * 60);
/// What is kept of its words.
const WORDS: u64 = 64 << 10;

/// Where the branch stands in the room that something was fetched into.
pub(super) const FETCHED: &str = "refs/heads/fetched";

/// The environment that git gets from ours: where its programs are, and how this host gets out.
const PASSED_ON: [&str; 14] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// Git, with the secrets of one folder.
#[derive(Debug)]
pub(super) struct Git {
    folder: PathBuf,
}

/// What git could not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    /// The program can't be run.
    #[error("run `git {command}`")]
    Run {
        command: &'static str,
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("`git {command}` failed ({status}): {words}")]
    Failed { command: &'static str, status: ExitStatus, words: String },
    /// It didn't end in time.
    #[error("`git {command}` took more than {} s and was ended", deadline.as_secs())]
    Deadline { command: &'static str, deadline: Duration },
    /// A secret that it needs can't be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What git said.
struct Said {
    status: ExitStatus,
    output: String,
    words: String,
}

impl Git {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the branch is; `None` when the forge has no such branch.
    pub(super) async fn tip(&self, remote: &Remote) -> Result<Option<Revision>, GitError> {
        let command = "ls-remote";
        let reference = remote.branch.reference();
        let mut git = self.git(command, Some(remote))?;
        git.args(["--quiet", "--exit-code", "--", remote.url.as_str(), &reference]);
        let said = run(git, command, LOOK).await?;
        match said.status.code() {
            Some(0) => Ok(listed(&said.output, &reference)),
            // Its own code for "no such ref".
            Some(2) => Ok(None),
            _ => Err(said.failed(command)),
        }
    }

    /// Brings the branch into the repository `room`, as [`FETCHED`]. Every object is checked as at a push.
    pub(super) async fn fetch(&self, remote: &Remote, room: &Path) -> Result<(), GitError> {
        let command = "fetch";
        let mut git = self.git(command, Some(remote))?;
        let refspec = format!("+{}:{FETCHED}", remote.branch.reference());
        git.env("GIT_DIR", room).args(QUIET_FETCH).args(["--", remote.url.as_str(), &refspec]);
        run(git, command, FETCH).await?.expect_success(command)
    }

    /// Brings what was fetched into `room` into the repository `into`, without moving a ref there.
    pub(super) async fn adopt(&self, room: &Path, into: &Path) -> Result<(), GitError> {
        let command = "fetch";
        let mut git = self.git(command, None)?;
        git.env("GIT_DIR", into).args(QUIET_FETCH).arg("--").arg(room).arg(FETCHED);
        run(git, command, FETCH).await?.expect_success(command)
    }

    /// Whether `new` is built on `old`, in the repository `at`.
    pub(super) async fn is_ancestor(
        &self,
        at: &Path,
        old: &Revision,
        new: &Revision,
    ) -> Result<bool, GitError> {
        let command = "merge-base";
        let mut git = self.git(command, None)?;
        git.env("GIT_DIR", at).args(["--is-ancestor", &old.to_string(), &new.to_string()]);
        let said = run(git, command, LOOK).await?;
        match said.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(said.failed(command)),
        }
    }

    fn git(&self, command: &'static str, remote: Option<&Remote>) -> Result<Command, GitError> {
        let mut git = Command::new("git");
        git.env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                git.env(name, value);
            }
        }
        git.env("HOME", &self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("GIT_NO_REPLACE_OBJECTS", "1");
        let mut settings: Vec<(String, OsString)> =
            SETTINGS.map(|(name, value)| (name.to_owned(), value.into())).into();
        match remote.map(|remote| remote.url.transport()) {
            Some(Transport::Https) => {
                git.env("GIT_ALLOW_PROTOCOL", "https");
                settings.extend(remote.map(|remote| self.credential(remote)).transpose()?.flatten());
            }
            Some(Transport::Ssh) => {
                git.env("GIT_ALLOW_PROTOCOL", "ssh").env("GIT_SSH_COMMAND", self.ssh()?);
            }
            Some(Transport::Path) | None => {
                git.env("GIT_ALLOW_PROTOCOL", "file");
            }
        }
        // By the environment, which only this user and root may read, and not by the command line, which everybody may.
        git.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (name, value)) in settings.into_iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{at}"), name).env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        git.arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that ssh and git-remote-https end with it.
        git.process_group(0).kill_on_drop(true);
        Ok(git)
    }

    /// The header that shows the token to this repository's URL and to nothing else; none for a public repository.
    fn credential(&self, remote: &Remote) -> Result<Option<(String, OsString)>, GitError> {
        let token = match Kind::Token.read(&self.folder) {
            Err(error) if error.is_missing() => return Ok(None),
            token => token?,
        };
        // Any name will do where the password is a token; these are the documented ones.
        let name = match remote.forge {
            Some(Forge::Github) => "x-access-token",
            _ => "oauth2",
        };
        let encoded = STANDARD.encode(format!("{name}:{token}"));
        Ok(Some((
            format!("http.{}.extraHeader", remote.url),
            format!("Authorization: Basic {encoded}").into(),
        )))
    }

    /// Git hands this to a shell.
    fn ssh(&self) -> Result<OsString, GitError> {
        Kind::DeployKey.read(&self.folder)?;
        let (key, hosts) = (Kind::DeployKey.path(&self.folder), self.folder.join("known-hosts"));
        let hosts = format!("UserKnownHostsFile={}", in_ssh(&hosts));
        let mut command = "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
                           -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
            .to_owned();
        for (option, value) in [("-o", hosts), ("-i", key.to_string_lossy().into_owned())] {
            // Writing to a String can't fail.
            let _ = write!(command, " {option} '{}'", value.replace('\'', r"'\''"));
        }
        Ok(command.into())
    }
}

const QUIET_FETCH: [&str; 6] = [
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-show-forced-updates",
];

const SETTINGS: [(&str, &str); 8] = [
    // A forged object is refused at the door.
    ("transfer.fsckObjects", "true"),
    // A token isn't shown to whatever a forge points at.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("credential.helper", ""),
    ("core.hooksPath", "/dev/null"),
    // What is fetched survives a power cut, before main leads to it.
    ("core.fsync", "committed,reference"),
    ("gc.auto", "0"),
];

/// As the value of one of ssh's options: it splits at spaces, and reads `%` as the beginning of a token.
fn in_ssh(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

fn listed(output: &str, reference: &str) -> Option<Revision> {
    let line = output.lines().filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == reference);
    line.and_then(|(revision, _)| revision.parse().ok())
}

async fn run(mut git: Command, command: &'static str, deadline: Duration) -> Result<Said, GitError> {
    let failed = |source| GitError::Run { command, source };
    let mut child = git.spawn().map_err(failed)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = async {
        let (output, words) = tokio::try_join!(read(stdout), read(stderr))?;
        Ok((child.wait().await?, output, words))
    };
    match tokio::time::timeout(deadline, talk).await {
        Ok(Ok((status, output, words))) => {
            group.ended();
            Ok(Said { status, output, words: last_words(&words) })
        }
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(GitError::Deadline { command, deadline }),
    }
}

/// A process and what it started, which end with this value.
struct Group(Option<Pid>);

impl Group {
    /// The process has ended by itself, and its number may be another's by now.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended in this very moment, which is what is wanted.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Reads all, and keeps the beginning: what isn't read would stop git.
async fn read(from: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut from) = from else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    (&mut from).take(WORDS).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What git adds to whatever ssh said, and what stands in the way of it on one line.
const BOILERPLATE: [&str; 2] =
    ["Please make sure you have the correct access rights", "and the repository exists."];

/// What git said last, on one line, without what a forge could put into it to fool a terminal.
fn last_words(words: &str) -> String {
    let tells = |line: &&str| !line.is_empty() && !BOILERPLATE.contains(line);
    let lines: Vec<&str> = words.lines().map(str::trim).filter(tells).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>().join("; ");
    last.chars().filter(|c| !c.is_control()).take(500).collect()
}

impl Said {
    fn failed(self, command: &'static str) -> GitError {
        GitError::Failed { command, status: self.status, words: self.words }
    }

    fn expect_success(self, command: &'static str) -> Result<(), GitError> {
        if self.status.success() { Ok(()) } else { Err(self.failed(command)) }
    }
}
