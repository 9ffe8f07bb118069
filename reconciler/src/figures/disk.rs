//! Disk space that servers take, measured one server after the other, forever.
//!
//! Nothing on a stock host counts it, so somebody has to walk through the files. That works in short slices with long rests, so
//! that it takes a small share of one processor and of the disk, and no pass ever waits for it. How old a figure is depends on
//! how much there is to walk through, and is told with the figure.

mod walk;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_engine::Reader;
use berth_fault::chain;
use berth_schema::name::ServerId;
use berth_wire::figures::DiskUse;
use jiff::Timestamp;

use super::Use;
use crate::servers::{Seen, Servers};
use walk::{Measured, Walk};

/// Longest slice of work, unless a single file takes longer.
const SLICE: Duration = Duration::from_millis(10);
/// Rest after a slice, as a multiple of it: a tenth of the time is work.
const RESTS: u32 = 9;
/// Least time from the beginning of a server's measurement to that of its next.
const AGAIN: Duration = Duration::from_secs(30);
/// The same as a multiple of the work that the last one took.
const AGAIN_BY_WORK: u32 = 20;
/// Wait where nobody is due.
const IDLE: Duration = Duration::from_secs(2);

/// Measures what servers take, forever.
pub async fn watch(servers: Servers, reader: Reader, used: Use) {
    let mut rounds = Rounds::default();
    loop {
        let seen = servers.seen();
        rounds.last.retain(|id, _| seen.servers.contains_key(id));
        used.0.lock().disks.retain(|id, _| seen.servers.contains_key(id));
        let Some((id, container)) = rounds.next(&seen, Instant::now()) else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        let (container, begun) = (container.to_owned(), Instant::now());
        let (measured, work) = measure(&reader, &container, &used).await;
        rounds.last.insert(id, Last { container, begun, work });
        match measured {
            Ok(None) => {}
            Ok(Some(Measured { bytes, extent, inodes })) => {
                let disk = DiskUse { bytes, at: Timestamp::now(), extent, inodes };
                used.0.lock().disks.insert(id, disk);
            }
            Err(why) => {
                used.0.lock().disks.remove(&id);
                rounds.tell(why);
            }
        }
    }
}

/// Turns of the servers, one after the other.
#[derive(Debug, Default)]
struct Rounds {
    last: HashMap<ServerId, Last>,
    /// The last failure that was logged. The next server's is likely to be the same.
    told: Option<String>,
}

/// Last measurement of a server.
#[derive(Debug)]
struct Last {
    container: String,
    begun: Instant,
    /// Time that it worked, without the rests.
    work: Duration,
}

impl Rounds {
    /// The server that has waited longest, if one is due, with its container.
    fn next<'a>(&self, seen: &'a Seen, now: Instant) -> Option<(ServerId, &'a str)> {
        let waits = seen.containers().filter_map(|(id, container)| {
            // Another container has another layer.
            let last = self.last.get(&id).filter(|last| last.container == container);
            let begun = last.map(|last| last.begun);
            let is_due = last.is_none_or(|last| {
                now.saturating_duration_since(last.begun) >= AGAIN.max(last.work * AGAIN_BY_WORK)
            });
            is_due.then_some((begun, id, container))
        });
        waits.min().map(|(_, id, container)| (id, container))
    }

    fn tell(&mut self, why: String) {
        if self.told.as_ref() != Some(&why) {
            tracing::warn!(why, "the disk space of servers can't be measured");
            self.told = Some(why);
        }
    }
}

/// Measures one container: `None` where it is gone. Returns the time that this worked, too.
async fn measure(
    reader: &Reader,
    container: &str,
    used: &Use,
) -> (Result<Option<Measured>, String>, Duration) {
    let places = match reader.places(container).await {
        Ok(Some(places)) => {
            used.learn_place(&places.folders);
            places
        }
        Ok(None) => return (Ok(None), Duration::ZERO),
        Err(error) => return (Err(chain(&error)), Duration::ZERO),
    };
    let (mut walk, mut work) = (Walk::through(places), Duration::ZERO);
    loop {
        let begun = Instant::now();
        let sliced = tokio::task::spawn_blocking(move || {
            let done = walk.work(begun + SLICE);
            (walk, done)
        });
        let (back, done) = match sliced.await {
            Ok(sliced) => sliced,
            Err(error) => return (Err(error.to_string()), work),
        };
        let slice = begun.elapsed();
        (walk, work) = (back, work.saturating_add(slice));
        match done {
            Some(Ok(measured)) => return (Ok(Some(measured)), work),
            Some(Err(error)) => return (Err(error.to_string()), work),
            None => tokio::time::sleep(slice * RESTS).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_schema::server::PowerState;

    use crate::servers::Known;

    use super::*;

    fn id(number: u32) -> ServerId {
        ServerId(number.try_into().unwrap())
    }

    fn seen(containers: &[(u32, Option<&str>)]) -> Seen {
        let known = |container: Option<&str>| Known {
            name: "shop".to_owned(),
            container: "hosting-users-dind-1".to_owned(),
            id: container.map(str::to_owned),
            wanted: Some(PowerState::Running),
        };
        let servers = containers.iter().map(|(number, container)| (id(*number), known(*container)));
        Seen { servers: servers.collect(), ..Seen::default() }
    }

    #[test]
    fn whoever_has_waited_longest_is_next_and_large_ones_wait_longer() {
        let seen = seen(&[(1, Some("a")), (2, Some("b")), (3, None), (4, Some("d"))]);
        let begun = Instant::now();
        let mut rounds = Rounds::default();
        let mut turn = |after: Duration, work: Duration| {
            let now = begun + after;
            let (id, container) = rounds.next(&seen, now)?;
            rounds.last.insert(id, Last { container: container.to_owned(), begun: now, work });
            Some(id)
        };
        let second = Duration::from_secs(1);
        assert_eq!(turn(Duration::ZERO, 10 * second), Some(id(1)));
        assert_eq!(turn(second, second / 10), Some(id(2)));
        assert_eq!(turn(2 * second, second / 10), Some(id(4)), "one without a container has no turn");
        assert_eq!(turn(3 * second, second), None);
        assert_eq!(turn(second + AGAIN, second / 10), Some(id(2)));
        assert_eq!(turn(199 * second, second), Some(id(4)));
        assert_eq!(turn(199 * second, second), Some(id(2)));
        assert_eq!(turn(199 * second, second), None, "the first took long, so it is left alone for long");
        assert_eq!(turn(200 * second, second), Some(id(1)));
    }

    #[test]
    fn another_container_is_measured_at_once() {
        let now = Instant::now();
        let mut rounds = Rounds::default();
        rounds.last.insert(id(1), Last { container: "a".to_owned(), begun: now, work: Duration::ZERO });
        assert_eq!(rounds.next(&seen(&[(1, Some("a"))]), now), None);
        assert_eq!(rounds.next(&seen(&[(1, Some("b"))]), now), Some((id(1), "b")));
    }
}
