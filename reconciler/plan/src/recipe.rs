//! The recipe of a server: how it is confined, for each kind of isolation. docs/isolation.md says why, line by line.

use berth_schema::platform::{Isolation, Platform};

use crate::apparmor::UNCONFINED;
use crate::spec::Confinement;

/// The runtime that Berth's installer registers with the engine.
pub const RUNTIME: &str = "berth";

/// The runtime of Sysbox.
pub const SYSBOX: &str = "sysbox-runc";

/// Seconds that a server gets to stop: its own containers may each take ten when they ignore SIGTERM.
pub const STOP_TIMEOUT: u32 = 60;

/// Connections that `berth engine setup` makes room for in the kernel's table, which all servers share. The servers that
/// fill the default subnet have fewer together with the default limits.
pub const CONNECTIONS: u64 = 1 << 20;

/// Capabilities that systemd and an inner Docker need; all others are dropped. docs/isolation.md says what breaks
/// without each.
const CAPABILITIES: [&str; 16] = [
    "SYS_ADMIN",
    "NET_ADMIN",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "AUDIT_WRITE",
];

/// Returns the confinement of servers under the platform's isolation.
pub fn confinement(platform: &Platform) -> Confinement {
    let base = Confinement {
        stop_signal: Some("SIGRTMIN+3".to_owned()),
        stop_timeout: STOP_TIMEOUT,
        tty: true,
        dns: vec![platform.networks.gateway().to_string()],
        ..Confinement::default()
    };
    let wrapped = Confinement {
        runtime: Some(RUNTIME.to_owned()),
        cap_add: CAPABILITIES.map(str::to_owned).to_vec(),
        cap_drop: vec!["ALL".to_owned()],
        // The engine's AppArmor profile refuses every mount. Its seccomp profile stays.
        security_opt: vec![UNCONFINED.to_owned()],
        private_cgroup: true,
        // Each has a size, which systemd's own wouldn't have. There is none at /tmp: it would count against the server's
        // memory.
        tmpfs: [
            ("/run", "rw,nosuid,nodev,mode=755,size=64m"),
            ("/run/lock", "rw,nosuid,nodev,noexec,size=5m"),
        ]
        .map(|(path, options)| (path.to_owned(), options.to_owned()))
        .into(),
        ..base.clone()
    };
    match platform.isolation {
        Isolation::Userns => Confinement { unmask_proc: true, ..wrapped },
        // Sysbox sets up all of it itself, and refuses to be told.
        Isolation::Sysbox => Confinement { runtime: Some(SYSBOX.to_owned()), ..base },
        Isolation::Capabilities => Confinement { userns_mode: "host".to_owned(), ..wrapped },
    }
}
