//! A range of ids of a server's own.
//!
//! On the disk nothing changes: files keep the ids that the engine maps its containers to, which are the same for all servers. In the
//! kernel a server's users are others', so that no limit that the kernel keeps by user is shared. The mounts stand between the two
//! ([`crate::mounts`]); here are the numbers alone.

use berth_host::{FIRST_RANGE, RANGE, RANGES};
use oci_spec::OciSpecError;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};

use crate::account::Server;

/// Reason for which a server has no range of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeError {
    /// There are fewer ranges than ids.
    #[error(
        "server {0} has no range of ids: ranges are there for servers up to {RANGES}. Give it a smaller id, or go \
         back with `berth engine setup --way account`"
    )]
    None(u32),
    /// The engine maps more ids than a range has, or counts them in a way that can't be followed.
    #[error("the engine maps its containers to more than {RANGE} ids, or to ids that don't exist")]
    Wide,
    /// A mapping could not be put together.
    #[error("cannot put a mapping of ids together")]
    Build(#[from] OciSpecError),
}

/// The ids of one server in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
}

impl Range {
    /// Finds the range of a server. Servers of one platform never share one; those of two on one host may, with the same luck as
    /// their numbers fall beside each other.
    pub(crate) fn of(server: Server) -> Result<Self, RangeError> {
        let Server { platform, id } = server;
        if !(1..=RANGES).contains(&id) {
            return Err(RangeError::None(id));
        }
        Ok(Self { first: FIRST_RANGE + (platform % RANGES + id - 1) % RANGES * RANGE })
    }

    /// The id of the server's root, user and group.
    pub(crate) fn root(self) -> u32 {
        self.first
    }

    /// The mapping of the container: the engine's extents, in this range.
    pub(crate) fn inside(self, engine_s: &[LinuxIdMapping]) -> Result<Vec<LinuxIdMapping>, RangeError> {
        let inside =
            |one: &LinuxIdMapping| mapping(one.container_id(), self.first + self.offset(one)?, one.size());
        engine_s.iter().map(inside).collect()
    }

    /// The mapping of the mounts: from ids on the disk to those of this range.
    ///
    /// Everything below the engine's ids stays itself. overlayfs makes its temporary files as the host's root, who also owns the
    /// capabilities of an image's files; and where containerd stores the images, their lowest layer has ids of the image, which
    /// would be nobody's without a mapping, and their folders closed even to overlayfs.
    pub(crate) fn on_disk(self, engine_s: &[LinuxIdMapping]) -> Result<Vec<LinuxIdMapping>, RangeError> {
        let below = engine_s.iter().map(LinuxIdMapping::host_id).min().unwrap_or_default();
        let below = (below > 0).then(|| mapping(0, 0, below));
        let shifted =
            |one: &LinuxIdMapping| mapping(one.host_id(), self.first + self.offset(one)?, one.size());
        below.into_iter().chain(engine_s.iter().map(shifted)).collect()
    }

    /// The place of an extent in the range.
    fn offset(self, one: &LinuxIdMapping) -> Result<u32, RangeError> {
        let end = one.container_id().checked_add(one.size()).filter(|end| *end <= RANGE);
        end.map(|_| one.container_id()).ok_or(RangeError::Wide)
    }
}

fn mapping(from: u32, to: u32, size: u32) -> Result<LinuxIdMapping, RangeError> {
    Ok(LinuxIdMappingBuilder::default().container_id(from).host_id(to).size(size).build()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn engine_s(extents: &[(u32, u32, u32)]) -> Vec<LinuxIdMapping> {
        extents.iter().map(|&(container, host, size)| mapping(container, host, size).unwrap()).collect()
    }

    fn plain(mappings: &[LinuxIdMapping]) -> Vec<(u32, u32, u32)> {
        mappings.iter().map(|one| (one.container_id(), one.host_id(), one.size())).collect()
    }

    #[test]
    fn servers_of_a_platform_never_share_a_range() {
        for platform in [0, 1, RANGES - 1, u32::MAX] {
            let ranges: BTreeSet<u32> =
                (1..=RANGES).map(|id| Range::of(Server { platform, id }).unwrap().root()).collect();
            assert_eq!(ranges.len(), RANGES as usize);
            assert_eq!(ranges.first(), Some(&FIRST_RANGE));
            assert_eq!(ranges.last(), Some(&0x7ffd_0000), "the next ones are somebody's");
        }
    }

    #[test]
    fn an_id_without_a_range_is_refused_by_name() {
        for id in [0, RANGES + 1, 0xffff] {
            let words = Range::of(Server { platform: 5, id }).unwrap_err().to_string();
            assert!(words.contains(&format!("server {id} ")) && words.contains("4094"), "{words}");
        }
    }

    #[test]
    fn several_extents_keep_their_places() {
        let range = Range::of(Server { platform: 0, id: 2 }).unwrap();
        let engine_s = engine_s(&[(0, 100_000, 1000), (1000, 500_000, 64_536)]);
        let first = FIRST_RANGE + RANGE;
        assert_eq!(
            plain(&range.inside(&engine_s).unwrap()),
            [(0, first, 1000), (1000, first + 1000, 64_536)]
        );
        assert_eq!(
            plain(&range.on_disk(&engine_s).unwrap()),
            [(0, 0, 100_000), (100_000, first, 1000), (500_000, first + 1000, 64_536)]
        );
    }

    #[test]
    fn more_ids_than_a_range_has_are_refused() {
        let range = Range::of(Server { platform: 0, id: 1 }).unwrap();
        for extents in [&[(0, 100_000, RANGE + 1)][..], &[(0, 1, 1), (RANGE, 7, 1)], &[(u32::MAX, 1, 2)]] {
            assert!(matches!(range.inside(&engine_s(extents)), Err(RangeError::Wide)), "{extents:?}");
            assert!(matches!(range.on_disk(&engine_s(extents)), Err(RangeError::Wide)), "{extents:?}");
        }
    }
}
