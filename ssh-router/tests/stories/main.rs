//! Stories: the real OpenSSH client, the router as a process, and a real sshd as the server, all on loopback.
//!
//! They need `ssh`, `sshd`, `sftp`, `scp`, `ssh-keygen`, `ssh-agent`, `sshpass` and `rsync`, and root, as sshd does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod attacks;
mod changes;
mod clients;
mod equal;
mod flow;
mod forwarding;
mod git;
mod guessing;
mod hardening;
mod harness;
mod hostile;
mod login;
mod measure;
mod postquantum;
mod sessions;
mod takeover;
mod tasks;
mod tickets;
mod watch;
