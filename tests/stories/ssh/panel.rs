//! A server's terminal, log and clean-up in the panel: in a browser, with everything behind them real.

use std::thread;
use std::time::{Duration, Instant};

use berth_tests::browser::ENTER;
use berth_tests::process::within;
use berth_tests::{Browser, Panel};
use serde_json::json;

use super::scene::{PASSWORD, PATIENCE, Scene};

/// Time in which a terminal that may not go on is over, on a machine with other work.
const SOON: Duration = Duration::from_secs(20);

pub(super) fn people_work_in_their_servers_by_the_panel(scene: &Scene<'_>) {
    let platform = &scene.platform;
    platform.commit("bob is a member of wiki", |state| {
        let wiki = state.read("servers/wiki.toml");
        state.write("servers/wiki.toml", &format!("{wiki}members = [\"bob\"]\n"));
    });
    // As it is started anywhere: nobody says where the door is.
    let mut up = platform.berth_command(&["up"]);
    let _up = platform.stays(up.env_remove("BERTH_GIT_SOCKET_DIR"));
    within(PATIENCE, "the reconciler answers", || platform.status()?["pid"].as_u64());
    platform.apply();
    let panel = Panel::of(platform);
    let bob = signed_in(&panel, "bob");
    a_terminal_works_by_keyboard(&panel, &bob);
    lines_that_are_pasted_do_not_run(&bob);
    a_shell_outlives_its_connection_and_its_page(&panel, &bob);
    a_log_is_read_as_it_grows(scene, &panel, &bob);
    a_server_is_cleaned_up(&panel, &bob);
    a_terminal_ends_with_the_right_to_it(scene, &panel, &bob);
    a_terminal_ends_with_the_session(&panel, &bob);
    let mut complaints = bob.complaints();
    // Chromium tells what it has forgotten at the sign-out.
    complaints.retain(|complaint| !complaint.contains("Clear-Site-Data"));
    assert_eq!(complaints, Vec::<String>::new(), "{}", panel.log());
    scene.logged(&["session ended", "user=bob", "server=\"shop\"", "by=\"ticket\"", "via=\"panel\""], 1);
}

#[track_caller]
fn signed_in(panel: &Panel, name: &str) -> Browser {
    let browser = panel.browser();
    browser.go(&panel.at("/login"));
    browser.fill("#user", name);
    browser.fill("#password", PASSWORD);
    browser.keys(ENTER);
    browser.says("My servers");
    browser
}

/// Opens a server's terminal and waits for its shell.
#[track_caller]
fn open(panel: &Panel, browser: &Browser, id: u32) {
    browser.go(&panel.at(&format!("/vm/{id}/terminal")));
    browser.find("#terminal[data-state=open]");
    // The keyboard is the shell's at once.
    assert_eq!(browser.script("return document.activeElement.className"), "xterm-helper-textarea");
}

#[track_caller]
fn types(browser: &Browser, line: &str) {
    browser.keys(line);
    browser.keys(ENTER);
}

#[track_caller]
fn shows(browser: &Browser, words: &str) {
    browser.find_with(".xterm-rows", words);
}

fn screen(browser: &Browser) -> String {
    browser.script("return document.querySelector('.xterm-rows').innerText").as_str().unwrap_or_default().to_owned()
}

fn a_terminal_works_by_keyboard(panel: &Panel, bob: &Browser) {
    bob.look(1280, "light");
    bob.go(&panel.at("/vm/1"));
    bob.tab_to("a[href='/vm/1/terminal']");
    bob.keys(ENTER);
    bob.find("#terminal[data-state=open]");
    types(bob, "echo in-$(hostname)-$((40 + 2))");
    shows(bob, "in-shop-42");
    // The shell knows how large the page is, whatever becomes of it.
    for width in [1280, 390, 900] {
        bob.look(width, "light");
        within(PATIENCE, "the shell has the page's size", || {
            types(bob, "clear; stty size | tr ' ' x");
            let rows = bob.script("return document.querySelectorAll('.xterm-rows > div').length");
            thread::sleep(Duration::from_millis(200));
            let seen = screen(bob);
            let told = seen.lines().find_map(|line| {
                let (told, columns) = line.trim().split_once('x')?;
                Some((told.parse::<u64>().ok()?, columns.parse::<u64>().ok()?))
            });
            told.filter(|(told, columns)| Some(*told) == rows.as_u64() && (width > 500) == (*columns > 60))
        });
        let wide = bob.script("return document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} pixels at {width}");
    }
    bob.look(1280, "light");
}

/// Pastes as a person does, wherever the focus is.
fn paste(browser: &Browser, text: &str) {
    browser.script(&format!(
        "const clipboardData = new DataTransfer();
         clipboardData.setData('text/plain', {});
         const paste = new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }});
         document.querySelector('.xterm-helper-textarea').dispatchEvent(paste);",
        json!(text)
    ));
}

