//! Sign-in by an OpenID provider, as far as the panel carries it: there and back in one browser.

use std::sync::Arc;

use berth_wire::web::{
    Done, Entered, FactorSheet, Factors, OidcBack, OidcBind, OidcConfirm, OidcJoin, OidcJoined, OidcOutcome,
    OidcRound, OidcSignIn, OidcStranger, OidcUnbind, ProviderCard, Refusal, Secret, SignInWays, Totp, Why,
};
use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::browser::Browser;
use crate::door::refusal;
use crate::panel::Panel;

const URL: &str = "https://login.example.org/auth?state=s&nonce=n";

fn round() -> OidcRound {
    OidcRound { url: URL.to_owned(), round: Secret("the-browser's-own".to_owned()) }
}

fn provider() -> Option<ProviderCard> {
    Some(ProviderCard {
        label: "Sign in with <your> account".to_owned(),
        host: "login.example.org".to_owned(),
    })
}

/// Has the stand-in know a provider, which says this at the end of each round, and notes what comes back.
fn with_provider(
    panel: &Panel,
    outcome: impl Fn(&crate::door::World) -> Result<OidcOutcome, Refusal> + Send + Sync + 'static,
) -> Arc<Mutex<Vec<OidcBack>>> {
    panel.door.answer(|_, _, _: SignInWays| Ok(provider()));
    let host = panel.host();
    panel.door.answer(move |_, _, asked: OidcSignIn| {
        assert_eq!(asked.host, host);
        Ok(round())
    });
    let back = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&back);
    panel.door.answer(move |world, _, asked: OidcBack| {
        noted.lock().push(asked);
        outcome(world)
    });
    back
}

