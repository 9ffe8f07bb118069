//! One's own account.

use std::sync::Arc;

use berth_wire::web::{Input, Object, Plan, Standing};
use http::StatusCode;
use parking_lot::Mutex;

use crate::door::PASSWORD;
use crate::panel::Panel;
use crate::platform::{edit, planned};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_takes_the_old_one_and_a_new_session() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let before = bob.cookie();
    let set = async |old: &str, new: &str, again: &str| {
        let form = [("old_password", old), ("new_password", new), ("new_password_again", again)];
        bob.post("/account/password", &form).await
    };
    set(PASSWORD, "another one", "another two").await.says(StatusCode::UNPROCESSABLE_ENTITY, "not the same");
    set("wrong", "another one", "another one")
        .await
        .says(StatusCode::UNPROCESSABLE_ENTITY, "not your password so far");
    assert_eq!(bob.cookie(), before);
    assert_eq!(set(PASSWORD, "another one", "another one").await.goes_to(), "/account");
    assert_ne!(bob.cookie(), before);
    bob.get("/account").await.says(StatusCode::OK, "Your password is set.");
    let fresh = panel.browser();
    let page = fresh.post("/login", &[("user", "bob"), ("password", "another one")]).await;
    assert_eq!(page.goes_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_keys_and_what_is_left() {
    let panel = Panel::start().await;
    panel.door.world.people.lock().get_mut("bob").unwrap().keys =
        vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabcdefghijkl bob's <laptop>".to_owned()];
    let page = panel.signed_in("bob").await.get("/account").await;
    for words in [
        ">Servers</span>",
        "<b class=\"num\">1</b>",
        "of 3</span>",
        "ssh-ed25519",
        "abcdefghijkl",
        "bob&#x27;s &lt;laptop&gt;",
        "You are a member",
    ] {
        page.says(StatusCode::OK, words);
    }
    panel.signed_in("ann").await.get("/account").await.says(StatusCode::OK, "You are an admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_is_told_once() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    assert_eq!(bob.post("/account/sign-out-everywhere", &[]).await.goes_to(), "/account");
    assert_eq!(panel.door.times("/sign-out-everywhere"), 1);
    bob.get("/account").await.says(StatusCode::OK, "signed out everywhere else");
    assert!(!bob.get("/account").await.text.contains("signed out everywhere else"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_as_everything_does() {
    let panel = Panel::start().await;
    let seen = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&seen);
    panel.door.answer(move |_, _, asked: Plan| {
        *noted.lock() = Some(asked.change);
        Ok(planned(Standing::Allowed, "a key"))
    });
    let bob = panel.signed_in("bob").await;
    bob.get("/account").await.says(StatusCode::OK, "href=\"/account/edit\"");
    bob.get("/account/edit").await.says(StatusCode::OK, "Your keys and address");
    let form = [("was.ssh_keys", "[]"), ("ssh_keys", "ssh-ed25519 AAAA bob"), ("step", "plan")];
    bob.post("/account/edit", &form).await.says(StatusCode::OK, "server shop: a key");
    let change = seen.lock().take().unwrap();
    assert_eq!(change.of, Object::User("bob".to_owned()));
    let keys = &edit(&change.deed, "ssh_keys").unwrap().now;
    assert_eq!(*keys, Input::List(vec!["ssh-ed25519 AAAA bob".to_owned()]));
}
