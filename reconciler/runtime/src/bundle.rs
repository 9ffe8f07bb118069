//! The bundle's `config.json`: the parts that this program must know, and the edits that it makes.
//!
//! The document is edited as JSON and only the parts in question are read as OCI types, so a field that a newer engine
//! writes and these types don't know yet stays in place.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use berth_host::Owner;
use berth_host::file::replace_for;
use berth_idmap::Reach;
use oci_spec::runtime::{LinuxIdMapping, Mount};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::document::filled;
use crate::grants;
use crate::mounts::Bind;
use crate::profile;

/// Directory in which a container sees its cgroups.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";

/// A system call that the engine's own seccomp profile refuses and a runc *inside* the server needs: the change into the
/// container's root. It acts on the caller's own mount namespace only.
const NESTED_SYSCALLS: &[&str] = &["pivot_root"];

/// Kernel keyrings. All servers are the same user to them, so one server could list another's keys and use up the quota
/// that they share. "Not implemented" is the answer with which systemd and runc go on without; "not permitted" is not.
const KEYRING_SYSCALLS: &[&str] = &["add_key", "keyctl", "request_key"];

/// Annotation that keeps the path of the engine's own mount of the root. runc keeps it with the container's state.
pub(crate) const ENGINE_S_ROOT: &str = "berth.engine-root";

/// The name that the hook's process sees as its own.
const PROGRAM: &str = "berth-runtime";

/// Time after which runc ends a hook and gives the container up. The hook ends by itself before.
pub(crate) const HOOK_SECONDS: u32 = 30;

/// `ENOSYS`, as the seccomp profile has it.
const NOT_IMPLEMENTED: u32 = 38;

/// Reason for which a bundle could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// `config.json` could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// `config.json` is not JSON, or a part of it doesn't follow the OCI specification.
    #[error("{part} of {} is not understood", path.display())]
    Parse { path: PathBuf, part: &'static str, source: serde_json::Error },
    /// The hooks are not where the OCI specification has them.
    #[error("the hooks of {} are not understood", path.display())]
    Misplaced { path: PathBuf },
    /// A path that JSON can't hold.
    #[error("a path of the bundle, of this program or of the runtime's log is not UTF-8")]
    NotText,
    /// Without a root there is nothing to run in.
    #[error("{} has no root.path", path.display())]
    NoRoot { path: PathBuf },
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
    environment: Vec<String>,
    is_changed: bool,
    /// The host's ids of the container's root, when the container has a user namespace.
    pub(crate) mapped_root: Option<MappedRoot>,
    /// The mappings of the users and of the groups; empty without a user namespace.
    pub(crate) mappings: (Vec<LinuxIdMapping>, Vec<LinuxIdMapping>),
    /// `linux.cgroupsPath`: an absolute path, or `slice:prefix:name` with the systemd driver.
    pub(crate) cgroups_path: Option<String>,
}

