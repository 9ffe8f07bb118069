//! The platform's chains on the host: the content of those is replaced at once, and everything else stays as it is.
//!
//! What was confirmed is kept as the kernel lists it: for the start of the machine, when the plane's holder puts it in force
//! before anything else runs, and to tell later whether it still is.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use berth_link::{HOST_RULES, KeptRules, Lead, Plane};
use berth_plan::configuration::ConfigurationSpec;
use berth_plan::render::host::{Jump, chains, jumps, removal};
use berth_schema::name::Prefix;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{After, ConfigureError, StepError, probe};
use crate::docker::EngineError;
use crate::observe::{Kept, MARK, kept_rules, own_chains, saved_rules};
use crate::outcome::chain;

const DEADLINE: Duration = Duration::from_secs(30);

/// Puts the chains in force, tries what they must let through, and keeps them. When anything goes wrong after the first
/// of them was changed, what was confirmed last is put in force again.
pub(super) async fn configure(spec: &ConfigurationSpec, platform: &Prefix) -> Result<(), StepError> {
    let text = marked(&spec.text, platform, &spec.digest);
    let before = match kept_rules(platform)? {
        Kept::Rules(kept) => Some(kept.rules),
        // Chains of a time when nothing was kept are better than none.
        Kept::Nothing | Kept::Garbled => own_chains(&saved_rules().await?, platform),
    };
    if let Err(said) = restore(&text, &["--test"]).await? {
        return Err(ConfigureError::Refused { said }.into());
    }
    let failure = match put_in_force(&text, spec, platform).await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let after = match go_back(before.as_deref(), platform).await {
        Ok(after) => after,
        Err(error) => After::NotRestored(chain(&error)),
    };
    Err(match failure {
        Failure::NotLoaded(said) => ConfigureError::NotLoaded { said, after }.into(),
        Failure::NotConfirmed(failures) => ConfigureError::NotConfirmed { failures, after }.into(),
        Failure::Host(error) => {
            if let After::NotRestored(why) = after {
                tracing::warn!(why, "the host's last rules could not be put in force again");
            }
            error.into()
        }
    })
}

/// Why new chains are not kept.
enum Failure {
    /// They could not be loaded.
    NotLoaded(String),
    /// They were, and something that must work didn't.
    NotConfirmed(Vec<String>),
    /// Nobody knows how far it came.
    Host(EngineError),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Host(error)
    }
}

async fn put_in_force(text: &str, spec: &ConfigurationSpec, platform: &Prefix) -> Result<(), Failure> {
    // Without a plane nothing comes from it, and nothing can be tried; its holder may be waiting for just these rules.
    let probes = if has_plane(platform).await? { spec.probes.as_slice() } else { &[] };
    let worked = probe::working(platform.as_str(), probes).await;
    make(text, platform).await?.map_err(Failure::NotLoaded)?;
    // As the kernel has them before they are tried: what somebody changes meanwhile must not be kept.
    let loaded = own_chains(&saved_rules().await?, platform).unwrap_or_default();
    let failures = probe::failures(platform.as_str(), probes, &worked).await;
    if !failures.is_empty() {
        return Err(Failure::NotConfirmed(failures));
    }
    let lead = |jump: &Jump| Lead {
        from: jump.from.iter().map(|from| (*from).to_owned()).collect(),
        rule: jump.rule.clone(),
    };
    let kept = KeptRules { leads: jumps(platform).iter().map(lead).collect(), rules: loaded };
    kept.write(Path::new(HOST_RULES), platform.as_str()).map_err(|source| {
        let act = "keep the host's rules for the start of the machine".to_owned();
        Failure::Host(EngineError::Host { act, source: std::io::Error::other(source) })
    })
}

async fn has_plane(platform: &Prefix) -> Result<bool, EngineError> {
    let prefix = platform.to_string();
    let looked =
        tokio::task::spawn_blocking(move || Plane::registered(&prefix).map(|plane| plane.is_some())).await;
    let failed =
        |source| EngineError::Plane { act: format!("look for the user plane of {platform}"), source };
    match looked {
        Ok(found) => found.map_err(failed),
        Err(error) => Err(failed(berth_link::Error::new("look for it", std::io::Error::other(error)))),
    }
}

