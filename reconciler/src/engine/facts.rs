//! What the running engine really has, read from its own answer to `info`. A configuration file only says what an engine
//! will have after its next restart.

use serde_json::Value;

use super::settings::Swarm;
use super::{Needs, RUNTIME};

/// The name under which Sysbox registers itself.
pub const SYSBOX: &str = "sysbox-runc";

/// The engine's own account of itself, as far as Berth needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The engine's version, for messages.
    pub version: String,
    /// Whether containers get a user namespace.
    pub remapped: bool,
    /// The program behind our runtime, if it is registered.
    pub runtime: Option<String>,
    /// Whether Sysbox is registered.
    pub sysbox: bool,
    /// Whether containers survive a restart of the engine.
    pub live_restore: bool,
    /// Whether the engine is in a swarm.
    pub swarm: Swarm,
    /// `1` or `2`, where the engine says so.
    pub cgroup_version: Option<String>,
}

/// One thing that the engine lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// No user namespace.
    #[error("userns-remap is off: root in a server would be root on the host")]
    Remap,
    /// Our runtime is not registered.
    #[error("the runtime {RUNTIME:?} is not registered: servers can't manage their own cgroup")]
    Runtime,
    /// Our runtime is registered as another program.
    #[error("the runtime {RUNTIME:?} is {found}, not {wanted}")]
    OtherRuntime {
        /// What is registered.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// Containers end with the engine.
    #[error("live-restore is off: servers stop whenever the engine restarts")]
    LiveRestore,
    /// A swarm, and so no live restore.
    #[error("the engine is in a swarm, which refuses live-restore")]
    Swarm,
}

impl Facts {
    /// Reads the JSON of `GET /info` (also what `docker info --format '{{json .}}'` prints).
    pub fn read(info: &Value) -> Self {
        let text = |key: &str| info.get(key).and_then(Value::as_str).map(str::to_owned);
        let runtime = |name: &str| info.get("Runtimes").and_then(|runtimes| runtimes.get(name));
        let remapped = info.get("SecurityOptions").and_then(Value::as_array).is_some_and(|options| {
            options
                .iter()
                .filter_map(Value::as_str)
                .any(|option| option.split(',').any(|part| part == "name=userns"))
        });
        let swarm = match info.pointer("/Swarm/LocalNodeState").and_then(Value::as_str) {
            None | Some("" | "inactive") => Swarm::Inactive,
            Some(_) => Swarm::Active,
        };
        Self {
            version: text("ServerVersion").unwrap_or_default(),
            remapped,
            runtime: runtime(RUNTIME)
                .map(|found| found.get("path").and_then(Value::as_str).unwrap_or_default().to_owned()),
            sysbox: runtime(SYSBOX).is_some(),
            live_restore: info.get("LiveRestoreEnabled").and_then(Value::as_bool).unwrap_or(false),
            swarm,
            cgroup_version: text("CgroupVersion"),
        }
    }

    /// Everything that the engine lacks, in the order in which it matters.
    pub fn lacks(&self, needs: &Needs) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if !self.remapped {
            lacks.push(Lack::Remap);
        }
        let wanted = needs.runtime.display().to_string();
        match &self.runtime {
            None => lacks.push(Lack::Runtime),
            Some(found) if *found != wanted => {
                lacks.push(Lack::OtherRuntime { found: found.clone(), wanted });
            }
            Some(_) => {}
        }
        match (self.swarm, self.live_restore) {
            (Swarm::Active, _) => lacks.push(Lack::Swarm),
            (Swarm::Inactive, false) => lacks.push(Lack::LiveRestore),
            (Swarm::Inactive, true) => {}
        }
        lacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        Facts::read(info).lacks(&Needs::new("/usr/libexec/berth-runtime"))
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
    fn a_swarm_is_named_instead_of_live_restore() {
        let mut info = info();
        info["Swarm"]["LocalNodeState"] = json!("active");
        info["LiveRestoreEnabled"] = json!(false);
        assert_eq!(lacks(&info), [Lack::Swarm]);
    }

    #[test]
    fn a_name_that_only_begins_like_userns_does_not_count() {
        let mut info = info();
        info["SecurityOptions"] = json!(["name=usernsx", "name=seccomp,profile=userns"]);
        assert_eq!(lacks(&info), [Lack::Remap]);
    }
}
