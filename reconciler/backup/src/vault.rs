//! The vault: a restic repository, and the one place where restic is run.
//!
//! Its password and its host's credentials reach restic by a file and by its environment, never by its arguments, which everybody on the
//! machine can read.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use berth_fault::{Fault, Kind};
use berth_host::file;
use berth_host::process::{Leader, Stopped};
use berth_schema::backup::{Backup, Keep};
use berth_schema::secret::{Form, variables};
use berth_schema::text::safe_line;
use berth_secrets::{SecretError, Secrets};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest time for any call. A first backup of a full disk over a slow line takes days.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Bytes kept of restic's words.
const WORDS: u64 = 64 << 10;
/// Characters of them that are shown.
const SHOWN: usize = 500;
/// The newest copies, which are kept in any case.
const KEPT: &str = "3";
/// Exit code of a backup that is there, and lacks files that couldn't be read.
const INCOMPLETE: i32 = 3;
/// Variables that restic, and the ssh and rclone that it starts, get from our environment.
const PASSED_ON: [&str; 7] =
    ["PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A repository that can be asked.
#[derive(Debug, Clone)]
pub struct Vault {
    repository: String,
    password: PathBuf,
    variables: Vec<(String, String)>,
    cache: PathBuf,
    /// File with the address of the repository that was used last.
    used: PathBuf,
    /// The platform, as restic's host: two may share a repository.
    platform: String,
    stopped: Option<Arc<Stopped>>,
}

/// A call of restic that failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum VaultError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot run restic")]
    Run(#[source] io::Error),
    #[error("cannot {act}: restic ended with code {code}: {words}")]
    Failed { act: &'static str, code: i32, words: String },
    #[error("cannot {act}: restic was stopped")]
    Killed { act: &'static str },
    #[error("cannot {act}: restic's answer makes no sense")]
    Answer {
        act: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot {act}: restic told no result")]
    NoAnswer { act: &'static str },
    #[error("the repository, which was used before, can't be opened")]
    Gone {
        #[source]
        source: Box<VaultError>,
    },
    #[error("cannot use {path}")]
    Used {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Fault for VaultError {
    fn kind(&self) -> Kind {
        match self {
            Self::Answer { .. } | Self::NoAnswer { .. } => Kind::Internal,
            Self::Killed { .. } => Kind::Interrupted,
            Self::Secret(_) | Self::Run(_) | Self::Failed { .. } | Self::Gone { .. } | Self::Used { .. } => {
                Kind::Configuration
            }
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Run(_) => Some("is restic installed? `apt-get install restic`"),
            Self::Failed { .. } => Some(
                "is `backup.repository` right, is its host up, and does the secret `backup.secret` belong to it? docs/backup.md",
            ),
            Self::Gone { .. } => Some(
                "mount its disk or start its host, and look whether the secret `backup.secret` belongs to it; to begin a new one at this address, remove `<data>/backup/repository`",
            ),
            _ => None,
        }
    }
}

/// A copy in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Its whole id.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
    /// Its tags. The first one says whose it is.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Figures of a copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Id of the copy.
    pub snapshot: String,
    /// Bytes that it holds.
    pub bytes: u64,
    /// Bytes that the repository grew by.
    pub added: u64,
    /// Files and folders that couldn't be read.
    pub unread: u64,
}

/// A copy to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Folder in which the names are.
    pub within: &'a Path,
    /// Names of what is copied, relative to that folder.
    pub names: &'a [String],
    /// Patterns of what is left out.
    pub without: &'a [String],
    /// Tag of it.
    pub tag: &'a str,
    /// The copy with which files are compared, so that only what has changed is read.
    pub parent: Option<&'a str>,
}

/// Line of restic's that tells of a backup.
#[derive(Debug, Deserialize)]
#[serde(tag = "message_type", rename_all = "lowercase")]
enum Line {
    Status {
        #[serde(default)]
        percent_done: f64,
    },
    Error {},
    Summary {
        snapshot_id: String,
        total_bytes_processed: u64,
        data_added: u64,
    },
    #[serde(other)]
    Other,
}

/// Line of restic's that tells of a file.
#[derive(Debug, Deserialize)]
struct Node {
    size: Option<u64>,
}

/// Size of a copy.
#[derive(Debug, Deserialize)]
struct Stats {
    total_size: u64,
}

impl Vault {
    /// The repository of a platform, with the secrets of this host. `folder` is where restic keeps its cache.
    pub fn of(backup: &Backup, platform: &str, secrets: &Secrets, folder: &Path) -> Result<Self, VaultError> {
        // Read here only to be checked: restic reads the file itself.
        secrets.read(&backup.secret, Form::Password)?;
        let credentials = backup.credentials.as_ref();
        let text = credentials.map(|name| secrets.read(name, Form::Variables)).transpose()?;
        let pairs = text.as_deref().and_then(|text| variables(text)).unwrap_or_default();
        Ok(Self {
            repository: backup.repository.to_string(),
            password: secrets.path(&backup.secret),
            variables: pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            cache: folder.join("cache"),
            used: folder.join("repository"),
            platform: platform.to_owned(),
            stopped: None,
        })
    }

    /// The same until somebody drops the other half of `stopped`: restic is killed then.
    #[must_use]
    pub fn until(self, stopped: Stopped) -> Self {
        Self { stopped: Some(Arc::new(stopped)), ..self }
    }

    /// Returns whether the other half of `stopped` has been dropped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.as_deref().is_some_and(Stopped::is_over)
    }

    /// Makes the repository ready for a run: begins it where there never was one, and takes away locks whose owners have died.
    ///
    /// # Errors
    /// One that was used before isn't begun anew: its disk may not be mounted.
    pub fn prepare(&self) -> Result<(), VaultError> {
        let failed = |source| VaultError::Used { path: self.used.clone(), source };
        let was_used = match fs::read_to_string(&self.used) {
            Ok(used) => used == self.repository,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        let open = || self.say("open the repository", &["cat", "config"]);
        if let Err(error) = open() {
            if was_used {
                return Err(VaultError::Gone { source: Box::new(error) });
            }
            // Only one that isn't there can be begun, so this fails wherever the first failure had another cause.
            if self.say("begin the repository", &["init"]).is_err() {
                return Err(error);
            }
            tracing::info!(repository = %self.repository, "the repository is begun");
        }
        if !was_used {
            let made = self.used.parent().map_or(Ok(()), fs::create_dir_all);
            let told = made.and_then(|()| file::replace(&self.used, self.repository.as_bytes(), 0o600));
            told.map_err(failed)?;
        }
        self.say("take away old locks", &["unlock"]).map(drop)
    }

    /// Makes a copy. `heard` hears how much of it is done, from 0 to 1.
    pub fn copy(&self, order: &Order<'_>, heard: &(dyn Fn(f64) + Sync)) -> Result<Copied, VaultError> {
        let act = "make a copy";
        let mut restic = self.restic(&["backup", "--json", "--host", &self.platform, "--tag", order.tag]);
        restic.current_dir(order.within);
        match order.parent {
            Some(parent) => restic.args(["--parent", parent]),
            // Another server's would be compared with otherwise.
            None => restic.arg("--force"),
        };
        restic.args(order.without.iter().map(|pattern| format!("--exclude={pattern}")));
        restic.arg("--").args(order.names);
        let (mut copied, mut unread) = (None, 0);
        let ended = self.lines(act, restic, |line| match serde_json::from_str(line) {
            Ok(Line::Status { percent_done }) => heard(percent_done),
            Ok(Line::Error {}) => unread += 1,
            Ok(Line::Summary { snapshot_id, total_bytes_processed, data_added }) => {
                copied = Some(Copied {
                    snapshot: snapshot_id,
                    bytes: total_bytes_processed,
                    added: data_added,
                    unread: 0,
                });
            }
            Ok(Line::Other) | Err(_) => {}
        });
        match (ended, copied) {
            (Ok(()), Some(copied)) => Ok(copied),
            (Err(VaultError::Failed { code: INCOMPLETE, words, .. }), Some(copied)) => {
                tracing::warn!(words, tag = order.tag, "some files could not be read");
                Ok(Copied { unread: unread.max(1), ..copied })
            }
            (Ok(()), None) => Err(VaultError::NoAnswer { act }),
            (Err(error), _) => Err(error),
        }
    }

    /// Lists the platform's copies, the oldest first; those with this tag, if there is one.
    pub fn snapshots(&self, tag: Option<&str>) -> Result<Vec<Snapshot>, VaultError> {
        let mut arguments = vec!["snapshots", "--json", "--no-lock", "--host", &self.platform];
        arguments.extend(tag.iter().flat_map(|tag| ["--tag", tag]));
        // Without any, restic says `null`.
        let found: Option<Vec<Snapshot>> = self.read("list the copies", &arguments)?;
        let mut found = found.unwrap_or_default();
        found.sort_by_key(|snapshot| snapshot.time);
        Ok(found)
    }

    /// Forgets one copy. What only that one held stays until the next [`Vault::tidy`].
    pub fn forget(&self, snapshot: &str) -> Result<(), VaultError> {
        self.say("forget a copy", &["forget", snapshot]).map(drop)
    }

    /// Forgets what needn't be kept any longer, and frees its space.
    pub fn tidy(&self, keep: &Keep) -> Result<(), VaultError> {
        let [daily, weekly, monthly] =
            [keep.daily.get(), keep.weekly, keep.monthly].map(|number| number.to_string());
        let mut arguments = vec!["forget", "--prune", "--host", &self.platform, "--group-by", "host,tags"];
        // Of a day, more than the newest: it may be a copy of what was lost that day.
        arguments.extend(["--keep-last", KEPT, "--keep-daily", &daily]);
        for (option, number) in [("--keep-weekly", &weekly), ("--keep-monthly", &monthly)] {
            if number != "0" {
                arguments.extend([option, number]);
            }
        }
        self.say("forget old copies", &arguments).map(drop)
    }

    /// Checks that the repository is whole, and that a share of its data, in percent, can be read. Returns restic's words.
    pub fn check(&self, share: u8) -> Result<String, VaultError> {
        let share = format!("--read-data-subset={share}%");
        let mut arguments = vec!["check"];
        if share != "--read-data-subset=0%" {
            arguments.push(&share);
        }
        self.say("check the repository", &arguments)
    }

    /// Bytes that a copy takes when it is restored.
    pub fn size(&self, snapshot: &str) -> Result<u64, VaultError> {
        let stats: Stats = self
            .read("measure a copy", &["stats", "--json", "--no-lock", "--mode", "restore-size", snapshot])?;
        Ok(stats.total_size)
    }

    /// Bytes that the files at `path` in a copy take when they are restored.
    pub fn size_of_part(&self, snapshot: &str, path: &str) -> Result<u64, VaultError> {
        let mut size: u64 = 0;
        let restic = self.restic(&["ls", "--json", "--no-lock", "--recursive", snapshot, path]);
        self.lines("measure a part of a copy", restic, |line| {
            // The first line tells of the copy, and folders have no size.
            if let Ok(Node { size: Some(bytes) }) = serde_json::from_str(line) {
                size = size.saturating_add(bytes);
            }
        })?;
        Ok(size)
    }

    /// Restores a copy, or what lies in it at `path`, into the folder `target`.
    pub fn restore(&self, snapshot: &str, path: Option<&str>, target: &Path) -> Result<(), VaultError> {
        self.lines("restore a copy", self.restoring(snapshot, path, target), |_| {})
    }

    /// Restores what lies in a copy at `path`, and reads every file of it back: what differs from the copy is an error.
    pub fn restore_verified(&self, snapshot: &str, path: &str, target: &Path) -> Result<(), VaultError> {
        let mut restic = self.restoring(snapshot, Some(path), target);
        restic.arg("--verify");
        self.lines("restore a copy and read it back", restic, |_| {})
    }

    fn restoring(&self, snapshot: &str, path: Option<&str>, target: &Path) -> Command {
        let mut restic = self.restic(&["restore", "--no-lock", snapshot]);
        // restic reads it as a pattern.
        restic.args(path.map(|path| format!("--include={}", literal(path))));
        restic.arg("--target").arg(target);
        restic
    }

    fn restic(&self, arguments: &[&str]) -> Command {
        let mut restic = Command::new("restic");
        restic.env_clear();
        restic.envs(PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        restic.envs(self.variables.iter().map(|(name, value)| (name, value)));
        restic
            .env("RESTIC_REPOSITORY", &self.repository)
            .env("RESTIC_PASSWORD_FILE", &self.password)
            .env("RESTIC_CACHE_DIR", &self.cache)
            .env("RESTIC_PROGRESS_FPS", "1")
            .env("LC_ALL", "C.UTF-8")
            .arg("--cleanup-cache")
            .args(arguments);
        restic
    }

    fn read<T: DeserializeOwned>(&self, act: &'static str, arguments: &[&str]) -> Result<T, VaultError> {
        serde_json::from_str(&self.say(act, arguments)?).map_err(|source| VaultError::Answer { act, source })
    }

    fn say(&self, act: &'static str, arguments: &[&str]) -> Result<String, VaultError> {
        let mut said = String::new();
        self.lines(act, self.restic(arguments), |line| {
            said.push_str(line);
            said.push('\n');
        })?;
        Ok(said)
    }

    /// Runs restic to its end, while `heard` hears each line of its output.
    fn lines(
        &self,
        act: &'static str,
        mut restic: Command,
        mut heard: impl FnMut(&str) + Send,
    ) -> Result<(), VaultError> {
        restic.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leader = Leader::start(&mut restic).map_err(VaultError::Run)?;
        let (output, error) = (leader.output(), leader.error());
        let (status, words) = thread::scope(|scope| {
            let words = scope.spawn(|| error.map(words_of).unwrap_or_default());
            scope.spawn(|| {
                // A line that can't be read is none that matters: the exit code tells.
                let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
                lines.map_while(Result::ok).for_each(|line| heard(&line));
            });
            // If it is to stop, all of the group is killed, and so the lines end.
            let status = leader.wait(Instant::now() + LONGEST, self.stopped.as_deref());
            (status, words.join().unwrap_or_default())
        });
        match status.map_err(VaultError::Run)?.and_then(|status| status.code()) {
            None => Err(VaultError::Killed { act }),
            Some(0) => Ok(()),
            Some(code) => Err(VaultError::Failed { act, code, words: safe_line(words.trim(), SHOWN) }),
        }
    }
}

/// Reads everything, and keeps the beginning: what isn't read would stop restic.
fn words_of(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // A failure to read loses words alone.
    let _ = from.by_ref().take(WORDS).read_to_end(&mut bytes);
    let _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A pattern that matches this path and nothing else.
fn literal(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '$') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
