//! The way to a guarded site, as far as the panel leads.

use berth_wire::web::{Open, Opened, Refusal, Secret, Why};
use http::StatusCode;

use crate::door::PASSWORD;
use crate::panel::Panel;

const PATH: &str = "/open?host=shop.example.org&challenge=abc";

/// Answers as the door does.
fn teach(panel: &Panel) {
    panel.door.answer(|_, me, asked: Open| match me {
        "bob" => Ok(Opened {
            url: Secret(format!("https://{}/.berth/enter?code={}", asked.host, asked.challenge)),
        }),
        _ => Err(Refusal {
            why: Why::Forbidden,
            message: "`shop.example.org` is for others.".to_owned(),
            hint: Some("Ask `bob`.".to_owned()),
        }),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_is_led_on_by_a_page_that_any_policy_lets_go_on() {
    let panel = Panel::start().await;
    teach(&panel);
    let browser = panel.browser();
    assert_eq!(browser.get(PATH).await.goes_to(), "/login");
    assert_eq!(panel.door.times("/open"), 0);
    let page = browser.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), PATH);
    let page = browser.get(PATH).await;
    page.says(StatusCode::OK, "Opening shop.example.org");
    let refresh = page.text.replace("&#x2f;", "/");
    assert!(
        refresh.contains("content=\"0; url=https://shop.example.org/.berth/enter?code=abc\""),
        "{refresh}"
    );
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_open_it_reads_whom_to_ask() {
    let panel = Panel::start().await;
    teach(&panel);
    let cleo = panel.signed_in("cleo").await;
    let page = cleo.get(PATH).await;
    page.says(StatusCode::FORBIDDEN, "is for others.");
    page.says(StatusCode::FORBIDDEN, "Ask <code>bob</code>.");
    assert!(!page.text.contains("refresh"), "{}", page.text);
}
