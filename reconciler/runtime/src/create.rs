//! `create`, top to bottom: make the user namespace, shift the mounts, edit the bundle, call runc, delegate the cgroup.
//!
//! A container's part in the user plane, which its environment tells, decides what it gets. A server, and a container whose
//! environment tells nothing, gets its cgroup and the edits for a nested runc; the platform's own containers don't. Each
//! member of a plane gets the hook that links it. An environment that isn't clear stops the creation.
//!
//! All or nothing: when the delegation fails the container is deleted again, because a server without its cgroup would
//! start and then hang in its first process.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use berth_host::{SERVERS, Way, WayRecord, loaded_profiles};
use berth_link::{InvalidMember, Member};

use crate::account::{AccountError, Namespace, Server};
use crate::arguments::{CreateRequest, Invocation, LINK};
use crate::bundle::{Bundle, BundleError};
use crate::cgroup::{self, CgroupError};
use crate::enter::give_pipes;
use crate::mounts::{MountError, ROOT, forget, open_ids, shift_all, withdraw};
use crate::ranges::{Range, RangeError};
use crate::report::{Weight, report};

/// Reason for which a container was not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// runc is not there or can't be executed.
    #[error("cannot run {}", program.display())]
    Runc { program: OsString, source: io::Error },
    /// The bundle is not usable.
    #[error("the bundle of the container could not be prepared")]
    Bundle(#[from] BundleError),
    /// The environment says something about a plane that can't be followed.
    #[error("the container's environment does not say clearly what it is to the user plane")]
    Member(#[from] InvalidMember),
    /// The hook needs a path that names this program.
    #[error("cannot learn the path of this program")]
    OwnPath(#[source] io::Error),
    /// The container could not be given an account of its own with the kernel.
    #[error(
        "the server can't have an account of its own with the kernel (docs/isolation.md; `berth engine setup --way shared` goes without)"
    )]
    Account(#[from] AccountError),
    /// The server has no range of ids.
    #[error("the server can't have ids of its own (docs/isolation.md)")]
    Range(#[from] RangeError),
    /// The server's files could not be shown to it with ids of its own.
    #[error(
        "the server can't have ids of its own (`berth engine check` tries it; with `berth engine setup --way account` it runs with those of all)"
    )]
    Mounts(#[from] MountError),
    /// The process id of the container's first process is not known.
    #[error("cannot learn the container's process id from {}", from.display())]
    Pid { from: PathBuf, source: io::Error },
    /// The way of the server could not be written down for others.
    #[error("cannot write down in {SERVERS} how the server runs, so `berth status` can't say it")]
    Record(#[source] io::Error),
    /// The host's AppArmor profiles can't be listed.
    #[error("cannot tell whether the AppArmor profile of servers is loaded")]
    Profiles(#[source] io::Error),
    /// The container could not be given its cgroup.
    #[error("the container's cgroup could not be delegated to its root")]
    Delegate(#[from] CgroupError),
}

/// Creates the container. The exit code is runc's own, unless something around runc failed.
pub(crate) fn create(runc: &OsStr, invocation: &Invocation, request: &CreateRequest) -> ExitCode {
    let Prepared { bundle, edits, way, namespace, engine_s_root } = match prepare(invocation, request) {
        Ok(prepared) => prepared,
        Err(error) => return failed(invocation, &error),
    };
    let status = match Command::new(runc).args(invocation.arguments()).status() {
        Ok(status) => status,
        Err(source) => return failed(invocation, &CreateError::Runc { program: runc.into(), source }),
    };
    // The container's first process is in it by now.
    drop(namespace);
    if !status.success() {
        return code_of(status);
    }
    if edits == Edits::OfPlatform {
        return ExitCode::SUCCESS;
    }
    if bundle.mapped_root.is_none() && way.is_none() {
        return ExitCode::SUCCESS;
    }
    let delegated =
        process_id(runc, invocation, request).and_then(|pid| delegate(pid, &bundle).map(|()| pid));
    let pid = match delegated {
        Ok(pid) => pid,
        Err(error) => {
            delete(runc, invocation, request);
            return failed(invocation, &error);
        }
    };
    // The server is there. What is left to do is for those who look at it from outside.
    let noted = way.map_or(Ok(()), |way| note(way, pid, request).map_err(CreateError::Record));
    let forgotten = engine_s_root.map_or(Ok(()), |path| forget(&path).map_err(CreateError::Mounts));
    for error in [noted, forgotten].into_iter().filter_map(Result::err) {
        report(invocation, Weight::Warning, &error);
    }
    ExitCode::SUCCESS
}

/// Writes down how a server runs.
fn note(way: Way, pid: u32, request: &CreateRequest) -> io::Result<()> {
    WayRecord::of_process(way, pid)?.write(SERVERS.as_ref(), &request.id.to_string_lossy())
}

/// Strikes out how a server ran that is removed. Whoever reads it sees that its process has ended, so nobody is misled if this fails.
pub(crate) fn strike_out(container: &OsStr) {
    let _ = WayRecord::remove(SERVERS.as_ref(), &container.to_string_lossy());
}

/// Edits that a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edits {
    /// Its own cgroup, and everything that a nested runc needs.
    OfServer,
    /// Neither: it is one of the platform's own.
    OfPlatform,
}

/// All that runc needs.
struct Prepared {
    bundle: Bundle,
    edits: Edits,
    /// The way of a server; none of other containers.
    way: Option<Way>,
    /// The user namespace that the bundle names, which is gone when this is dropped.
    namespace: Option<Namespace>,
    /// The engine's own mount of the root, where the server gets another.
    engine_s_root: Option<PathBuf>,
}

fn prepare(invocation: &Invocation, request: &CreateRequest) -> Result<Prepared, CreateError> {
    let mut bundle = Bundle::read(&request.bundle)?;
    let member = Member::from_environment(bundle.environment())?;
    let edits = match member {
        None | Some(Member::Server { .. }) => Edits::OfServer,
        Some(Member::Holder { .. } | Member::Service { .. }) => Edits::OfPlatform,
    };
    if edits == Edits::OfServer {
        bundle.prepare_for_server();
        match loaded_profiles() {
            Ok(loaded) => bundle.fit_profile(&loaded),
            // It starts as the engine would have it.
            Err(source) => report(invocation, Weight::Warning, &CreateError::Profiles(source)),
        }
    }
    if member.is_some() {
        let program = std::env::current_exe().map_err(CreateError::OwnPath)?;
        let mut arguments = invocation.log_flags();
        arguments.push(LINK.into());
        bundle.add_hook(&program, &arguments)?;
    }
    let mut prepared = Prepared { bundle, edits, way: None, namespace: None, engine_s_root: None };
    if edits == Edits::OfServer {
        prepared.keep_apart(member.as_ref(), invocation.way)?;
    }
    prepared.bundle.save()?;
    Ok(prepared)
}

impl Prepared {
    /// Gives a server what is to be its own, and has the bundle say so.
    fn keep_apart(&mut self, member: Option<&Member>, way: Way) -> Result<(), CreateError> {
        let prefix = match member {
            Some(Member::Server { plane, .. }) => plane,
            _ => "",
        };
        let Some(server) = Server::find(prefix, self.bundle.environment())? else { return Ok(()) };
        if way == Way::Shared || !self.bundle.has_new_user_namespace() {
            self.way = Some(Way::Shared);
            return Ok(());
        }
        let program = std::env::current_exe().map_err(CreateError::OwnPath)?;
        if way == Way::Own {
            self.engine_s_root = Some(self.bundle.root()?);
            shift_mounts(&mut self.bundle, server, &program)?;
        }
        let (uids, gids) = &self.bundle.mappings;
        let namespace = Namespace::make(&program, server, uids, gids)?;
        self.bundle.join_user_namespace(&namespace.path())?;
        self.namespace = Some(namespace);
        self.way = Some(way);
        Ok(())
    }
}

/// Shows a server its files through a range of ids of its own, in a mount namespace of this process.
fn shift_mounts(bundle: &mut Bundle, server: Server, program: &Path) -> Result<(), CreateError> {
    let range = Range::of(server)?;
    let (uids, gids) = &bundle.mappings;
    let inside = (range.inside(uids)?, range.inside(gids)?);
    let disk = Namespace::make(program, server, &range.on_disk(uids)?, &range.on_disk(gids)?)?;
    let ids = open_ids(&disk.path())?;
    drop(disk);
    withdraw()?;
    shift_all(&ids, &bundle.root()?, &bundle.binds())?;
    bundle.move_to(inside, ROOT.as_ref())?;
    give_pipes(range.root());
    Ok(())
}

/// Gives the cgroup away. Without a user namespace the container's root owns it already.
fn delegate(pid: u32, bundle: &Bundle) -> Result<(), CreateError> {
    let Some(root) = bundle.mapped_root else { return Ok(()) };
    cgroup::delegate(pid, bundle.cgroups_path.as_deref(), root)?;
    Ok(())
}

/// The process id of the container's first process: from the pid file, or else from `runc state`.
fn process_id(runc: &OsStr, invocation: &Invocation, request: &CreateRequest) -> Result<u32, CreateError> {
    let invalid = |text: &dyn std::fmt::Debug| {
        io::Error::new(io::ErrorKind::InvalidData, format!("not a process id: {text:?}"))
    };
    if let Some(path) = &request.pid_file {
        let text =
            fs::read_to_string(path).map_err(|source| CreateError::Pid { from: path.clone(), source })?;
        return text
            .trim()
            .parse()
            .map_err(|_| CreateError::Pid { from: path.clone(), source: invalid(&text) });
    }
    let from = PathBuf::from("`runc state`");
    let output = Command::new(runc)
        .args(invocation.global())
        .arg("state")
        .arg(&request.id)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CreateError::Pid { from: from.clone(), source })?;
    serde_json::from_slice::<serde_json::Value>(&output.stdout)
        .ok()
        .and_then(|state| state.get("pid")?.as_u64())
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| CreateError::Pid { from, source: invalid(&String::from_utf8_lossy(&output.stdout)) })
}

/// Takes the container away again. The words of this attempt are in runc's log; the error to report is the one before.
fn delete(runc: &OsStr, invocation: &Invocation, request: &CreateRequest) {
    let _ = Command::new(runc)
        .args(invocation.global())
        .args(["delete", "--force"])
        .arg(&request.id)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
}

fn failed(invocation: &Invocation, error: &CreateError) -> ExitCode {
    report(invocation, Weight::Error, error);
    ExitCode::FAILURE
}

/// runc's exit code, or the shell's convention for a runc that was killed.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
