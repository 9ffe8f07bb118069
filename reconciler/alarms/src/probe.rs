//! Signs of life of the platform's processes: a socket that takes a connection, or a lock that somebody holds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use berth_host::FileLock;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::sight::Process;

/// Time for a connection. The kernel takes it, unless a process that hangs has left too many waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process that has to run, and its sign of life.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// The sign.
    pub sign: Sign,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A socket that takes connections.
    Socket(PathBuf),
    /// A port that takes connections.
    Port(SocketAddr),
    /// A lock that the process holds.
    Lock(PathBuf),
}

impl Part {
    /// Looks for the sign.
    pub async fn look(&self) -> Process {
        let runs = match &self.sign {
            Sign::Lock(path) => tokio::task::block_in_place(|| FileLock::is_held(path)),
            Sign::Socket(path) => matches!(timeout(PATIENCE, UnixStream::connect(path)).await, Ok(Ok(_))),
            Sign::Port(at) => matches!(timeout(PATIENCE, TcpStream::connect(at)).await, Ok(Ok(_))),
        };
        Process { name: self.name, runs }
    }
}