fn lines_that_are_pasted_do_not_run(bob: &Browser) {
    let lines = "echo one-$((1 + 1))\necho two-$((1 + 1))\necho three-$((1 + 1))\n";
    types(bob, "clear");
    paste(bob, lines);
    shows(bob, "three-$((1");
    assert!(!screen(bob).contains("one-2"), "{}", screen(bob));
    bob.keys(ENTER);
    shows(bob, "three-2");
    // A program that takes lines as they come is asked about first.
    types(bob, "clear; echo read-$((1 + 1)); head -n 1");
    // By now the shell has told the terminal that it no longer takes a paste as one text.
    shows(bob, "read-2");
    paste(bob, "first line\nsecond line\n");
    bob.find("#ask[open]");
    bob.says("first line");
    bob.keys(ENTER);
    bob.find("#ask:not([open])");
    assert!(!screen(bob).contains("second"), "{}", screen(bob));
    paste(bob, "third line\n");
    bob.click(&bob.find_with("#ask button", "Paste and run"));
    shows(bob, "third");
    types(bob, "echo after-$((1 + 1))");
    shows(bob, "after-2");
}

fn a_shell_outlives_its_connection_and_its_page(panel: &Panel, bob: &Browser) {
    types(bob, "clear; same=sh; echo here-${same}ell");
    shows(bob, "here-shell");
    bob.script("dispatchEvent(new Event('offline'))");
    bob.find("#terminal[data-state=closed]");
    bob.says("The connection is lost");
    // The last screen stays.
    shows(bob, "here-shell");
    bob.script("dispatchEvent(new Event('online'))");
    bob.find("#terminal[data-state=open]");
    types(bob, "echo again-${same}ell");
    shows(bob, "again-shell");
    open(panel, bob, 1);
    shows(bob, "again-shell");
    types(bob, "echo still-${same}ell");
    shows(bob, "still-shell");
}

fn a_log_is_read_as_it_grows(scene: &Scene<'_>, panel: &Panel, bob: &Browser) {
    let log = |command: &str| scene.runs("bob", "shop", command).good();
    log("echo '<script>alert(1)</script> & more' | systemd-cat -t story");
    log("printf '\\033[31mred\\033[0m-word\\n' | systemd-cat -t story");
    log("head -c 1000000 /dev/zero | tr '\\0' x | systemd-cat -t story");
    bob.go(&panel.at("/vm/1/log"));
    bob.says("<script>alert(1)</script> & more");
    bob.says("red-word");
    bob.says("more bytes, which the file has");
    bob.says("Follows the journal.");
    log("echo first-news | systemd-cat -t story");
    bob.says("first-news");
    // Whoever reads older lines stays where they are.
    let at = "return document.getElementById('log').scrollTop";
    bob.script("document.getElementById('log').scrollTop = 40");
    let before = bob.script(at);
    log("echo second-news | systemd-cat -t story");
    bob.find_with("#newest", "To the newest line");
    assert_eq!(bob.script(at), before);
    log("for line in $(seq 3000); do echo many-$line; done | systemd-cat -t story");
    bob.find_with("#log div:last-child", "many-3000");
    let rows = bob.script("return document.getElementById('log').childElementCount");
    assert!(rows.as_u64() <= Some(2000), "{rows}");
}

fn a_server_is_cleaned_up(panel: &Panel, bob: &Browser) {
    bob.go(&panel.at("/vm/1/clean-up"));
    bob.says("Nothing else is touched");
    bob.click(&bob.find_with("button", "Clean up"));
    bob.says("It is cleaned up");
    bob.says("Total reclaimed space");
    bob.click(&bob.find_with("button", "Clean up"));
    bob.says("Nothing was removed.");
}

fn a_terminal_ends_with_the_right_to_it(scene: &Scene<'_>, panel: &Panel, bob: &Browser) {
    open(panel, bob, 2);
    types(bob, "echo in-$(hostname)");
    shows(bob, "in-wiki");
    scene.platform.commit("bob is no member of wiki", |state| {
        let wiki = state.read("servers/wiki.toml");
        state.write("servers/wiki.toml", &wiki.replace("members = [\"bob\"]\n", ""));
    });
    let begun = Instant::now();
    bob.find_with("#state", "you may no longer log in to this server");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    shows(bob, "in-wiki");
    // It is no longer there for him.
    bob.go(&panel.at("/vm/2/terminal"));
    bob.says("There is nothing of that name");
    let mut complaints = bob.complaints();
    complaints.retain(|complaint| !complaint.contains("/vm/2/terminal"));
    assert_eq!(complaints, Vec::<String>::new());
}

fn a_terminal_ends_with_the_session(panel: &Panel, bob: &Browser) {
    open(panel, bob, 1);
    // From another tab, as the form on the account's page does it.
    bob.script("fetch('/logout', { method: 'POST' })");
    bob.find_with("#state", "you signed out");
    bob.go(&panel.at("/vm/1/terminal"));
    bob.find("#password");
}