/// Puts in force what was before.
async fn go_back(before: Option<&str>, platform: &Prefix) -> Result<After, EngineError> {
    let (done, after) = match before {
        Some(before) => (make(before, platform).await?, After::Restored),
        None => (unmake(platform).await?, After::NothingBefore),
    };
    Ok(match done {
        Ok(()) => after,
        Err(said) => After::NotRestored(said),
    })
}

/// Makes the chains what a text says, and whatever comes from the uplink go through them; or says what is in the way.
async fn make(text: &str, platform: &Prefix) -> Result<Result<(), String>, EngineError> {
    if let Err(said) = restore(text, &[]).await? {
        return Ok(Err(said));
    }
    for jump in jumps(platform) {
        if let Err(said) = lead_in(&jump).await? {
            return Ok(Err(said));
        }
    }
    Ok(Ok(()))
}

/// Takes the jumps out and the chains away, for good.
pub(super) async fn withdraw(platform: &Prefix) -> Result<(), StepError> {
    KeptRules::remove(Path::new(HOST_RULES), platform.as_str()).map_err(|source| EngineError::Host {
        act: "forget the host's rules".to_owned(),
        source: std::io::Error::other(source),
    })?;
    match unmake(platform).await? {
        Ok(()) => Ok(()),
        Err(said) => Err(ConfigureError::NotLoaded { said, after: After::Restored }.into()),
    }
}

async fn unmake(platform: &Prefix) -> Result<Result<(), String>, EngineError> {
    for jump in jumps(platform) {
        for from in jump.from {
            // Somebody may have put it in more than once.
            while iptables(&jump.check(from)).await? && iptables(&jump.delete(from)).await? {}
        }
    }
    restore(&removal(platform), &[]).await
}

/// The text with the digest of what it was made from, which tells later that it is in force.
fn marked(text: &str, platform: &Prefix, digest: &str) -> String {
    let [input, _] = chains(platform);
    let mark = format!("-A {input} -m comment --comment \"{MARK}{digest}\"\nCOMMIT");
    match text.rsplit_once("COMMIT") {
        Some((rules, rest)) => format!("{rules}{mark}{rest}"),
        None => text.to_owned(),
    }
}

/// Makes a rule lead into a chain of ours, if none does yet; or says why none can.
async fn lead_in(jump: &Jump) -> Result<Result<(), String>, EngineError> {
    let mut last = None;
    for from in jump.from {
        let exists = iptables(&["-w", "-S", from].map(str::to_owned)).await?;
        if exists {
            if iptables(&jump.check(from)).await? || iptables(&jump.insert(from)).await? {
                return Ok(Ok(()));
            }
            last = Some(*from);
        }
    }
    Ok(Err(match last {
        Some(from) => format!("no rule could be put into the chain {from}"),
        None => format!("the host has none of the chains {}", jump.from.join(", ")),
    }))
}

/// Runs `iptables` and says whether it succeeded.
async fn iptables(arguments: &[String]) -> Result<bool, EngineError> {
    let act = format!("run iptables {}", arguments.join(" "));
    let mut command = Command::new("iptables");
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(DEADLINE, command.status()).await {
        Ok(Ok(status)) => Ok(status.success()),
        Ok(Err(source)) => Err(EngineError::Host { act, source }),
        Err(_) => Err(EngineError::Deadline { act, after: DEADLINE }),
    }
}

/// Feeds a text to `iptables-restore --noflush`; what it said when it refused.
async fn restore(text: &str, options: &[&str]) -> Result<Result<(), String>, EngineError> {
    let act = "load the host's rules (`iptables-restore`)".to_owned();
    let failed = |source| EngineError::Host { act: act.clone(), source };
    let mut command = Command::new("iptables-restore");
    command.args(["--noflush", "--wait"]).args(options);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let work = async {
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(output)) if output.status.success() => Ok(Ok(())),
        Ok(Ok(output)) => Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(EngineError::Deadline { act, after: DEADLINE }),
    }
}
