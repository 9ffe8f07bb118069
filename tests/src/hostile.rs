//! Attempts of root in a server against the host and the neighbours, and how each is known to be refused.
//!
//! Owns the list only; a story runs it on cgroup v1 and v2. A command runs as root inside the attacker's server with
//! `sh -c`, in an environment that tells it what a real attacker would have to guess:
//!
//! - `HOST_PID`: a process of the host, outside every server
//! - `HOST_DISK`: the host's disk as `major:minor`
//! - `VICTIM_SECRET`: the host's path of a file in a neighbour's volume
//!
//! Exit code 0 means that the attack **worked**. Any other code is a refusal, and its output must hold one of `refusals`,
//! so that a tool that is missing is not mistaken for a wall.

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The attempt in words.
    pub name: &'static str,
    /// The attack. Exit code 0 means that it worked.
    pub command: &'static str,
    /// Words of which one must be in the output when it is refused.
    pub refusals: &'static [&'static str],
    /// A command on the host whose output must be the same before and after. Empty when there is nothing to see.
    pub host: &'static str,
}

/// Words of the kernel when it refuses, and the shell's words for that.
const NO: &[&str] = &["Permission denied", "Operation not permitted", "permission denied", "not permitted"];
/// The same, and the words for a file that isn't even there to be opened.
const ABSENT: &[&str] = &[
    "Permission denied",
    "Operation not permitted",
    "permission denied",
    "No such file",
    "nonexistent",
    "Read-only file system",
];

