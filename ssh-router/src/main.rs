//! The program `berth-ssh-router`.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth_ssh_router::main()
}
