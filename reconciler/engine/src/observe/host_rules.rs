//! The platform's chains on the host, as the kernel has them, compared with the confirmed ones.

use std::io;
use std::path::Path;

use berth_link::{HOST_RULES, KeptRules, iptables};
use berth_plan::observed::HostRules;
use berth_plan::render::host::{chains, jumps};
use berth_schema::name::Prefix;

use super::error::ObserveError;
use super::reader::Reader;
use crate::host::{PlaneError, on_plane};

/// Begins the comment that carries the digest of what the chains were made from.
pub(crate) const MARK: &str = "berth:";

impl Reader {
    /// Tells which of the platform's chains are in force. A host on which none were kept is not looked at unless they are
    /// `wanted`, and needs no program for it.
    pub(super) async fn host_rules(
        &self,
        platform: &Prefix,
        wanted: bool,
    ) -> Result<HostRules, ObserveError> {
        let kept = kept_rules(platform)?;
        if !wanted && kept == Kept::Nothing {
            return Ok(HostRules::Absent);
        }
        Ok(compare(&saved_rules().await?, platform, &kept))
    }
}

/// The platform's chains as they were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing.
    Nothing,
    /// Something that can't be understood.
    Garbled,
    /// The chains that were confirmed last.
    Rules(KeptRules),
}

/// Reads the platform's chains as they were kept.
pub(crate) fn kept_rules(platform: &Prefix) -> Result<Kept, PlaneError> {
    match KeptRules::read(Path::new(HOST_RULES), platform.as_str()) {
        Ok(Some(rules)) => Ok(Kept::Rules(rules)),
        Ok(None) => Ok(Kept::Nothing),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Kept::Garbled),
        Err(error) => Err(PlaneError::new("learn which of the host's rules are kept", error)),
    }
}

/// Returns the host's rules as `iptables-save` writes them.
pub(crate) async fn saved_rules() -> Result<String, PlaneError> {
    on_plane("see which of the host's rules are in force", iptables::saved).await
}

/// Picks the platform's own chains from the host's rules, as a text that would make them again; `None` when there are
/// none.
pub(crate) fn own_chains(saved: &str, platform: &Prefix) -> Option<String> {
    let names = chains(platform);
    let of_ours = |line: &str, begin: &str| {
        let rest = line.strip_prefix(begin)?;
        names
            .iter()
            .any(|name| rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(' ')))
            .then_some(())
    };
    let lines: Vec<String> = saved
        .lines()
        .filter_map(|line| {
            of_ours(line, ":")
                .map(|()| format!("{} [0:0]", line.split(" [").next().unwrap_or(line)))
                .or_else(|| of_ours(line, "-A ").map(|()| line.to_owned()))
        })
        .collect();
    (!lines.is_empty()).then(|| format!("*filter\n{}\nCOMMIT\n", lines.join("\n")))
}

fn compare(saved: &str, platform: &Prefix, kept: &Kept) -> HostRules {
    let own = own_chains(saved, platform);
    let Kept::Rules(kept) = kept else {
        return if own.is_none() && *kept == Kept::Nothing { HostRules::Absent } else { HostRules::Altered };
    };
    match own.filter(|own| *own == kept.rules && is_led_in(saved, platform)).as_deref().and_then(mark) {
        Some(digest) => HostRules::Confirmed(digest),
        None => HostRules::Altered,
    }
}

/// Checks that packets come to the chains.
fn is_led_in(saved: &str, platform: &Prefix) -> bool {
    let lines: Vec<&str> = saved.lines().collect();
    let has_chain = |name: &str| lines.iter().any(|line| line.starts_with(&format!(":{name} ")));
    jumps(platform).iter().all(|jump| {
        let from = jump.from.iter().find(|name| has_chain(name));
        from.is_some_and(|from| lines.contains(&format!("-A {from} {}", jump.rule.join(" ")).as_str()))
    })
}

/// Reads the digest of the text that chains were made from.
fn mark(chains: &str) -> Option<String> {
    let digest = chains.split_once(MARK)?.1;
    let end = digest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digest.len());
    digest.get(..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n\
        :berth-demo-input - [0:0]\n:berth-demo-forward - [0:0]\n-A INPUT -i br-demo -j berth-demo-input\n\
        -A DOCKER-USER -i br-demo -j berth-demo-forward\n-A DOCKER-USER -j RETURN\n\
        -A berth-demo-input -m comment --comment \"berth:12ab\"\n-A berth-demo-input -j DROP\nCOMMIT\n";

    fn demo() -> Prefix {
        "demo".parse().unwrap()
    }

    fn kept() -> Kept {
        Kept::Rules(KeptRules { leads: Vec::new(), rules: own_chains(SAVED, &demo()).unwrap() })
    }

    #[test]
    fn what_was_confirmed_is_in_force_only_to_the_letter() {
        assert_eq!(compare(SAVED, &demo(), &kept()), HostRules::Confirmed("12ab".to_owned()));
        for (what, with) in [
            ("-A INPUT -i br-demo -j berth-demo-input\n", ""),
            ("-A DOCKER-USER -i br-demo -j berth-demo-forward\n", ""),
            ("-A berth-demo-input -j DROP\n", ""),
            ("-j DROP\n", "-j DROP\n-A berth-demo-forward -j ACCEPT\n"),
            (":berth-demo-forward - [0:0]\n", ""),
            ("12ab", "34cd"),
        ] {
            assert_eq!(compare(&SAVED.replace(what, with), &demo(), &kept()), HostRules::Altered, "{what}");
        }
        // What is the host's own, and how much was counted, makes no difference.
        for (what, with) in [
            (":berth-demo-input - [0:0]", ":berth-demo-input - [7:420]"),
            ("-A DOCKER-USER -j RETURN\n", ""),
            // The engine, started later, has a chain of its own that comes first.
            ("DOCKER-USER", "FORWARD"),
        ] {
            let saved = SAVED.replace(what, with);
            assert_eq!(compare(&saved, &demo(), &kept()), HostRules::Confirmed("12ab".to_owned()), "{what}");
        }
    }

    #[test]
    fn what_was_never_confirmed_is_not_in_force() {
        let other = "other".parse().unwrap();
        assert_eq!(compare(SAVED, &other, &Kept::Nothing), HostRules::Absent);
        // Loaded, and then something ended before they were confirmed.
        assert_eq!(compare(SAVED, &demo(), &Kept::Nothing), HostRules::Altered);
        assert_eq!(compare(SAVED, &demo(), &Kept::Garbled), HostRules::Altered);
        // After a start of the machine.
        assert_eq!(compare("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", &demo(), &kept()), HostRules::Altered);
    }
}
