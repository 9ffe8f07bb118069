//! The platform's chains on the host, as the kernel has them.

use berth_plan::render::host::{chains, jumps};
use berth_schema::name::Prefix;
use tokio::process::Command;

use super::Reader;
use crate::docker::{EngineError, READ_DEADLINE};

/// Begins the comment that carries the digest of what the chains were made from.
pub const MARK: &str = "berth:";

impl Reader {
    /// The digest of what the platform's chains were made from; `None` when there are none, or nothing leads into them.
    pub(super) async fn host_rules(&self, platform: &Prefix) -> Result<Option<String>, EngineError> {
        Ok(read(&saved_rules().await?, platform))
    }
}

/// The host's rules as `iptables-save` writes them.
pub async fn saved_rules() -> Result<String, EngineError> {
    let act = "read the host's rules (`iptables-save`)".to_owned();
    let failed = |source| EngineError::Host { act: act.clone(), source };
    let mut command = Command::new("iptables-save");
    command.args(["-t", "filter"]).kill_on_drop(true);
    let output = match tokio::time::timeout(READ_DEADLINE, command.output()).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => return Err(EngineError::Deadline { act, after: READ_DEADLINE }),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(std::io::Error::other(said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn read(saved: &str, platform: &Prefix) -> Option<String> {
    let lines: Vec<&str> = saved.lines().collect();
    let has_chain = |name: &str| lines.iter().any(|line| line.starts_with(&format!(":{name} ")));
    for jump in jumps(platform) {
        let from = jump.from.iter().find(|name| has_chain(name))?;
        let rule = format!("-A {from} {}", jump.rule.join(" "));
        if !lines.contains(&rule.as_str()) {
            return None;
        }
    }
    let [input, _] = chains(platform);
    let marked = format!("-A {input} ");
    lines.iter().filter(|line| line.starts_with(&marked)).find_map(|line| {
        let digest = line.split_once(MARK)?.1;
        let end = digest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digest.len());
        digest.get(..end).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n\
        :berth-demo-input - [0:0]\n:berth-demo-forward - [0:0]\n-A INPUT -i br-demo -j berth-demo-input\n\
        -A DOCKER-USER -i br-demo -j berth-demo-forward\n-A DOCKER-USER -j RETURN\n\
        -A berth-demo-input -m comment --comment \"berth:12ab\"\n-A berth-demo-input -j DROP\nCOMMIT\n";

    #[test]
    fn the_mark_counts_only_while_something_leads_to_the_chains() {
        let demo = "demo".parse().unwrap();
        assert_eq!(read(SAVED, &demo).as_deref(), Some("12ab"));
        for missing in
            ["-A INPUT -i br-demo -j berth-demo-input\n", "-A DOCKER-USER -i br-demo -j berth-demo-forward\n"]
        {
            assert_eq!(read(&SAVED.replace(missing, ""), &demo), None);
        }
        assert_eq!(read(SAVED, &"other".parse().unwrap()), None);
        // The engine, started later, has a chain of its own that comes first.
        let before = SAVED.replace("DOCKER-USER", "FORWARD");
        assert_eq!(read(&before, &demo).as_deref(), Some("12ab"));
    }
}
