//! Git's own programs, kept on a short leash: no prompt, nobody's configuration, no hook, a deadline, and no secret on a
//! command line.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_host::process::Stopped;
use berth_repo::Revision;
use berth_repo::git::{self, Answer};
use berth_schema::remote::{Forge, Remote, Transport};
use berth_schema::secret::Form;
use berth_secrets::{SecretError, Secrets};

/// Time that git has to say where the branch is.
const LOOK: Duration = Duration::from_secs(60);
/// Time that it has to bring the new commits.
const FETCH: Duration = Duration::from_secs(10 * 60);

/// The ref under which a room has the branch that was fetched into it.
pub(crate) const FETCHED: &str = "refs/heads/fetched";

/// Variables that git gets from our environment: they say how this host reaches the network.
const WAYS_OUT: [&str; 12] = [
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

/// Git, with the secrets that it needs.
#[derive(Debug)]
pub(crate) struct Git {
    folder: PathBuf,
    secrets: Secrets,
}

/// Git could not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error(transparent)]
    Program(#[from] git::GitError),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// An obstacle that git met, as far as its words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A secret of this host can't be read.
    Secret,
    /// The forge doesn't let us, or not like this.
    Right,
    /// The repository is at another URL by now.
    Moved,
    /// Everything else: a forge that is away, for instance.
    Other,
}

/// Words of git and of forges for a right that is missing.
const RIGHTS: [&str; 12] = [
    "error: 403",
    "error: 401",
    "denied",
    "Denied",
    "not allowed",
    "not authorized",
    "read only",
    "read-only",
    "could not read Username",
    "protected",
    "declined",
    "Authentication failed",
];
/// Words of git for a redirect, which it doesn't follow.
const MOVED: [&str; 5] = ["error: 301", "error: 302", "error: 303", "error: 307", "error: 308"];

impl GitError {
    /// The obstacle, by git's words: without the forge's names, and this branch's, which may hold any of them.
    pub(crate) fn obstacle(&self, remote: &Remote, branch: &str) -> Obstacle {
        let host = remote.url.place().map_or("", |(host, _)| host);
        let names = [remote.url.as_str(), branch, host].into_iter().filter(|name| !name.is_empty());
        let said = names.fold(berth_fault::chain(self), |said, name| said.replace(name, "…"));
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match self {
            Self::Secret(_) => Obstacle::Secret,
            Self::Program(_) if says(&MOVED) => Obstacle::Moved,
            Self::Program(_) if says(&RIGHTS) => Obstacle::Right,
            Self::Program(_) => Obstacle::Other,
        }
    }
}

impl Git {
    /// Git, which finds the forge's host keys in `folder`.
    pub(crate) fn new(folder: &Path, secrets: Secrets) -> Self {
        Self { folder: folder.to_owned(), secrets }
    }

    /// Returns the tip of the branch that is followed; `None` when the forge has no such branch.
    pub(crate) async fn tip(&self, remote: &Remote) -> Result<Option<Revision>, GitError> {
        self.tip_of(remote, &remote.branch.reference()).await
    }

    /// Returns the commit that a ref of the forge leads to; `None` when it has no such ref.
    pub(crate) async fn tip_of(
        &self,
        remote: &Remote,
        reference: &str,
    ) -> Result<Option<Revision>, GitError> {
        let (git, hidden) = self.outwards(remote, git::Git::nowhere(LOOK))?;
        let arguments = ["--quiet", "--exit-code", "--", remote.url.as_str(), reference];
        let answer = run(git, "ls-remote", &arguments).await?;
        match answer.ended.status.code() {
            Some(0) => Ok(listed(&String::from_utf8_lossy(&answer.output), reference)),
            // Its own code for "no such ref".
            Some(2) => Ok(None),
            _ => Err(hidden.from(answer.ended.into_error()).into()),
        }
    }

    /// Brings the branch into the repository `room`, as [`FETCHED`]. Every object is checked as at a push.
    pub(crate) async fn fetch(&self, remote: &Remote, room: &Path) -> Result<(), GitError> {
        let refspec = format!("+{}:{FETCHED}", remote.branch.reference());
        let (git, hidden) = self.outwards(remote, git::Git::at(room, FETCH))?;
        let arguments = [&QUIET_FETCH[..], &["--", remote.url.as_str(), &refspec]].concat();
        Ok(run(git, "fetch", &arguments).await?.ended.expect_success().map_err(|error| hidden.from(error))?)
    }

    /// Brings a commit of the repository `from` to a branch of the forge's that isn't there yet.
    pub(crate) async fn push(
        &self,
        remote: &Remote,
        from: &Path,
        commit: &Revision,
        branch: &str,
    ) -> Result<(), GitError> {
        let (git, hidden) = self.outwards(remote, git::Git::at(from, FETCH))?;
        let refspec = format!("{commit}:refs/heads/{branch}");
        let arguments = [
            "--quiet",
            "--no-verify",
            "--no-signed",
            "--no-recurse-submodules",
            "--",
            remote.url.as_str(),
            &refspec,
        ];
        Ok(run(git, "push", &arguments).await?.ended.expect_success().map_err(|error| hidden.from(error))?)
    }

    /// Brings what was fetched into `room` into the repository `into`, without moving a ref there.
    pub(crate) async fn adopt(&self, room: &Path, into: &Path) -> Result<(), GitError> {
        let git = settled(git::Git::at(into, FETCH)).variable("GIT_ALLOW_PROTOCOL", "file");
        let room = room.to_string_lossy();
        let arguments = [&QUIET_FETCH[..], &["--", &room, FETCHED]].concat();
        Ok(run(git, "fetch", &arguments).await?.ended.expect_success()?)
    }

    /// Gives git what the forge's transport needs, and allows no other transport. Tells also what it may not repeat.
    fn outwards(&self, remote: &Remote, git: git::Git) -> Result<(git::Git, Hidden), GitError> {
        let git = settled(git).passing_on(&WAYS_OUT).variable("HOME", &self.folder);
        let mut hidden = Hidden::default();
        let git = match remote.url.transport() {
            Transport::Https => {
                let git = git.variable("GIT_ALLOW_PROTOCOL", "https");
                match self.credential(remote)? {
                    Some((token, encoded)) => {
                        let name = format!("http.{}.extraHeader", remote.url);
                        let header = format!("Authorization: Basic {encoded}");
                        hidden.0.extend([token, encoded]);
                        git.config(name, header)
                    }
                    None => git,
                }
            }
            Transport::Ssh => git
                .variable("GIT_ALLOW_PROTOCOL", "ssh")
                .variable("SSH_ASKPASS_REQUIRE", "never")
                .variable("GIT_SSH_COMMAND", self.ssh(remote)?),
            Transport::Path => git.variable("GIT_ALLOW_PROTOCOL", "file"),
        };
        Ok((git, hidden))
    }

    /// The token, and how it is shown to this repository's URL and to nothing else; none for a public repository.
    fn credential(&self, remote: &Remote) -> Result<Option<(String, String)>, GitError> {
        let token = match self.secrets.read(&remote.token, Form::Token) {
            Err(error) if error.is_missing() => return Ok(None),
            token => token?,
        };
        // Any name will do where the password is a token; these are the documented ones.
        let name = match remote.forge {
            Some(Forge::Github) => "x-access-token",
            _ => "oauth2",
        };
        let encoded = STANDARD.encode(format!("{name}:{}", *token));
        Ok(Some((token.to_string(), encoded)))
    }

    /// Git hands this to a shell.
    fn ssh(&self, remote: &Remote) -> Result<OsString, GitError> {
        // ssh reads it itself, and says less of what is wrong with it.
        self.secrets.read(&remote.deploy_key, Form::PrivateKey)?;
        let (key, hosts) = (self.secrets.path(&remote.deploy_key), self.folder.join("known-hosts"));
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

/// The token in each form in which git sends it. Git repeats what a forge, or a proxy, says of a request that failed, and that may hold the
/// request's headers.
#[derive(Default)]
struct Hidden(Vec<String>);

impl Hidden {
    /// Error without them.
    fn from(&self, error: git::GitError) -> git::GitError {
        let git::GitError::Failed { command, status, words } = error else { return error };
        let words = self.0.iter().fold(words, |words, secret| words.replace(secret, "…"));
        git::GitError::Failed { command, status, words }
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

/// Quotes a path as the value of one of ssh's options: ssh splits at spaces, and reads `%` as the beginning of a token.
fn in_ssh(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

fn listed(output: &str, reference: &str) -> Option<Revision> {
    let line = output.lines().filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == reference);
    line.and_then(|(revision, _)| revision.parse().ok())
}

fn settled(git: git::Git) -> git::Git {
    SETTINGS.iter().fold(git, |git, (name, value)| git.config(*name, *value))
}

/// Runs git beside the other tasks. Dropping this ends git with whatever it started, such as ssh.
async fn run(git: git::Git, command: &'static str, arguments: &[&str]) -> Result<Answer, git::GitError> {
    let failed = |source| git::GitError::Run { command, source };
    let (stop, stopped) = Stopped::pair().map_err(failed)?;
    let git = git.until(stopped);
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let answer = tokio::task::spawn_blocking(move || git.run(command, arguments)).await;
    drop(stop);
    answer.unwrap_or_else(|error| Err(failed(io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn what_git_repeats_of_its_request_holds_no_token() {
        let hidden = Hidden(vec!["s3cret".to_owned(), "b2F1dGgyOnMzY3JldA==".to_owned()]);
        let words =
            "remote: you sent Authorization: Basic b2F1dGgyOnMzY3JldA== (s3cret)\nfatal: unable to access"
                .to_owned();
        let (command, status) = ("fetch", ExitStatus::from_raw(1 << 8));
        let shown = hidden.from(git::GitError::Failed { command, status, words }).to_string();
        assert!(
            !shown.contains("s3cret") && !shown.contains("b2F1") && shown.contains("unable to access"),
            "{shown}"
        );
    }
}
