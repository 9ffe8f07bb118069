//! The edition of what servers get from this program: the number by which `berth status` knows those that were started before it changed.

use berth_host::EDITION;

use crate::{account, bundle, cgroup, grants};

/// Digests of what each edition gave, the newest last. None is ever changed or removed.
const EDITIONS: &[u64] = &[0x9a2e_363b_3997_119b];

#[test]
fn what_servers_get_has_a_number_of_its_own() {
    let gives = [grants::told(), bundle::told(), account::told(), cgroup::told()].join("\n");
    let digest = gives.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(
        EDITIONS.last(),
        Some(&digest),
        "servers get something else than before: raise `EDITION` in berth-host, and add the digest to `EDITIONS`:\n{gives}"
    );
    assert_eq!(u32::try_from(EDITIONS.len()).unwrap(), EDITION, "one digest for each edition");
}
