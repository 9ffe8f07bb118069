//! More than a password in a browser: codes of an app, a passkey of an authenticator that the browser's driver plays, and sessions.

use berth_tests::app::code;
use berth_tests::folder::git;
use berth_tests::process::PATIENCE;
use berth_tests::{Browser, GitDoor, Panel, Platform, World, run};

crate::stories! {
    a_member_adds_a_second_factor_and_a_passkey,
}

/// A password, and its hash.
const PASSWORD: &str = "correct horse battery";
const HASH: &str = "$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.";

/// Clicks on the button with these words.
#[track_caller]
fn press(browser: &Browser, words: &str) {
    browser.click(&browser.find_with("button, a.button, summary", words));
}

#[track_caller]
fn type_password(panel: &Panel) -> Browser {
    let browser = panel.browser();
    browser.go(&panel.at("/login"));
    browser.fill("#user", "ann");
    browser.fill("#password", PASSWORD);
    press(&browser, "Sign in");
    browser
}

fn a_member_adds_a_second_factor_and_a_passkey(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        state.write("users/bob.toml", "");
    });
    let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann"]);
    let panel = Panel::of(&platform);
    // Passkeys are for the panel's own name and port, as the state says them.
    let port = panel.at("/").trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    door.clone_as("ann")
        .push_change(|state| {
            state.append("platform.toml", &format!("\n[panel]\ndomain = \"{}\"\nport = {port}\n", berth_tests::panel::PANEL));
        })
        .good();

    // A code, set up by the text of the secret.
    let ann = type_password(&panel);
    ann.says("My servers");
    ann.go(&panel.at("/account"));
    press(&ann, "Set up a second factor");
    ann.says("Scan this picture");
    assert_eq!(ann.all(".picture svg").len(), 1);
    let secret = ann.text(&ann.find(".copy code"));
    ann.fill("#code", "000000");
    press(&ann, "Set it up");
    ann.says("That code is wrong");
    assert_eq!(ann.text(&ann.find(".copy code")), secret, "the set-up goes on");
    ann.fill("#code", &code(&secret, 0));
    press(&ann, "Set it up");
    ann.says("Keep these recovery codes");
    let recovery: Vec<String> = ann.all(".codes li").iter().map(|one| ann.text(one)).collect();
    assert_eq!(recovery.len(), 10);
    press(&ann, "I have kept them");
    ann.says("10 recovery codes left");
    let show = || {
        let repo = platform.repo();
        run(git().arg("--git-dir").arg(&repo).args(["show", "main:users/ann.toml"]), PATIENCE).stdout
    };
    let file = show();
    assert!(file.contains("second_factor = \"totp\"") && !file.contains(&secret.replace(' ', "")), "{file}");

    // Elsewhere the password alone is half of it, and the code of the set-up is used up.
    let phone = type_password(&panel);
    phone.says("Now the code");
    phone.fill("#code", &recovery[0]);
    press(&phone, "Sign in");
    phone.says("My servers");
    let other = type_password(&panel);
    other.fill("#code", &recovery[0]);
    press(&other, "Sign in");
    other.says("it was used already");
    // The next step's code holds before its time: clocks differ.
    other.fill("#code", &code(&secret, 1));
    press(&other, "Sign in");
    other.says("My servers");

    // One sees the three places and ends one; its next page is the sign-in.
    ann.go(&panel.at("/account"));
    ann.says("Chrome on Linux");
    assert_eq!(ann.all("#sessions li button").len(), 2);
    ann.click(&ann.find("#sessions li button"));
    ann.says("You are signed out there");
    assert_eq!(ann.all("#sessions li button").len(), 1);

    // A passkey, which then signs in alone.
    ann.authenticator();
    ann.find("form[data-passkey=make]:not([hidden])");
    ann.fill("#passkey_name", "the driver’s own");
    press(&ann, "Add a passkey");
    ann.says("The passkey is added");
    assert!(show().contains(" the driver’s own\""), "{}", show());
    press(&ann, "Sign out");
    ann.says("You are signed out.");
    press(&ann, "Sign in with a passkey");
    ann.says("My servers");
    ann.go(&panel.at("/account"));
    ann.says("by the passkey the driver’s own");

    // An admin sees all of it.
    ann.go(&panel.at("/admin/audit"));
    for words in ["set up a second factor", "signed in with a recovery code", "added a passkey", "signed in by a passkey"] {
        ann.says(words);
    }
    ann.look(390, "light");
    let wide = ann.script("return document.documentElement.scrollWidth");
    assert!(wide.as_u64() <= Some(390), "{wide}");
    for browser in [&ann, &phone, &other] {
        let complaints = browser.complaints();
        // A page that says no has that status.
        let bad: Vec<_> = complaints.iter().filter(|one| !one.contains("422") && !one.contains("403")).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}
