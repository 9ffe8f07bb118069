//! The way in.

use serde_json::json;

use crate::bench::{Answer, Bench, HOST, PANEL, grant, whole};

/// Goes to a page, and returns the cookie and the challenge of the way to the panel.
async fn led(bench: &Bench, path: &str, more: &str) -> (String, String) {
    let answer = bench.get(path, &format!("Sec-Fetch-Mode: navigate\r\n{more}")).await;
    let challenge = answer.values("location")[0].rsplit_once("challenge=").unwrap().1.to_owned();
    (answer.cookie("__Host-berth-enter").unwrap().to_owned(), challenge)
}

async fn enter(bench: &Bench, query: &str, cookie: &str) -> Answer {
    let more = format!("Sec-Fetch-Mode: navigate\r\nCookie: __Host-berth-enter={cookie}\r\n");
    bench.get(&format!("/.berth/enter{query}"), &more).await
}

#[tokio::test]
async fn somebody_comes_in_and_goes_on_where_they_were_going() {
    let bench = Bench::new().await;
    let (cookie, challenge) = led(&bench, "/a?b=//c", "").await;
    let given = grant(whole());
    bench.door.grant(&given);
    let answer = enter(&bench, "?code=abc-_9", &cookie).await;
    assert_eq!((answer.status, answer.values("location")), (303, vec!["/a?b=//c"]));
    assert_eq!(answer.cookie("__Host-berth-app"), Some(&*bench.door.sign(&given)));
    assert_eq!(answer.cookie("__Host-berth-enter"), Some(""), "it has done its work");
    assert_eq!(answer.values("cache-control"), ["no-store"]);
    let asked = bench.door.asked.lock().clone();
    assert_eq!(
        asked,
        [("/enter".to_owned(), json!({ "host": HOST, "code": "abc-_9", "challenge": challenge }))]
    );
    let page = bench.get_with("/a", answer.cookie("__Host-berth-app").unwrap()).await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn nobody_comes_in_by_another_browser_s_way() {
    let bench = Bench::new().await;
    let (cookie, challenge) = led(&bench, "/", "").await;
    let (_, other) = led(&bench, "/", "").await;
    assert_ne!(challenge, other);
    for (query, cookie) in [("?code=abc", ""), ("?code=abc", "x.y.z.a"), ("", &*cookie), ("?code=", &*cookie)]
    {
        let answer = enter(&bench, query, cookie).await;
        assert_eq!((answer.status, answer.values("location").len()), (403, 0), "{query} {cookie}");
    }
    for query in ["?code=a&code=b", "?code=a%41", "?x&code=a", "?code=a/b"] {
        assert_eq!(enter(&bench, query, &cookie).await.status, 403, "{query}");
    }
    assert!(bench.door.asked.lock().is_empty());
    // What the door refuses isn't tried again by itself.
    bench.door.refuse("not-found");
    let answer = enter(&bench, "?code=abc", &cookie).await;
    assert_eq!((answer.status, answer.values("set-cookie").len()), (403, 0), "{}", answer.head);
    bench.door.refuse("unavailable");
    assert_eq!(enter(&bench, "?code=abc", &cookie).await.status, 503);
    // A grant for another site isn't handed on.
    let mut elsewhere = grant(whole());
    elsewhere.host = "files.example.org".parse().unwrap();
    bench.door.grant(&elsewhere);
    let answer = enter(&bench, "?code=abc", &cookie).await;
    assert_eq!((answer.status, answer.cookie("__Host-berth-app")), (503, None));
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let bench = Bench::new().await;
    for path in ["//evil.example", "/%5c..", "/\\evil.example", "/.berth/enter"] {
        let (request, more) = (bench.head(&format!("GET {path}"), "Sec-Fetch-Mode: navigate\r\n"), "");
        let answer = bench.say(request.as_bytes()).await;
        if answer.status != 303 {
            continue;
        }
        assert!(answer.values("location")[0].starts_with(&format!("{PANEL}/open?")), "{more}");
        let cookie = answer.cookie("__Host-berth-enter").unwrap().to_owned();
        bench.door.grant(&grant(whole()));
        let answer = enter(&bench, "?code=abc", &cookie).await;
        let to = answer.values("location")[0].to_owned();
        assert!(to == "/" || path == "/%5c.." && to == path, "{path} leads to {to}");
    }
}

#[tokio::test]
async fn two_tabs_of_one_browser_are_one_way() {
    let bench = Bench::new().await;
    let (first, challenge) = led(&bench, "/one", "").await;
    let (second, again) = led(&bench, "/two", &format!("Cookie: __Host-berth-enter={first}\r\n")).await;
    assert_eq!(challenge, again);
    bench.door.grant(&grant(whole()));
    assert_eq!(enter(&bench, "?code=abc", &second).await.values("location"), ["/two"]);
}
