//! Requests that open nothing.

use berth_schema::tool::Tool;

use crate::bench::{Bench, HOST, PANEL, answer, cookie, grant, whole};

const NAVIGATE: &str = "Sec-Fetch-Mode: navigate\r\n";

#[tokio::test]
async fn only_a_good_grant_for_this_site_opens_it() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    assert_eq!(bench.get_with("/", &good).await.status, 200);
    let mut elsewhere = grant(whole());
    elsewhere.host = "files.example.org".parse().unwrap();
    let (elsewhere, forged) = (bench.door.sign(&elsewhere), grant(whole()).with_signature(&[7; 64]));
    for bad in ["", "x", &*elsewhere, &*forged, &*good.replace("~ann~", "~bob~"), &*format!("{good}A")] {
        let answer = bench.get_with("/", bad).await;
        assert_eq!(answer.status, 401, "{bad}: {}", answer.head);
        assert!(!answer.body.contains("GET /"), "the app was asked: {}", answer.body);
        assert_eq!(answer.cookie("__Host-berth-app"), Some(""), "a grant that isn't good is taken back");
    }
    assert_eq!(bench.get("/", "").await.status, 401);
    // Two of one name are nobody's word, whichever is good.
    for lines in [
        format!("Cookie: __Host-berth-app={good}; __Host-berth-app={good}\r\n"),
        cookie(&good) + &cookie("x"),
    ] {
        let answer = bench.get("/", &lines).await;
        assert_eq!((answer.status, answer.body.contains("Two sign-ins")), (400, true), "{}", answer.body);
    }
    assert!(bench.door.asked.lock().is_empty(), "none of this is a question for the door");
}

#[tokio::test]
async fn programs_are_refused_and_people_are_led_to_the_panel() {
    let bench = Bench::new().await;
    let led = bench.get("/a?b=c", NAVIGATE).await;
    assert_eq!(led.status, 303);
    let to = led.values("location")[0];
    assert!(to.starts_with(&format!("{PANEL}/open?host={HOST}&challenge=")), "{to}");
    assert!(!to.contains("/a"), "{to}");
    assert!(led.values("set-cookie")[0].starts_with("__Host-berth-enter="));
    assert!(led.values("set-cookie")[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
    assert_eq!(bench.get("/", "Accept: text/html\r\n").await.status, 303);
    for more in
        ["Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"]
    {
        assert_eq!(bench.get("/", more).await.status, 401, "{more}");
    }
    let post = bench.head("POST /", &format!("{NAVIGATE}Content-Length: 0\r\n"));
    assert_eq!(bench.say(post.as_bytes()).await.status, 401);
}

#[tokio::test]
async fn the_gate_s_own_paths_never_reach_an_app() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    for path in [
        "/.berth/",
        "/.berth/enter/",
        "//.berth/enter",
        "/%2eberth/enter",
        "/.BERTH/enter",
        "/x/../.berth/enter",
    ] {
        let answer = bench.get_with(path, &good).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    // Others come to it as they are.
    for path in ["/a//b/%2e%2E/%c3%a9?x=%2f", "/?//evil"] {
        let answer = bench.get_with(path, &good).await;
        assert!(answer.body.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{}", answer.body);
    }
}

#[tokio::test]
async fn pages_of_other_sites_can_do_nothing_to_a_servers_own_page() {
    let bench = Bench::new().await;
    let good = cookie(&bench.door.sign(&grant(whole())));
    // A port where nothing listens: whoever comes so far hears that.
    let tool = format!("127.0.0.77:{}", Tool::Dockge.port());
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (more, status) in [
        (format!("Origin: https://{HOST}\r\n{socket}"), 502),
        (format!("Origin: https://evil.example.org\r\n{socket}"), 403),
        (format!("Sec-Fetch-Site: same-site\r\n{socket}"), 403),
        ("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n".to_owned(), 403),
        (
            "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
                .to_owned(),
            502,
        ),
    ] {
        let answer = bench.say(bench.head_at(&tool, "GET /", &(more.clone() + &good)).as_bytes()).await;
        assert_eq!(answer.status, status, "{more}: {}", answer.body);
    }
    // A member's guarded app decides that by itself.
    let answer = bench.get("/", &format!("Origin: https://evil.example.org\r\n{good}")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_the_edge_doesn_t_say_like_that_is_no_visit() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    let whole = bench.head("GET /", &cookie(&good));
    for (part, other) in
        [("Berth-Scheme: https", "Berth-Scheme: http"), ("Berth-Host", "X-Host"), ("Berth-Panel", "X")]
    {
        let answer = bench.say(whole.replace(part, other).as_bytes()).await;
        assert_eq!(answer.status, 421, "{other}");
    }
}

#[tokio::test]
async fn without_the_door_s_key_nobody_is_let_in() {
    let bench = Bench::new().await;
    let good = bench.door.sign(&grant(whole()));
    // One that it has told stays.
    bench.lose_key();
    assert_eq!(bench.get_with("/", &good).await.status, 200);
    let home = tempfile::tempdir().unwrap();
    let (listen, folder) = (home.path().join("gate.sock"), home.path().to_owned());
    let tasks = berth_tasks::Tasks::new(tokio_util::sync::CancellationToken::new());
    let (listener, inner) = (berth_gate::bind(&listen).unwrap(), tasks.clone());
    let finish = crate::bench::at_once();
    tokio::spawn(async move { berth_gate::serve(listener, &folder, finish, &inner, || Ok(())).await });
    let mut stream = tokio::io::BufReader::new(tokio::net::UnixStream::connect(&listen).await.unwrap());
    let request = bench.head("GET /", &cookie(&good));
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert_eq!((answer.status, answer.values("retry-after")), (503, vec!["10"]));
    tasks.end().await.unwrap();
}
