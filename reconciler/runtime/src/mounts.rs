//! Shifted mounts: a server's root and its volumes, seen through ids of its own.
//!
//! All of it is in a mount namespace of this process. runc copies that one for the container, and the original ends with this process,
//! so the host's mount table never has any of it and nobody has to unmount anything.
//!
//! The root is a second overlay of the engine's layers, as an overlay itself can't be shifted. The kernel calls the two on one upper
//! directory undefined: what one has looked up it needn't look up again. So the engine's is made to forget whenever a server has been
//! made or entered ([`forget`]); the server's own never looks twice, and operations.md says what that means for `docker cp`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_idmap::{Reach, shift};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};

use crate::overlay::{Overlay, OverlayError};

/// Place of a server's root while runc makes it. On the host it is an empty folder, in which `runc exec` begins. Not the engine's own
/// place: the folders above that let only the engine's mapped root pass.
pub(crate) const ROOT: &str = "/run/berth-ranges/root";

/// The folder of [`ROOT`].
const PLACE: &str = "/run/berth-ranges";

/// The work directory of the second overlay, beside the engine's own. Mounting clears it.
const WORK: &str = "work-ranges";

/// Options of the small file systems that hold mount points.
const POINTS: &std::ffi::CStr = c"mode=0711,size=1m";

/// Reason for which a server's mounts could not be shifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    /// The kernel refused to shift what is at a path.
    #[error("cannot shift the ids of {}", path.display())]
    Shift { path: PathBuf, source: io::Error },
    /// Another step failed.
    #[error("cannot {what} {}", path.display())]
    Step { what: &'static str, path: PathBuf, source: io::Error },
    /// The root is not one that can be mounted a second time.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
}

/// A bind mount of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Its source, on the host.
    pub(crate) source: PathBuf,
    /// Set where what is mounted below the source comes along.
    pub(crate) reach: Reach,
}

/// Moves this process into a mount namespace that gets the host's unmounts and lets nothing out.
pub(crate) fn withdraw() -> Result<(), MountError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(io::Error::from).step("leave the host's mounts at", "/")?;
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downstream).step("keep from the host what is mounted below", "/")
}

/// Covers the bundle's sources, and mounts its root at [`ROOT`], read by the ids of `ids`. Only after [`withdraw`].
pub(crate) fn shift_all(ids: &OwnedFd, root: &Path, binds: &[Bind]) -> Result<(), MountError> {
    // The folder is the host's; on it lies a file system of this process's own.
    make_folder(Path::new(PLACE), 0o711)?;
    mount(c"tmpfs", PLACE, c"tmpfs", MountFlags::empty(), POINTS).step("mount a tmpfs at", PLACE)?;
    make_folder(Path::new(ROOT), 0o711)?;
    cover(ids, binds)?;
    mount_root(ids, root)
}

/// Makes the folder in which `runc exec` begins, if the machine has started since a server was made.
pub(crate) fn make_root_folder() -> Result<(), MountError> {
    make_folder(Path::new(PLACE), 0o711)?;
    make_folder(Path::new(ROOT), 0o711)
}

/// Lets the engine's own mount of a root forget what it has looked up: remounting empties the kernel's cache of its names.
pub(crate) fn forget(engine_s: &Path) -> Result<(), MountError> {
    mount_remount(engine_s, MountFlags::empty(), c"").step("refresh the engine's view of", engine_s)
}

/// Puts shifted clones over the sources of bind mounts. All are opened before the first is covered, and outer ones are covered first.
fn cover(ids: &OwnedFd, binds: &[Bind]) -> Result<(), MountError> {
    let mut sources: BTreeMap<PathBuf, Reach> = BTreeMap::new();
    for bind in binds {
        let source = fs::canonicalize(&bind.source).step("find", &bind.source)?;
        let reach = sources.entry(source).or_insert(bind.reach);
        if bind.reach == Reach::Below {
            *reach = Reach::Below;
        }
    }
    let trees: Vec<(PathBuf, OwnedFd)> = sources
        .into_iter()
        .map(|(source, reach)| shifted(ids, &source, reach).map(|tree| (source, tree)))
        .collect::<Result<_, _>>()?;
    trees.iter().try_for_each(|(source, tree)| attach(tree, source))
}

