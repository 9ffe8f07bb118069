//! The forge's webhook. The poll is once a day, so that nothing but the webhook moves `main`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use ring::hmac;

use super::Bench;

const SECRET: &str = "a secret that is long enough";
const PUSH: &str = r#"{"ref":"refs/heads/main","after":"0000"}"#;

fn bench(forge: &str) -> Bench {
    let bench = Bench::new(&format!("poll = \"1d\"\nforge = \"{forge}\"\nlisten = \"127.0.0.1:0\"\n"));
    bench.secret("forge-webhook", &format!("{SECRET}\n"));
    bench
}

/// Waits until the follower listens and has looked once, so that only the webhook can make it look again.
fn listening(bench: &Bench) -> SocketAddr {
    bench.until(|standing| standing.listening.is_some() && standing.tip.is_some()).listening.unwrap()
}

fn signature(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a request and returns the status and the answer.
fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: berth\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn headers(forge: &str, secret: &str, body: &str) -> Vec<(&'static str, String)> {
    match forge {
        "github" => vec![
            ("X-GitHub-Event", "push".to_owned()),
            ("X-Hub-Signature-256", format!("sha256={}", signature(secret, body))),
        ],
        "gitlab" => vec![("X-Gitlab-Event", "Push Hook".to_owned()), ("X-Gitlab-Token", secret.to_owned())],
        "gitea" => vec![("X-Gitea-Event", "push".to_owned()), ("X-Gitea-Signature", signature(secret, body))],
        _ => vec![("X-Forgejo-Event", "push".to_owned()), ("X-Forgejo-Signature", signature(secret, body))],
    }
}

fn send(to: SocketAddr, headers: &[(&'static str, String)], body: &str) -> (u16, String) {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    post(to, "/hooks/remote", &headers, body)
}

#[test]
fn each_forge_wakes_the_fetch_and_a_stranger_doesnt() {
    for (forge, sent_by) in
        [("github", "github"), ("gitlab", "gitlab"), ("forgejo", "forgejo"), ("forgejo", "gitea")]
    {
        let bench = bench(forge);
        let follower = bench.follow();
        let address = listening(&bench);
        let before = bench.main();
        let tip = bench.push(&[("docs/a.md", "a\n")]);

        let (status, answer) = send(address, &headers(sent_by, "another secret, long enough", PUSH), PUSH);
        assert_eq!(status, 401, "{sent_by}: {answer}");
        let (status, _) = send(address, &headers(sent_by, SECRET, PUSH)[..1], PUSH);
        assert_eq!(status, 401, "{sent_by}: without a signature");
        let other = PUSH.replace("main", "topic");
        let (status, answer) = send(address, &headers(sent_by, SECRET, &other), &other);
        assert!(status == 202 && answer.contains("another branch"), "{sent_by}: {answer}");
        let mut ping = headers(sent_by, SECRET, PUSH);
        ping[0].1 = "ping".to_owned();
        let (status, answer) = send(address, &ping, PUSH);
        assert!(status == 202 && answer.contains("no push"), "{sent_by}: {answer}");
        assert!(!follower.log().contains("the webhook rang"), "{sent_by}: {}", follower.log());
        assert_eq!(bench.main(), before, "{sent_by}: none of them may have made it look");

        let good = headers(sent_by, SECRET, PUSH);
        let (status, answer) = send(address, &good, PUSH);
        assert_eq!(status, 202, "{sent_by}: {answer}");
        bench.until_main_is(&tip);
        // Sent again, it makes for another look and nothing else.
        assert_eq!(send(address, &good, PUSH).0, 202);
        assert_eq!(bench.main(), tip);

        let log = follower.end();
        assert!(log.contains("a request to the webhook was refused"), "{log}");
        assert!(!log.contains(SECRET) && !log.contains("another secret"), "{log}");
    }
}

#[test]
fn what_is_no_webhook_is_turned_away() {
    let bench = bench("github");
    let _follower = bench.follow();
    let address = listening(&bench);
    assert_eq!(post(address, "/", &[], "").0, 404);
    assert_eq!(post(address, "/metrics", &[], "").0, 404);
    let large = "x".repeat((1 << 20) + 1);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let head =
        format!("POST /hooks/remote HTTP/1.1\r\nHost: berth\r\nContent-Length: {}\r\n\r\n", large.len());
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    let body = "payload=%7B%7D";
    let (status, answer) = send(address, &headers("github", SECRET, body), body);
    assert!(status == 202 && answer.contains("choose application/json"), "{answer}");
}

#[test]
fn clients_that_say_nothing_dont_keep_the_forge_out() {
    let bench = bench("forgejo");
    let _follower = bench.follow();
    let address = listening(&bench);
    // More than there is room for. Each has its time, and then its place is free.
    let mut idle: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, stream) in idle.iter_mut().enumerate() {
        let begun = b"POST /hooks/remote HTTP/1.1\r\nHost: be";
        stream.write_all(&begun[..number % begun.len()]).unwrap();
    }
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    assert_eq!(send(address, &headers("forgejo", SECRET, PUSH), PUSH).0, 202);
    bench.until_main_is(&tip);
    drop(idle);
}

#[test]
fn without_a_secret_it_doesnt_listen_and_says_so() {
    let bench = bench("gitlab");
    bench.secret("forge-webhook", "too short");
    let _follower = bench.follow();
    let standing = bench.until(|standing| standing.webhook_trouble.is_some() && standing.tip.is_some());
    assert_eq!(standing.listening, None);
    let trouble = standing.webhook_trouble.unwrap();
    assert!(trouble.contains("16 characters or more"), "{trouble}");
    // It is tried again, so that an operator who mends it needs to do nothing else.
    bench.secret("forge-webhook", SECRET);
    assert!(bench.until(|standing| standing.listening.is_some()).is_fine());
}
