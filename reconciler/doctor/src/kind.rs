//! Kinds of things that the kernel counts, and of which a server has a share.

use std::fmt;

/// A kind of thing that the kernel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Inotify,
    InotifyWatches,
    Fanotify,
    Timers,
    Queues,
    Namespaces,
    LockedMemory,
    Processes,
    Keys,
    Descriptors,
    Pipes,
    EpollWatches,
    Terminals,
}

impl Kind {
    /// All of them, in the order in which they are tried.
    pub(crate) const ALL: [Self; 13] = [
        Self::Inotify,
        Self::InotifyWatches,
        Self::Fanotify,
        Self::Timers,
        Self::Queues,
        Self::Namespaces,
        Self::LockedMemory,
        Self::Processes,
        Self::Keys,
        Self::Descriptors,
        Self::Pipes,
        Self::EpollWatches,
        Self::Terminals,
    ];

    /// Its word in the canaries' program.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Inotify => "inotify",
            Self::InotifyWatches => "watches",
            Self::Fanotify => "fanotify",
            Self::Timers => "timers",
            Self::Queues => "queues",
            Self::Namespaces => "namespaces",
            Self::LockedMemory => "memory",
            Self::Processes => "processes",
            Self::Keys => "keys",
            Self::Descriptors => "descriptors",
            Self::Pipes => "pipes",
            Self::EpollWatches => "epoll",
            Self::Terminals => "terminals",
        }
    }

    /// The most that a hog takes: more than a server may have, and less than a canary's memory holds.
    pub(crate) fn most(self) -> u32 {
        match self {
            Self::EpollWatches => 300_000,
            _ => 1_000_000,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inotify => "inotify instances",
            Self::InotifyWatches => "inotify watches",
            Self::Fanotify => "fanotify groups",
            Self::Timers => "timers",
            Self::Queues => "message queues",
            Self::Namespaces => "namespaces",
            Self::LockedMemory => "locked memory (64 KiB each)",
            Self::Processes => "processes",
            Self::Keys => "keys",
            Self::Descriptors => "descriptors under way (100 each)",
            Self::Pipes => "pipes",
            Self::EpollWatches => "epoll watches",
            Self::Terminals => "pseudo terminals",
        })
    }
}
