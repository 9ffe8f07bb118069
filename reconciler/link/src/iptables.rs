//! The host's rules, read and put in force by the programs of iptables.
//!
//! The runtime calls this before there is a plane, and the reconciler when it applies the host's rules: both in one way.

use std::process::{Command, Output};
use std::time::Duration;

use berth_host::process::run;

use crate::error::{Result, Trying as _};
use crate::host::Lead;

/// Folders of the programs, besides those in `PATH`: the engine starts the runtime with whatever it has itself.
const FOLDERS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Time that one program may take. It waits for others that change the rules.
const DEADLINE: Duration = Duration::from_secs(30);

/// The rules took effect, or the words with which they were refused.
pub type Outcome = std::result::Result<(), String>;

/// The host's table `filter`, as `iptables-save` writes it.
pub fn saved() -> Result<String> {
    let act = || "read the host's rules (`iptables-save`)".to_owned();
    let output = start("iptables-save", &["-t", "filter"], "").trying(act)?;
    said(&output).map_err(std::io::Error::other).trying(act)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Checks whether the kernel would take a text of rules, and changes nothing.
pub fn test(rules: &str) -> Result<Outcome> {
    restore(rules, &["--test"])
}

/// Loads a text of rules, which replaces the content of the chains that it declares, and makes the leads. Rules that are
/// in force already are only made again.
pub fn put_in_force(rules: &str, leads: &[Lead]) -> Result<Outcome> {
    if let Err(said) = restore(rules, &[])? {
        return Ok(Err(said));
    }
    for lead in leads {
        if let Err(said) = lead_in(lead)? {
            return Ok(Err(said));
        }
    }
    Ok(Ok(()))
}

/// Takes the leads out of the host's chains, and loads the text that removes the chains they lead to.
pub fn withdraw(removal: &str, leads: &[Lead]) -> Result<Outcome> {
    for lead in leads {
        for from in &lead.from {
            // Somebody may have put it in more than once.
            while succeeds(&["-C", from], &lead.rule)? && succeeds(&["-D", from], &lead.rule)? {}
        }
    }
    restore(removal, &[])
}

/// Makes a rule lead into a chain of ours, if none does yet.
fn lead_in(lead: &Lead) -> Result<Outcome> {
    let mut last = None;
    for from in &lead.from {
        if !succeeds(&["-S", from], &[])? {
            continue;
        }
        if succeeds(&["-C", from], &lead.rule)? || succeeds(&["-I", from, "1"], &lead.rule)? {
            return Ok(Ok(()));
        }
        last = Some(from);
    }
    Ok(Err(match last {
        Some(from) => format!("no rule could be put into the chain {from}"),
        None => format!("the host has none of the chains {}", lead.from.join(", ")),
    }))
}

fn succeeds(words: &[&str], rule: &[String]) -> Result<bool> {
    let mut arguments = vec!["-w"];
    arguments.extend(words);
    arguments.extend(rule.iter().map(String::as_str));
    let output = start("iptables", &arguments, "");
    Ok(output.trying(|| format!("run `iptables {}`", arguments.join(" ")))?.status.success())
}

fn restore(rules: &str, options: &[&str]) -> Result<Outcome> {
    let arguments = [&["--noflush", "--wait"], options].concat();
    let output = start("iptables-restore", &arguments, rules);
    Ok(said(&output.trying(|| "load the host's rules (`iptables-restore`)".to_owned())?))
}

fn start(program: &str, arguments: &[&str], input: &str) -> std::io::Result<Output> {
    let path = std::env::var("PATH").map_or_else(|_| FOLDERS.to_owned(), |own| format!("{own}:{FOLDERS}"));
    run(Command::new(program).args(arguments).env("PATH", path), input.as_bytes(), DEADLINE)
}

fn said(output: &Output) -> Outcome {
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
