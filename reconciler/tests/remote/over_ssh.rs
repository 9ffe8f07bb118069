//! A forge over SSH: the real sshd, one for each connection, and a deploy key.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{Bench, InTime as _};

/// An SSH server; ends with this value.
struct Sshd {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sshd {
    fn new(folder: &Path) -> Self {
        // Compiled into sshd, which refuses to start without.
        fs::create_dir_all("/run/sshd").unwrap();
        keygen(&folder.join("host"));
        let config = folder.join("sshd_config");
        let text = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nPidFile none\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\n",
            folder.display()
        );
        fs::write(&config, text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ending) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                answer(stream.unwrap(), config.clone());
            }
        });
        Self { address, ending, thread: Some(thread) }
    }
}

/// Runs a server as inetd does: the connection is its standard input and output. It ends with the connection.
fn answer(stream: TcpStream, config: PathBuf) {
    let output = OwnedFd::from(stream.try_clone().unwrap());
    let child = Command::new("/usr/sbin/sshd")
        .arg("-i")
        .arg("-f")
        .arg(config)
        .stdin(OwnedFd::from(stream))
        .stdout(output)
        .stderr(Stdio::null())
        .spawn();
    std::thread::spawn(move || child.unwrap().wait());
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // The one connection that lets it look.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).in_time();
    assert!(made.status.success());
}

#[test]
fn a_deploy_key_and_a_known_host_open_the_repository() {
    let bench = Bench::new("");
    let folder = bench.folder.path();
    let sshd = Sshd::new(folder);
    let url = format!("ssh://root@{}{}", sshd.address, bench.forge.display());
    bench.move_to(&url, "poll = \"1s\"\n");

    let mut follower = bench.follow();
    let trouble = |part: &'static str| {
        let has = |standing: &berth_wire::Standing| {
            standing.trouble.as_ref().is_some_and(|trouble| trouble.contains(part))
        };
        bench.until(has);
    };
    trouble("cannot find the secret `forge-deploy-key`: `berth secret set forge-deploy-key` stores it");
    drop(follower);

    keygen(&folder.join("deploy"));
    bench.secret("forge-deploy-key", &fs::read_to_string(folder.join("deploy")).unwrap());
    follower = bench.follow();
    trouble("Host key verification failed");
    drop(follower);

    let host = fs::read_to_string(folder.join("host.pub")).unwrap();
    let known = format!("[127.0.0.1]:{} {host}", sshd.address.port());
    fs::write(bench.data().join("remote/known-hosts"), known).unwrap();
    follower = bench.follow();
    trouble("Permission denied");
    drop(follower);

    fs::copy(folder.join("deploy.pub"), folder.join("authorized_keys")).unwrap();
    follower = bench.follow();
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
    assert!(bench.until(|standing| standing.tip == Some(tip.parse().unwrap())).is_fine());
    drop(follower);
}
