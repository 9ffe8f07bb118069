//! The host's own figures, from the kernel's files: processors, memory, disks, interfaces, file systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_metrics::{FileSystem, HostFigures, Io, Network, Usage};
use berth_wire::figures::{DiskTraffic, Sample, Traffic};
use rustix::fs::{major, minor, stat, statvfs};

use super::disk_traffic::Disks;
use super::rate::{bytes, rate};

/// Microseconds of one tick of `/proc/stat`. The kernel tells user space of a hundred a second, whatever it counts by.
const TICK: u64 = 10_000;
/// Bytes of a sector of `/proc/diskstats`, whatever the disk's are.
const SECTOR: u64 = 512;
/// Beginnings of the names of interfaces that programs make: their traffic goes through one of the others, too.
const MADE: [&str; 9] = ["lo", "veth", "docker", "br-", "virbr", "tun", "tap", "wg", "dummy"];

/// Reader of the host's files.
#[derive(Debug)]
pub(super) struct Host {
    proc: PathBuf,
    sys: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

impl Host {
    /// Reads everything; `None` where the kernel doesn't tell of processors and memory. `places` are folders whose file systems count.
    pub(super) fn read(&self, disks: &mut Disks, places: &[PathBuf]) -> Option<HostFigures> {
        let text = |name: &str| fs::read_to_string(self.proc.join(name)).ok();
        let (processors, cpu_micros) = processors(&text("stat")?)?;
        let meminfo = text("meminfo")?;
        let memory = kib(&meminfo, "MemTotal:")?;
        let usage = Usage {
            cpu_micros,
            working_set: memory.saturating_sub(kib(&meminfo, "MemAvailable:")?),
            memory: memory.saturating_sub(kib(&meminfo, "MemFree:")?),
            threads: text("loadavg").and_then(|text| threads(&text)).unwrap_or_default(),
            io: text("diskstats").map(|text| self.moved(&text, disks)),
            oom_kills: text("vmstat").and_then(|text| number(&text, "oom_kill ")),
        };
        let networks = text("self/net/dev").map(|text| self.networks(&text)).unwrap_or_default();
        let mounts = text("self/mountinfo").unwrap_or_default();
        Some(HostFigures { processors, memory, usage, networks, file_systems: file_systems(places, &mounts) })
    }

    /// Adds up the disks themselves, without their partitions and without what lies on others.
    fn moved(&self, diskstats: &str, disks: &mut Disks) -> Io {
        let (mut read, mut written) = (0_u64, 0_u64);
        for line in diskstats.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(major), Some(minor)) = (words.next(), words.next()) else { continue };
            let device = format!("{major}:{minor}");
            let sectors =
                |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
            // After the name: reads, merged ones, sectors, milliseconds, and the same of writes.
            let (was_read, was_written) = (sectors(words.nth(3)), sectors(words.nth(3)));
            // Most devices of a host are empty ones.
            if was_read == 0 && was_written == 0 || self.is_partition(&device) || disks.is_on_others(&device)
            {
                continue;
            }
            read = read.saturating_add(was_read.saturating_mul(SECTOR));
            written = written.saturating_add(was_written.saturating_mul(SECTOR));
        }
        Io { read, written: Some(written) }
    }

    fn is_partition(&self, device: &str) -> bool {
        self.sys.join("dev/block").join(device).join("partition").exists()
    }

    /// The interfaces that are devices; where none is, as in a container, those that no program of the host's made.
    fn networks(&self, dev: &str) -> Vec<(String, Network)> {
        let all: Vec<(String, Network)> = dev.lines().filter_map(network).collect();
        let is_device = |name: &str| self.sys.join("class/net").join(name).join("device").exists();
        let devices: Vec<_> = all.iter().filter(|(name, _)| is_device(name)).cloned().collect();
        if !devices.is_empty() {
            return devices;
        }
        all.into_iter().filter(|(name, _)| !MADE.iter().any(|made| name.starts_with(made))).collect()
    }
}

