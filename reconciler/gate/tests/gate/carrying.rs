//! Requests as an app gets them, and answers as they come back.

use berth_schema::tool::Tool;
use berth_wire::grant::Grant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::bench::{Bench, answer, cookie, eventually, grant, head, values, whole};

/// Another session.
const OTHER: &str = "ffffffffffffffffffffffffffffffff";

#[tokio::test]
async fn an_app_is_told_who_somebody_is_by_nobody_but_the_gate() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let more = format!(
        "Cookie: a=1; __Host-berth-app={good}; b=2\r\nBerth-User: evil\r\nBERTH_USER: evil\r\nRemote-User: evil\r\nremote_user: evil\r\n\
         X-Forwarded-User: evil\r\nX-Forwarded-For: 192.0.2.9\r\nAuthorization: Basic eA==\r\nExpect: 100-continue\r\n"
    );
    let answer = bench.get("/", &more).await;
    assert!(!answer.body.contains("evil") && !answer.body.contains("~"), "{}", answer.body);
    let seen = |name| values(&answer.body, name);
    assert_eq!((seen("berth-user"), seen("remote-user")), (vec!["ann"], vec!["ann"]));
    assert_eq!(seen("cookie"), ["a=1; b=2"]);
    assert_eq!(seen("x-forwarded-for"), ["192.0.2.9"]);
    assert_eq!(seen("authorization"), ["Basic eA=="]);
    assert_eq!(seen("host"), ["shop.example.org"]);
    for internal in ["berth-host", "berth-gate", "berth-panel", "berth-scheme"] {
        assert_eq!(seen(internal), Vec::<&str>::new());
    }
    assert_eq!(answer.values("set-cookie"), ["own=1"], "an app doesn't set the gate's cookie");
}

#[tokio::test]
async fn bodies_pass_whole() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let body = vec![b'x'; 1 << 20];
    let post = bench.head("POST /form", &format!("{}Content-Length: {}\r\n", cookie(&good), body.len()));
    let sent = bench.say(&[post.as_bytes(), &body].concat()).await;
    assert!(sent.body.ends_with("body: 1048576\n"), "{}", sent.body);
    let post = bench.head("POST /form", &format!("{}Transfer-Encoding: chunked\r\n", cookie(&good)));
    let chunk = format!("{:x}\r\n{}\r\n", 1000, "y".repeat(1000));
    let sent = bench.say(format!("{post}{}0\r\n\r\n", chunk.repeat(50)).as_bytes()).await;
    assert!(sent.body.ends_with("body: 50000\n"), "{}", sent.body);
    // One connection carries many requests.
    let mut stream = BufReader::new(bench.connect().await);
    for _ in 0..3 {
        stream.write_all(bench.head("GET /", &cookie(&good)).as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.status, 200);
    }
}

#[tokio::test]
async fn web_sockets_and_events_pass_at_once() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let mut stream = BufReader::new(bench.connect().await);
    let upgrade = format!("{}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", cookie(&good));
    stream.write_all(bench.head("GET /socket", &upgrade).as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.unwrap().starts_with("HTTP/1.1 101 "));
    let mut heard = [0; 7];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"\x82\x05hello");
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut heard[..4]).await.unwrap();
    assert_eq!(&heard[..4], b"ping");

    let mut stream = BufReader::new(bench.connect().await);
    stream.write_all(bench.head("GET /events", &cookie(&good)).as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.unwrap().contains("text/event-stream"));
    let mut text = Vec::new();
    while !text.ends_with(b"data: first\n\n\r\n") {
        text.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_stopped_server_and_a_silent_app_are_told_of_to_those_who_may_know() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let stopped = |more: &str| bench.head_at("stopped", "GET /", more);
    assert_eq!(bench.say(stopped("").as_bytes()).await.status, 401);
    let answer = bench.say(stopped(&cookie(&good)).as_bytes()).await;
    assert_eq!((answer.status, answer.body.contains("is stopped")), (503, true));
    // Nobody listens there.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let answer = bench.say(bench.head_at(&free, "GET /", &cookie(&good)).as_bytes()).await;
    assert_eq!((answer.status, answer.body.contains("listens at 127.0.0.1 alone")), (502, true));
    // Nor at a port of a server's own pages, which no member's app has.
    for tool in Tool::ALL {
        let silent = format!("127.0.0.77:{}", tool.port());
        let answer = bench.say(bench.head_at(&silent, "GET /", &cookie(&good)).as_bytes()).await;
        let says = answer.body.contains(&format!("{} doesn't answer", tool.title()));
        assert_eq!((answer.status, says), (502, true), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_grant_is_renewed_before_it_runs_out_and_afterwards() {
    let bench = Bench::new().await;
    // More than half of it has gone: the answer needn't wait, and one of the next has the new one.
    let (old, new) = (bench.door.sign(&grant(whole() / 2 - 5)), grant(whole()));
    bench.door.grant(&new);
    assert_eq!(bench.get_with("/", &old).await.status, 200);
    eventually("the door is asked", || !bench.door.asked.lock().is_empty()).await;
    let mut renewed = None;
    while renewed.is_none() {
        let answer = bench.get_with("/", &old).await;
        assert_eq!(answer.status, 200);
        renewed = answer.cookie("__Host-berth-app").map(str::to_owned);
    }
    assert_eq!(renewed, Some(bench.door.sign(&new)));
    assert_eq!(bench.door.asked.lock().len(), 1, "once for everybody");

    // Over, in another bench: it is renewed first.
    let bench = Bench::new().await;
    let (old, new) = (bench.door.sign(&grant(-3600)), grant(whole()));
    bench.door.grant(&new);
    let answer = bench.get_with("/", &old).await;
    assert_eq!((answer.status, answer.cookie("__Host-berth-app")), (200, Some(&*bench.door.sign(&new))));

    // The door can't say: 503, and the grant is kept. It says no: sign in.
    let bench = Bench::new().await;
    let old = bench.door.sign(&grant(-1));
    bench.door.refuse("unavailable");
    let answer = bench.get_with("/", &old).await;
    assert_eq!((answer.status, answer.cookie("__Host-berth-app")), (503, None));
    bench.door.refuse("signed-out");
    let answer = bench.get_with("/", &old).await;
    assert_eq!((answer.status, answer.cookie("__Host-berth-app")), (401, Some("")));
    // Another's grant isn't taken for it.
    let bench = Bench::new().await;
    let mut bobs = grant(whole());
    bobs.user = "bob".parse().unwrap();
    bench.door.grant(&bobs);
    assert_eq!(bench.get_with("/", &bench.door.sign(&grant(-1))).await.status, 503);
}

#[tokio::test]
async fn while_the_door_is_away_what_is_good_goes_on() {
    let bench = Bench::new().await;
    bench.close_door();
    assert_eq!(bench.get_with("/", &bench.door.sign(&grant(60))).await.status, 200);
    let answer =
        bench.get_with("/", &bench.door.sign(&Grant { session: OTHER.parse().unwrap(), ..grant(-1) })).await;
    assert_eq!((answer.status, answer.body.contains("Try again in a minute")), (503, true));
}
