//! `berth-runtime`: the OCI runtime that the engine calls for servers, and for the platform's own containers that have a
//! part in the user plane.
//!
//! Owns the work around `runc create`. It edits a server's bundle (a writable cgroup mount, a seccomp profile under which a nested runc
//! works, capabilities, devices and limits that reach no further than the server's user namespace, and its AppArmor profile), makes its user namespace on an
//! account of its own (and, if asked to, with ids of its own), and gives the container's own cgroup directories to the container's
//! root, so that systemd can manage its subtree without being root on the host. Every member of a user plane, which its environment
//! tells, gets an OCI hook: it calls this program again, with the verb `link`, before the container's first process runs. For a plane's
//! holder, that call first puts in force the host's rules that were confirmed last. Every other verb is `exec`ed: same
//! arguments, same standard streams, same process id, runc's own exit code; before `exec`, what a server with ids of its own needs.
//! `probe` tries all of it in a folder, and says what this host can do.
//!
//! Refuses to listen, to loosen a limit (the files that hold limits stay the host's), to act on a cgroup that the bundle
//! does not name, and to keep state, but for small files that say who holds a plane (`/run/berth/planes/<prefix>`) and how a server
//! runs (`/run/berth/servers/<container>`).
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod account;
mod arguments;
mod bundle;
mod cgroup;
mod create;
mod document;
#[cfg(test)]
mod edition;
mod enter;
mod grants;
mod link;
mod mounts;
mod overlay;
mod probe;
mod profile;
mod ranges;
mod report;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use arguments::Invocation;

/// Names the runc to call; without it `runc` is looked up in PATH.
const RUNC_VARIABLE: &str = "BERTH_RUNC";

fn main() -> ExitCode {
    let runc = std::env::var_os(RUNC_VARIABLE).filter(|v| !v.is_empty()).unwrap_or_else(|| "runc".into());
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let invocation = Invocation::parse(&program, arguments.collect());
    if invocation.is_link() {
        let folders = link::Folders {
            registrations: berth_link::REGISTRATIONS.into(),
            host_rules: berth_link::HOST_RULES.into(),
        };
        return link::link(&invocation, io::stdin().lock(), &folders);
    }
    if let Some(maker) = invocation.hold() {
        return hold(maker);
    }
    if let Some((folder, form)) = invocation.probe() {
        return probe::probe(folder.as_ref(), form);
    }
    if let Some(folder) = invocation.tries() {
        return probe::tries(folder.as_ref());
    }
    if let Some(request) = invocation.create() {
        return create::create(&runc, &invocation, &request);
    }
    if let Some(container) = invocation.exec() {
        let state = enter::state_folder(invocation.root());
        if let Err(error) = enter::prepare(&state, container) {
            report::report(&invocation, report::Weight::Warning, &error);
        }
    }
    if let Some(container) = invocation.delete() {
        create::strike_out(container);
    }
    hand_over(&runc, &invocation)
}

/// Holds a server's user namespace, and says on standard error why it can't: the call of this program that waits passes it on.
fn hold(maker: &str) -> ExitCode {
    match account::hold(maker) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes runc. Returns only when runc could not be executed.
fn hand_over(runc: &OsString, invocation: &Invocation) -> ExitCode {
    let source = Command::new(runc).args(invocation.arguments()).exec();
    let error = create::CreateError::Runc { program: runc.clone(), source };
    report::report(invocation, report::Weight::Error, &error);
    ExitCode::FAILURE
}
