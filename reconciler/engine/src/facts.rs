//! Facts: the settings that the running engine really has, read from its own answer to `info`. A configuration file only
//! says what an engine will have after its next restart.

use std::collections::BTreeMap;
use std::path::PathBuf;

use berth_host::{RANGES, Way};
use berth_plan::recipe::RUNTIME;
use berth_plan::spec::Confinement;
use berth_schema::platform::Isolation;
use serde_json::Value;

/// The engine's own account of itself, as far as Berth needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// True if containers get a user namespace.
    pub remapped: bool,
    /// The OCI runtimes that it knows, and the program behind each.
    pub runtimes: BTreeMap<String, String>,
    /// The way in which servers that are started from now on are told apart, by the arguments of Berth's runtime.
    pub way: Way,
    /// The folder of all that the engine has.
    pub root: PathBuf,
    /// True if containers survive a restart of the engine.
    pub live_restore: bool,
    /// The engine's membership in a swarm.
    pub swarm: Swarm,
    /// `1` or `2`, where the engine says so.
    pub cgroup_version: Option<String>,
    /// The version of runc, such as `1.1.5+ds1-1+deb12u1` or `v1.2.5-0-g59923ef`; empty where the engine doesn't say.
    pub runc: String,
    /// The program by whose rules it connects networks, where it says so: `iptables`, or `nftables` since Docker 29.
    pub firewall: Option<String>,
    /// True if it bounds what a container swaps.
    pub limits_swap: bool,
}

/// A reason for which servers would not be isolated on this engine as the state repo says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No user namespace.
    #[error(
        "the engine does not map users, so root in a server would be root on this host: run `berth engine setup`"
    )]
    NoUserMapping,
    /// The images' files belong to the mapped root, so a server without a mapping would find none of its own.
    #[error(
        "the engine maps users, and `isolation = \"capabilities\"` can't: take `userns-remap` out of its settings, or \
         choose `userns`"
    )]
    MapsUsers,
    /// A runtime is missing.
    #[error("the engine does not know the runtime `{runtime}`: run `berth engine setup`")]
    NoRuntime {
        /// Its name.
        runtime: String,
    },
}

/// Membership of the engine in a swarm, which refuses live-restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swarm {
    /// It is a member.
    Active,
    /// It isn't, or no engine runs yet.
    Inactive,
}

