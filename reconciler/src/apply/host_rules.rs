//! The platform's chains on the host: the content of those is replaced at once, and everything else stays as it is.

use std::process::Stdio;
use std::time::Duration;

use berth_plan::configuration::ConfigurationSpec;
use berth_plan::render::host::{Jump, chains, jumps, removal};
use berth_schema::name::Prefix;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{After, ConfigureError, StepError, probe};
use crate::docker::EngineError;
use crate::observe::{MARK, saved_rules};

const DEADLINE: Duration = Duration::from_secs(30);

/// Puts the chains in force, tries what they must let through, and takes them away again if that doesn't work.
pub(super) async fn configure(spec: &ConfigurationSpec, platform: &Prefix) -> Result<(), StepError> {
    let text = marked(&spec.text, platform, &spec.digest);
    let before = saved(platform).await?;
    if let Err(said) = restore(&text, &["--test"]).await? {
        return Err(ConfigureError::Refused { said }.into());
    }
    let worked = probe::working(platform.as_str(), &spec.probes).await;
    if let Err(said) = restore(&text, &[]).await? {
        return Err(ConfigureError::NotLoaded { said, after: After::Restored }.into());
    }
    for jump in jumps(platform) {
        lead_in(&jump).await?;
    }
    let failures = probe::failures(platform.as_str(), &spec.probes, &worked).await;
    if failures.is_empty() {
        return Ok(());
    }
    let after = match before {
        Some(before) => match restore(&before, &[]).await? {
            Ok(()) => After::Restored,
            Err(said) => After::NotRestored(said),
        },
        None => {
            withdraw(platform).await?;
            After::NothingBefore
        }
    };
    Err(ConfigureError::NotConfirmed { failures, after }.into())
}

/// Takes the jumps out and the chains away.
pub(super) async fn withdraw(platform: &Prefix) -> Result<(), StepError> {
    for jump in jumps(platform) {
        for from in jump.from {
            // Somebody may have put it in more than once.
            while iptables(&jump.check(from)).await? && iptables(&jump.delete(from)).await? {}
        }
    }
    match restore(&removal(platform), &[]).await? {
        Ok(()) => Ok(()),
        Err(said) => Err(ConfigureError::NotLoaded { said, after: After::Restored }.into()),
    }
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

/// The chains as they are, as a text that would make them again; `None` when there are none.
async fn saved(platform: &Prefix) -> Result<Option<String>, EngineError> {
    let text = saved_rules().await?;
    let names = chains(platform);
    let is_ours = |line: &&str| {
        names
            .iter()
            .any(|name| line.starts_with(&format!(":{name} ")) || line.starts_with(&format!("-A {name} ")))
    };
    let lines: Vec<&str> = text.lines().filter(is_ours).collect();
    Ok((!lines.is_empty()).then(|| format!("*filter\n{}\nCOMMIT\n", lines.join("\n"))))
}

/// Makes a rule lead into a chain of ours, if none does yet.
async fn lead_in(jump: &Jump) -> Result<(), StepError> {
    let mut last = None;
    for from in jump.from {
        let exists = iptables(&["-w", "-S", from].map(str::to_owned)).await?;
        if exists {
            if iptables(&jump.check(from)).await? || iptables(&jump.insert(from)).await? {
                return Ok(());
            }
            last = Some(*from);
        }
    }
    let said = match last {
        Some(from) => format!("no rule could be put into the chain {from}"),
        None => format!("the host has none of the chains {}", jump.from.join(", ")),
    };
    Err(ConfigureError::NotLoaded { said, after: After::NothingBefore }.into())
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
