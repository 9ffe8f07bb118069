//! A relay on the way from a browser to the panel, at the same port of another address: ends connections that are silent for too
//! long, as proxies do, and can cut the way. What it carries stays encrypted.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::namespace::Namespace;

/// Address at which it listens.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Time between two looks at a connection.
const GLANCE: Duration = Duration::from_millis(200);

/// A relay, as long as it lives.
#[derive(Debug)]
pub struct Relay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    namespace: Namespace,
    /// Address that it leads to.
    to: SocketAddrV4,
    idle: Duration,
    /// Set while nothing comes through.
    is_cut: AtomicBool,
    is_over: AtomicBool,
    /// Connections that were ended because they were silent.
    ended: AtomicUsize,
}

impl Relay {
    /// Listens in a namespace, leads to an address that is reached from there, and ends what is silent for as long as `idle`.
    #[track_caller]
    pub fn before(namespace: &Namespace, to: SocketAddrV4, idle: Duration) -> Self {
        let listener = namespace.enter(|| TcpListener::bind((RELAY, to.port()))).expect("the relay's port");
        let flags = [AtomicBool::new(false), AtomicBool::new(false)];
        let [is_cut, is_over] = flags;
        let namespace = namespace.clone();
        let shared = Arc::new(Shared { namespace, to, idle, is_cut, is_over, ended: AtomicUsize::new(0) });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let carrying = Arc::clone(&serving);
                // One that breaks off ends alone.
                thread::spawn(move || carrying.carry(client));
            }
        });
        Self(shared)
    }

    /// Number of connections that it has ended because they were silent.
    pub fn ended(&self) -> usize {
        self.0.ended.load(Ordering::Relaxed)
    }

    /// Cuts every connection, and takes no other.
    pub fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Relaxed);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.0.is_cut.store(false, Ordering::Relaxed);
    }

    /// A connection through it, as anybody in the namespace opens one.
    #[track_caller]
    pub fn connection(&self) -> TcpStream {
        self.0.connect(RELAY).expect("the relay")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over. Where the namespace is gone, so is the listener.
        let _ = self.0.connect(RELAY);
    }
}

impl Shared {
    fn connect(&self, to: Ipv4Addr) -> std::io::Result<TcpStream> {
        self.namespace.enter(|| TcpStream::connect((to, self.to.port())))
    }

    fn is_open(&self) -> bool {
        !self.is_cut.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed)
    }

    /// Carries both directions until either side ends, neither says anything for too long, or the way is cut.
    fn carry(&self, client: TcpStream) {
        if !self.is_open() {
            return;
        }
        let Ok(panel) = self.connect(*self.to.ip()) else { return };
        let heard = Mutex::new(Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| self.pass(&client, &panel, &heard));
            self.pass(&panel, &client, &heard);
        });
    }

    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream, heard: &Mutex<Instant>) {
        let mut bytes = [0; 16384];
        let _ = from.set_read_timeout(Some(GLANCE));
        while self.is_open() {
            match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => {
                    *heard.lock() = Instant::now();
                    if to.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let mut heard = heard.lock();
                    if heard.elapsed() > self.idle {
                        // Counted once, and not for the other direction too.
                        *heard = Instant::now();
                        self.ended.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        for side in [from, to] {
            let _ = side.shutdown(Shutdown::Both);
        }
    }
}