/// The host's ids of the container's root.
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
        let environment = part(&document, "/process/env", &path)?.unwrap_or_default();
        let mappings = (uids, gids);
        let mapped_root = mapped_root(&mappings);
        Ok(Self {
            path,
            document,
            mounts,
            environment,
            is_changed: false,
            mapped_root,
            mappings,
            cgroups_path,
        })
    }

    /// The environment of the container's first process, as `NAME=value` lines.
    pub(crate) fn environment(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().map(String::as_str)
    }

    /// Gives a server its AppArmor profile, if that is among those that are loaded.
    pub(crate) fn fit_profile(&mut self, loaded: &BTreeSet<String>) {
        self.is_changed |= profile::fit(&mut self.document, loaded);
    }

    /// Makes the edits that a server needs.
    pub(crate) fn prepare_for_server(&mut self) {
        let writable = self.make_cgroups_writable();
        let fitted = self.fit_seccomp();
        let has_namespace = self.mapped_root.is_some();
        if has_namespace {
            grants::grant(&mut self.document);
        }
        self.is_changed |= writable || fitted || has_namespace;
    }

    /// Adds a program that runs when the container's namespaces are made and nothing runs in them yet. Other hooks
    /// stay: older engines bring up their own networks by such a hook.
    pub(crate) fn add_hook(&mut self, program: &Path, arguments: &[OsString]) -> Result<(), BundleError> {
        let text = |value: &OsStr| value.to_str().map(str::to_owned);
        let hook = text(program.as_os_str())
            .zip(arguments.iter().map(|argument| text(argument)).collect::<Option<Vec<_>>>())
            .map(|(path, arguments)| {
                let own_name = Some(PROGRAM.to_owned());
                let arguments: Vec<String> = own_name.into_iter().chain(arguments).collect();
                json!({"path": path, "args": arguments, "timeout": HOOK_SECONDS})
            })
            .ok_or(BundleError::NotText)?;
        let misplaced = || BundleError::Misplaced { path: self.path.clone() };
        let root = self.document.as_object_mut().ok_or_else(misplaced)?;
        let hooks = filled(root, "hooks", json!({})).as_object_mut().ok_or_else(misplaced)?;
        filled(hooks, "createRuntime", json!([])).as_array_mut().ok_or_else(misplaced)?.push(hook);
        self.is_changed = true;
        Ok(())
    }

    /// Returns whether a user namespace is to be made for the container: it has mappings, and joins nobody's namespace.
    pub(crate) fn has_new_user_namespace(&self) -> bool {
        let namespaces = self.document.pointer("/linux/namespaces").and_then(Value::as_array);
        let mut user = namespaces.into_iter().flatten().filter(|namespace| is_user(namespace));
        self.mapped_root.is_some()
            && user.next().is_some_and(|namespace| namespace.get("path").is_none_or(Value::is_null))
    }

    /// Has runc join the user namespace at `path` instead of making one. The mappings stay: runc before 1.1.11 asks for them,
    /// and later ones take them if they are the namespace's own.
    pub(crate) fn join_user_namespace(&mut self, path: &Path) -> Result<(), BundleError> {
        let path = path.to_str().ok_or(BundleError::NotText)?;
        let namespaces = self.document.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut);
        for namespace in namespaces.into_iter().flatten().filter(|namespace| is_user(namespace)) {
            if let Some(namespace) = namespace.as_object_mut() {
                namespace.insert("path".to_owned(), json!(path));
                self.is_changed = true;
            }
        }
        Ok(())
    }

    /// Path of the container's root.
    pub(crate) fn root(&self) -> Result<PathBuf, BundleError> {
        let found = self.document.pointer("/root/path").and_then(Value::as_str);
        let found = found.ok_or_else(|| BundleError::NoRoot { path: self.path.clone() })?;
        // A relative one is below the bundle.
        Ok(self.path.parent().map_or_else(|| PathBuf::from(found), |bundle| bundle.join(found)))
    }

    /// The bind mounts.
    pub(crate) fn binds(&self) -> Vec<Bind> {
        let has = |mount: &Mount, name: &str| mount.options().iter().flatten().any(|option| option == name);
        let binds = self.mounts.iter().filter(|mount| {
            mount.typ().as_deref() == Some("bind") || has(mount, "bind") || has(mount, "rbind")
        });
        binds
            .filter_map(|mount| {
                let reach = if has(mount, "rbind") { Reach::Below } else { Reach::Alone };
                mount.source().clone().map(|source| Bind { source, reach })
            })
            .collect()
    }

    /// Gives the container these mappings instead of the engine's, and a root at `root`, and notes where the engine has it.
    pub(crate) fn move_to(
        &mut self,
        mappings: (Vec<LinuxIdMapping>, Vec<LinuxIdMapping>),
        root: &Path,
    ) -> Result<(), BundleError> {
        let engine_s = self.root()?;
        let engine_s = engine_s.to_str().ok_or(BundleError::NotText)?.to_owned();
        let misplaced = || BundleError::NoRoot { path: self.path.clone() };
        let (uids, gids) = (json!(mappings.0), json!(mappings.1));
        let document = self.document.as_object_mut().ok_or_else(misplaced)?;
        let notes = filled(document, "annotations", json!({})).as_object_mut().ok_or_else(misplaced)?;
        notes.insert(ENGINE_S_ROOT.to_owned(), json!(engine_s));
        let place = document.get_mut("root").and_then(Value::as_object_mut).ok_or_else(misplaced)?;
        place.insert("path".to_owned(), json!(root));
        let linux = document.get_mut("linux").and_then(Value::as_object_mut).ok_or_else(misplaced)?;
        linux.insert("uidMappings".to_owned(), uids);
        linux.insert("gidMappings".to_owned(), gids);
        self.mapped_root = mapped_root(&mappings);
        self.mappings = mappings;
        self.is_changed = true;
        Ok(())
    }

    /// Writes the edits to the file. Writes nothing when there were none.
    pub(crate) fn save(&self) -> Result<(), BundleError> {
        if !self.is_changed {
            return Ok(());
        }
        self.write().map_err(|source| BundleError::Write { path: self.path.clone(), source })
    }

    /// Takes `ro` off the cgroup mount, and returns whether it was there.
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

    /// Fits the seccomp profile to a nested runc, and returns whether there is one. The rest of it stays the engine's,
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
        let owner = Owner::from(&old);
        replace_for(&self.path, &serde_json::to_vec(&self.document)?, old.mode() & 0o7777, owner)
    }
}

/// Text of a bundle's edits.
#[cfg(test)]
pub(crate) fn told() -> String {
    format!("{CGROUP_MOUNT} {NESTED_SYSCALLS:?} {KEYRING_SYSCALLS:?} {NOT_IMPLEMENTED}")
}

fn is_user(namespace: &Value) -> bool {
    namespace.get("type").is_some_and(|kind| kind == "user")
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

fn mapped_root((uids, gids): &(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)) -> Option<MappedRoot> {
    root_of(uids).zip(root_of(gids)).map(|(uid, gid)| MappedRoot { uid, gid })
}

/// The host id that a mapping gives to the container's id 0.
fn root_of(mappings: &[LinuxIdMapping]) -> Option<u32> {
    mappings.iter().find(|m| m.container_id() == 0 && m.size() > 0).map(LinuxIdMapping::host_id)
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
