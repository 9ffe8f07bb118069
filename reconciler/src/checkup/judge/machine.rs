//! The machine: kernel, AppArmor, settings, ports, disks, memory, clock, and the name that leads here.

use crate::checkup::diagnosis::{Diagnosis, Weight};
use crate::checkup::facts::{Cgroups, Clock, Disk, Held, HostFacts};
use crate::checkup::version::version;
use crate::setup::keys::Zero;

/// The kernel since which an overlay can be mounted in a user namespace (overlayfs, Linux 5.11).
const OVERLAYS: [u32; 2] = [5, 11];
/// Controllers that limits of servers need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

const GIB: u64 = 1 << 30;
/// Space for the images of servers and of the platform, built and being built.
const ROOM: u64 = 5 * GIB;
/// Memory of the platform's own processes and containers, and of a first server by default.
const LEAST_MEMORY: u64 = GIB;
const GOOD_MEMORY: u64 = 2 * GIB;

/// File systems on which the engine can't keep layers of containers: another's view, or a network's.
const NO_LAYERS: [&str; 8] = ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "9p", "fuseblk"];
/// File systems that are gone after a restart.
const PASSING: [&str; 2] = ["tmpfs", "ramfs"];

pub(super) fn kernel(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    if version(&facts.kernel).is_some_and(|found: [u32; 2]| found < OVERLAYS) {
        let what = format!(
            "Linux {} is older than 5.11, since which a server's own Docker can mount its layers; before, it copies them, slowly and \
             many times",
            facts.kernel
        );
        all.push(Diagnosis::new(Weight::Wrong, "kernel", what, "boot a newer kernel"));
    }
    let (controllers, is_v1) = match &facts.cgroups {
        Cgroups::None => {
            let what = "no cgroup hierarchy is mounted: nothing can be limited, and systemd doesn't start in a server";
            let remedy = "mount one: `mount -t cgroup2 none /sys/fs/cgroup`, or boot with systemd";
            all.push(Diagnosis::new(Weight::Stops, "cgroups", what, remedy));
            return;
        }
        Cgroups::V1(controllers) => (controllers, true),
        Cgroups::V2(controllers) => (controllers, false),
    };
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|name| !controllers.contains(*name)).collect();
    if !missing.is_empty() {
        let what = format!(
            "the kernel doesn't limit by cgroup: {}; what one server takes of it, all others lack",
            missing.join(", ")
        );
        let remedy =
            "boot with the controllers on (`cgroup_enable=memory` on some machines), or another kernel";
        all.push(Diagnosis::new(Weight::Wrong, "cgroups", what, remedy));
    }
    if is_v1 {
        let what = "cgroups are of version 1, which systemd and runc give up";
        let remedy = "boot with `systemd.unified_cgroup_hierarchy=1` on the kernel's command line";
        all.push(Diagnosis::new(Weight::Advice, "cgroups", what, remedy));
    }
}

pub(super) fn apparmor(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    let apparmor = &facts.apparmor;
    if let Some(why) = &apparmor.unread {
        let what = format!("which profiles are loaded can't be told: {why}");
        all.push(Diagnosis::new(Weight::Advice, "AppArmor", what, "ask as root: `sudo berth engine check`"));
    }
    if apparmor.is_enabled && !apparmor.has_parser {
        let what = "the kernel has AppArmor and nothing loads its profiles: containers run without any, and the engine may refuse to \
                    start them";
        all.push(Diagnosis::new(
            Weight::Wrong,
            "AppArmor",
            what,
            "install the package: `apt install apparmor`, and restart the engine",
        ));
    } else if apparmor.is_enabled && !apparmor.missing.is_empty() {
        let what = format!(
            "not loaded as this release has it: {}; this host's own profiles confine members' programs by their paths, and the \
             firewall isn't confined",
            apparmor.missing.join(", ")
        );
        let remedy = "`berth engine setup --yes` writes and loads them";
        all.push(Diagnosis::new(Weight::Wrong, "AppArmor", what, remedy));
    }
}

pub(super) fn settings(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    if !facts.low.is_empty() {
        let each = facts.low.iter().map(|low| {
            let found = low.found.trim();
            let found = if found.is_empty() { "not there" } else { found };
            match (low.quota.zero, low.least) {
                (Zero::Unbounded, 0) => format!("{} is {found}, and 0 lifts it", low.quota.sysctl),
                (_, least) => format!("{} is {found}, and should be {least}", low.quota.sysctl),
            }
        });
        let what = format!("the kernel has room for few servers: {}", each.collect::<Vec<_>>().join("; "));
        all.push(Diagnosis::new(Weight::Wrong, "settings", what, "`berth engine setup --yes` raises them"));
    }
    // Berth's own processes are privileged; the profile of servers lets members' programs through where there is AppArmor.
    let in_the_way: Vec<&str> = facts
        .no_namespaces
        .iter()
        .copied()
        .filter(|sysctl| !sysctl.contains("apparmor") || !facts.apparmor.missing.is_empty())
        .collect();
    for sysctl in in_the_way {
        let what = format!(
            "{sysctl} keeps members' programs that aren't root from making user namespaces (browsers' sandboxes, rootless containers)"
        );
        let remedy = match sysctl.contains("apparmor") {
            true => "`berth engine setup --yes` loads the profile of servers, which allows it".to_owned(),
            false => format!("`sysctl {sysctl}=1`, if you want them to"),
        };
        all.push(Diagnosis::new(Weight::Advice, "settings", what, remedy));
    }
}

