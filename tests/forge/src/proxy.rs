//! Proxies between a forge and who asks it: everything that comes through one is counted.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP's `CONNECT`.
    Connect,
    /// SOCKS5 (RFC 1928), with a name and a password (RFC 1929).
    Socks5,
}

/// A proxy on the loopback; ends with this value.
#[derive(Debug)]
pub struct Proxy {
    runtime: Option<Runtime>,
    kind: ProxyKind,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Opens a proxy to everything.
    pub fn open(kind: ProxyKind) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("a port");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heads = Arc::clone(&asked);
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let heads = Arc::clone(&heads);
                tokio::spawn(async move {
                    // A client that hangs up has its reasons.
                    let _ = match kind {
                        ProxyKind::Connect => connect(client, &heads).await,
                        ProxyKind::Socks5 => socks5(client, &heads).await,
                    };
                });
            }
        });
        Self { runtime: Some(runtime), kind, address, asked }
    }

    /// URL of the proxy, with a name and a password in it.
    pub fn url(&self, name: &str, password: &str) -> String {
        let scheme = match self.kind {
            ProxyKind::Connect => "http",
            ProxyKind::Socks5 => "socks5h",
        };
        format!("{scheme}://{name}:{password}@{}", self.address)
    }

    /// Requests that it got: the heads of requests, or name, password and port.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn connect(mut client: TcpStream, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).expect("a head");
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let mut server = TcpStream::connect(to.expect("a place")).await?;
    heads.lock().expect("a lock").push(head);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn socks5(mut client: TcpStream, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    assert_eq!(client.read_u8().await?, 5, "the version");
    part(&mut client).await?;
    client.write_all(&[5, 2]).await?;
    assert_eq!(client.read_u8().await?, 1, "the version");
    let (name, password) = (part(&mut client).await?, part(&mut client).await?);
    client.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request {
        [5, 1, 0, 1] => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            address.map(|byte| byte.to_string()).join(".")
        }
        [5, 1, 0, 3] => String::from_utf8(part(&mut client).await?).expect("a name"),
        other => panic!("{other:?}"),
    };
    let port = client.read_u16().await?;
    let mut server = TcpStream::connect((host, port)).await?;
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    heads.lock().expect("a lock").push(format!("{}:{} {port}", text(name), text(password)));
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Bytes with their number before them.
async fn part(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
