//! Traffic that goes on while something else is done: visitors of an app, and a server that reaches out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_tests::lab::{DENIED, Visit, WEBSITE};
use berth_tests::{Lab, Platform};

use super::PUBLIC;

/// Longer than anything takes that works, on a busy machine too.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// One kind of traffic: each try with its end and whether it worked.
#[derive(Debug, Default)]
pub(super) struct Flow(Vec<(Instant, bool)>);

impl Flow {
    fn sample(ended: &AtomicBool, attempt: impl Fn() -> bool) -> Self {
        let mut flow = Self::default();
        // One more after the end, and one at least.
        loop {
            let last = ended.load(Ordering::Relaxed);
            let worked = attempt();
            flow.0.push((Instant::now(), worked));
            if last {
                return flow;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Returns whether each try worked.
    pub(super) fn was_never_cut(&self) -> bool {
        self.0.iter().all(|(_, worked)| *worked)
    }

    /// The longest time without a try that worked.
    pub(super) fn longest_gap(&self) -> Duration {
        let worked: Vec<Instant> = self.0.iter().filter(|(_, worked)| *worked).map(|(at, _)| *at).collect();
        worked.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
    }
}

/// Outcome of the traffic.
#[derive(Debug)]
pub(super) struct Traffic {
    /// Visits from the internet to the app of a domain.
    pub(super) visits: Flow,
    /// Connections from the server to the internet.
    pub(super) connections: Flow,
    /// Visits to those whom the server may not reach.
    pub(super) reached: Vec<Visit>,
}

/// Does something while visitors open the plain domain `host`, and server 1 reaches out, to what it may and to what it
/// may not. The app says `words`.
pub(super) fn during<T>(lab: &Lab, platform: &Platform, host: &str, words: &str, act: impl FnOnce() -> T) -> (T, Traffic) {
    let before = lab.internet().visits().len();
    let ended = AtomicBool::new(false);
    let server = berth_link::Namespace::of_process(platform.server(1).pid).expect("a server's network");
    let (done, visits, connections) = thread::scope(|scope| {
        let visits = scope.spawn(|| {
            lab.internet().namespace().enter(|| Flow::sample(&ended, || page(PUBLIC, host).contains(words)))
        });
        let connections = scope.spawn(|| {
            let attempt = || {
                for address in DENIED {
                    let _ = connect(address, PAUSE);
                }
                connect(WEBSITE, ANSWER).is_ok()
            };
            server.run(|| Flow::sample(&ended, attempt)).expect("the server's network")
        });
        let done = {
            let _ended = Ended(&ended);
            act()
        };
        (done, visits.join().expect("visitors"), connections.join().expect("connections"))
    });
    let reached = lab.internet().visits().split_off(before);
    let reached = reached.into_iter().filter(|visit| DENIED.iter().any(|address| visit.to.ip() == *address)).collect();
    (done, Traffic { visits, connections, reached })
}

/// Ends the traffic, also when the story fails meanwhile.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn connect(address: Ipv4Addr, within: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((address, 80)), within)
}

/// The page of a domain, or nothing.
fn page(address: Ipv4Addr, host: &str) -> String {
    let mut page = Vec::new();
    let mut ask = || {
        let mut stream = connect(address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut page)
    };
    let _ = ask();
    String::from_utf8_lossy(&page).into_owned()
}
