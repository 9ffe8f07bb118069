//! Acts: the command of each, which is fixed. Nothing that a person sends becomes part of one.

use std::time::Duration;

use berth_schema::ticket::Act;

/// Newest lines of the log, as its page shows them first. `--all` keeps lines with colours, which are left out otherwise.
const LOG_TAIL: &str = "exec journalctl --no-pager --no-hostname --all --output=short-iso --lines=200";
const LOG_FOLLOW: &str =
    "exec journalctl --no-pager --no-hostname --all --output=short-iso --lines=200 --follow";
const LOG_FILE: &str = "exec journalctl --no-pager --no-hostname --all --output=short-iso --lines=20000";

/// Removes what can be had again: layers of images that no name leads to any more, the build cache, and old lines of the
/// journal. Containers, volumes, networks and images with a name stay, even if nothing uses them.
const CLEAN_UP: &str = "failed=0
echo 'Layers of images that no name leads to:'
docker image prune --force 2>&1 || failed=1
echo 'Build cache:'
docker builder prune --force 2>&1 || failed=1
echo 'Lines of the log beyond 100 MiB:'
journalctl --vacuum-size=100M 2>&1 || failed=1
exit $failed";

/// Command of an act; a terminal has none, but a login shell.
pub(super) fn command(act: Act) -> Option<&'static str> {
    match act {
        Act::Terminal => None,
        Act::LogTail => Some(LOG_TAIL),
        Act::LogFollow => Some(LOG_FOLLOW),
        Act::LogFile => Some(LOG_FILE),
        Act::CleanUp => Some(CLEAN_UP),
    }
}

/// Longest time that an act may take; `None` for those that end when the person leaves.
pub(super) fn longest(act: Act) -> Option<Duration> {
    match act {
        Act::Terminal | Act::LogFollow => None,
        Act::LogTail => Some(Duration::from_secs(20)),
        Act::LogFile => Some(Duration::from_secs(120)),
        Act::CleanUp => Some(Duration::from_secs(900)),
    }
}
