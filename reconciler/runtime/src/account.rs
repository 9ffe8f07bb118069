//! A server's own account with the kernel.
//!
//! The kernel counts inotify instances, namespaces, queues, signals and locked memory for whoever *made* the user namespace that
//! they belong to, and refuses once that user has had enough (`user_namespaces(7)`, `namespaces(7)`). Made by runc, all servers'
//! namespaces would be one account, the host's root's: what one server takes, the others and the host lack. So the namespace
//! is made here, by a process that is a user of its own for each server, and runc joins it.
//!
//! That user owns no file and runs no program. Only its number counts, which is above those of people and services
//! (`systemd.io/UIDS-GIDS`) and of ranges ([`crate::ranges`]).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use oci_spec::runtime::LinuxIdMapping;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};
use rustix::{fs::Gid, fs::Uid};

/// The verb of the process that makes the namespace and holds it until runc has joined it.
pub(crate) const HOLD: &str = "hold";

/// Variable that says a server's id.
const SERVER_ID: &str = "BERTH_SERVER_ID";

/// The first user here. All of them lie above the ids of people, services and containers.
const FIRST_USER: u32 = 0x8000_0000;

/// The largest id of a server that has a user here.
const LARGEST_ID: u32 = 0xffff;

/// Platforms whose servers have users of their own. Which one a platform is follows from its prefix, so two may be the same one:
/// their servers with the same id would share an account.
const PLATFORMS: u32 = 0xffe;

/// Number of users here.
const USERS: u32 = PLATFORMS * (LARGEST_ID + 1);

/// Ceilings of one server, of each kind (`/proc/sys/user/`). The account alone is as large as the host's setting, and a server could
/// fill the kernel's memory with it. Root in the server can't raise these: it lacks `CAP_SYS_RESOURCE`.
const CEILINGS: &[(&str, u64)] = &[
    ("max_cgroup_namespaces", 2_000),
    ("max_ipc_namespaces", 2_000),
    ("max_mnt_namespaces", 2_000),
    ("max_net_namespaces", 2_000),
    ("max_pid_namespaces", 2_000),
    ("max_time_namespaces", 2_000),
    ("max_user_namespaces", 2_000),
    ("max_uts_namespaces", 2_000),
    ("max_inotify_instances", 2_048),
    ("max_inotify_watches", 524_288),
    ("max_fanotify_groups", 128),
    ("max_fanotify_marks", 65_536),
];

/// Totals of all processes of one server. The kernel takes these from the process that makes the namespace, so they
/// are said and not inherited from whoever started the engine.
const TOTALS: &[(Resource, u64)] =
    &[(Resource::Sigpending, 65_536), (Resource::Msgqueue, 8 << 20), (Resource::Memlock, 64 << 20)];

/// Reason for which a server could not be given its account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The environment doesn't say one id.
    #[error("{SERVER_ID} is {found:?}; it has to be one number up to {LARGEST_ID}")]
    Id { found: Vec<String> },
    /// The process that makes the namespace could not be started.
    #[error("cannot start the process that makes the server's user namespace")]
    Start(#[source] io::Error),
    /// The process failed.
    #[error("the server's user namespace could not be made: {said}")]
    Made { said: String },
    /// The namespace could not be given its mappings.
    #[error("cannot write {}", path.display())]
    Map { path: PathBuf, source: io::Error },
}

/// A server, as its container's environment tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    /// The number of its platform, less than [`PLATFORMS`].
    pub(crate) platform: u32,
    /// Its id.
    pub(crate) id: u32,
}

impl Server {
    /// Finds it by the environment of a container and the prefix of its platform; `None` for one that isn't a server.
    pub(crate) fn find<'a>(
        prefix: &str,
        lines: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Self>, AccountError> {
        let is_id = |line: &'a str| line.strip_prefix(SERVER_ID)?.strip_prefix('=');
        let found: Vec<&str> = lines.filter_map(is_id).collect();
        let id = match found.as_slice() {
            [] => return Ok(None),
            [one] => one.parse().ok().filter(|id: &u32| *id <= LARGEST_ID),
            _ => None,
        };
        let unclear = || AccountError::Id { found: found.iter().map(|&text| text.to_owned()).collect() };
        id.map(|id| Some(Self { platform: platform(prefix), id })).ok_or_else(unclear)
    }