async fn begun(browser: &Browser) {
    let page = browser.get("/login/oidc").await;
    page.says(StatusCode::OK, "login.example.org");
    assert!(page.text.contains("state=s&amp;nonce=n") && !page.text.contains("browser's"), "{}", page.text);
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_leads_there_and_the_way_back_signs_in_where_one_was_going() {
    let panel = Panel::start().await;
    let nobody = panel.browser().get("/login").await;
    assert!(!nobody.text.contains("/login/oidc"), "without a provider there is no button");
    let back = with_provider(&panel, |world| {
        Ok(OidcOutcome::Entered { entered: Entered::SignedIn(Box::new(world.sign_in("bob"))) })
    });
    let bob = panel.browser();
    assert_eq!(bob.get("/account").await.goes_to(), "/login");
    bob.get("/login").await.says(StatusCode::OK, "Sign in with &lt;your&gt; account");
    begun(&bob).await;
    let before = bob.cookie();
    let page = bob
        .get("/login/oidc/back?state=s&code=c%20c&iss=https%3A%2F%2Flogin.example.org&session_state=x")
        .await;
    assert_eq!(page.goes_to(), "/account");
    assert_ne!(bob.cookie(), before);
    let asked = back.lock().pop().unwrap();
    assert_eq!((asked.round.0.as_str(), asked.state.0.as_str()), ("the-browser's-own", "s"));
    assert_eq!(
        (asked.code.unwrap().0.as_str(), asked.iss.as_deref(), asked.error),
        ("c c", Some("https://login.example.org"), None)
    );
    bob.get("/account").await.says(StatusCode::OK, "bob");
    // What has ended isn't asked for again, and whoever is in needn't begin.
    bob.get("/login/oidc/back?state=s&code=c").await.says(StatusCode::BAD_REQUEST, "hasn’t begun");
    assert_eq!(bob.get("/login/oidc").await.goes_to(), "/");
    assert_eq!(back.lock().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_s_way_back_is_none() {
    let panel = Panel::start().await;
    let back = with_provider(&panel, |_| Err(refusal(Why::Forbidden, "What it said is untrue.")));
    begun(&panel.browser()).await;
    for browser in [panel.browser(), panel.signed_in("ann").await] {
        let page = browser.get("/login/oidc/back?state=s&code=c").await;
        page.says(StatusCode::BAD_REQUEST, "Begin again, and stay in one browser.");
    }
    assert_eq!(back.lock().len(), 0, "the door isn't asked");
    let own = panel.browser();
    begun(&own).await;
    own.get("/login/oidc/back?error=access_denied&state=s")
        .await
        .says(StatusCode::FORBIDDEN, "What it said is untrue.");
    assert_eq!(back.lock()[0].error.as_deref(), Some("access_denied"));
    // Only a page of the panel begins what changes something.
    let ann = panel.signed_in("ann").await;
    let mut form = ann.form("/account/oidc", &[]);
    form.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    ann.send(form).await.says(StatusCode::FORBIDDEN, "so nothing was done");
    ann.request(Method::GET, "/account/oidc", "");
    assert_eq!(ann.get("/account/oidc").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_chooses_a_name_and_keeps_what_they_typed() {
    let panel = Panel::start().await;
    with_provider(&panel, |_| {
        let half = Secret("half".to_owned());
        Ok(OidcOutcome::Stranger { stranger: OidcStranger { half, name: "eve".to_owned(), at_once: false } })
    });
    panel.door.answer(|world, _, asked: OidcJoin| {
        assert_eq!(asked.half.0, "half");
        match asked.name.as_str() {
            "b<b" => Err(refusal(Why::BadQuestion, "That is no name.")),
            "bob" => Ok(OidcJoined::SignedIn(Box::new(world.sign_in("bob")))),
            name => Ok(OidcJoined::Proposed { topic: format!("join-{name}") }),
        }
    });
    let eve = panel.browser();
    assert_eq!(eve.get("/login/join").await.goes_to(), "/login");
    assert_eq!(eve.post("/login/join", &[("name", "eve")]).await.goes_to(), "/login");
    begun(&eve).await;
    assert_eq!(eve.get("/login/oidc/back?state=s&code=c").await.goes_to(), "/login/join");
    let page = eve.get("/login/join").await;
    page.says(StatusCode::OK, "value=\"eve\"");
    assert!(page.text.contains("an admin has to agree") && !page.text.contains("half"), "{}", page.text);
    let page = eve.post("/login/join", &[("name", "b<b")]).await;
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "That is no name.");
    assert!(page.text.contains("value=\"b&lt;b\""), "{}", page.text);
    eve.post("/login/join", &[("name", "eve")]).await.says(StatusCode::OK, "join-eve");
    assert_eq!(eve.get("/login/join").await.goes_to(), "/login");

    let bob = panel.browser();
    begun(&bob).await;
    bob.get("/login/oidc/back?state=s&code=c").await;
    assert_eq!(bob.post("/login/join", &[("name", "bob")]).await.goes_to(), "/");
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_binds_takes_out_and_confirms_under_account() {
    let panel = Panel::start().await;
    let bound = Arc::new(Mutex::new(false));
    let (is_bound, confirms) = (Arc::clone(&bound), Arc::new(Mutex::new(false)));
    let confirming = Arc::clone(&confirms);
    with_provider(&panel, move |_| {
        if *confirming.lock() {
            return Ok(OidcOutcome::Confirmed);
        }
        *is_bound.lock() = true;
        Ok(OidcOutcome::Bound)
    });
    let has = Arc::clone(&bound);
    panel.door.answer(move |_, _, _: Factors| {
        let only_way = has.lock().then(|| "https://login.example.org 4711".parse().unwrap());
        let former = "https://former.example.org 7".parse().unwrap();
        let accounts = Vec::from_iter(only_way.clone().into_iter().chain([former]));
        let (totp, passkeys) = (Totp::On { recovery: 9 }, Vec::new());
        Ok(FactorSheet {
            totp,
            passkeys,
            accounts,
            provider: provider(),
            has_account: only_way.is_some(),
            only_way,
            has_password: false,
            is_fresh: true,
            has_panel: true,
        })
    });
    panel.door.answer(|_, _, _: OidcBind| Ok(round()));
    panel.door.answer(|_, _, asked: OidcConfirm| match asked.code.0.as_str() {
        "123456" => Ok(round()),
        _ => Err(refusal(Why::WrongCode, "That code is wrong.")),
    });
    let taken = Arc::new(Mutex::new(Vec::new()));
    let takes = Arc::clone(&taken);
    panel.door.answer(move |_, _, asked: OidcUnbind| {
        takes.lock().push((asked.user.to_string(), asked.account.subject().to_owned(), asked.knows));
        Ok(Done)
    });
    let bob = panel.signed_in("bob").await;
    bob.get("/account").await.says(StatusCode::OK, "Bind your account");
    let page = bob.get("/confirm").await;
    assert!(
        !page.text.contains("Confirm at"),
        "an account at a former provider confirms nothing: {}",
        page.text
    );
    bob.post("/account/oidc", &[]).await.says(StatusCode::OK, "login.example.org");
    assert_eq!(bob.get("/login/oidc/back?state=s&code=c").await.goes_to(), "/account");
    let page = bob.get("/account").await;
    page.says(StatusCode::OK, "The account is bound.");
    assert!(page.text.contains("login.example.org 4711") && page.text.contains("only way into the panel"));
    assert!(!page.text.contains("factor_password"), "he has no password");

    *confirms.lock() = true;
    bob.get("/confirm").await.says(StatusCode::OK, "Confirm at login.example.org");
    bob.post("/confirm/oidc", &[("code", "0")]).await.says(StatusCode::FORBIDDEN, "That code is wrong.");
    bob.post("/confirm/oidc", &[("code", "123456")]).await.says(StatusCode::OK, "login.example.org");
    assert_eq!(bob.get("/login/oidc/back?state=s&code=c").await.goes_to(), "/account");

    let account = "https://login.example.org 4711";
    bob.post("/account/oidc/remove", &[("account", account), ("knows", "yes")]).await.goes_to();
    assert_eq!(bob.post("/account/oidc/remove", &[("account", "x")]).await.status, StatusCode::NOT_FOUND);
    let ann = panel.signed_in("ann").await;
    assert_eq!(
        ann.post("/admin/users/bob/oidc/remove", &[("account", account)]).await.goes_to(),
        "/admin/users/bob"
    );
    let one = |user: &str, knows| (user.to_owned(), "4711".to_owned(), knows);
    assert_eq!(*taken.lock(), [one("bob", true), one("bob", false)]);
}
