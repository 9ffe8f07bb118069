//! Forms: what is sent becomes the change that the door judges, and nothing that was typed is lost on the way.

use std::net::IpAddr;
use std::sync::Arc;

use berth_wire::web::{
    Change, Commit, Committed, Deed, Input, Object, Plan, Power, Propose, Proposed, Reject, Revert, Standing,
    Why,
};
use http::StatusCode;
use parking_lot::Mutex;

use crate::browser::{Browser, Page};
use crate::door::{StandIn, refusal};
use crate::html::{tags, values};
use crate::panel::Panel;
use crate::platform::{edit, field, finding, furnish, planned, revision, text};

/// Changes that the door was asked to plan from now on, each answered like this.
fn plans(
    door: &StandIn,
    answer: impl Fn(&Change) -> berth_wire::web::Planned + Send + Sync + 'static,
) -> Arc<Mutex<Vec<Change>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    door.answer(move |_, _, asked: Plan| {
        let planned = answer(&asked.change);
        noted.lock().push(asked.change);
        Ok(planned)
    });
    seen
}

/// Sends the form of a page again, with a few other values and the button that was pressed.
async fn send(browser: &Browser, page: &Page, path: &str, step: &str, other: &[(&str, &str)]) -> Page {
    let mut form = values(&page.text, path);
    assert!(!form.is_empty() || !other.is_empty(), "no form to {path} in {}", page.text);
    for (name, value) in other {
        form.retain(|(found, _)| found != name);
        form.push(((*name).to_owned(), (*value).to_owned()));
    }
    form.push(("step".to_owned(), step.to_owned()));
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(path, &form).await
}