/// Reads `/proc/stat`: the number of processors, and the microseconds that they worked. Those of guests are in those of users.
fn processors(stat: &str) -> Option<(u32, u64)> {
    let mut ticks =
        stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().map(str::parse::<u64>);
    let [user, nice, system, _idle, _waits, interrupts, soft, stolen] =
        std::array::from_fn(|_| ticks.next().and_then(Result::ok).unwrap_or_default());
    let all = [user, nice, system, interrupts, soft, stolen];
    let busy = all.into_iter().fold(0_u64, u64::saturating_add);
    let own = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Some((u32::try_from(own).ok()?.max(1), busy.saturating_mul(TICK)))
}

/// Reads a line of `/proc/meminfo`.
fn kib(meminfo: &str, name: &str) -> Option<u64> {
    number(meminfo, name)?.checked_mul(1024)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Processes and threads that there are (proc_loadavg(5), after the slash).
fn threads(loadavg: &str) -> Option<u64> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// Reads a line of `/proc/net/dev`.
fn network(line: &str) -> Option<(String, Network)> {
    let (name, numbers) = line.split_once(':')?;
    let mut numbers = numbers.split_ascii_whitespace();
    let received = numbers.next()?.parse().ok()?;
    let sent = numbers.nth(7)?.parse().ok()?;
    Some((name.trim_start().to_owned(), Network { received, sent }))
}

/// The file systems of these folders, each once.
fn file_systems(places: &[PathBuf], mountinfo: &str) -> Vec<FileSystem> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for place in places {
        let Some((device, file_system)) = file_system(place, mountinfo) else { continue };
        if !seen.contains(&device) {
            seen.push(device);
            found.push(file_system);
        }
    }
    found
}

fn file_system(place: &Path, mountinfo: &str) -> Option<(u64, FileSystem)> {
    let device = stat(place).ok()?.st_dev;
    let room = statvfs(place).ok()?;
    let bytes = room.f_blocks.saturating_mul(room.f_frsize);
    let left = room.f_bavail.saturating_mul(room.f_frsize);
    let number = format!("{}:{}", major(device), minor(device));
    let mount = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(&number));
    // After the dash: the kind of the file system, and its device.
    let device_name = mount.and_then(|line| line.split_once(" - ")?.1.split(' ').nth(1)).unwrap_or("unknown");
    let file_system = FileSystem {
        device: device_name.to_owned(),
        bytes,
        used: bytes.saturating_sub(left),
        inodes: room.f_files,
        inodes_free: room.f_favail,
    };
    Some((device, file_system))
}

