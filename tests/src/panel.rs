//! The panel of a platform, as a process of its own: `berth-web`, between a browser and the platform's sockets.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use berth_plan::system;
use rustix::process::Signal;

use crate::browser::{Browser, ENTER};
use crate::namespace::Namespace;
use crate::platform::Platform;
use crate::process::{MARK, PATIENCE, build_folder, built, eventually, send, wait};
use crate::web::Web;

/// Name by which people reach the panel.
pub const PANEL: &str = "panel.example.org";
/// Name of another site below the same domain, for stories of what it may do.
pub const SIBLING: &str = "shop.example.org";

/// A password, as long as the panel wants it.
pub const PASSWORD: &str = "correct horse battery";
/// Its hash.
pub const HASH: &str = "$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.";

/// Clicks on the button with these words.
#[track_caller]
pub fn press(browser: &Browser, words: &str) {
    browser.click(&browser.find_with("button, a.button", words));
}

/// Waits until the change that was committed is applied.
#[track_caller]
pub fn applied(browser: &Browser) {
    browser.find_with("#live-progress h2", "Applied");
}

/// Types a line in a terminal, and runs it.
#[track_caller]
pub fn types(browser: &Browser, line: &str) {
    browser.keys(line);
    browser.keys(ENTER);
}

/// Waits until a terminal shows these words.
#[track_caller]
pub fn shows(browser: &Browser, words: &str) {
    browser.find_with(".xterm-rows", words);
}

/// Owner of a panel's network, who ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Others,
}

/// A panel that listens.
#[derive(Debug)]
pub struct Panel {
    web: Child,
    /// Network of its port and of the browsers that come to it.
    namespace: Namespace,
    whose: Whose,
    port: u16,
    log: PathBuf,
}

impl Panel {
    /// Opens the panel of a platform, whose door and reconciler are up to the story. It serves as whoever tells the story: this
    /// machine needn't have the panel's user.
    #[track_caller]
    pub fn of(platform: &Platform) -> Self {
        Self::open(&platform.prefix, &platform.panel(), platform.home())
    }

    /// Opens the panel of a platform of this prefix, which asks the sockets in a folder, and keeps its own things in another.
    #[track_caller]
    pub fn open(prefix: &str, sockets: &Path, home: &Path) -> Self {
        let tickets = system::tickets(&prefix.parse().expect("a prefix"));
        let namespace = Namespace::make("panel");
        Self::within(namespace, 0, sockets, Path::new(&tickets), home, Whose::Own)
    }

    /// Opens the panel in a network that is somebody else's, at the port 8443 of its loopback, between the sockets in a folder and
    /// data in another.
    #[track_caller]
    pub fn beside(namespace: &Namespace, sockets: &Path, home: &Path) -> Self {
        Self::within(namespace.clone(), 8443, sockets, &home.join("no-tickets"), home, Whose::Others)
    }

    /// Opens the panel behind a web server, as root starts it: at the port 8443 of that one's network, and for visitors whom the edge
    /// passes on, who have the addresses that it tells. Its user is nobody in particular, who is let in to the sockets for the story.
    #[track_caller]
    pub fn behind(web: &Web, sockets: &Path, tickets: Option<&Path>) -> Self {
        let home = web.home();
        let edge = web.run().join("panel");
        fs::create_dir_all(&edge).expect("a folder");
        for folder in [home, sockets].into_iter().chain(tickets) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a mode");
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                    fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o666)).expect("a mode");
                }
            }
        }
        // Where its user gets to; the folder that it was built in may be closed.
        let program = home.join("berth-web");
        fs::copy(built("berth-web"), &program).expect("a copy");
        let mut command = web.namespace().command();
        command
            .arg(&program)
            .args(["--user", "nobody", "--domain", PANEL, "--edge-port", "443", "--edge"])
            .arg(&edge);
        command.arg("--sockets").arg(sockets).arg("--data").arg(home.join("panel-data"));
        if let Some(tickets) = tickets {
            command.arg("--tickets").arg(tickets);
        }
        let panel = Self::started(&mut command, web.namespace().clone(), 443, home, Whose::Others);
        eventually("the edge's way to the panel is open", || edge.join("edge.sock").exists().then_some(()));
        panel
    }

    #[track_caller]
    fn within(
        namespace: Namespace,
        port: u16,
        sockets: &Path,
        tickets: &Path,
        home: &Path,
        whose: Whose,
    ) -> Self {
        let listener = namespace.enter(|| TcpListener::bind(("127.0.0.1", port))).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let mut command = Command::new(built("berth-web"));
        command
            .args(["--child", "--domain", PANEL])
            .arg("--sockets")
            .arg(sockets)
            .arg("--tickets")
            .arg(tickets);
        command.arg("--data").arg(home.join("web")).stdin(Stdio::from(OwnedFd::from(listener)));
        Self::started(&mut command, namespace, port, home, whose)
    }

    #[track_caller]
    fn started(command: &mut Command, namespace: Namespace, port: u16, home: &Path, whose: Whose) -> Self {
        let log = home.join("panel.log");
        let web = command
            .env(MARK, build_folder())
            .env_remove("BERTH_LOG")
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("start the panel");
        let mut panel = Self { web, namespace, whose, port, log };
        eventually("the panel listens", || {
            let ended = panel.web.try_wait().expect("a panel");
            assert!(ended.is_none(), "the panel ended:\n{}", panel.log());
            panel.log().contains("the panel listens").then_some(())
        });
        panel
    }

    /// Opens a browser that reaches it.
    #[track_caller]
    pub fn browser(&self) -> Browser {
        Browser::open(&self.namespace, &[PANEL, SIBLING])
    }

    /// Opens a browser in which somebody has signed in, by [`PASSWORD`].
    #[track_caller]
    pub fn signed_in(&self, name: &str) -> Browser {
        let browser = self.browser();
        browser.go(&self.at("/login"));
        browser.fill("#user", name);
        browser.fill("#password", PASSWORD);
        press(&browser, "Sign in");
        browser.says("My servers");
        browser
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.web.id()
    }

    /// Network in which it listens.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Opens a browser that reaches it, and these other names on the same machine.
    #[track_caller]
    pub fn browser_for(&self, names: &[&str]) -> Browser {
        Browser::open(&self.namespace, &[&[PANEL], names].concat())
    }

    /// Address of one of its pages.
    pub fn at(&self, path: &str) -> String {
        format!("https://{PANEL}:{}{path}", self.port)
    }

    /// Log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        send(self.web.id(), Signal::TERM);
        if wait(&mut self.web, PATIENCE).is_none() {
            let _ = self.web.kill();
            let _ = self.web.wait();
        }
        if self.whose == Whose::Own {
            self.namespace.end();
        }
    }
}
