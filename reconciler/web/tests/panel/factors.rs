//! Second factors, passkeys and sessions, as the panel passes them on.

use std::sync::Arc;

use berth_wire::web::{
    AddPasskey, Audit, AuditRow, BeginPasskey, BeginTotp, Ceremony, Challenge, Confirm, Done, EndSession,
    Event, LiftFactor, Page, Plan, Proof, Refusal, RemoveTotp, Secret, SetTotp, SignInPasskey, Standing,
    TotpSecret, TotpSet, Why,
};
use http::{Method, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::browser::Browser;
use crate::door::{PASSWORD, refusal};
use crate::html::plain;
use crate::panel::Panel;
use crate::platform::planned;

/// A code that the stand-in takes.
const CODE: &str = "123 456";

/// Gives bob a second factor.
fn with_code(panel: &Panel) {
    panel.door.world.people.lock().get_mut("bob").unwrap().code = Some(CODE.to_owned());
}

/// Signs bob in as far as the password goes.
async fn half(panel: &Panel) -> Browser {
    let bob = panel.browser();
    let page = bob.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/login/code");
    bob
}

/// Has the stand-in want a confirmation before it answers `Q`, and take bob's password and `CODE` for it.
fn wants_confirmation(panel: &Panel) -> Arc<Mutex<bool>> {
    let fresh = Arc::new(Mutex::new(false));
    let set = Arc::clone(&fresh);
    panel.door.answer(move |_, _, asked: Confirm| match asked.proof {
        Proof::Password { password, code } if password.0 == PASSWORD && code.0 == CODE => {
            *set.lock() = true;
            Ok(Done)
        }
        Proof::Password { password, .. } if password.0 == PASSWORD => {
            Err(refusal(Why::WrongCode, "That code is wrong."))
        }
        _ => Err(refusal(Why::WrongPassword, "wrong")),
    });
    fresh
}

fn stale() -> Refusal {
    refusal(Why::Stale, "This needs to know once more that it is you.")
}

fn secret() -> TotpSecret {
    let uri = "otpauth://totp/hosting.example.org:bob?secret=GEZDGNBVGY3TQOJQ";
    TotpSecret { secret: Secret("GEZDGNBVGY3TQOJQ".to_owned()), uri: Secret(uri.to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_after_the_password_and_leads_where_one_was_going() {
    let panel = Panel::start().await;
    with_code(&panel);
    let bob = panel.browser();
    assert_eq!(bob.get("/account").await.goes_to(), "/login");
    assert_eq!(bob.get("/login/code").await.goes_to(), "/login", "without a password there is no code");
    assert_eq!(bob.post("/login/code", &[("code", CODE)]).await.goes_to(), "/login");
    let page = bob.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/login/code");
    let before = bob.cookie();
    // Half a sign-in opens nothing, and its secret is on no page.
    assert_eq!(bob.get("/account").await.goes_to(), "/login");
    let page = bob.get("/login/code").await;
    page.says(StatusCode::OK, "Now the code");
    assert!(!page.text.contains("half-"), "{}", page.text);
    bob.post("/login/code", &[("code", "000000")]).await.says(StatusCode::FORBIDDEN, "That code is wrong.");
    assert_eq!(bob.post("/login/code", &[("code", CODE)]).await.goes_to(), "/account");
    assert_ne!(bob.cookie(), before);
    bob.get("/account").await.says(StatusCode::OK, "Make new recovery codes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_comes_too_late_leads_back_to_the_password() {
    let panel = Panel::start().await;
    with_code(&panel);
    let bob = half(&panel).await;
    panel.door.forget_everybody();
    assert_eq!(bob.post("/login/code", &[("code", CODE)]).await.goes_to(), "/login");
    bob.get("/login").await.says(StatusCode::OK, "too late");
    assert_eq!(bob.get("/login/code").await.goes_to(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_wants_to_know_once_more_comes_after_that() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    with_code(&panel);
    let fresh = wants_confirmation(&panel);
    panel.door.answer(move |_, _, _: BeginTotp| if *fresh.lock() { Ok(secret()) } else { Err(stale()) });
    assert_eq!(bob.get("/account/totp").await.goes_to(), "/confirm");
    let page = bob.get("/confirm").await;
    page.says(StatusCode::OK, "Is it you, bob?");
    assert!(page.text.contains("name=\"code\""), "{}", page.text);
    for (password, code, words) in
        [("wrong", CODE, "That is not your password."), (PASSWORD, "1", "That code is wrong.")]
    {
        let page = bob.post("/confirm", &[("password", password), ("code", code)]).await;
        page.says(StatusCode::FORBIDDEN, words);
    }
    let right = bob.post("/confirm", &[("password", PASSWORD), ("code", CODE)]).await;
    assert_eq!(right.goes_to(), "/account/totp");
    let page = bob.get("/account/totp").await;
    page.says(StatusCode::OK, "<svg");
    page.says(StatusCode::OK, "GEZD GNBV GY3T QOJQ");
    assert_eq!(page.header("cache-control"), "no-store");
    // Without something to go on with, it leads to the account.
    assert_eq!(bob.post("/confirm", &[("password", PASSWORD), ("code", CODE)]).await.goes_to(), "/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_wants_to_know_once_more_is_kept() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    with_code(&panel);
    let fresh = wants_confirmation(&panel);
    panel.door.answer(move |_, _, _: Plan| match *fresh.lock() {
        true => Ok(planned(Standing::Allowed, "a key")),
        false => Err(stale()),
    });
    let form = [("was.ssh_keys", "[]"), ("ssh_keys", "ssh-ed25519 AAAA bob"), ("step", "plan")];
    assert_eq!(bob.post("/account/edit", &form).await.goes_to(), "/confirm");
    let right = bob.post("/confirm", &[("password", PASSWORD), ("code", CODE)]).await;
    assert_eq!(right.goes_to(), "/resume");
    let page = bob.get("/resume").await;
    page.says(StatusCode::OK, "<dt>SSH keys</dt><dd>ssh-ed25519 AAAA bob</dd>");
    assert!(plain(&page.text).contains("action=\"/account/edit\""), "{}", page.text);
    bob.post("/account/edit", &form).await.says(StatusCode::OK, "server shop: a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_codes_are_shown_once_in_a_session_that_is_new() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    panel.door.answer(|_, _, _: BeginTotp| Ok(secret()));
    panel.door.answer(|world, me, asked: SetTotp| match asked.code.0 == CODE {
        true => {
            let recovery = vec![Secret("abcd-efgh-ijkl-mnop".to_owned())];
            Ok(TotpSet { signed_in: world.sign_in(me), recovery })
        }
        false => Err(refusal(Why::WrongCode, "That code is wrong.")),
    });
    let before = bob.cookie();
    let page = bob.post("/account/totp", &[("code", "1")]).await;
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "That code is wrong.");
    page.says(StatusCode::UNPROCESSABLE_ENTITY, "GEZD GNBV");
    let page = bob.post("/account/totp", &[("code", CODE)]).await;
    page.says(StatusCode::OK, "abcd-efgh-ijkl-mnop");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_ne!(bob.cookie(), before);
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_that_isn_t_removed_says_why() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    with_code(&panel);
    panel.door.answer(|world, me, asked: RemoveTotp| {
        match (asked.password.0 == PASSWORD, asked.code.0 == CODE) {
            (false, _) => Err(refusal(Why::WrongPassword, "wrong")),
            (_, false) => Err(refusal(Why::WrongCode, "That code is wrong.")),
            _ => Ok(world.sign_in(me)),
        }
    });
    let remove = async |password: &str, code: &str| {
        bob.post("/account/totp/remove", &[("password", password), ("code", code)]).await
    };
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    remove("wrong", CODE).await.says(wrong, "That is not your password.");
    remove(PASSWORD, "1").await.says(wrong, "That code is wrong.");
    assert_eq!(remove(PASSWORD, CODE).await.goes_to(), "/account");
    bob.get("/account").await.says(StatusCode::OK, "Your second factor is removed.");
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_passed_on_as_they_come() {
    let panel = Panel::start().await;
    let options = || Ceremony { options: "{\"challenge\":\"x\"}".to_owned() };
    let host = panel.host();
    panel.door.answer(move |_, _, asked: Challenge| {
        assert_eq!(asked.host, host);
        Ok(options())
    });
    panel.door.answer(|world, _, asked: SignInPasskey| match asked.response.0 == "{\"id\":1}" {
        true => Ok(world.sign_in("bob")),
        false => Err(refusal(Why::WrongPassword, "That passkey isn't taken here.")),
    });
    let bob = panel.browser();
    let page = bob.post("/login/passkey/options", &[]).await;
    page.says(StatusCode::OK, "{\"challenge\":\"x\"}");
    assert_eq!((page.header("content-type"), page.header("cache-control")), ("application/json", "no-store"));
    let page = bob.post("/login/passkey", &[("response", "{}")]).await;
    page.says(StatusCode::FORBIDDEN, "That passkey isn&#x27;t taken here.");
    assert_eq!(bob.post("/login/passkey", &[("response", "{\"id\":1}")]).await.goes_to(), "/");

    let added = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&added);
    panel.door.answer(move |_, _, asked: AddPasskey| {
        *noted.lock() = Some((asked.name, asked.response.0));
        Ok(Done)
    });
    let form = [("name", "my phone"), ("response", "{}")];
    assert_eq!(bob.post("/account/passkeys", &form).await.goes_to(), "/account");
    assert_eq!(added.lock().take(), Some(("my phone".to_owned(), "{}".to_owned())));
    // A script that has to wait for a confirmation is told so, and leads there itself.
    panel.door.answer(|_, _, _: BeginPasskey| Err(stale()));
    let mut by_script = bob.form("/account/passkeys/options", &[]);
    by_script.headers_mut().insert("sec-fetch-mode", "cors".parse().unwrap());
    assert_eq!(bob.send(by_script).await.status, StatusCode::PRECONDITION_REQUIRED);
    // The script is a file of the panel's own, and the form waits for it.
    let login = panel.browser().get("/login").await;
    assert!(
        login.text.contains("data-passkey=\"use\"") && login.text.contains("/assets/passkey."),
        "{}",
        login.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ends_a_session_elsewhere() {
    let panel = Panel::start().await;
    panel.door.answer(|_, _, asked: EndSession| match asked.id == "there" {
        true => Ok(Done),
        false => Err(refusal(Why::NotFound, "no such session")),
    });
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/account").await;
    page.says(StatusCode::OK, "Firefox on &lt;Linux&gt;, from 192.0.2.0&#x2f;24");
    assert_eq!(page.text.matches("action=\"/account/sessions/end\"").count(), 2);
    assert_eq!(
        page.text.matches(">Sign out</button>").count(),
        2,
        "not where one is, but for the button above"
    );
    assert_eq!(bob.post("/account/sessions/end", &[("id", "there")]).await.goes_to(), "/account");
    bob.get("/account").await.says(StatusCode::OK, "You are signed out there.");
    assert_eq!(bob.post("/account/sessions/end", &[("id", "else")]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_takes_a_factor_away_after_a_confirmation() {
    let panel = Panel::start().await;
    with_code(&panel);
    let ann = panel.signed_in("ann").await;
    let fresh = Arc::new(Mutex::new(false));
    let set = Arc::clone(&fresh);
    panel.door.answer(move |_, _, _: Confirm| {
        *set.lock() = true;
        Ok(Done)
    });
    panel.door.answer(move |_, _, _: LiftFactor| if *fresh.lock() { Ok(Done) } else { Err(stale()) });
    ann.get("/admin/users/bob").await.says(StatusCode::OK, "Remove the second factor");
    assert_eq!(ann.post("/admin/users/bob/totp/remove", &[]).await.goes_to(), "/confirm");
    assert_eq!(ann.post("/confirm", &[("password", PASSWORD)]).await.goes_to(), "/resume");
    let page = ann.get("/resume").await;
    assert!(plain(&page.text).contains("action=\"/admin/users/bob/totp/remove\""), "{}", page.text);
    page.says(StatusCode::OK, "<h2>Remove a member’s second factor</h2>");
    page.says(StatusCode::OK, "<dt>Member</dt><dd>bob</dd>");
    assert_eq!(ann.post("/admin/users/bob/totp/remove", &[]).await.goes_to(), "/admin/users/bob");
    ann.get("/admin/users/bob")
        .await
        .says(StatusCode::OK, "The second factor of <code>bob</code> is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_told_in_words() {
    let panel = Panel::start().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    panel.door.answer(move |_, _, question: Audit| {
        noted.lock().push((question.of.map(|of| of.to_string()), question.page));
        let row = |who: Option<&str>, act: &str, of: &str| AuditRow {
            at: Timestamp::UNIX_EPOCH,
            who: who.map(str::to_owned),
            from: Some("192.0.2.1".to_owned()),
            event: Event::Act { act: act.to_owned(), of: of.to_owned() },
        };
        let rows = vec![
            row(Some("ann"), "lift-factor", "bob"),
            row(None, "sign-in-refused", ""),
            row(None, "new-act", "<b>"),
        ];
        Ok(Page { rows, page: 1, pages: 2, all: 53 })
    });
    let ann = panel.signed_in("ann").await;
    let page = ann.get("/admin/audit?search=bob&page=1").await;
    for words in [
        "removed the second factor of bob",
        "wrong name or password",
        "new act &lt;b&gt;",
        "53 in all",
        "search=bob&amp;page=2",
    ] {
        page.says(StatusCode::OK, words);
    }
    ann.get("/admin/audit?search=No%20Name").await.says(StatusCode::OK, "Nothing of anybody of that name");
    ann.get("/admin/audit").await.says(StatusCode::OK, "53 in all");
    assert_eq!(*asked.lock(), [(Some("bob".to_owned()), 1), (None, 1)]);
    let bob = panel.signed_in("bob").await;
    let request = bob.request(Method::GET, "/admin/audit", "");
    assert_eq!(bob.send(request).await.status, StatusCode::FORBIDDEN);
}
