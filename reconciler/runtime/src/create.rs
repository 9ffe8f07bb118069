//! `create`, top to bottom: make the user namespace, edit the bundle, call runc, delegate the cgroup.
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
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use berth_link::{InvalidMember, Member};

use crate::account::{AccountError, Maker, Namespace};
use crate::arguments::{Account, CreateRequest, Invocation, LINK};
use crate::bundle::{Bundle, BundleError};
use crate::cgroup::{self, CgroupError};
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
        "the server can't have an account of its own with the kernel (docs/isolation.md; `--shared-account` goes without)"
    )]
    Account(#[from] AccountError),
    /// The process id of the container's first process is not known.
    #[error("cannot learn the container's process id from {}", from.display())]
    Pid { from: PathBuf, source: io::Error },
    /// The container could not be given its cgroup.
    #[error("the container's cgroup could not be delegated to its root")]
    Delegate(#[from] CgroupError),
}

/// Creates the container. The exit code is runc's own, unless something around runc failed.
pub(crate) fn create(runc: &OsStr, invocation: &Invocation, request: &CreateRequest) -> ExitCode {
    let Prepared { bundle, edits, namespace } = match prepare(invocation, request) {
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
    if let Err(error) = delegate(runc, invocation, request, &bundle) {
        delete(runc, invocation, request);
        return failed(invocation, &error);
    }
    ExitCode::SUCCESS
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
    /// The user namespace that the bundle names, which is gone when this is dropped.
    namespace: Option<Namespace>,
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
    }
    if member.is_some() {
        let program = std::env::current_exe().map_err(CreateError::OwnPath)?;
        let mut arguments = invocation.log_flags();
        arguments.push(LINK.into());
        bundle.add_hook(&program, &arguments)?;
    }
    let namespace = match (edits, invocation.account) {
        (Edits::OfServer, Account::Own) => own_namespace(&mut bundle, member.as_ref())?,
        _ => None,
    };
    bundle.save()?;
    Ok(Prepared { bundle, edits, namespace })
}

/// Makes the user namespace of a server, and has the bundle join it.
fn own_namespace(bundle: &mut Bundle, member: Option<&Member>) -> Result<Option<Namespace>, CreateError> {
    let prefix = match member {
        Some(Member::Server { plane, .. }) => plane,
        _ => "",
    };
    let Some(maker) = Maker::of_server(prefix, bundle.environment())? else { return Ok(None) };
    if !bundle.has_new_user_namespace() {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(CreateError::OwnPath)?;
    let (uids, gids) = &bundle.mappings;
    let namespace = Namespace::make(&program, maker, uids, gids)?;
    bundle.join_user_namespace(&namespace.path())?;
    Ok(Some(namespace))
}

/// Gives the cgroup away. Without a user namespace the container's root owns it already.
fn delegate(
    runc: &OsStr,
    invocation: &Invocation,
    request: &CreateRequest,
    bundle: &Bundle,
) -> Result<(), CreateError> {
    let Some(root) = bundle.mapped_root else { return Ok(()) };
    let pid = process_id(runc, invocation, request)?;
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
