//! Connections that end with the right to them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::bench::{Bench, answer, cookie, grant, head, whole};

/// Opens a path, and reads up to what the app has sent so far.
async fn opened(bench: &Bench, path: &str, more: &str, sent: &[u8]) -> BufReader<UnixStream> {
    let mut stream = BufReader::new(bench.connect().await);
    stream.write_all(bench.head(&format!("GET {path}"), more).as_bytes()).await.unwrap();
    head(&mut stream).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(sent) {
        heard.push(stream.read_u8().await.unwrap());
    }
    stream
}

async fn rest(mut stream: BufReader<UnixStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    // Broken off or ended, it is over.
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

/// Checks that a WebSocket still echoes a frame.
async fn lives(socket: &mut BufReader<UnixStream>) -> bool {
    socket.write_all(b"\x82\x04ping").await.unwrap();
    let mut heard = [0; 6];
    socket.read_exact(&mut heard).await.is_ok() && &heard == b"\x82\x04ping"
}

fn web_socket(grant: &str) -> String {
    format!("{}Connection: Upgrade\r\nUpgrade: websocket\r\n", cookie(grant))
}

#[tokio::test]
async fn signing_out_ends_requests_web_sockets_and_streams() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let socket = opened(&bench, "/socket", &web_socket(&good), b"hello").await;
    let events = opened(&bench, "/events", &cookie(&good), b"data: first\n\n\r\n").await;
    let download = opened(&bench, "/download", &cookie(&good), b"begun").await;
    let mut waiting = BufReader::new(bench.connect().await);
    waiting.write_all(bench.head("GET /never", &cookie(&good)).as_bytes()).await.unwrap();
    bench.end_session();
    let closed = rest(socket).await;
    assert_eq!(closed[..4], [0x88, closed.len() as u8 - 2, 0x03, 0xf0], "a close frame that says 1008");
    let (mut events, mut end) = (events, [0; 5]);
    events.read_exact(&mut end).await.unwrap();
    assert_eq!(&end, b"0\r\n\r\n", "a stream of events ends whole");
    assert_eq!(rest(download).await, b"", "anything else is broken off");
    assert_eq!(answer(&mut waiting).await.status, 401);
    assert_eq!(bench.get_with("/", &good).await.status, 401);
}

#[tokio::test]
async fn losing_one_site_leaves_the_others() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let mut socket = opened(&bench, "/socket", &web_socket(&good), b"hello").await;
    bench.end_host("files.example.org");
    // It has been read once a grant that came with it is refused.
    let mut elsewhere = grant(whole());
    elsewhere.host = "files.example.org".parse().unwrap();
    let elsewhere = bench.door.sign(&elsewhere);
    let ask = bench.head("GET /", &cookie(&elsewhere)).replace("Berth-Host: shop", "Berth-Host: files");
    while bench.say(ask.as_bytes()).await.status != 401 {}
    assert!(lives(&mut socket).await);
    bench.end_host("shop.example.org");
    assert_eq!(rest(socket).await[..1], [0x88]);
}

#[tokio::test]
async fn an_open_web_socket_lives_by_renewed_grants_and_ends_without() {
    let bench = Bench::new().await;
    // Over in two seconds, and renewed at once.
    bench.door.grant(&grant(whole()));
    let mut socket = opened(&bench, "/socket", &web_socket(&bench.door.sign(&grant(2))), b"hello").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(lives(&mut socket).await);

    let bench = Bench::new().await;
    bench.close_door();
    let socket = opened(&bench, "/socket", &web_socket(&bench.door.sign(&grant(2))), b"hello").await;
    assert_eq!(rest(socket).await[..1], [0x88], "it ends with its grant");

    let bench = Bench::new().await;
    bench.door.refuse("forbidden");
    // It is renewed in two seconds.
    let grant = bench.door.sign(&grant(whole() / 2 + 2));
    let socket = opened(&bench, "/socket", &web_socket(&grant), b"hello").await;
    assert_eq!(rest(socket).await[..1], [0x88], "the door has said no");
}

#[tokio::test]
async fn a_gate_that_finishes_takes_nobody_else_and_keeps_what_is_open() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let mut socket = opened(&bench, "/socket", &web_socket(&good), b"hello").await;
    let mut kept = BufReader::new(bench.connect().await);
    let request = bench.head("GET /", &cookie(&good));
    kept.write_all(request.as_bytes()).await.unwrap();
    let before = answer(&mut kept).await;
    assert_eq!((before.status, before.values("connection")), (200, vec![]));
    bench.finish().await;
    assert!(lives(&mut socket).await);
    // The edge may bring one more request on a connection that it kept, and not another one.
    kept.write_all(request.as_bytes()).await.unwrap();
    let last = answer(&mut kept).await;
    assert_eq!((last.status, last.values("connection")), (200, vec!["close"]));
    assert_eq!(rest(kept).await, b"");
    // A right to it that ends, ends it here, too.
    bench.end_session();
    let closed = rest(socket).await;
    assert_eq!(closed[..4], [0x88, closed.len() as u8 - 2, 0x03, 0xf0], "a close frame that says 1008");
}
