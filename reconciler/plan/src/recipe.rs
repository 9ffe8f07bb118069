//! The recipe of a server: how it is confined, for each kind of isolation. docs/isolation.md says why, line by line.

use std::collections::BTreeMap;

use berth_schema::platform::{Isolation, Platform};

use crate::spec::Confinement;

/// The runtime that Berth's installer registers with the engine.
pub const RUNTIME: &str = "berth";

/// Seconds that a server gets to stop: systemd's own services, inner containers included, stop within this.
pub const STOP_TIMEOUT: u32 = 30;

/// How a server is confined under the platform's isolation.
pub fn confinement(platform: &Platform) -> Confinement {
    let base = Confinement {
        tmpfs: BTreeMap::from([
            ("/run".to_owned(), "exec,mode=755".to_owned()),
            ("/run/lock".to_owned(), String::new()),
            ("/tmp".to_owned(), "exec,mode=1777".to_owned()),
        ]),
        dns: Vec::new(),
        stop_signal: Some("SIGRTMIN+3".to_owned()),
        stop_timeout: STOP_TIMEOUT,
        private_cgroup: true,
        tty: true,
        ..Confinement::default()
    };
    let unconfined = vec!["seccomp=unconfined".to_owned(), "apparmor=unconfined".to_owned()];
    match platform.isolation {
        Isolation::Userns => Confinement {
            runtime: Some(RUNTIME.to_owned()),
            cap_add: vec!["ALL".to_owned()],
            cap_drop: vec!["SYS_RESOURCE".to_owned()],
            security_opt: unconfined,
            unmask_proc: true,
            ..base
        },
        Isolation::Sysbox => Confinement { runtime: Some("sysbox-runc".to_owned()), ..base },
        Isolation::Capabilities => Confinement {
            runtime: Some(RUNTIME.to_owned()),
            userns_mode: "host".to_owned(),
            cap_add: vec!["ALL".to_owned()],
            cap_drop: vec!["SYS_RESOURCE".to_owned()],
            security_opt: unconfined,
            unmask_proc: true,
            ..base
        },
    }
}