/// Use of the host from one reading to the next; `None` if the counters began anew in between.
pub(super) fn until(before: &HostFigures, next: &HostFigures, elapsed: Duration) -> Option<Sample> {
    let micros = next.usage.cpu_micros.checked_sub(before.usage.cpu_micros)?;
    let sum = |networks: &[(String, Network)], value: fn(&Network) -> u64| -> u64 {
        networks.iter().map(|(_, network)| value(network)).fold(0, u64::saturating_add)
    };
    let moved = |value: fn(&Network) -> u64| {
        let went = sum(&next.networks, value).checked_sub(sum(&before.networks, value))?;
        Some(bytes(went, elapsed))
    };
    let network = moved(|network| network.received).zip(moved(|network| network.sent));
    let io = before.usage.io.zip(next.usage.io).and_then(|(before, next)| {
        let written = before.written.zip(next.written);
        Some(DiskTraffic {
            read: bytes(next.read.checked_sub(before.read)?, elapsed),
            written: written.and_then(|(before, next)| Some(bytes(next.checked_sub(before)?, elapsed))),
        })
    });
    Some(Sample {
        cpu_millis: rate(micros.into(), elapsed),
        memory: next.usage.working_set,
        processes: u32::try_from(next.usage.threads).unwrap_or(u32::MAX),
        network: network.map(|(received, sent)| Traffic { received, sent }),
        io,
        disk: next.file_systems.last().map(|found| found.used),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a host with two processors, as Linux 6.18 writes them.
    const FILES: [(&str, &str); 6] = [
        (
            "stat",
            "cpu  100 20 30 5000 400 5 6 7 50 0\ncpu0 50 10 15 2500 200 2 3 3 25 0\ncpu1 50 10 15 2500 200 3 3 4 25 0\nintr 7\n",
        ),
        (
            "meminfo",
            "MemTotal:        8000 kB\nMemFree:         1000 kB\nMemAvailable:    5000 kB\nBuffers: 1 kB\n",
        ),
        ("loadavg", "0.10 0.20 0.30 2/345 6789\n"),
        (
            "diskstats",
            " 254       0 vda 10 0 80 1 20 0 160 2 0 3 4 0 0 0 0 0 0\n   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n 254       1 vda1 9 0 72 1 19 0 152 2 0 3 4 0 0 0 0 0 0\n",
        ),
        ("vmstat", "nr_free_pages 1\noom_kill 4\n"),
        (
            "self/net/dev",
            "Inter-| Receive\n face |bytes\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 700 1 0 0 0 0 0 0 300 1 0 0 0 0 0 0\nveth12: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n",
        ),
    ];

    fn host(home: &Path) -> Host {
        let (proc, sys) = (home.join("proc"), home.join("sys"));
        fs::create_dir_all(proc.join("self/net")).unwrap();
        for (name, text) in FILES {
            fs::write(proc.join(name), text).unwrap();
        }
        fs::create_dir_all(sys.join("dev/block/254:1")).unwrap();
        fs::write(sys.join("dev/block/254:1/partition"), "1\n").unwrap();
        Host { proc, sys }
    }

    #[test]
    fn the_kernel_s_files_are_understood() {
        let home = tempfile::tempdir().unwrap();
        let host = host(home.path());
        let read = host.read(&mut Disks::default(), &[]).unwrap();
        let usage = Usage {
            cpu_micros: 1_680_000,
            working_set: 3000 << 10,
            memory: 7000 << 10,
            threads: 345,
            io: Some(Io { read: 80 * 512, written: Some(160 * 512) }),
            oom_kills: Some(4),
        };
        let eth0 = ("eth0".to_owned(), Network { received: 700, sent: 300 });
        let expected = HostFigures {
            processors: 2,
            memory: 8000 << 10,
            usage,
            networks: vec![eth0],
            file_systems: Vec::new(),
        };
        assert_eq!(read, expected);
        fs::write(host.proc.join("meminfo"), "nothing\n").unwrap();
        assert_eq!(host.read(&mut Disks::default(), &[]), None);
    }

    #[test]
    fn this_very_host_can_be_read() {
        let places = ["/".into(), std::env::temp_dir(), "/nowhere".into(), "/".into()];
        let read = Host::default().read(&mut Disks::default(), &places).unwrap();
        assert!(read.memory > read.usage.working_set && read.usage.threads > 1 && read.usage.cpu_micros > 0);
        assert!(matches!(read.file_systems.len(), 1 | 2), "{:?}", read.file_systems);
        assert!(read.file_systems.iter().all(|found| found.bytes >= found.used && !found.device.is_empty()));
    }

    #[test]
    fn a_sample_is_what_was_used_since_the_last() {
        let home = tempfile::tempdir().unwrap();
        let before = host(home.path()).read(&mut Disks::default(), &[]).unwrap();
        let mut next = before.clone();
        next.usage.cpu_micros += 5_000_000;
        next.usage.io = Some(Io { read: 80 * 512 + 5000, written: Some(160 * 512) });
        next.networks[0].1.sent += 500;
        let sample = until(&before, &next, Duration::from_secs(5)).unwrap();
        let expected = Sample {
            cpu_millis: 1000,
            memory: 3000 << 10,
            processes: 345,
            network: Some(Traffic { received: 0, sent: 100 }),
            io: Some(DiskTraffic { read: 1000, written: Some(0) }),
            disk: None,
        };
        assert_eq!(sample, expected);
        assert_eq!(until(&next, &before, Duration::from_secs(5)), None);
    }
}
