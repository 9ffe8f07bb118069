//! The forge's webhook. The poll is once a day, so that nothing but the webhook moves `main`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use ring::hmac;

use super::{Bench, until};

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
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let signed = format!("X-Hub-Signature-256: sha256={}", signature(SECRET, "x"));
    let head = format!(
        "POST /hooks/remote HTTP/1.1\r\nHost: berth\r\n{signed}\r\nContent-Length: {}\r\n\r\n",
        (25 << 20) + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// A body as a form of a forge's.
fn form(json: &str) -> String {
    let encoded: String = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("payload={encoded}")
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[test]
fn forms_and_signing_tokens_ring() {
    let body = form(PUSH);
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for forge in ["github", "forgejo", "gitlab"] {
        let bench = bench(forge);
        if forge == "gitlab" {
            bench.secret("forge-webhook", whsec);
        }
        let follower = bench.follow();
        let address = listening(&bench);
        let tip = bench.push(&[("docs/a.md", "a\n")]);
        let (good, body) = match forge {
            // GitHub signs the form, and Forgejo the JSON in it.
            "github" => (headers(forge, SECRET, &body), body.as_str()),
            "forgejo" => (headers(forge, SECRET, PUSH), body.as_str()),
            _ => {
                // Standard Webhooks, with a key that is base64.
                let key = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    whsec.strip_prefix("whsec_").unwrap(),
                );
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key.unwrap());
                let sum = hmac::sign(&key, format!("msg_1.1614265330.{PUSH}").as_bytes());
                let sum = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sum.as_ref());
                let headers = vec![
                    ("X-Gitlab-Event", "Push Hook".to_owned()),
                    ("Webhook-Id", "msg_1".to_owned()),
                    ("Webhook-Timestamp", "1614265330".to_owned()),
                    ("Webhook-Signature", format!("v1,{sum}")),
                ];
                (headers, PUSH)
            }
        };
        let mut good = good;
        if forge != "gitlab" {
            good.push((FORM.0, FORM.1.to_owned()));
        }
        let changed = body.replace("6D", "6C").replace("main", "mail");
        assert_ne!(changed, body);
        assert_eq!(send(address, &good, &changed).0, 401, "{forge}: {}", follower.log());
        let (status, answer) = send(address, &good, body);
        assert_eq!(status, 202, "{forge}: {answer}");
        bench.until_main_is(&tip);
    }
}

#[test]
fn a_push_of_any_size_rings() {
    for (forge, kib) in [("github", 1_173), ("forgejo", 1_173), ("gitlab", 1_173), ("github", 24 << 10)] {
        let bench = bench(forge);
        let _follower = bench.follow();
        let address = listening(&bench);
        let tip = bench.push(&[("docs/a.md", "a\n")]);
        let pad = "x".repeat(kib << 10);
        let body = format!(r#"{{"ref":"refs/heads/main","commits":[],"pad":"{pad}"}}"#);
        let (status, answer) = send(address, &headers(forge, SECRET, &body), &body);
        assert_eq!(status, 202, "{forge}, {kib} KiB: {answer}");
        bench.until_main_is(&tip);
    }
}

#[test]
fn neither_other_branches_nor_strangers_keep_a_push_out() {
    let bench = bench("github");
    let follower = bench.follow();
    let address = listening(&bench);
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    let other = PUSH.replace("main", "topic");
    let mut turned_away = 0;
    for _ in 0..60 {
        assert_eq!(send(address, &headers("github", SECRET, &other), &other).0, 202);
        let (status, _) = send(address, &headers("github", "another secret, long enough", PUSH), PUSH);
        turned_away += usize::from(status == 429);
        assert!(status == 401 || status == 429, "{status}");
    }
    assert!(turned_away > 0, "strangers are limited");
    assert_eq!(send(address, &headers("github", SECRET, PUSH), PUSH).0, 202);
    bench.until_main_is(&tip);
    assert!(follower.log().matches("a request to the webhook was refused").count() < 60);
}

#[test]
fn a_ring_that_is_earlier_than_the_push_finds_it_all_the_same() {
    let bench = bench("github");
    let follower = bench.follow();
    let address = listening(&bench);
    until(|| follower.log().contains("looked at the forge"), || follower.log());
    let looks = || follower.log().matches("looked at the forge").count();
    let before = looks();
    assert_eq!(send(address, &headers("github", SECRET, PUSH), PUSH).0, 202);
    // The forge rings, and its git shows the old tip for some seconds.
    until(|| looks() > before + 1, || follower.log());
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
}

#[test]
fn another_secret_of_the_webhooks_holds_at_once() {
    let bench = bench("forgejo");
    let _follower = bench.follow();
    let address = listening(&bench);
    let another = "another secret, long enough";
    assert_eq!(send(address, &headers("forgejo", another, PUSH), PUSH).0, 401);
    bench.secret("forge-webhook", another);
    assert_eq!(send(address, &headers("forgejo", another, PUSH), PUSH).0, 202);
    assert_eq!(send(address, &headers("forgejo", SECRET, PUSH), PUSH).0, 401);
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

#[test]
fn a_webhook_that_isnt_wanted_any_more_is_no_trouble() {
    let bench = bench("gitlab");
    bench.secret("forge-webhook", "too short");
    let _follower = bench.follow();
    bench.until(|standing| standing.webhook_trouble.is_some() && standing.tip.is_some());
    bench.move_to(bench.forge.to_str().unwrap(), "poll = \"1s\"\nforge = \"gitlab\"\n");
    let tip = bench.main();
    let standing = bench.until(|standing| standing.tip.is_some_and(|known| known.to_string() == tip));
    assert_eq!(standing.webhook_trouble, None);
    assert!(bench.until(berth_wire::Standing::is_fine).is_fine());
}

#[test]
fn a_push_of_gitlabs_that_breaks_off_rings() {
    let bench = bench("gitlab");
    let _follower = bench.follow();
    let address = listening(&bench);
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /hooks/remote HTTP/1.1\r\nHost: berth\r\nX-Gitlab-Event: Push Hook\r\nX-Gitlab-Token: {SECRET}\r\n\
         Content-Length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    bench.until_main_is(&tip);
}