pub(super) fn ports(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    for port in &facts.ports {
        let holder = match &port.held {
            Held::Free | Held::Ours => continue,
            Held::Container(name) => format!("the container `{name}`"),
            Held::Process(name, pid) => format!("`{name}` (process {pid})"),
            Held::Hidden => "another program".to_owned(),
        };
        let what = format!("port {} is for {}, and {holder} has it", port.number, port.used_by);
        let remedy = format!("stop that program, or choose another port: `{}` in platform.toml", port.field);
        all.push(Diagnosis::new(Weight::Wrong, "ports", what, remedy));
    }
}

pub(super) fn disks(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    for disk in &facts.disks {
        let kind = disk.kind.as_str();
        let folders = disk.folders.iter().map(|folder| folder.display().to_string());
        let folders = folders.collect::<Vec<_>>().join(", ");
        if disk.has_engine && NO_LAYERS.contains(&kind) {
            let what =
                format!("the engine's folder is on {kind} ({folders}), which can't hold containers' layers");
            let remedy = "put `data-root` of the engine's configuration on ext4, XFS or btrfs";
            all.push(Diagnosis::new(Weight::Stops, "disk", what, remedy));
        } else if PASSING.contains(&kind) {
            let what = format!("{folders} is on {kind}, and gone when the machine restarts");
            all.push(Diagnosis::new(Weight::Wrong, "disk", what, "put it on a disk"));
        }
        fullness(disk, &folders, all);
    }
}

fn fullness(disk: &Disk, folders: &str, all: &mut Vec<Diagnosis>) {
    let is_below =
        |free: u64, total: u64, percent: u64| free.saturating_mul(100) < total.saturating_mul(percent);
    if disk.has_engine && disk.free < ROOM {
        let what = format!(
            "{} MiB are free for {folders}; images take some {} GiB, and servers what they write",
            disk.free >> 20,
            ROOM / GIB
        );
        all.push(Diagnosis::new(Weight::Wrong, "disk", what, "make room, or add a disk"));
    } else if is_below(disk.free, disk.bytes, 5) {
        let what = format!("{folders} is almost full: {} MiB are free", disk.free >> 20);
        all.push(Diagnosis::new(Weight::Wrong, "disk", what, "make room, or add a disk"));
    }
    if disk.inodes > 0 && is_below(disk.free_inodes, disk.inodes, 5) {
        let what = format!(
            "{folders} has room for {} files more: no disk space helps when they are used up",
            disk.free_inodes
        );
        let remedy =
            "remove many small files, or make the file system anew with more inodes (`mkfs.ext4 -i`)";
        all.push(Diagnosis::new(Weight::Wrong, "disk", what, remedy));
    }
}

pub(super) fn memory(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    let Some(memory) = facts.memory else {
        let what = "how much memory there is can't be read";
        all.push(Diagnosis::new(Weight::Advice, "memory", what, "look at /proc/meminfo"));
        return;
    };
    let weight = match memory {
        ..LEAST_MEMORY => Weight::Wrong,
        LEAST_MEMORY..GOOD_MEMORY => Weight::Advice,
        _ => return,
    };
    let swap = match facts.swap {
        0 => " and there is no swap".to_owned(),
        swap => format!(" and {} MiB of swap", swap >> 20),
    };
    let what =
        format!("{} MiB of memory{swap}: the platform's own parts leave little for servers", memory >> 20);
    all.push(Diagnosis::new(weight, "memory", what, "give the machine 2 GiB and more"));
}

pub(super) fn clock(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    let (weight, what) = match facts.clock {
        Clock::Synchronised => return,
        Clock::Alone => (
            Weight::Wrong,
            "no time server sets the clock: certificates and one-time codes fail once it is off",
        ),
        Clock::Unknown => (Weight::Advice, "whether a time server sets the clock can't be told here"),
    };
    all.push(Diagnosis::new(weight, "clock", what, "install `systemd-timesyncd` or `chrony`"));
}

pub(super) fn name(facts: &HostFacts, all: &mut Vec<Diagnosis>) {
    let Some(name) = &facts.name else { return };
    let remedy = "`berth doctor --names` looks at all names, and says what each record should be";
    let what = match &name.records {
        Err(why) => format!("the addresses of {} can't be had: {why}", name.name),
        Ok(records) if records.is_empty() => {
            format!("{} has no address, so nobody gets here by it", name.name)
        }
        Ok(records) => match records.iter().find(|(_, leads_here)| !leads_here) {
            Some((address, _)) => format!("{} leads to {address}, which isn't this machine", name.name),
            None => return,
        },
    };
    all.push(Diagnosis::new(Weight::Wrong, "DNS", what, remedy));
}
