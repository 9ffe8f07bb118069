//! A CA in a namespace, for what is in the same or within its reach.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_testing::pebble::{Pebble, Places};

use crate::namespace::Namespace;

/// A CA that certifies whoever answers on ports 80 and 443 of one address.
#[derive(Debug)]
pub struct Acme {
    pebble: Pebble,
    namespace: Namespace,
    folder: PathBuf,
}

impl Acme {
    /// Starts one in a namespace for what is in the same, with what it needs in `folder`. Its certificates are good for
    /// `seconds`.
    pub fn start(namespace: &Namespace, folder: &Path, seconds: u32) -> Self {
        Self::between(namespace, folder, seconds, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
    }

    /// Starts one that is asked at `address`, one of its namespace's, and finds every name at `everybody`.
    pub fn between(
        namespace: &Namespace,
        folder: &Path,
        seconds: u32,
        address: Ipv4Addr,
        everybody: Ipv4Addr,
    ) -> Self {
        Self::at(namespace, folder, address, |places| {
            (places.seconds, places.everybody) = (seconds, everybody)
        })
    }

    /// Starts one that is asked at `address`, one of its namespace's, and otherwise is as `change` says.
    pub fn at(
        namespace: &Namespace,
        folder: &Path,
        address: Ipv4Addr,
        change: impl FnOnce(&mut Places),
    ) -> Self {
        let own = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut places = Places {
            directory: SocketAddrV4::new(address, 14000),
            management: SocketAddrV4::new(address, 15000),
            names: own(18053),
            names_management: own(18055),
            http: 80,
            tls: 443,
            ..Places::free()
        };
        change(&mut places);
        let pebble = Pebble::start(folder, places, |program| inside(namespace, program));
        Self { pebble, namespace: namespace.clone(), folder: folder.to_owned() }
    }

    /// The lines of `[acme]` that lead to it.
    pub fn settings(&self) -> String {
        let Self { pebble, .. } = self;
        format!("[acme]\ndirectory = \"{}\"\nca = '''\n{}'''\n", pebble.directory(), pebble.server_root())
    }

    /// Has it find one name at another address.
    pub fn move_name(&self, name: &str, to: Ipv4Addr) {
        self.pebble.move_name(name, to, |program| inside(&self.namespace, program));
    }

    /// The CA itself.
    pub fn pebble(&self) -> &Pebble {
        &self.pebble
    }

    /// Writes the root of the certificates that it gives to a file.
    pub fn root(&self) -> PathBuf {
        let file = self.folder.join("root.pem");
        let root = self.pebble.root(|program| inside(&self.namespace, program));
        fs::write(&file, root).expect("a file");
        file
    }
}

/// Command of a program in a namespace.
pub fn inside(namespace: &Namespace, program: &str) -> Command {
    let mut command = namespace.command();
    command.arg(program);
    command
}
