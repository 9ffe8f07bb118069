//! The bundle's `config.json`: what this program must know of it, and the two edits that it makes.
//!
//! The document is edited as JSON and only the parts in question are read as OCI types, so a field that a newer engine
//! writes and these types don't know yet stays in place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, Mount};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where a container sees its cgroups.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";

/// A system call that the engine's own seccomp profile refuses and a runc *inside* the server needs: the change into the
/// container's root. It acts on the caller's own mount namespace only.
const NESTED_SYSCALLS: &[&str] = &["pivot_root"];

/// Kernel keyrings. All servers are the same user to them, so one server could list another's keys and use up the quota
/// that they share. "Not implemented" is the answer with which systemd and runc go on without; "not permitted" is not.
const KEYRING_SYSCALLS: &[&str] = &["add_key", "keyctl", "request_key"];

/// `ENOSYS`, as the seccomp profile has it.
const NOT_IMPLEMENTED: u32 = 38;

/// Why a bundle could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// `config.json` could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// `config.json` is not JSON, or a part of it is not what the OCI specification says.
    #[error("{part} of {} is not understood", path.display())]
    Parse { path: PathBuf, part: &'static str, source: serde_json::Error },
    /// The edited `config.json` could not be put in place.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A bundle's configuration, in memory.
#[derive(Debug)]
pub(crate) struct Bundle {
    path: PathBuf,
    document: Value,
    mounts: Vec<Mount>,
    /// The host's ids of the container's root, when the container has a user namespace.
    pub(crate) mapped_root: Option<MappedRoot>,
    /// `linux.cgroupsPath`: an absolute path, or `slice:prefix:name` with the systemd driver.
    pub(crate) cgroups_path: Option<String>,
}

/// Who the container's root is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MappedRoot {
    /// The user id.
    pub(crate) uid: u32,
    /// The group id.
    pub(crate) gid: u32,
}

impl Bundle {
    /// Reads the configuration of the bundle in `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, BundleError> {
        let path = directory.join("config.json");
        let bytes = fs::read(&path).map_err(|source| BundleError::Read { path: path.clone(), source })?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|source| BundleError::Parse {
            path: path.clone(),
            part: "the text",
            source,
        })?;
        let mounts: Vec<Mount> = part(&document, "/mounts", &path)?.unwrap_or_default();
        let uids: Vec<LinuxIdMapping> = part(&document, "/linux/uidMappings", &path)?.unwrap_or_default();
        let gids: Vec<LinuxIdMapping> = part(&document, "/linux/gidMappings", &path)?.unwrap_or_default();
        let cgroups_path = part(&document, "/linux/cgroupsPath", &path)?;
        let mapped_root = root_of(&uids).zip(root_of(&gids)).map(|(uid, gid)| MappedRoot { uid, gid });
        Ok(Self { path, document, mounts, mapped_root, cgroups_path })
    }

    /// Makes both edits, in the file too. Writes nothing when nothing has to change.
    pub(crate) fn prepare_for_server(&mut self) -> Result<(), BundleError> {
        let writable = self.make_cgroups_writable();
        let fitted = self.fit_seccomp();
        if !writable && !fitted {
            return Ok(());
        }
        self.write().map_err(|source| BundleError::Write { path: self.path.clone(), source })
    }

    /// Takes `ro` off the cgroup mount, and says whether it was there.
    fn make_cgroups_writable(&mut self) -> bool {
        let mut changed = false;
        for (index, mount) in self.mounts.iter().enumerate() {
            if mount.destination() != Path::new(CGROUP_MOUNT) {
                continue;
            }
            let Some(Value::Array(options)) = self.document.pointer_mut(&format!("/mounts/{index}/options"))
            else {
                continue;
            };
            let before = options.len();
            options.retain(|option| option != "ro");
            changed |= options.len() != before;
        }
        changed
    }

    /// Fits the seccomp profile to a nested runc, and says whether there is a profile. The rest of it stays the engine's,
    /// which knows what this kernel has and what these capabilities allow.
    fn fit_seccomp(&mut self) -> bool {
        let Some(Value::Array(rules)) = self.document.pointer_mut("/linux/seccomp/syscalls") else {
            return false;
        };
        for rule in rules.iter_mut() {
            if let Some(Value::Array(names)) = rule.get_mut("names") {
                names.retain(|name| !KEYRING_SYSCALLS.iter().any(|keyring| name == keyring));
            }
        }
        rules
            .retain(|rule| rule.get("names").and_then(Value::as_array).is_none_or(|names| !names.is_empty()));
        rules.push(json!({"names": NESTED_SYSCALLS, "action": "SCMP_ACT_ALLOW"}));
        rules.push(
            json!({"names": KEYRING_SYSCALLS, "action": "SCMP_ACT_ERRNO", "errnoRet": NOT_IMPLEMENTED}),
        );
        true
    }

    /// Replaces the file as a whole: runc must never see half of it. The new file keeps the owner and mode of the old.
    fn write(&self) -> io::Result<()> {
        let old = fs::metadata(&self.path)?;
        let new = self.path.with_extension("json.berth");
        let mut file: File = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = serde_json::to_vec(&self.document)
            .map_err(io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid())))
            .and_then(|()| file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777)))
            .and_then(|()| fs::rename(&new, &self.path));
        if written.is_err() {
            // The first error is the one to report; a left-over file goes with the bundle.
            let _ = fs::remove_file(&new);
        }
        written
    }
}