/// Every attempt, by subject.
pub const ATTEMPTS: &[Attempt] = &[
    // The host's kernel settings
    Attempt {
        name: "run a program on the host at the next crash (core_pattern)",
        command: "echo '|/bin/true' > /proc/sys/kernel/core_pattern",
        refusals: NO,
        host: "cat /proc/sys/kernel/core_pattern",
    },
    Attempt {
        name: "core_pattern through a fresh proc",
        command: "mkdir -p /tmp/p && mount -t proc proc /tmp/p && { echo '|/bin/true' > /tmp/p/sys/kernel/core_pattern; \
                  code=$?; umount /tmp/p; exit $code; }",
        refusals: NO,
        host: "cat /proc/sys/kernel/core_pattern",
    },
    Attempt {
        name: "run a program on the host when a module is wanted (modprobe)",
        command: "echo /tmp/x > /proc/sys/kernel/modprobe",
        refusals: ABSENT,
        host: "cat /proc/sys/kernel/modprobe /proc/sys/kernel/poweroff_cmd 2>/dev/null",
    },
    Attempt {
        name: "any setting outside the server's own namespaces",
        // What stays after the filter are the settings of the network, IPC and PID namespaces, which are the server's own.
        command: "mount -o remount,rw /proc/sys 2>/dev/null; \
                  open=$(find /proc/sys -type f 2>/dev/null | while read f; do ( : >> \"$f\" ) 2>/dev/null && echo \"$f\"; done \
                  | grep -vE '^/proc/sys/(net/|fs/mqueue/|kernel/(auto_msgmni|msg(_next_id|max|mnb|mni)|sem(_next_id)?|shm[a-z_]*|ns_last_pid|pid_max|hostname|domainname)$)'); \
                  [ -n \"$open\" ] && { echo \"$open\"; exit 0; }; echo Permission denied; exit 1",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "the host's settings by writing all that open in the server",
        // Writes to the server's own namespaces succeed; the host's values must not move.
        command: "echo 1 > /proc/sys/net/ipv4/ip_default_ttl; echo 4321 > /proc/sys/kernel/shmmni; \
                  echo 77 > /proc/sys/fs/mqueue/msg_max; echo 1 > /proc/sys/net/ipv4/conf/all/log_martians; \
                  echo 12345 > /proc/sys/kernel/pid_max; echo Permission denied; exit 1",
        refusals: NO,
        host: "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max \
               /proc/sys/net/ipv4/conf/all/log_martians /proc/sys/kernel/pid_max",
    },
    Attempt {
        name: "the machine's SysRq",
        command: "echo h > /proc/sysrq-trigger",
        refusals: ABSENT,
        host: "cat /proc/sys/kernel/sysrq 2>/dev/null",
    },
    Attempt {
        name: "allow SysRq first",
        command: "echo 1 > /proc/sys/kernel/sysrq",
        refusals: ABSENT,
        host: "cat /proc/sys/kernel/sysrq 2>/dev/null",
    },
    Attempt {
        name: "the files of sysfs",
        command: "mkdir -p /tmp/s; mount -o remount,rw /sys 2>/dev/null; mount -t sysfs sysfs /tmp/s 2>/dev/null; \
                  open=$(find /sys /tmp/s -type f -not -path '*/cgroup/*' -not -path '*/net/*' 2>/dev/null \
                  | while read f; do ( : >> \"$f\" ) 2>/dev/null && echo \"$f\"; done); umount /tmp/s 2>/dev/null; \
                  [ -n \"$open\" ] && { echo \"$open\"; exit 0; }; echo Permission denied; exit 1",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "the host's memory",
        command: "head -c 1 /proc/kcore || { mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem; }",
        refusals: ABSENT,
        host: "",
    },
    Attempt { name: "the host's clock", command: "date -s '2001-01-01'", refusals: NO, host: "date +%Y" },
    Attempt {
        name: "a kernel file system that shows more (debugfs, tracefs, securityfs, configfs)",
        command: "mkdir -p /tmp/kfs; for t in debugfs tracefs securityfs configfs; do mount -t $t $t /tmp/kfs && exit 0; done; exit 1",
        refusals: NO,
        host: "",
    },
    // The host's devices
    Attempt {
        name: "a device node of the host's disk",
        command: "rm -f /tmp/disk; mknod /tmp/disk b ${HOST_DISK%:*} ${HOST_DISK#*:}",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "a device node inside an own tmpfs",
        command: "mkdir -p /tmp/t && mount -t tmpfs -o dev tmpfs /tmp/t; mknod /tmp/t/disk b ${HOST_DISK%:*} ${HOST_DISK#*:} \
                  && head -c 1 /tmp/t/disk; code=$?; umount /tmp/t; exit $code",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "a device node in a nested container",
        command: "docker run --rm --cap-add SYS_ADMIN berth/endpoint:local /bin/busybox mknod /disk b ${HOST_DISK%:*} ${HOST_DISK#*:}",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "every device at once (a nested privileged container)",
        command: "docker run --rm --privileged berth/endpoint:local /bin/busybox true",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "mount the host's disk",
        command: "mkdir -p /tmp/d; source=$(findmnt -no SOURCE /apps | sed 's/\\[.*//'); mount \"$source\" /tmp/d || mount -t ext4 \"$source\" /tmp/d",
        refusals: &[
            "Permission denied",
            "permission denied",
            "not permitted",
            "does not exist",
            "not a block device",
        ],
        host: "",
    },
    Attempt {
        name: "the host's kernel log device and raw ports",
        command: "head -c 1 /dev/kmsg || head -c 1 /dev/mem || head -c 1 /dev/port",
        refusals: ABSENT,
        host: "",
    },
    // The host's kernel itself
    Attempt {
        name: "load a kernel module",
        command: "head -c 64 /dev/zero > /tmp/x.ko; insmod /tmp/x.ko",
        refusals: &["not permitted", "Permission denied", "Function not implemented"],
        host: "cat /proc/modules 2>/dev/null | wc -l",
    },
    Attempt {
        name: "restart the machine",
        // reboot(2) in a PID namespace would end this server only; it must not even get there.
        command: "perl -e 'my $n = `uname -m` =~ /aarch64/ ? 142 : 169; \
                  syscall($n, 0xfee1dead, 672274793, 0x89abcdef, 0) == 0 and exit 0; print \"$!\\n\"; exit 1'",
        refusals: NO,
        host: "cat /proc/sys/kernel/random/boot_id",
    },
    Attempt {
        name: "swap on a file of the server",
        command: "head -c 1048576 /dev/zero > /apps/swap && chmod 600 /apps/swap && mkswap /apps/swap >/dev/null && swapon /apps/swap; \
                  code=$?; rm -f /apps/swap; exit $code",
        refusals: NO,
        host: "cat /proc/swaps",
    },
    // Its own limits
    Attempt {
        name: "raise its memory limit",
        command: "for f in memory/memory.limit_in_bytes memory.max; do \
                  [ -e /sys/fs/cgroup/$f ] && { echo 99999999999 > /sys/fs/cgroup/$f && exit 0; }; done; \
                  echo 'No such file or refused'; exit 1",
        refusals: ABSENT,
        host: "",
    },
    Attempt {
        name: "raise its process and processor limits",
        command: "cd /sys/fs/cgroup; for f in pids/pids.max pids.max; do [ -e $f ] && { echo max > $f && exit 0; }; done; \
                  [ -e cpu/cpu.cfs_quota_us ] && { echo -1 > cpu/cpu.cfs_quota_us && exit 0; }; \
                  [ -e cpu.max ] && { echo max > cpu.max && exit 0; }; echo 'No such file or refused'; exit 1",
        refusals: ABSENT,
        host: "",
    },
    Attempt {
        name: "make the limit files its own",
        command: "cd /sys/fs/cgroup; for f in memory/memory.limit_in_bytes pids/pids.max memory.max pids.max cgroup.max.depth; do \
                  [ -e $f ] && { chown 0:0 $f && exit 0; chmod 666 $f && exit 0; }; done; echo 'No such file or refused'; exit 1",
        refusals: ABSENT,
        host: "",
    },
    Attempt {
        name: "see the cgroup above its own",
        // A fresh mount must show the same directory as the one that the server was given.
        command: "mkdir -p /tmp/cg; own=/sys/fs/cgroup; kind=cgroup2; \
                  [ -e $own/memory ] && { own=$own/memory; kind='cgroup -o memory'; }; mount -t $kind cgroup /tmp/cg || exit 1; \
                  seen=$(stat -c %i /tmp/cg); umount /tmp/cg; \
                  [ \"$seen\" != \"$(stat -c %i $own)\" ] && exit 0; echo 'Permission denied: its own subtree only'; exit 1",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "leave its cgroup through a hierarchy that it was not given",
        // Where the machine has v1 hierarchies beside the v2 one, a server can mount those; it owns nothing in them.
        command: "mkdir -p /tmp/cg; for c in memory pids cpu devices freezer; do [ -e /sys/fs/cgroup/$c ] && continue; \
                  mount -t cgroup -o $c cgroup /tmp/cg || continue; \
                  mkdir /tmp/cg/berth && { umount /tmp/cg; exit 0; }; (echo $$ > /tmp/cg/tasks) && { umount /tmp/cg; exit 0; }; \
                  umount /tmp/cg; done; echo 'Permission denied everywhere'; exit 1",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "the device list of its cgroup",
        command: "echo 'a *:* rwm' > /sys/fs/cgroup/devices/devices.allow",
        refusals: ABSENT,
        host: "",
    },
    Attempt {
        name: "a program on the host when a cgroup empties (release_agent)",
        command: "for d in /sys/fs/cgroup/*/ /sys/fs/cgroup/; do [ -e ${d}release_agent ] && echo /tmp/x > ${d}release_agent && exit 0; done; \
                  mkdir -p /tmp/cg; mount -t cgroup -o none,name=berth,release_agent=/tmp/x cgroup /tmp/cg && exit 0; \
                  mount -t cgroup -o memory,release_agent=/tmp/x cgroup /tmp/cg",
        refusals: &["not permitted", "ermission denied", "wrong fs type", "No such file"],
        host: "cat /sys/fs/cgroup/*/release_agent 2>/dev/null",
    },
    Attempt {
        name: "hide from the out-of-memory killer",
        // "I/O error" is the shell's word for any write that fails.
        command: "echo -1000 > /proc/self/oom_score_adj",
        refusals: &["Permission denied", "not permitted", "I/O error"],
        host: "",
    },
    // The host's processes
    Attempt {
        name: "signal a process of the host",
        command: "/bin/kill -KILL \"$HOST_PID\"",
        refusals: &["No such process", "not permitted"],
        host: "ps -o pid= -p \"$HOST_PID\"",
    },
    Attempt {
        name: "trace a process of the host",
        command: "perl -e 'my $n = `uname -m` =~ /aarch64/ ? 117 : 101; \
                  syscall($n, 16, $ENV{HOST_PID} + 0, 0, 0) == 0 and exit 0; print \"$!\\n\"; exit 1'",
        refusals: &["No such process", "not permitted"],
        host: "ps -o pid= -p \"$HOST_PID\"",
    },
    Attempt {
        name: "read the files of a process of the host",
        command: "ls /proc/$HOST_PID/root/ || head -c 1 /proc/$HOST_PID/environ",
        refusals: ABSENT,
        host: "",
    },
    Attempt {
        name: "join the namespaces of a process of the host",
        command: "nsenter -t \"$HOST_PID\" -m true || nsenter -t 1 -U true",
        refusals: &["No such file", "Invalid argument", "not permitted"],
        host: "",
    },
    Attempt {
        name: "see the host's processes through a nested container",
        command: "docker run --rm --cap-add SYS_ADMIN --pid host berth/endpoint:local /bin/busybox ls /proc/$HOST_PID/root",
        refusals: &["No such file", "ermission denied", "not permitted"],
        host: "",
    },
    // The neighbours
    Attempt {
        name: "a neighbour's file by its path",
        command: "cat \"$VICTIM_SECRET\" || cat \"/proc/1/root$VICTIM_SECRET\"",
        refusals: ABSENT,
        host: "stat -c '%Y %s' \"$VICTIM_SECRET\"",
    },
    Attempt {
        name: "a neighbour's file through a nested bind mount",
        command: "docker run --rm --cap-add SYS_ADMIN -v /:/host berth/endpoint:local /bin/busybox cat \"/host$VICTIM_SECRET\"",
        refusals: ABSENT,
        host: "stat -c '%Y %s' \"$VICTIM_SECRET\"",
    },
    Attempt {
        name: "any file of the disk by its handle (open_by_handle_at)",
        // Inode 2 is the root of the host's file system; a handle needs no path.
        command: "perl -e 'my $n = `uname -m` =~ /aarch64/ ? 265 : 304; opendir(my $d, \"/apps\") or die \"$!\"; \
                  my $h = pack(\"IiII\", 8, 1, 2, 0); \
                  syscall($n, fileno($d), $h, 0) >= 0 and exit 0; print \"$!\\n\"; exit 1'",
        refusals: NO,
        host: "",
    },
    Attempt {
        name: "keep a secret where the neighbours' keys are (kernel keyrings)",
        command: "perl -e 'my $n = `uname -m` =~ /aarch64/ ? 217 : 248; \
                  my ($t, $d, $p) = (\"user\", \"berth\", \"x\"); syscall($n, $t, $d, $p, 1, -4) > 0 and exit 0; print \"$!\\n\"; exit 1'",
        refusals: &["not implemented", "not permitted"],
        host: "",
    },
    Attempt {
        name: "the engine that runs the servers",
        command: "inside=$(docker info --format '{{.ID}}'); for s in /var/run/docker.sock /run/docker.sock /proc/1/root/run/docker.sock; do \
                  [ \"$(docker -H unix://$s info --format '{{.ID}}' 2>/dev/null)\" = \"$inside\" ] || [ ! -e $s ] || exit 0; done; \
                  echo 'Permission denied: only its own engine'; exit 1",
        refusals: NO,
        host: "",
    },
];
