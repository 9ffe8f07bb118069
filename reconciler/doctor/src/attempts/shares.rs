//! Shares: things that the kernel counts. The attacker takes them until it is refused and holds them, and its neighbour must
//! still get a few. docs/isolation.md says which counts belong to one server, and which are one for all.

use berth_host::Way;

use super::suite::Suite;
use crate::attempt::{Act, Expected, Trial};
use crate::kind::Kind;
use crate::scene::Counts;
use crate::threat::Threat;

/// The reason for which a count can't be filled that is the attacker's own.
const BEYOND: &str = "the kernel's limit is more than a canary's memory holds";

pub(super) fn list(suite: &mut Suite<'_>) {
    let counts = suite.scene.counts;
    suite.of(Threat::OthersShare);
    for kind in Kind::ALL {
        // A trial that ends without a refusal proves nothing about a count of the attacker's own.
        if kind == Kind::EpollWatches && counts.way == Some(Way::Own) && counts.epoll > kind.most().into() {
            suite.not_here(kind, Expected::Limited, BEYOND);
            continue;
        }
        let trial = Trial::of(vec![Act::Take(kind)], Vec::new()).may_stay();
        match is_shared(kind, &counts) {
            true => suite.shared(kind, |_| trial),
            false => suite.limited(kind, |_| trial),
        }
    }
}

/// Returns whether one server can take all of a kind from the others, by the way in which this platform keeps them apart.
fn is_shared(kind: Kind, counts: &Counts) -> bool {
    let of_the_maker = !matches!(counts.way, Some(Way::Own | Way::Account));
    let of_the_user = counts.way != Some(Way::Own);
    match kind {
        Kind::Inotify
        | Kind::InotifyWatches
        | Kind::Fanotify
        | Kind::Timers
        | Kind::Queues
        | Kind::Namespaces
        | Kind::LockedMemory => of_the_maker,
        Kind::Descriptors => of_the_user,
        // `berth engine setup` lifts both, since the memory behind them is limited anyway.
        Kind::Pipes => of_the_user && counts.pipes != 0,
        Kind::EpollWatches => of_the_user && counts.has_epoll_limit(),
        // The cgroup counts those, and nobody gets any of these.
        Kind::Processes | Kind::Keys => false,
        // No namespace has a count of them.
        Kind::Terminals => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds that are shared where the kernel has the settings that it came with, or has been set up.
    fn shared(way: Option<Way>, epoll: u64, pipes: u64) -> Vec<String> {
        let counts = Counts { way, epoll, pipes };
        let kinds = Kind::ALL.into_iter().filter(|kind| is_shared(*kind, &counts));
        kinds.map(|kind| kind.to_string()).collect()
    }

    #[test]
    fn the_platform_s_way_says_what_is_shared() {
        let (epoll, pipes) = (5_491_383, 16_384);
        assert_eq!(shared(Some(Way::Own), epoll, pipes), ["pseudo terminals"]);
        let by_account = ["descriptors under way (100 each)", "pipes", "epoll watches", "pseudo terminals"];
        assert_eq!(shared(Some(Way::Account), epoll, pipes), by_account);
        let after_setup = ["descriptors under way (100 each)", "pseudo terminals"];
        assert_eq!(shared(Some(Way::Account), 0x7fff_ffff, 0), after_setup);
        for way in [Some(Way::Shared), None] {
            assert_eq!(shared(way, epoll, pipes).len(), Kind::ALL.len() - 2, "all but processes and keys");
        }
    }
}
