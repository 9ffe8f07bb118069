//! Visitors whom the edge, the web server before all domains, passes on over a socket of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use berth_testing::country_file;
use berth_wire::countries::{CountriesStanding, CountryFile, CountryTrouble};
use berth_wire::web::{SignIn, Why};
use http::StatusCode;
use parking_lot::Mutex;
use rustix::process::{Signal, geteuid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::door::refusal;
use crate::program::{NOBODY, Program};

/// The edge's word about a visitor.
const VISITOR: &str = "berth-client: 192.0.2.7\r\nberth-scheme: https\r\n";

/// A panel that an edge passes visitors on to, once there is a folder.
struct Carried(Program);

impl Carried {
    /// Starts one without the folder.
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        if geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let program = Program::start_with(|command| {
            if geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.args(["--edge-port", "443", "--edge-port", "10443", "--edge"]);
            command.arg(folder.join("edge")).args(more)
        });
        // It goes with the panel's own.
        let own = program.home.path().join("edge-of");
        std::os::unix::fs::symlink(&folder, own).unwrap();
        Self(program)
    }

    fn folder(&self) -> PathBuf {
        fs::read_link(self.0.home.path().join("edge-of")).unwrap().join("edge")
    }

    /// Makes the folder, as the engine does with the edge's container.
    fn make_folder(&mut self) {
        fs::create_dir(self.folder()).unwrap();
        if geteuid().is_root() {
            chown(self.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        tokio::task::block_in_place(|| self.0.hear("the panel listens to the edge"));
    }

    /// Sends a request with these header lines, and returns the whole answer.
    async fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(self.folder().join("edge.sock")).await.unwrap();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let folder = self.folder();
        let _ = fs::remove_dir_all(folder.parent().unwrap());
    }
}

#[track_caller]
fn is(answer: &str, status: StatusCode) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", status.as_u16())), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_s_words_about_a_visitor_count_and_no_one_else_s() {
    let mut panel = Carried::start(&["--allow", "192.0.2.0/24"]);
    panel.make_folder();
    let host = "host: panel.example.org\r\n";
    is(&panel.ask("GET /login", &format!("{host}{VISITOR}"), "").await, StatusCode::OK);
    is(
        &panel.ask("GET /login", &format!("host: panel.example.org:10443\r\n{VISITOR}"), "").await,
        StatusCode::OK,
    );
    // The panel's own port is no part of the edge, and the machine's own names aren't either.
    for other in ["panel.example.org:8443", "localhost", "shop.example.org"] {
        let answer = panel.ask("GET /login", &format!("host: {other}\r\n{VISITOR}"), "").await;
        is(&answer, StatusCode::MISDIRECTED_REQUEST);
        assert!(answer.contains("https:&#x2f;&#x2f;panel.example.org&#x2f;"), "{answer}");
    }
    // Nobody of whom the edge doesn't speak clearly, and nobody who may not open the panel.
    for (words, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("berth-client: 192.0.2.7\r\n", StatusCode::BAD_REQUEST),
        (
            "berth-client: 192.0.2.7\r\nberth-client: 192.0.2.8\r\nberth-scheme: https\r\n",
            StatusCode::BAD_REQUEST,
        ),
        ("berth-client: 198.51.100.1\r\nberth-scheme: https\r\n", StatusCode::FORBIDDEN),
        ("berth-client: 127.0.0.1\r\nberth-scheme: https\r\n", StatusCode::FORBIDDEN),
        (
            "x-forwarded-for: 192.0.2.7\r\nberth-client: 198.51.100.1\r\nberth-scheme: https\r\n",
            StatusCode::FORBIDDEN,
        ),
        // In plain text there is nothing but an ACME challenge.
        ("berth-client: 192.0.2.7\r\nberth-scheme: http\r\n", StatusCode::NOT_FOUND),
    ] {
        is(&panel.ask("GET /login", &format!("{host}{words}"), "").await, status);
    }

    // The door is told the visitor's address, and a form of the panel's other origin is one of the panel.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    panel.0.door.answer(move |_, _, asked: SignIn| {
        noted.lock().push(asked.from.to_string());
        Err(refusal(Why::WrongPassword, "no"))
    });
    let own = format!("https://panel.example.org:{}", panel.0.address.port());
    for (site, origin, passes) in [
        ("same-origin", "https://panel.example.org", true),
        ("same-site", &*own, true),
        ("same-site", "https://panel.example.org:444", false),
        ("same-site", "https://shop.example.org", false),
        ("cross-site", &*own, false),
    ] {
        let form = format!(
            "{host}{VISITOR}x-forwarded-for: 198.51.100.1\r\nforwarded: for=198.51.100.1\r\n\
             content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: {site}\r\norigin: {origin}\r\n"
        );
        let answer = panel.ask("POST /login", &form, "user=bob&password=wrong").await;
        assert_eq!(!answer.contains("nothing was done"), passes, "{site} {origin}: {answer}");
    }
    assert_eq!(*seen.lock(), ["192.0.2.7", "192.0.2.7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_let_in_by_country_as_soon_as_there_is_a_file() {
    let mut panel = Carried::start(&["--allow", "10.0.0.0/8", "--allow-country", "LT"]);
    panel.make_folder();
    let ask = async |panel: &Carried, from: &str| {
        let words = format!("host: panel.example.org\r\nberth-client: {from}\r\nberth-scheme: https\r\n");
        let answer = panel.ask("GET /login", &words, "").await;
        match answer.contains("berth-stranger: yes") {
            // Nothing that anybody could read.
            true => assert!(answer.starts_with("HTTP/1.1 403") && answer.ends_with("\r\n\r\n"), "{answer}"),
            false => is(&answer, StatusCode::OK),
        }
        !answer.contains("berth-stranger")
    };
    assert!(ask(&panel, "10.1.2.3").await && !ask(&panel, "5.20.1.1").await);
    let data = panel.0.home.path().join("data");
    let told = || CountriesStanding::read(&data).unwrap().found;
    assert!(matches!(told(), CountryFile::Bad { trouble: CountryTrouble::Missing, .. }));

    let networks =
        [("5.20.0.0/16", "LT"), ("46.109.0.0/16", "LV"), ("2a00:1a28::/32", "LT"), ("10.0.0.0/8", "LV")];
    let next = data.join("next");
    fs::write(&next, country_file(&networks, 1_764_000_000)).unwrap();
    fs::rename(next, data.join("countries.mmdb")).unwrap();
    tokio::task::block_in_place(|| panel.0.hear("the panel lets people in by country"));
    for (from, is_let_in) in [
        ("5.20.1.1", true),
        ("::ffff:5.20.1.1", true),
        ("2a00:1a28::7", true),
        ("10.1.2.3", true),
        ("46.109.1.1", false),
        ("2a00:1a29::7", false),
        ("192.168.1.1", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(ask(&panel, from).await, is_let_in, "{from}");
    }
    assert!(matches!(told(), CountryFile::Good { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_there_with_its_folder_and_outlives_children() {
    let mut panel = Carried::start(&[]);
    assert!(!panel.folder().exists(), "it is the engine's to make");
    let ask = async |panel: &Carried| {
        let answer = panel.ask("GET /login", &format!("host: panel.example.org\r\n{VISITOR}"), "").await;
        is(&answer, StatusCode::OK);
    };
    panel.make_folder();
    ask(&panel).await;
    let socket = fs::symlink_metadata(panel.folder().join("edge.sock")).unwrap();
    assert_eq!(socket.mode() & 0o777, 0o600);

    // The next child has it from the beginning, and the engine may make the folder anew.
    panel.0.signal(Signal::HUP);
    tokio::task::block_in_place(|| panel.0.hear("the panel listens to the edge"));
    ask(&panel).await;
    assert_eq!(fs::symlink_metadata(panel.folder().join("edge.sock")).unwrap().ino(), socket.ino());
    fs::remove_dir_all(panel.folder()).unwrap();
    panel.make_folder();
    ask(&panel).await;

    panel.0.signal(Signal::TERM);
    assert!(tokio::task::block_in_place(|| panel.0.child.wait()).unwrap().success());
    assert_eq!(fs::read_dir(panel.folder()).unwrap().count(), 0);
}