/// Reads one part of the document as an OCI type. A part that is missing or null is none.
fn part<T: DeserializeOwned>(
    document: &Value,
    pointer: &'static str,
    path: &Path,
) -> Result<Option<T>, BundleError> {
    match document.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|source| BundleError::Parse {
            path: path.to_owned(),
            part: pointer,
            source,
        }),
    }
}

/// The host id that a mapping gives to the container's id 0.
fn root_of(mappings: &[LinuxIdMapping]) -> Option<u32> {
    mappings.iter().find(|m| m.container_id() == 0 && m.size() > 0).map(LinuxIdMapping::host_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_of(document: &Value) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.json");
        fs::write(&path, document.to_string()).expect("config.json");
        (directory, path)
    }

    fn server() -> Value {
        json!({
            "ociVersion": "1.0.2",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                 "options": ["ro", "nosuid", "noexec", "nodev"]},
            ],
            "linux": {
                "cgroupsPath": "/docker/abc",
                "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 200_000, "size": 65536}],
            },
            "futureField": {"kept": true},
        })
    }

    #[test]
    fn takes_ro_off_the_cgroup_mount_and_changes_nothing_else() {
        let (directory, path) = bundle_of(&server());
        let mut bundle = Bundle::read(directory.path()).expect("a bundle");
        bundle.prepare_for_server().expect("the edit");

        let mut expected = server();
        expected["mounts"][2]["options"] = json!(["nosuid", "noexec", "nodev"]);
        let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
        assert_eq!(written, expected);
    }

    #[test]
    fn reads_the_mapped_root_and_the_cgroup_path() {
        let (directory, _) = bundle_of(&server());
        let bundle = Bundle::read(directory.path()).expect("a bundle");
        assert_eq!(bundle.mapped_root, Some(MappedRoot { uid: 100_000, gid: 200_000 }));
        assert_eq!(bundle.cgroups_path.as_deref(), Some("/docker/abc"));
    }

    #[test]
    fn a_container_of_the_host_s_user_namespace_has_no_mapped_root() {
        let mut document = server();
        document["linux"]["uidMappings"] = Value::Null;
        let (directory, _) = bundle_of(&document);
        assert_eq!(Bundle::read(directory.path()).expect("a bundle").mapped_root, None);
    }

    #[test]
    fn a_mapping_that_leaves_root_out_has_no_mapped_root() {
        let mut document = server();
        document["linux"]["uidMappings"] = json!([{"containerID": 1, "hostID": 100_000, "size": 65536}]);
        let (directory, _) = bundle_of(&document);
        assert_eq!(Bundle::read(directory.path()).expect("a bundle").mapped_root, None);
    }

    #[test]
    fn writes_nothing_when_the_mount_is_writable_already() {
        let mut document = server();
        document["mounts"][2]["options"] = json!(["nosuid"]);
        let (directory, path) = bundle_of(&document);
        let before = fs::metadata(&path).expect("metadata").ino();
        Bundle::read(directory.path()).expect("a bundle").prepare_for_server().expect("no edit");
        assert_eq!(fs::metadata(&path).expect("metadata").ino(), before);
    }

    #[test]
    fn fits_a_profile_to_a_nested_runc_and_makes_none_where_there_is_none() {
        let mut document = server();
        document["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "keyctl"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["add_key"], "action": "SCMP_ACT_ALLOW"},
        ]});
        let (directory, path) = bundle_of(&document);
        Bundle::read(directory.path()).expect("a bundle").prepare_for_server().expect("the edit");
        let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
        let expected = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["pivot_root"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["add_key", "keyctl", "request_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ]});
        assert_eq!(written["linux"]["seccomp"], expected);

        let (directory, path) = bundle_of(&server());
        Bundle::read(directory.path()).expect("a bundle").prepare_for_server().expect("the edit");
        let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
        assert_eq!(written["linux"].get("seccomp"), None);
    }

    #[test]
    fn keeps_the_mode_and_leaves_no_second_file() {
        let (directory, path) = bundle_of(&server());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        Bundle::read(directory.path()).expect("a bundle").prepare_for_server().expect("the edit");
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
    }

    #[test]
    fn says_which_part_is_wrong() {
        let mut document = server();
        document["mounts"] = json!("none");
        let (directory, _) = bundle_of(&document);
        let error = Bundle::read(directory.path()).expect_err("an error");
        assert!(error.to_string().contains("/mounts"), "{error}");
    }
}