    /// The user whose account its namespace is on.
    fn maker(self) -> Maker {
        Maker(FIRST_USER + self.platform * (LARGEST_ID + 1) + self.id)
    }
}

/// The user whose account a server's namespace is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Maker(u32);

impl Maker {
    /// Reads the argument of [`HOLD`].
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|user| (FIRST_USER..FIRST_USER + USERS).contains(user)).map(Self)
    }
}

/// The number of a platform (FNV-1a of its prefix). It has to be the same in every release: servers of one that ran before go on.
fn platform(prefix: &str) -> u32 {
    let hash =
        prefix.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % PLATFORMS
}

/// A user namespace, and the process that keeps it there until this value is dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// Makes it, on the account of a server, with these mappings.
    pub(crate) fn make(
        program: &Path,
        server: Server,
        uids: &[LinuxIdMapping],
        gids: &[LinuxIdMapping],
    ) -> Result<Self, AccountError> {
        let holder = Command::new(program)
            .args([HOLD, &server.maker().0.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(AccountError::Start)?;
        let mut namespace = Self { holder };
        namespace.hear()?;
        namespace.map("uid_map", uids)?;
        namespace.map("gid_map", gids)?;
        namespace.tell().map_err(AccountError::Start)?;
        namespace.hear()?;
        Ok(namespace)
    }

    /// The path that names it, good while this value lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/user", self.holder.id()).into()
    }

    fn map(&self, file: &str, mappings: &[LinuxIdMapping]) -> Result<(), AccountError> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.holder.id()));
        let text: String = mappings
            .iter()
            .map(|one| format!("{} {} {}\n", one.container_id(), one.host_id(), one.size()))
            .collect();
        // The kernel takes a map in one call.
        fs::write(&path, text).map_err(|source| AccountError::Map { path, source })
    }

    fn tell(&mut self) -> io::Result<()> {
        self.holder.stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(b"."))
    }

    /// Waits until the holder has done its part, or says why it couldn't.
    fn hear(&mut self) -> Result<(), AccountError> {
        let heard = self.holder.stdout.as_mut().map(|pipe| pipe.read_exact(&mut [0]));
        if matches!(heard, Some(Ok(()))) {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut pipe) = self.holder.stderr.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        Err(AccountError::Made { said: said.trim().to_owned() })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The other process. It makes the namespace, waits for its mappings, writes its ceilings, and holds it until standard input ends.
///
/// Only its *effective* user is the maker. The real one stays root, so that no process limit of the maker's counts; and it keeps
/// its capabilities, for kernels that keep user namespaces from ordinary users.
pub(crate) fn hold(maker: &str) -> io::Result<()> {
    let maker = Maker::parse(maker).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{maker:?} makes no namespaces"))
    })?;
    for (resource, total) in TOTALS {
        limit(*resource, *total)?;
    }
    let all = capabilities(None)?;
    set_thread_res_gid(None, Gid::from_raw(maker.0), None)?;
    set_thread_res_uid(None, Uid::from_raw(maker.0), None)?;
    set_capabilities(None, all)?;
    unshare(CloneFlags::CLONE_NEWUSER)?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut done = || output.write_all(b".").and_then(|()| output.flush());
    done()?;
    input.read_exact(&mut [0])?;
    for (name, ceiling) in CEILINGS {
        lower(&Path::new("/proc/sys/user").join(name), *ceiling)?;
    }
    done()?;
    input.read_to_end(&mut Vec::new()).map(drop)
}

/// Text of what a namespace gets.
#[cfg(test)]
pub(crate) fn told() -> String {
    format!("{CEILINGS:?} {TOTALS:?}")
}

/// Sets both limits of a resource, as far as this process may.
fn limit(resource: Resource, total: u64) -> io::Result<()> {
    let total = getrlimit(resource).maximum.map_or(total, |most| total.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(total), maximum: Some(total) })?)
}

/// Writes a ceiling. A kernel that doesn't count this kind has no file for it.
fn lower(path: &Path, ceiling: u64) -> io::Result<()> {
    match fs::write(path, ceiling.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))),
        Ok(()) => Ok(()),
    }
}