fn value(page: &Page, path: &str, name: &str) -> Option<String> {
    values(&page.text, path).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_form_over_the_plan_to_the_commit() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "twice"));
    let commits = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&commits);
    panel.door.answer(move |_, _, asked: Commit| {
        noted.lock().push(asked);
        Ok(Committed::Made { revision: revision() })
    });
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/edit").await;
    let plan =
        send(&bob, &form, "/vm/3/edit", "plan", &[("memory", " 4GiB "), ("members", "cleo\r\nann\r\n")])
            .await;
    plan.says(StatusCode::OK, "This loses something");
    for words in ["the plan", "server shop: twice", "~ server shop twice", "cleo changed", "class=\"cut\""] {
        assert!(plan.text.contains(words), "no {words} in {}", plan.text);
    }
    assert_eq!(commits.lock().len(), 0);
    let done = send(&bob, &plan, "/vm/3/edit", "commit", &[]).await;
    assert_eq!(done.goes_to(), format!("/changes/{}", revision()));

    let change = plans.lock()[0].clone();
    assert_eq!(change.of, Object::Server("shop".to_owned()));
    let memory = edit(&change.deed, "memory").unwrap();
    assert_eq!((&memory.was, &memory.now), (&text("2GiB"), &text("4GiB")));
    let members = edit(&change.deed, "members").unwrap();
    assert_eq!(members.now, Input::List(vec!["cleo".to_owned(), "ann".to_owned()]));
    for name in ["cpus", "pids", "disk", "image"] {
        let untouched = edit(&change.deed, name).unwrap();
        assert_eq!(untouched.was, untouched.now, "{name}");
    }
    assert!(edit(&change.deed, "owner").is_none(), "a member's form has no owner");
    let commit = commits.lock()[0].clone();
    assert_eq!((commit.change, commit.digest.as_str()), (change, "the-digest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_its_maker_s() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "new"));
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/new").await;
    form.says(StatusCode::OK, "of 3</span>");
    send(&bob, &form, "/vm/new", "plan", &[("name", " shop ")]).await.says(StatusCode::OK, "the plan");
    let change = plans.lock()[0].clone();
    assert_eq!(change.of, Object::Server("shop".to_owned()));
    assert!(matches!(change.deed, Deed::Create { .. }));
    let owner = edit(&change.deed, "owner").unwrap();
    assert_eq!((&owner.was, &owner.now), (&Input::Unset, &text("bob")));
    assert_eq!(edit(&change.deed, "memory").unwrap().now, Input::Unset, "the default holds");
    let form = bob.get("/vm/3/domains/new").await;
    send(&bob, &form, "/vm/3/domains/new", "plan", &[("name", "a.example.org"), ("port", "8080")]).await;
    let change = plans.lock()[1].clone();
    assert_eq!(
        (&change.of, &edit(&change.deed, "server").unwrap().now),
        (&Object::Domain("a.example.org".to_owned()), &text("shop"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_come_back_at_their_fields_with_what_was_typed() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    plans(&panel.door, |_| berth_wire::web::Planned {
        findings: vec![
            finding(Some("memory"), "no amount"),
            finding(Some("name"), "no name"),
            finding(None, "too much of all"),
        ],
        ..planned(Standing::Refused, "x")
    });
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/new").await;
    let typed = [("name", "Shop!"), ("memory", "2GB"), ("members", "cleo\nno body"), ("pids", "many")];
    let page = send(&bob, &form, "/vm/new", "plan", &typed).await;
    page.says(StatusCode::OK, "Nothing is saved: 3 things have to be mended");
    for (name, text) in typed {
        assert_eq!(value(&page, "/vm/new", name).as_deref(), Some(text));
    }
    let tags = tags(&page.text);
    let said = tags.iter().find(|tag| tag.get("id") == Some("said")).unwrap();
    assert!(said.get("autofocus").is_some() && said.get("role") == Some("alert"));
    for (name, is_wrong) in [("memory", true), ("name", true), ("cpus", false)] {
        let input = tags.iter().find(|tag| tag.get("name") == Some(name)).unwrap();
        assert_eq!(input.get("aria-invalid").is_some(), is_wrong, "{name}");
        let link = tags
            .iter()
            .any(|tag| tag.name == "a" && tag.get("href") == Some(&format!("#{}", input.get("id").unwrap())));
        assert_eq!(link, is_wrong, "{name}");
        if is_wrong {
            let about = input.get("aria-describedby").unwrap().split_whitespace().last().unwrap();
            let words = tags.iter().find(|tag| tag.get("id") == Some(about)).unwrap();
            assert!(words.text.contains("Mend no"), "{words:?}");
        }
    }
    assert!(page.text.contains("Too much of all."), "{}", page.text);
    assert!(page.text.contains("<details open>"), "a folded field was filled in");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_the_same_choose() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |change| {
        let memory = edit(&change.deed, "memory").unwrap();
        if memory.was == text("8GiB") {
            return planned(Standing::Allowed, "chosen");
        }
        let fields = vec![field("memory", text("8GiB"), "1GiB")];
        let findings = vec![finding(Some("memory"), "ann wrote 8GiB")];
        berth_wire::web::Planned { findings, ..planned(Standing::Conflict { fields }, "x") }
    });
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/edit").await;
    let both = send(&bob, &form, "/vm/3/edit", "plan", &[("memory", "4GiB"), ("cpus", "3")]).await;
    for words in ["Choose what is to hold", "8GiB", "4GiB", "Ann wrote 8GiB."] {
        both.says(StatusCode::OK, words);
    }
    assert_eq!(value(&both, "/vm/3/edit", "cpus").as_deref(), Some("3"));
    let again = send(&bob, &both, "/vm/3/edit", "plan", &[]).await;
    again.says(StatusCode::OK, "Choose what is to hold");
    send(&bob, &both, "/vm/3/edit", "plan", &[("pick.memory", "mine")])
        .await
        .says(StatusCode::OK, "the plan");
    send(&bob, &both, "/vm/3/edit", "plan", &[("pick.memory", "theirs")])
        .await
        .says(StatusCode::OK, "the plan");
    let sent: Vec<_> =
        plans.lock().iter().map(|change| edit(&change.deed, "memory").unwrap().clone()).collect();
    assert_eq!((&sent[2].was, &sent[2].now), (&text("8GiB"), &text("4GiB")));
    assert_eq!((&sent[3].was, &sent[3].now), (&text("8GiB"), &text("8GiB")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_comes_to_something_else_is_shown_again() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: Commit| {
        let planned =
            berth_wire::web::Planned { digest: "another".to_owned(), ..planned(Standing::Allowed, "moved") };
        Ok(Committed::Changed { planned: Box::new(planned) })
    });
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/edit").await;
    let plan = send(&bob, &form, "/vm/3/edit", "plan", &[("memory", "4GiB")]).await;
    let again = send(&bob, &plan, "/vm/3/edit", "commit", &[]).await;
    again.says(StatusCode::OK, "has changed since you saw it");
    assert_eq!(value(&again, "/vm/3/edit", "digest").as_deref(), Some("another"));
    assert_eq!(value(&again, "/vm/3/edit", "memory").as_deref(), Some("4GiB"));
    let digests = values(&again.text, "/vm/3/edit").into_iter().filter(|(name, _)| name == "digest").count();
    assert_eq!(digests, 1);
    let back = send(&bob, &again, "/vm/3/edit", "form", &[]).await;
    assert_eq!(
        value(&back, "/vm/3/edit", "memory").as_deref(),
        Some("4GiB"),
        "the form comes back as it was"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_consent_is_proposed() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let approvers = vec!["ann".parse().unwrap()];
    plans(&panel.door, move |_| planned(Standing::NeedsReview { approvers: approvers.clone() }, "x"));
    let proposed = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&proposed);
    panel.door.answer(move |_, _, asked: Propose| {
        noted.lock().push(asked.change);
        Ok(Proposed { topic: "twice-the-memory".to_owned(), revision: revision(), is_sent: false })
    });
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/edit").await;
    let plan = send(&bob, &form, "/vm/3/edit", "plan", &[("memory", "4GiB")]).await;
    plan.says(StatusCode::OK, "ann may agree to it");
    let buttons: Vec<_> =
        tags(&plan.text).into_iter().filter(|tag| tag.name == "button").map(|tag| tag.text).collect();
    assert!(
        buttons.contains(&"Propose".to_owned()) && !buttons.contains(&"Commit".to_owned()),
        "{buttons:?}"
    );
    let done = send(&bob, &plan, "/vm/3/edit", "propose", &[]).await;
    assert_eq!(done.goes_to(), "/reviews/twice-the-memory");
    assert_eq!(edit(&proposed.lock()[0].deed, "memory").unwrap().now, text("4GiB"));
    bob.get("/reviews/twice-the-memory").await.says(StatusCode::OK, "waits as a proposal now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_away_takes_nothing_that_was_typed() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: Plan| Err(refusal(Why::Unavailable, "the state repo can't be read")));
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/new").await;
    let page = send(&bob, &form, "/vm/new", "plan", &[("name", "my-shop")]).await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "Nothing is saved. the state repo can&#x27;t be read");
    assert_eq!(value(&page, "/vm/new", "name").as_deref(), Some("my-shop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_meanwhile_keeps_what_was_typed() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "x"));
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/edit").await;
    panel.door.forget_everybody();
    let page = send(&bob, &form, "/vm/3/edit", "plan", &[("memory", "4GiB")]).await;
    assert_eq!(page.goes_to(), "/login");
    bob.post("/login", &[("user", "bob"), ("password", crate::door::PASSWORD)]).await;
    let kept = bob.get("/resume").await;
    let is_told = ["<h2>Edit a server</h2>", "<dt>Memory</dt><dd>4GiB</dd>", "See the plan"];
    assert!(is_told.iter().all(|told| kept.text.contains(told)), "{}", kept.text);
    assert!(!kept.text.contains("<dt>was.") && !kept.text.contains("<dt>memory"), "{}", kept.text);
    let form = values(&kept.text, "/vm/3/edit");
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    bob.post("/vm/3/edit", &form).await.says(StatusCode::OK, "the plan");
    assert_eq!(edit(&plans.lock()[0].deed, "memory").unwrap().now, text("4GiB"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_wants_the_name_and_says_how_long_the_data_stays() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "gone"));
    let bob = panel.signed_in("bob").await;
    let form = bob.get("/vm/3/remove").await;
    form.says(StatusCode::OK, "kept for 30 days");
    let page = send(&bob, &form, "/vm/3/remove", "plan", &[("confirm", "shp")]).await;
    page.says(StatusCode::OK, "Nothing is removed");
    assert_eq!(plans.lock().len(), 0);
    let plan = send(&bob, &page, "/vm/3/remove", "plan", &[("confirm", "shop")]).await;
    plan.says(StatusCode::OK, "This loses something");
    assert_eq!(plans.lock()[0], Change { of: Object::Server("shop".to_owned()), deed: Deed::Remove });
    assert_eq!(
        send(&bob, &plan, "/vm/3/remove", "commit", &[]).await.goes_to(),
        format!("/changes/{}", revision())
    );
    let page = bob.post("/vm/3/remove", &[("step", "commit"), ("digest", "the-digest")]).await;
    page.says(StatusCode::OK, "Nothing is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_and_off_is_a_change_and_a_restart_an_act() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "off"));
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3").await;
    send(&bob, &page, "/vm/3/power", "plan", &[]).await.says(StatusCode::OK, "the plan");
    let state = edit(&plans.lock()[0].deed, "state").unwrap().clone();
    assert_eq!((state.was, state.now), (Input::Unset, text("stopped")));
    assert_eq!(bob.post("/vm/3/restart", &[]).await.goes_to(), "/vm/3");
    bob.get("/vm/3").await.says(StatusCode::OK, "It was restarted.");
    panel.door.answer(|_, _, _: Power| Err(refusal(Why::Forbidden, "that server isn't yours")));
    bob.post("/vm/3/restart", &[]).await.goes_to();
    bob.get("/vm/3").await.says(StatusCode::OK, "It was not restarted. that server isn&#x27;t yours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_the_next_number() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |_| planned(Standing::Allowed, "anew"));
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3/clean-up").await;
    send(&bob, &page, "/vm/3/reset", "plan", &[]).await.says(StatusCode::OK, "the plan");
    let change = plans.lock()[0].clone();
    let reset = edit(&change.deed, "reset").unwrap();
    assert_eq!((&reset.was, &reset.now), (&text("7"), &text("8")));
    assert!(edit(&change.deed, "state").is_none(), "nothing else is changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_a_text_with_the_revision_that_it_began_from() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let plans = plans(&panel.door, |change| match &change.deed {
        Deed::Write { text, .. } if text.contains("wrong") => {
            let place = Some("platform.toml:1:1".to_owned());
            let findings = vec![berth_wire::web::FieldFinding {
                place,
                ..finding(Some("text"), "no field of that name")
            }];
            berth_wire::web::Planned { findings, ..planned(Standing::Refused, "x") }
        }
        _ => planned(Standing::Allowed, "x"),
    });
    let ann = panel.signed_in("ann").await;
    let form = ann.get("/admin/settings").await;
    let wrong = send(&ann, &form, "/admin/settings", "plan", &[("text", "wrong = 1\r\nmore = 2\r\n")]).await;
    wrong.says(StatusCode::OK, "platform.toml:1:1");
    assert_eq!(value(&wrong, "/admin/settings", "text").as_deref(), Some("wrong = 1\nmore = 2\n"));
    send(&ann, &wrong, "/admin/settings", "plan", &[("text", "right = 1\r\n")])
        .await
        .says(StatusCode::OK, "the plan");
    let right = Deed::Write { text: "right = 1\n".to_owned(), base: revision() };
    assert_eq!(plans.lock()[1], Change { of: Object::Platform, deed: right });
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_shuts_its_author_out_is_asked_for_twice() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let losing = || berth_wire::web::Planned {
        shuts_out: vec!["`ann` is out".to_owned()],
        ..planned(Standing::Allowed, "x")
    };
    let losing_from = move |from: Option<IpAddr>| match from {
        // The machine itself, at the panel's own port, is shut out by no network.
        None => losing(),
        Some(from) => panic!("{from}"),
    };
    plans(&panel.door, move |_| losing());
    panel.door.answer(move |_, _, asked: Commit| {
        Ok(match asked.knows {
            true => Committed::Made { revision: revision() },
            false => Committed::Changed { planned: Box::new(losing_from(asked.from)) },
        })
    });
    panel.door.answer(move |_, _, asked: Revert| {
        Ok(match asked.knows && asked.digest.is_some() {
            true => Committed::Made { revision: revision() },
            false => Committed::Changed { planned: Box::new(losing_from(asked.from)) },
        })
    });
    let ann = panel.signed_in("ann").await;
    let change = format!("/changes/{}", revision());
    let form = ann.get("/admin/settings").await;
    let settings =
        send(&ann, &form, "/admin/settings", "plan", &[("text", "domain = \"h.example\"\n")]).await;
    let revert = ann.post(&format!("{change}/revert"), &[]).await;
    for (path, plan) in [("/admin/settings".to_owned(), settings), (format!("{change}/revert"), revert)] {
        plan.says(StatusCode::OK, "This shuts you out");
        plan.says(StatusCode::OK, "<code>ann</code> is out");
        let once_more = send(&ann, &plan, &path, "commit", &[("shut-out", "")]).await;
        once_more.says(StatusCode::OK, "Nothing is saved yet: this would shut you out");
        assert_eq!(send(&ann, &once_more, &path, "commit", &[("shut-out", "yes")]).await.goes_to(), change);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_shows_its_plan_first() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let digests = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&digests);
    panel.door.answer(move |_, _, asked: Revert| {
        noted.lock().push(asked.digest.clone());
        Ok(match asked.digest {
            Some(_) => Committed::Made { revision: revision() },
            None => Committed::Changed { planned: Box::new(planned(Standing::Allowed, "back")) },
        })
    });
    let bob = panel.signed_in("bob").await;
    let path = format!("/changes/{}/revert", revision());
    let plan = bob.post(&path, &[]).await;
    plan.says(StatusCode::OK, "server shop: back");
    assert_eq!(send(&bob, &plan, &path, "commit", &[]).await.goes_to(), format!("/changes/{}", revision()));
    assert_eq!(*digests.lock(), [None, Some("the-digest".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_needs_consent_is_proposed() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: Revert| {
        let standing = Standing::NeedsReview { approvers: vec!["ann".parse().unwrap()] };
        Ok(Committed::Changed { planned: Box::new(planned(standing, "back")) })
    });
    let bob = panel.signed_in("bob").await;
    let path = format!("/changes/{}/revert", revision());
    let plan = bob.post(&path, &[]).await;
    plan.says(StatusCode::OK, "until then it waits as a proposal");
    let done = send(&bob, &plan, &path, "propose", &[]).await;
    assert_eq!(done.goes_to(), format!("/reviews/revert-{}", revision().short()));
    bob.get("/reviews/twice-the-memory").await.says(StatusCode::OK, "waits as a proposal now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_names_the_revision_and_a_refused_one_keeps_the_words() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let ann = panel.signed_in("ann").await;
    let page = ann.get("/reviews/twice-the-memory").await;
    let path = "/reviews/twice-the-memory/approve";
    assert_eq!(value(&page, path, "at").as_deref(), Some(revision().to_string().as_str()));
    assert_eq!(send(&ann, &page, path, "", &[]).await.goes_to(), format!("/changes/{}", revision()));
    ann.post(path, &[]).await.says(StatusCode::BAD_REQUEST, "Open the proposal again");
    panel.door.answer(|_, _, _: Reject| Err(refusal(Why::BadQuestion, "somebody was quicker")));
    let page = ann.post("/reviews/twice-the-memory/reject", &[("reason", "we don't shout")]).await;
    page.says(StatusCode::BAD_REQUEST, "Somebody was quicker.");
    assert_eq!(value(&page, "/reviews/twice-the-memory/reject", "reason").as_deref(), Some("we don't shout"));
}
