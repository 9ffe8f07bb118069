//! A CA of one's own: pebble, with a DNS that says the same address to everything, unless it is told otherwise.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::process::{PATIENCE, Ran, eventually, run, send};

/// Places of a CA, and how it is to be.
#[derive(Debug, Clone)]
pub struct Places {
    /// Address at which it is asked for certificates.
    pub directory: SocketAddrV4,
    /// Address at which it tells of itself.
    pub management: SocketAddrV4,
    /// Address at which its DNS answers.
    pub names: SocketAddrV4,
    /// Address at which its DNS is managed.
    pub names_management: SocketAddrV4,
    /// Address of every name.
    pub everybody: Ipv4Addr,
    /// Port of every name at which it looks for HTTP-01.
    pub http: u16,
    /// Port of every name at which it looks for TLS-ALPN-01.
    pub tls: u16,
    /// Seconds that its certificates are good for.
    pub seconds: u32,
    /// Good requests that it refuses at random, of a hundred.
    pub refused: u8,
    /// The name server that it asks in place of its own DNS.
    pub server: Option<SocketAddrV4>,
    /// Identifier and MAC key, in base64url, of the one account that others are bound to. Without it, everybody gets an account.
    pub binding: Option<(&'static str, &'static str)>,
}

impl Places {
    /// Places on this machine's loopback that were free a moment ago.
    pub fn free() -> Self {
        let listeners: Vec<_> =
            (0..6).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")).collect();
        let port = |n: usize| listeners[n].local_addr().expect("a port").port();
        let at = |n| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port(n));
        Self {
            directory: at(0),
            management: at(1),
            names: at(2),
            names_management: at(3),
            everybody: Ipv4Addr::LOCALHOST,
            http: port(4),
            tls: port(5),
            seconds: 3600,
            refused: 0,
            server: None,
            binding: None,
        }
    }
}

/// A CA that certifies whoever answers on two ports of one address. It ends when this is dropped.
#[derive(Debug)]
pub struct Pebble {
    processes: Vec<Child>,
    folder: PathBuf,
    places: Places,
}

impl Pebble {
    /// Starts one, with what it needs in `folder`. `command` makes a command of a program's name.
    pub fn start(folder: &Path, places: Places, command: impl Fn(&str) -> Command) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let openssl = |arguments: &str| {
            run(Command::new("openssl").current_dir(folder).args(arguments.split(' ')), PATIENCE).good()
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout";
        openssl(&format!("req -x509 {key} ca.key -out ca.crt -days 2 -subj /CN=Stories"));
        openssl(&format!("req {key} own.key -out own.csr -subj /CN=localhost"));
        let Places { directory, management, names, names_management, everybody, .. } = &places;
        let Places { http, tls, seconds, refused, server, binding, .. } = &places;
        fs::write(folder.join("names"), format!("subjectAltName=IP:{}\n", directory.ip())).expect("a file");
        openssl(
            "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.crt",
        );
        let binding = binding.map_or_else(String::new, |(id, key)| {
            format!(
                r#", "externalAccountBindingRequired": true, "externalAccountMACKeys": {{"{id}": "{key}"}}"#
            )
        });
        // In release 2.10 the lifetime stands in a profile, and the other field counts for nothing. Release 2.4 knows no profiles.
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{directory}", "managementListenAddress": "{management}",
            "certificate": "own.crt", "privateKey": "own.key", "httpPort": {http}, "tlsPort": {tls},
            "certificateValidityPeriod": {seconds}, "profiles": {{"default": {{"description": "Stories",
            "validityPeriod": {seconds}}}}}{binding}}}}}"#
        );
        fs::write(folder.join("config.json"), config).expect("a file");
        let start = |program: &str, arguments: &[&str]| {
            let log = fs::File::create(folder.join(format!("{program}.log"))).expect("a log");
            let mut command = command(program);
            // It waits before it looks otherwise.
            command.env("PEBBLE_WFE_NONCEREJECT", refused.to_string()).env("PEBBLE_VA_NOSLEEP", "1");
            let out = log.try_clone().expect("a log");
            command.current_dir(folder).args(arguments);
            command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().expect("start a CA")
        };
        let (names, everybody) = (names.to_string(), everybody.to_string());
        let asked = server.map_or_else(|| names.clone(), |server| server.to_string());
        let names_management = names_management.to_string();
        let nothing = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        // Release 2.10 answers over HTTPS too, unless told not to, and calls the flag of its DNS otherwise.
        let help = run(command("pebble-challtestsrv").arg("-h"), PATIENCE).words();
        let (dns, nothing) = match help.contains("-dnsserver") {
            true => ("-dnsserver", [&nothing[..], &["-doh", ""]].concat()),
            false => ("-dns01", nothing.to_vec()),
        };
        let dns = ["-defaultIPv4", &everybody, dns, &names, "-management", &names_management];
        let processes = vec![
            start("pebble-challtestsrv", &[&dns[..], &nothing].concat()),
            start("pebble", &["-config", "config.json", "-dnsserver", &asked]),
        ];
        let pebble = Self { processes, folder: folder.to_owned(), places };
        eventually("the CA answers", || pebble.ask(&command, &pebble.directory()).is_good().then_some(()));
        pebble
    }

    /// Has it find no name, and be none the wiser: its DNS takes questions and doesn't answer. Whoever is asked to prove something is
    /// waited for.
    pub fn hush_names(&self) {
        send(self.processes[0].id(), Signal::STOP);
    }

    /// Has its DNS answer again.
    pub fn answer_names(&self) {
        send(self.processes[0].id(), Signal::CONT);
    }

    /// Has its DNS say another address to one name than to everything else. `command` makes a command of a program's name.
    pub fn move_name(&self, name: &str, to: Ipv4Addr, command: impl Fn(&str) -> Command) {
        let said = format!(r#"{{"host": "{name}.", "addresses": ["{to}"]}}"#);
        let url = format!("http://{}/add-a", self.places.names_management);
        let mut curl = command("curl");
        run(
            curl.args(["-sS", "--fail", "--noproxy", "*", "--max-time", "5", "--data", &said, &url]),
            PATIENCE,
        )
        .good();
    }

    /// URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.places.directory)
    }

    /// Certificate of the CA behind its own HTTPS, in PEM.
    pub fn server_root(&self) -> String {
        fs::read_to_string(self.folder.join("ca.crt")).expect("a certificate")
    }

    /// Root of the certificates that it gives, in PEM.
    pub fn root(&self, command: impl Fn(&str) -> Command) -> String {
        self.ask(&command, &format!("https://{}/roots/0", self.places.management)).good().stdout
    }

    fn ask(&self, command: &impl Fn(&str) -> Command, url: &str) -> Ran {
        run(command("curl").args(["-sS", "-k", "--noproxy", "*", "--max-time", "5", url]), PATIENCE)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
