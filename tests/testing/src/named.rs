//! A name server of one's own: BIND's `named`, which takes dynamic updates that are signed with a key.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process::eventually;

/// A name server. It ends when this is dropped.
#[derive(Debug)]
pub struct Named {
    process: Child,
    address: SocketAddrV4,
}

impl Named {
    /// Starts one with these zones, whose addresses are all this machine's, and what it needs in `folder`. A key of the name `key`, in
    /// base64, may change the texts of one name of each zone. `command` makes a command of a program's name.
    pub fn start(
        folder: &Path,
        zones: &[Zone<'_>],
        key: (&str, &str),
        address: Ipv4Addr,
        command: impl Fn(&str) -> Command,
    ) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port")
            .local_addr()
            .expect("a port")
            .port();
        let address = SocketAddrV4::new(address, port);
        let (name, secret) = key;
        let mut config = format!(
            "options {{ directory \"{}\"; listen-on port {port} {{ {}; }}; listen-on-v6 {{ none; }}; recursion no;\n  \
             pid-file none; session-keyfile none; dnssec-validation no; allow-query {{ any; }}; notify no; }};\n\
             controls {{ }};\nkey \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n",
            folder.display(),
            address.ip(),
        );
        for Zone { name: zone, records, may_change } in zones {
            fs::write(
                folder.join(format!("{zone}.zone")),
                format!(
                    "$TTL 60\n@ SOA localhost. admin.localhost. 1 60 60 600 60\n@ NS localhost.\n@ A 127.0.0.1\n* A 127.0.0.1\n{records}\n"
                ),
            )
            .expect("a zone");
            config.push_str(&format!(
                "zone \"{zone}\" {{ type primary; file \"{zone}.zone\"; update-policy {{ grant {name} name {may_change}. TXT; }}; }};\n"
            ));
        }
        fs::write(folder.join("named.conf"), config).expect("a configuration");
        let log = fs::File::create(folder.join("named.log")).expect("a log");
        let mut start = command("named");
        start.current_dir(folder).args(["-g", "-c", "named.conf", "-n", "1"]);
        let process = start
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start a name server");
        let named = Self { process, address };
        let log = folder.join("named.log");
        eventually("the name server runs", || {
            fs::read_to_string(&log).unwrap_or_default().contains("running\n").then_some(())
        });
        named
    }

    /// Address at which it answers.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }
}

/// A zone of a name server.
#[derive(Debug, Clone, Copy)]
pub struct Zone<'a> {
    /// Name of the zone.
    pub name: &'a str,
    /// More records, a line for each.
    pub records: &'a str,
    /// Name whose texts the key may change.
    pub may_change: &'a str,
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
