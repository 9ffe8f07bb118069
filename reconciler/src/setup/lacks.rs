//! Lacks: the needs of Berth that a running engine doesn't meet.

use berth_engine::{Facts, Swarm};
use berth_host::Way;
use berth_plan::recipe::RUNTIME;

use super::Needs;

/// One thing that the engine lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Lack {
    /// No user namespace.
    #[error("userns-remap is off: root in a server would be root on the host")]
    Remap,
    /// Our runtime is not registered.
    #[error("the runtime {RUNTIME:?} is not registered: servers can't manage their own cgroup")]
    Runtime,
    /// Our runtime is registered as another program.
    #[error("the runtime {RUNTIME:?} is {found}, not {wanted}")]
    OtherRuntime { found: String, wanted: String },
    /// Servers are told apart in another way than asked for.
    #[error("the runtime {RUNTIME:?} keeps servers apart by `{found}`, and `{wanted}` is asked for")]
    Way { found: Way, wanted: Way },
    /// Containers end with the engine.
    #[error("live-restore is off: servers stop whenever the engine restarts")]
    LiveRestore,
    /// A swarm, and so no live restore.
    #[error("the engine is in a swarm, which refuses live-restore")]
    Swarm,
    /// Networks that are connected by other rules than Berth's.
    #[error("{}", super::NFTABLES)]
    Nftables,
}

/// Lists everything that the engine lacks, in the order in which it matters.
pub fn lacks(facts: &Facts, needs: &Needs) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if !facts.remapped {
        lacks.push(Lack::Remap);
    }
    let wanted = needs.runtime.display().to_string();
    match facts.runtimes.get(RUNTIME) {
        None => lacks.push(Lack::Runtime),
        Some(found) if !Way::ALL.map(|way| way.program(&needs.runtime)).contains(&found.into()) => {
            lacks.push(Lack::OtherRuntime { found: found.clone(), wanted });
        }
        Some(_) => {}
    }
    if let Some(wanted) = needs.way.filter(|wanted| *wanted != facts.way) {
        lacks.push(Lack::Way { found: facts.way, wanted });
    }
    match (facts.swarm, facts.live_restore) {
        (Swarm::Active, _) => lacks.push(Lack::Swarm),
        (Swarm::Inactive, false) => lacks.push(Lack::LiveRestore),
        (Swarm::Inactive, true) => {}
    }
    // With firewalld it is called `nftables+firewalld`.
    if facts.firewall.as_deref().is_some_and(|found| found.starts_with("nftables")) {
        lacks.push(Lack::Nftables);
    }
    lacks
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn info() -> Value {
        json!({
            "ServerVersion": "20.10.24",
            "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
            "Runtimes": {"runc": {"path": "runc"}, "berth": {"path": "/usr/libexec/berth-runtime"}},
            "LiveRestoreEnabled": true,
            "Swarm": {"LocalNodeState": "inactive"},
            "CgroupVersion": "2",
        })
    }

    fn lacks(info: &Value) -> Vec<Lack> {
        super::lacks(&Facts::read(info), &Needs::new("/usr/libexec/berth-runtime"))
    }

    #[test]
    fn an_engine_with_everything_lacks_nothing() {
        assert_eq!(lacks(&info()), []);
        assert_eq!(Facts::read(&info()).cgroup_version.as_deref(), Some("2"));
    }

    #[test]
    fn a_stock_engine_lacks_all_three() {
        let stock = json!({"SecurityOptions": ["name=seccomp,profile=default"], "Runtimes": {"runc": {"path": "runc"}}});
        assert_eq!(lacks(&stock), [Lack::Remap, Lack::Runtime, Lack::LiveRestore]);
        assert_eq!(lacks(&json!({})), [Lack::Remap, Lack::Runtime, Lack::LiveRestore]);
    }

    #[test]
    fn another_program_of_our_name_is_said_to_be_one() {
        let mut info = info();
        info["Runtimes"]["berth"]["path"] = json!("/tmp/x");
        assert_eq!(
            lacks(&info),
            [Lack::OtherRuntime { found: "/tmp/x".into(), wanted: "/usr/libexec/berth-runtime".into() }]
        );
    }

    #[test]
    fn another_way_than_asked_for_is_a_lack() {
        let mut info = info();
        let needs = Needs { way: Some(Way::Own), ..Needs::new("/usr/libexec/berth-runtime") };
        let lack = Lack::Way { found: Way::Account, wanted: Way::Own };
        assert_eq!(super::lacks(&Facts::read(&info), &needs), [lack]);
        info["Runtimes"]["berth"]["path"] = json!("/usr/libexec/berth-runtime-own");
        assert_eq!(super::lacks(&Facts::read(&info), &needs), []);
        assert_eq!(lacks(&info), [], "what isn't asked for isn't missing");
    }

    #[test]
    fn a_swarm_is_named_instead_of_live_restore() {
        let mut info = info();
        info["Swarm"]["LocalNodeState"] = json!("active");
        info["LiveRestoreEnabled"] = json!(false);
        assert_eq!(lacks(&info), [Lack::Swarm]);
    }

    #[test]
    fn rules_of_nftables_are_named_whatever_else_is_there() {
        let mut info = info();
        for (driver, expected) in [
            ("iptables", vec![]),
            ("iptables+firewalld", vec![]),
            ("nftables", vec![Lack::Nftables]),
            ("nftables+firewalld", vec![Lack::Nftables]),
        ] {
            info["FirewallBackend"] = json!({"Driver": driver});
            assert_eq!(lacks(&info), expected, "{driver}");
        }
        assert!(Lack::Nftables.to_string().contains("DOCKER-USER"));
    }

    #[test]
    fn a_name_that_only_begins_like_userns_does_not_count() {
        let mut info = info();
        info["SecurityOptions"] = json!(["name=usernsx", "name=seccomp,profile=userns"]);
        assert_eq!(lacks(&info), [Lack::Remap]);
    }
}
