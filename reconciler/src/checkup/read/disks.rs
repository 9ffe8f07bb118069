//! File systems on which folders lie, or will lie once they are made.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::file::text;
use crate::checkup::facts::Disk;

/// The file systems of the engine's folder and of others, one a device. A folder that can't be looked at is left out.
pub(super) fn read(engine: &Path, others: &[&Path]) -> Vec<Disk> {
    let mounts = text("/proc/self/mountinfo");
    let mut found: Vec<(u64, Disk)> = Vec::new();
    for folder in [engine].iter().chain(others) {
        let Some((device, disk)) = disk(folder, &mounts) else { continue };
        match found.iter_mut().find(|(known, _)| *known == device) {
            Some((_, known)) => known.folders.extend(disk.folders),
            None => found.push((device, Disk { has_engine: *folder == engine, ..disk })),
        }
    }
    found.into_iter().map(|(_, disk)| disk).collect()
}

fn disk(folder: &Path, mounts: &str) -> Option<(u64, Disk)> {
    let there = folder.ancestors().find(|path| path.exists())?.canonicalize().ok()?;
    let device = there.metadata().ok()?.dev();
    let room = statvfs(&there).ok()?;
    let disk = Disk {
        folders: vec![folder.to_owned()],
        has_engine: false,
        kind: kind(mounts, &there).unwrap_or_default().to_owned(),
        bytes: room.f_blocks.saturating_mul(room.f_frsize),
        free: room.f_bfree.saturating_mul(room.f_frsize),
        inodes: room.f_files,
        free_inodes: room.f_ffree,
    };
    Some((device, disk))
}

/// The kind of the file system that a path lies on: that of the mount with the longest path, and of several there, of the last one.
fn kind<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (place, system) = line.split_once(" - ")?;
        let place = place.split(' ').nth(4)?.replace("\\040", " ");
        let length = path.starts_with(&place).then(|| PathBuf::from(place).components().count())?;
        Some((length, system.split(' ').next()?))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:25 / /var rw - tmpfs tmpfs rw
31 21 8:2 / /var/lib rw shared:2 - xfs /dev/sda2 rw
32 21 8:3 / /var/lib rw shared:3 - btrfs /dev/sda3 rw
33 21 8:4 / /srv/my\\040disk rw - ext4 /dev/sda4 rw
";

    #[test]
    fn a_folder_lies_on_the_innermost_mount_and_the_topmost_there() {
        let of = |path: &str| kind(MOUNTS, path.as_ref());
        assert_eq!(of("/var/lib/docker"), Some("btrfs"));
        assert_eq!(of("/var/library"), Some("tmpfs"));
        assert_eq!(of("/home"), Some("ext4"));
        assert_eq!(of("/srv/my disk/x"), Some("ext4"));
        assert_eq!(kind("", "/".as_ref()), None);
    }

    #[test]
    fn folders_on_one_device_are_one_disk_also_before_they_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, data) = (folder.path().join("engine/data"), folder.path().join("berth"));
        let disks = read(&engine, &[&data]);
        assert_eq!(disks.len(), 1);
        let disk = disks.first().unwrap();
        assert_eq!(disk.folders, [engine, data]);
        assert!(
            disk.has_engine && disk.bytes > 0 && disk.free <= disk.bytes && !disk.kind.is_empty(),
            "{disk:?}"
        );
    }
}