/// Mounts at [`ROOT`] what the engine has at `engine_s`.
fn mount_root(ids: &OwnedFd, engine_s: &Path) -> Result<(), MountError> {
    let engine_s = fs::canonicalize(engine_s).step("find", engine_s)?;
    let table = fs::read("/proc/self/mountinfo").step("read", "/proc/self/mountinfo")?;
    let overlay = Overlay::find(&table, &engine_s)?;
    make_folder(&overlay.folder.join(WORK), 0o700)?;
    let layers = overlay.lower.iter().chain([&overlay.folder]);
    let layers = layers.map(|layer| fs::canonicalize(layer).step("find", layer));
    let trees: Vec<OwnedFd> = layers
        .map(|layer| layer.and_then(|layer| shifted(ids, &layer, Reach::Alone)))
        .collect::<Result<_, _>>()?;
    mount(c"tmpfs", ROOT, c"tmpfs", MountFlags::empty(), POINTS).step("mount a tmpfs at", ROOT)?;
    for (number, tree) in trees.iter().enumerate() {
        let place = Path::new(ROOT).join(number.to_string());
        make_folder(&place, 0o700)?;
        attach(tree, &place)?;
    }
    let whole = Path::new(ROOT).join("whole");
    make_folder(&whole, 0o700)?;
    // Options have to fit a page: names of layers are relative, and so short.
    let before = std::env::current_dir().step("find the current folder, not", ROOT)?;
    std::env::set_current_dir(ROOT).step("change into", ROOT)?;
    let options = std::ffi::CString::new(overlay.options(WORK).into_vec()).map_err(io::Error::other);
    let mounted = options.and_then(|options| {
        mount(c"overlay", "whole", c"overlay", MountFlags::empty(), options.as_c_str()).map_err(Into::into)
    });
    std::env::set_current_dir(&before).step("change into", &before)?;
    mounted.step("mount an overlay of shifted layers, as the engine has one at", &engine_s)?;
    let tree = clone(&whole, Reach::Alone)?;
    // The overlay has clones of its layers of its own.
    drop(trees);
    unmount(ROOT, UnmountFlags::DETACH).step("unmount", ROOT)?;
    attach(&tree, Path::new(ROOT))
}

/// A clone of what is at a path, attached nowhere, and seen through `ids`.
fn shifted(ids: &OwnedFd, path: &Path, reach: Reach) -> Result<OwnedFd, MountError> {
    let tree = clone(path, reach)?;
    shift(&tree, ids, reach).map_err(|source| MountError::Shift { path: path.into(), source })?;
    Ok(tree)
}

fn clone(path: &Path, reach: Reach) -> Result<OwnedFd, MountError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = match reach {
        Reach::Alone => flags,
        Reach::Below => flags | OpenTreeFlags::AT_RECURSIVE,
    };
    open_tree(CWD, path, flags).step("clone the mount of", path)
}

fn attach(tree: impl AsFd, place: &Path) -> Result<(), MountError> {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", CWD, place, empty).step("attach a shifted mount at", place)
}

fn make_folder(path: &Path, mode: u32) -> Result<(), MountError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).step("make the folder", path)
}

/// Opens the user namespace at a path, for mounts that outlive the process that holds it.
pub(crate) fn open_ids(path: &Path) -> Result<OwnedFd, MountError> {
    File::open(path).map(OwnedFd::from).step("open", path)
}

/// Says which step failed.
trait Step<T> {
    fn step(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, MountError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, MountError> {
        self.map_err(|source| MountError::Step { what, path: path.as_ref().into(), source: source.into() })
    }
}
