//! A CA of one's own: pebble, with a DNS that says the same address to everything.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::namespace::Namespace;
use crate::process::{PATIENCE, Ran, eventually, run};

/// A CA that certifies whoever answers on ports 80 and 443 of one address.
#[derive(Debug)]
pub struct Acme {
    processes: Vec<Child>,
    namespace: Namespace,
    folder: PathBuf,
    address: Ipv4Addr,
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
        fs::create_dir_all(folder).expect("a folder");
        let openssl = |arguments: &str| {
            run(Command::new("openssl").current_dir(folder).args(arguments.split(' ')), PATIENCE).good()
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout";
        openssl(&format!("req -x509 {key} ca.key -out ca.crt -days 2 -subj /CN=Stories"));
        openssl(&format!("req {key} own.key -out own.csr -subj /CN=localhost"));
        fs::write(folder.join("names"), format!("subjectAltName=IP:{address}\n")).expect("a file");
        openssl(
            "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.crt",
        );
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{address}:14000", "managementListenAddress": "{address}:15000",
            "certificate": "own.crt", "privateKey": "own.key", "httpPort": 80, "tlsPort": 443,
            "certificateValidityPeriod": {seconds}}}}}"#
        );
        fs::write(folder.join("config.json"), config).expect("a file");
        let start = |arguments: &[&str]| {
            let log = fs::File::create(folder.join(format!("{}.log", arguments[0]))).expect("a log");
            let mut command = namespace.command();
            // It refuses good requests at random otherwise, and waits before it looks.
            command.env("PEBBLE_WFE_NONCEREJECT", "0").env("PEBBLE_VA_NOSLEEP", "1").current_dir(folder);
            let out = log.try_clone().expect("a log");
            command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(log).spawn().expect("start a CA")
        };
        let (dns, everybody) = ("127.0.0.1:18053", everybody.to_string());
        let processes = vec![
            start(&[
                "pebble-challtestsrv",
                "-defaultIPv4",
                &everybody,
                "-defaultIPv6",
                "",
                "-dns01",
                dns,
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-management",
                "127.0.0.1:18055",
            ]),
            start(&["pebble", "-config", "config.json", "-dnsserver", dns]),
        ];
        let acme = Self { processes, namespace: namespace.clone(), folder: folder.to_owned(), address };
        eventually("the CA answers", || acme.ask(&acme.directory()).is_good().then_some(()));
        acme
    }

    fn directory(&self) -> String {
        format!("https://{}:14000/dir", self.address)
    }

    /// The lines of `[acme]` that lead to it.
    pub fn settings(&self) -> String {
        let ca = fs::read_to_string(self.folder.join("ca.crt")).expect("a certificate");
        format!("[acme]\ndirectory = \"{}\"\nca = '''\n{ca}'''\n", self.directory())
    }

    /// Writes the root of the certificates that it gives to a file.
    pub fn root(&self) -> PathBuf {
        let file = self.folder.join("root.pem");
        fs::write(&file, self.ask(&format!("https://{}:15000/roots/0", self.address)).good().stdout)
            .expect("a file");
        file
    }

    fn ask(&self, url: &str) -> Ran {
        run(self.namespace.command().args(["curl", "-sS", "-k", "--max-time", "5", url]), PATIENCE)
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
