//! Grants to a server beside what the engine was asked for: capabilities, devices and limits of its processes that reach no further
//! than its own user namespace, and that ordinary software asks for.
//!
//! They are given at each start, so that a server that exists has them from its next start on. Without a user namespace, none of
//! this would be harmless, and none is given.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use serde_json::{Map, Value, json};

use crate::document::filled;

/// Capabilities that the kernel asks for within the server's own namespaces alone (`capabilities(7)`): tracing its own processes
/// (also `hidepid` units, `strace`, Chromium), and what databases want to be asked for (`cap_add` in Compose files).
const CAPABILITIES: &[&str] =
    &["CAP_SYS_PTRACE", "CAP_SYS_NICE", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_LEASE"];

/// Sets of capabilities that a process has by itself. Nothing is inherited that a program wouldn't have anyway.
const SETS: &[&str] = &["bounding", "effective", "permitted"];

/// System calls that the engine's own seccomp profile allows with these capabilities, had it been asked for them.
const SYSCALLS: &[&str] = &[
    "get_mempolicy",
    "kcmp",
    "mbind",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "set_mempolicy",
];

/// Devices that act on the server's own mounts and network: FUSE (sshfs, rclone, AppImages) and TUN (VPNs).
const DEVICES: &[Device] = &[
    Device { path: "/dev/fuse", major: 10, minor: 229 },
    Device { path: "/dev/net/tun", major: 10, minor: 200 },
];

/// Hard limits of the first process, from which all others come. What they bound is bounded by the server's memory already.
const LIMITS: &[Limit] = &[
    Limit { name: "RLIMIT_NOFILE", resource: Resource::Nofile, most: Some(1 << 20) },
    Limit { name: "RLIMIT_MEMLOCK", resource: Resource::Memlock, most: None },
];

/// `RLIM_INFINITY`, as the OCI specification's number has it.
const UNLIMITED: u64 = u64::MAX;

/// A device by its numbers.
struct Device {
    path: &'static str,
    major: u32,
    minor: u32,
}

/// A limit of processes.
struct Limit {
    name: &'static str,
    resource: Resource,
    /// The largest; `None` is none at all.
    most: Option<u64>,
}

/// Adds everything to a bundle's document. Parts that aren't there are made; parts that aren't what the OCI specification says are
/// left for runc to refuse.
pub(crate) fn grant(document: &mut Value) {
    let devices = DEVICES.iter().filter(|device| device.is_here());
    // runc is refused limits for a process in a namespace that another user made, as a server's is, unless it may raise any.
    let may_raise = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    let limits: Vec<(&str, u64)> = match may_raise {
        true => LIMITS.iter().map(|limit| (limit.name, limit.value())).collect(),
        false => Vec::new(),
    };
    if !may_raise {
        LIMITS.iter().for_each(Limit::pass_on);
    }
    grant_these(document, devices, &limits);
}

fn grant_these<'a>(document: &mut Value, devices: impl Iterator<Item = &'a Device>, limits: &[(&str, u64)]) {
    for set in SETS {
        let path = format!("/process/capabilities/{set}");
        let Some(Value::Array(found)) = document.pointer_mut(&path) else { continue };
        for capability in CAPABILITIES {
            if !found.iter().any(|had| had == capability) {
                found.push(json!(capability));
            }
        }
    }
    if let Some(Value::Array(rules)) = document.pointer_mut("/linux/seccomp/syscalls") {
        rules.push(json!({"names": SYSCALLS, "action": "SCMP_ACT_ALLOW"}));
    }
    for device in devices {
        let Device { path, major, minor } = device;
        let node = json!({"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0});
        put(list(document, &["linux"], "devices"), "path", node);
        let rule = json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm"});
        if let Some(rules) = list(document, &["linux", "resources"], "devices") {
            rules.push(rule);
        }
    }
    for (name, value) in limits {
        let limits = list(document, &["process"], "rlimits");
        put(limits, "type", json!({"type": name, "hard": value, "soft": value}));
    }
}

/// Text of what is granted.
#[cfg(test)]
pub(crate) fn told() -> String {
    let devices: Vec<_> = DEVICES.iter().map(|device| (device.path, device.major, device.minor)).collect();
    let limits: Vec<_> = LIMITS.iter().map(|limit| (limit.name, limit.most)).collect();
    format!("{CAPABILITIES:?} {SETS:?} {SYSCALLS:?} {devices:?} {limits:?}")
}

/// The list with this name below `path`, made if nothing is there; `None` where something else is.
fn list<'a>(document: &'a mut Value, path: &[&str], name: &str) -> Option<&'a mut Vec<Value>> {
    let mut object: &mut Map<String, Value> = document.as_object_mut()?;
    for part in path {
        object = filled(object, part, json!({})).as_object_mut()?;
    }
    filled(object, name, json!([])).as_array_mut()
}