impl Facts {
    /// Reads the JSON of `GET /info` (also what `docker info --format '{{json .}}'` prints).
    pub fn read(info: &Value) -> Self {
        let text = |key: &str| info.get(key).and_then(Value::as_str).map(str::to_owned);
        let program =
            |found: &Value| found.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        let runtimes = info.get("Runtimes").and_then(Value::as_object).into_iter().flatten();
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
        let ours = info.get("Runtimes").and_then(|all| all.get(RUNTIME));
        let arguments = ours.and_then(|ours| ours.get("runtimeArgs")?.as_array());
        let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
        let way = Way::of_call(&ours.map(program).unwrap_or_default(), arguments);
        Self {
            version: text("ServerVersion").unwrap_or_default(),
            remapped,
            runtimes: runtimes.map(|(name, found)| (name.clone(), program(found))).collect(),
            way,
            root: text("DockerRootDir").unwrap_or_default().into(),
            live_restore: info.get("LiveRestoreEnabled").and_then(Value::as_bool).unwrap_or(false),
            swarm,
            cgroup_version: text("CgroupVersion"),
            runc: info.pointer("/RuncCommit/ID").and_then(Value::as_str).unwrap_or_default().to_owned(),
            firewall: info.pointer("/FirewallBackend/Driver").and_then(Value::as_str).map(str::to_owned),
            limits_swap: info.get("SwapLimit").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    /// Returns whether runc's own version is older than the mends of November 2025 for CVE-2025-31133, CVE-2025-52565 and
    /// CVE-2025-52881 (1.2.8, 1.3.3, 1.4.0). A distribution may have put them into an older one. `None` where it isn't known.
    pub fn has_old_runc(&self) -> Option<bool> {
        let numbers: Vec<u32> = self
            .runc
            .trim_start_matches('v')
            .split(|letter: char| !letter.is_ascii_digit())
            .map_while(|number| number.parse().ok())
            .take(3)
            .collect();
        let version: [u32; 3] = numbers.try_into().ok()?;
        Some(version < [1, 2, 8] || ([1, 3, 0]..[1, 3, 3]).contains(&version))
    }

    /// The largest id of a server that can be started; `None` where any can.
    pub fn largest_id(&self) -> Option<u32> {
        (self.way == Way::Own).then_some(RANGES)
    }

    /// Returns whether removing and stopping side by side can block the engine for good (moby 46661, fixed in 23). One that
    /// doesn't say how old it is gets the careful treatment.
    pub fn removes_one_at_a_time(&self) -> bool {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_none_or(|major| major < 23)
    }

    /// Checks that servers would be isolated as asked. Fails closed: without a user namespace nothing is started.
    pub fn suits(&self, isolation: Isolation, confinement: &Confinement) -> Result<(), Unfit> {
        match isolation {
            Isolation::Userns if !self.remapped => return Err(Unfit::NoUserMapping),
            Isolation::Capabilities if self.remapped => return Err(Unfit::MapsUsers),
            _ => {}
        }
        match &confinement.runtime {
            Some(runtime) if !self.runtimes.contains_key(runtime) => {
                Err(Unfit::NoRuntime { runtime: runtime.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn an_old_runc_is_known_by_its_version() {
        for (id, is_old) in [
            ("1.1.5+ds1-1+deb12u1", Some(true)),
            ("v1.2.5-0-g59923ef", Some(true)),
            ("1.2.8", Some(false)),
            ("v1.3.0-0-g4ca628d1", Some(true)),
            ("1.3.3+ds1-2", Some(false)),
            ("v1.4.0-rc.1", Some(false)),
            ("ff819c7e9184c13b7c2607fe6c30ae19403a7aff", None),
            ("", None),
        ] {
            assert_eq!(Facts::read(&json!({"RuncCommit": {"ID": id}})).has_old_runc(), is_old, "{id}");
        }
        assert_eq!(Facts::read(&json!({})).has_old_runc(), None);
    }

    #[test]
    fn the_runtime_s_name_or_argument_says_how_servers_are_told_apart() {
        let mut info = info();
        assert_eq!((Facts::read(&info).way, Facts::read(&info).largest_id()), (Way::Account, None));
        for (arguments, way, largest) in [
            (json!(["--own-ranges"]), Way::Own, Some(RANGES)),
            (json!(["--shared-account"]), Way::Shared, None),
            (json!([]), Way::Account, None),
            (Value::Null, Way::Account, None),
        ] {
            info["Runtimes"][RUNTIME]["runtimeArgs"] = arguments;
            assert_eq!((Facts::read(&info).way, Facts::read(&info).largest_id()), (way, largest));
        }
        info["Runtimes"][RUNTIME]["path"] = json!("/usr/local/bin/berth-runtime-own");
        assert_eq!((Facts::read(&info).way, Facts::read(&info).largest_id()), (Way::Own, Some(RANGES)));
    }

    #[test]
    fn without_a_user_namespace_nothing_is_started() {
        let confinement = Confinement { runtime: Some(RUNTIME.to_owned()), ..Confinement::default() };
        let suits = |info: &Value, isolation| Facts::read(info).suits(isolation, &confinement);
        let mut stock = info();
        stock["SecurityOptions"] = json!([]);
        assert_eq!(suits(&info(), Isolation::Userns), Ok(()));
        assert_eq!(suits(&stock, Isolation::Userns), Err(Unfit::NoUserMapping));
        assert_eq!(suits(&stock, Isolation::Capabilities), Ok(()));
        assert_eq!(suits(&info(), Isolation::Capabilities), Err(Unfit::MapsUsers));
        let mut plain = info();
        plain["Runtimes"] = json!({"runc": {"path": "runc"}});
        let runtime = RUNTIME.to_owned();
        assert_eq!(suits(&plain, Isolation::Userns), Err(Unfit::NoRuntime { runtime }));
    }

    #[test]
    fn an_engine_says_how_it_connects_networks_and_whether_it_bounds_swap() {
        let facts = Facts::read(&json!({"FirewallBackend": {"Driver": "nftables"}, "SwapLimit": true}));
        assert_eq!((facts.firewall.as_deref(), facts.limits_swap), (Some("nftables"), true));
        let older = Facts::read(&info());
        assert_eq!((older.firewall, older.limits_swap), (None, false));
    }

    #[test]
    fn an_old_engine_and_one_that_hides_its_age_remove_one_at_a_time() {
        for (version, careful) in
            [("20.10.24+dfsg1", true), ("22.0.1", true), ("23.0.0", false), ("28.2.2", false), ("", true)]
        {
            let facts = Facts::read(&json!({"ServerVersion": version}));
            assert_eq!(facts.removes_one_at_a_time(), careful, "{version}");
        }
    }
}
