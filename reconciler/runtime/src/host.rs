//! The host's part of the firewall, put in force before there is a plane: after a start of the machine nothing else of
//! Berth may run yet, and servers would reach the host's own services.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use berth_link::{KeptRules, Lead};

/// Where the programs are, whatever the engine has for a `PATH`.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts what was confirmed last in force. What is there already is only made again.
pub(crate) fn put_in_force(kept: &KeptRules) -> io::Result<()> {
    let mut child = command("iptables-restore")
        .args(["--noflush", "--wait"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(kept.rules.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("iptables-restore: {said}")));
    }
    kept.leads.iter().try_for_each(lead_in)
}

/// Makes a rule lead into the chains, if none does yet.
fn lead_in(lead: &Lead) -> io::Result<()> {
    for from in &lead.from {
        if !iptables(["-S", from.as_str()])? {
            continue;
        }
        let words = |begin: &[&str]| -> Vec<String> {
            begin.iter().map(|word| (*word).to_owned()).chain(lead.rule.iter().cloned()).collect()
        };
        if iptables(words(&["-C", from]))? || iptables(words(&["-I", from, "1"]))? {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("no rule could be put into any of the chains {}", lead.from.join(", "))))
}

/// Runs `iptables` and says whether it succeeded.
fn iptables(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<bool> {
    let mut command = command("iptables");
    command.arg("-w").args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    Ok(command.status()?.success())
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).stdout(Stdio::null());
    command
}