/// Puts an entry in the place of the one with the same `key`, or behind all others.
fn put(list: Option<&mut Vec<Value>>, key: &str, entry: Value) {
    let Some(list) = list else { return };
    match list.iter_mut().find(|old| old.get(key) == entry.get(key)) {
        Some(old) => *old = entry,
        None => list.push(entry),
    }
}

impl Device {
    /// Returns whether the host has it: runc binds the host's own node.
    fn is_here(&self) -> bool {
        fs::metadata(Path::new(self.path)).is_ok_and(|found| {
            let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
            found.file_type().is_char_device() && (major, minor) == (self.major, self.minor)
        })
    }
}

impl Limit {
    /// The limit for runc to set.
    fn value(&self) -> u64 {
        self.most.unwrap_or(UNLIMITED)
    }

    /// Raises this process's own limit as far as it may. The container's first process comes from it, and has the same.
    fn pass_on(&self) {
        let maximum = getrlimit(self.resource).maximum;
        let current = maximum.map_or(self.value(), |most| most.min(self.value()));
        // Without it the server runs all the same, with less.
        let _ = setrlimit(self.resource, Rlimit { current: Some(current), maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUSE: Device = Device { path: "/dev/fuse", major: 10, minor: 229 };

    fn granted(mut document: Value) -> Value {
        grant_these(&mut document, [&FUSE].into_iter(), &[("RLIMIT_NOFILE", 1000)]);
        document
    }

    #[test]
    fn what_is_there_is_kept_and_the_rest_is_added_once() {
        let before = json!({
            "process": {
                "capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_PTRACE"], "permitted": [], "inheritable": []},
                "rlimits": [
                    {"type": "RLIMIT_CORE", "hard": 1, "soft": 1},
                    {"type": "RLIMIT_NOFILE", "hard": 20, "soft": 10},
                ],
            },
            "linux": {
                "devices": [{"path": "/dev/fuse", "type": "c", "major": 1, "minor": 1}],
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
                "seccomp": {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
            },
        });
        let after = granted(before);
        let sets = &after["process"]["capabilities"];
        let bounding = sets["bounding"].as_array().unwrap();
        assert_eq!(bounding.len(), 1 + CAPABILITIES.len());
        assert_eq!(sets["permitted"].as_array().unwrap().len(), CAPABILITIES.len());
        assert_eq!(sets["inheritable"], json!([]));
        assert_eq!(sets.get("ambient"), None);
        assert_eq!(
            after["process"]["rlimits"],
            json!([
                {"type": "RLIMIT_CORE", "hard": 1, "soft": 1},
                {"type": "RLIMIT_NOFILE", "hard": 1000, "soft": 1000},
            ])
        );
        let devices = after["linux"]["devices"].as_array().unwrap();
        assert_eq!((devices.len(), &devices[0]["minor"]), (1, &json!(229)));
        // A later rule overrides an earlier one.
        let rules = after["linux"]["resources"]["devices"].as_array().unwrap();
        assert_eq!((rules.len(), &rules[0]["allow"], &rules[1]["allow"]), (2, &json!(false), &json!(true)));
        assert_eq!(after["linux"]["seccomp"]["syscalls"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn parts_that_are_missing_are_made_and_odd_ones_are_left() {
        let after = granted(json!({"linux": {"devices": null}, "process": {"rlimits": "odd"}}));
        assert_eq!(after["linux"]["devices"][0]["path"], "/dev/fuse");
        assert_eq!(after["linux"]["resources"]["devices"][0]["minor"], 229);
        assert_eq!(after["process"]["rlimits"], "odd");
        assert_eq!(after["process"].get("capabilities"), None);
        assert_eq!(granted(json!([])), json!([]));
    }

    #[test]
    fn a_limit_is_one_that_can_be_set() {
        for limit in LIMITS {
            let value = limit.value();
            assert!(value > 0 && limit.most.is_none_or(|most| value <= most), "{} {value}", limit.name);
        }
    }
}
