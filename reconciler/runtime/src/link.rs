//! The hook: links a container to its user plane, or makes its namespace the plane, while nothing runs in it yet.
//!
//! Works with everything else of Berth down, and never holds a start up for long. A server or a service that can't be
//! linked starts all the same, *closed*: it has no way out, its owner's programs run, and the reconciler makes the link
//! later. A holder that can't be prepared does not start: everything behind it would be open. The same goes for the
//! host's rules, which must be in force before there is a plane.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use berth_link::{InvalidMember, KeptRules, Link, Member, Namespace, Plane, iptables};
use serde::Deserialize;

use crate::arguments::Invocation;
use crate::bundle::{Bundle, BundleError};
use crate::report::{Weight, report};

/// Time that linking a server or a service may take in all. It takes milliseconds, unless another process holds the plane's lock, or
/// the kernel is busy for long. One that isn't linked in time is linked later.
const PATIENCE: Duration = Duration::from_secs(8);

/// The same for a plane's holder: most of the time that runc gives a hook. The engine doesn't try again to start one that failed, and
/// without it everybody is cut off.
const HOLDER_PATIENCE: Duration = Duration::from_secs(26);

/// Reason for which a container was not linked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// runc did not say which container.
    #[error("cannot understand the state of the container, from standard input")]
    State(#[source] io::Error),
    /// The bundle could not be read again.
    #[error("cannot read the container's bundle")]
    Bundle(#[from] BundleError),
    /// The environment is not clear. It was when the hook was put in place.
    #[error(transparent)]
    Member(#[from] InvalidMember),
    /// No process holds the plane.
    #[error("the user plane {0} is not there")]
    NoPlane(String),
    /// The kernel refused, or another process kept the plane locked.
    #[error("cannot use the user plane {plane}")]
    Refused { plane: String, source: berth_link::Error },
    /// The rules by which the host keeps its own services closed can't be read.
    #[error("the host's rules that were confirmed last cannot be read; `berth apply` writes them anew")]
    Kept(#[source] berth_link::Error),
    /// The host's rules are not in force.
    #[error("cannot put the host's rules in force that were confirmed last")]
    Host(#[source] berth_link::Error),
    /// The kernel refused the host's rules.
    #[error("cannot put the host's rules in force that were confirmed last: {said}")]
    Rules { said: String },
    /// Linking took too long.
    #[error("linking did not end within {0:?}")]
    Late(Duration),
}

/// The part of the OCI state that the hook needs.
#[derive(Debug, Deserialize)]
struct State {
    pid: u32,
    bundle: PathBuf,
}

/// Folders of the files that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// The planes there are.
    pub(crate) registrations: PathBuf,
    /// The host's rules that were confirmed.
    pub(crate) host_rules: PathBuf,
}

/// Task of the hook.
#[derive(Debug)]
struct Task {
    pid: u32,
    member: Member,
}

/// Runs the hook. `state` is the OCI state, which runc writes to its standard input.
pub(crate) fn link(invocation: &Invocation, state: impl Read, folders: &Folders) -> ExitCode {
    let task = match Task::read(state) {
        Ok(Some(task)) => task,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            report(invocation, Weight::Error, &error);
            return ExitCode::FAILURE;
        }
    };
    let is_holder = matches!(task.member, Member::Holder { .. });
    match in_time(task, folders.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_holder => {
            report(invocation, Weight::Error, &error);
            ExitCode::FAILURE
        }
        Err(error) => {
            report(invocation, Weight::Warning, &Closed(error));
            ExitCode::SUCCESS
        }
    }
}

/// An error that leaves a container without a link.
#[derive(Debug, thiserror::Error)]
#[error("the container starts without a link to the user plane")]
struct Closed(#[source] LinkError);

impl Task {
    fn read(state: impl Read) -> Result<Option<Self>, LinkError> {
        let State { pid, bundle } =
            serde_json::from_reader(state).map_err(|error| LinkError::State(error.into()))?;
        let bundle = Bundle::read(&bundle)?;
        let member = Member::from_environment(bundle.environment())?;
        Ok(member.map(|member| Self { pid, member }))
    }

    fn patience(&self) -> Duration {
        match self.member {
            Member::Holder { .. } => HOLDER_PATIENCE,
            Member::Server { .. } | Member::Service { .. } => PATIENCE,
        }
    }

    fn run(self, folders: &Folders) -> Result<(), LinkError> {
        let Self { pid, member } = self;
        match member {
            Member::Holder { plane, gateway } => {
                if let Some(kept) = KeptRules::read(&folders.host_rules, &plane).map_err(LinkError::Kept)? {
                    let outcome =
                        iptables::put_in_force(&kept.rules, &kept.leads).map_err(LinkError::Host)?;
                    outcome.map_err(|said| LinkError::Rules { said })?;
                }
                Plane::prepare_in(&folders.registrations, &plane, pid, gateway)
                    .map(drop)
                    .map_err(|source| LinkError::Refused { plane, source })
            }
            Member::Server { plane, link } | Member::Service { plane, link } => {
                match connect(folders, &plane, &link, pid) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(LinkError::NoPlane(plane)),
                    Err(source) => Err(LinkError::Refused { plane, source }),
                }
            }
        }
    }
}

/// Links a container, and returns whether its plane is there.
fn connect(folders: &Folders, plane: &str, link: &Link, pid: u32) -> berth_link::Result<bool> {
    let Some(plane) = Plane::registered_in(&folders.registrations, plane)? else { return Ok(false) };
    plane.connect(link, &Namespace::of_process(pid)?).map(|()| true)
}

/// Gives up on a task that takes too long. Its thread ends with this process.
fn in_time(task: Task, folders: Folders) -> Result<(), LinkError> {
    let (send, receive) = mpsc::channel();
    // After the deadline nobody listens, and nobody needs to.
    let patience = task.patience();
    thread::spawn(move || drop(send.send(task.run(&folders))));
    receive.recv_timeout(patience).unwrap_or(Err(LinkError::Late(patience)))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
