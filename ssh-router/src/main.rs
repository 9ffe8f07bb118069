//! `berth-ssh-router`: one SSH port for every server.
//!
//! Not built yet. The binary exists so that the workspace has its room, and refuses to pretend.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A failed write to stderr leaves nothing better to tell the caller than the exit code.
    let _ = writeln!(
        std::io::stderr(),
        "error: berth-ssh-router is not built yet; servers are reached with `docker exec` until it is"
    );
    ExitCode::FAILURE
}
