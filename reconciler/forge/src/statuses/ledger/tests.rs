//! Lines that are told: when, and in which order.

use berth_plan::Action;
use berth_wire::Outcome;
use jiff::Timestamp;

use super::*;

/// The commit of which these are the first letters.
fn tip(letter: &str) -> Revision {
    letter.repeat(40).parse().unwrap()
}

fn pass(attempted: &str, problems: &[&str], failed: bool) -> News {
    let result = match failed {
        true => Ended::Failed { error: "no such image".to_owned(), retry: berth_wire::Retry::SOON },
        false => Ended::Done,
    };
    let outcome = Outcome {
        subject: "server shop (id 1)".parse().unwrap(),
        action: Action::Create,
        result,
        millis: 1,
        steps_done: 0,
        steps: 1,
    };
    News::Ended(Box::new(PassRecord {
        at: Timestamp::UNIX_EPOCH,
        attempted: Some(tip(attempted).into()),
        revision: Some(tip(attempted).into()),
        reason: "ref change".to_owned(),
        outcomes: vec![outcome],
        problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
        retry_millis: None,
    }))
}

/// Tells everything that is due, and returns the lines.
fn tell(ledger: &mut Ledger) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = ledger.next() {
        ledger.told(&line);
        let letter = &line.revision.to_string()[..1];
        lines.push(format!("{letter} {}: {}", line.state.word(), line.description));
    }
    lines
}

fn accepted(letter: &str) -> News {
    News::Accepted(tip(letter))
}

#[test]
fn a_commit_is_pending_until_a_pass_has_applied_it() {
    let mut ledger = Ledger::default();
    ledger.hear(accepted("a"));
    ledger.hear(accepted("a"));
    assert_eq!(tell(&mut ledger), ["a pending: accepted; it is being applied"]);
    ledger.hear(pass("0", &[], false));
    assert!(tell(&mut ledger).is_empty());
    ledger.hear(pass("a", &["held back"], true));
    ledger.hear(pass("a", &["held back"], true));
    assert_eq!(tell(&mut ledger), ["a failure: create server shop (id 1): no such image (and 1 more)"]);
    ledger.hear(accepted("a"));
    ledger.hear(pass("a", &[], false));
    ledger.hear(pass("a", &[], true));
    ledger.hear(accepted("a"));
    assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
}

#[test]
fn what_a_later_tip_overtook_was_applied_with_it() {
    let mut ledger = Ledger::default();
    ledger.hear(accepted("a"));
    ledger.hear(accepted("b"));
    ledger.hear(News::Refused(tip("c"), "platform.toml: no".to_owned()));
    ledger.hear(pass("b", &[], false));
    assert_eq!(
        tell(&mut ledger),
        [
            "a success: applied together with bbbbbbbbbb",
            "b success: applied: 1 change",
            "c failure: refused: platform.toml: no",
        ]
    );
}

#[test]
fn a_restart_doesnt_tell_it_again() {
    let told =
        |state: CommitState| Told { revision: tip("a"), state, description: "applied: 1 change".to_owned() };
    let after = |state| Ledger::after(Some(&told(state)), &Owed::default());
    let mut ledger = after(CommitState::Success);
    ledger.hear(accepted("a"));
    ledger.hear(pass("a", &[], false));
    assert!(tell(&mut ledger).is_empty());
    let mut ledger = after(CommitState::Pending);
    ledger.hear(accepted("a"));
    assert!(tell(&mut ledger).is_empty());
    ledger.hear(pass("a", &[], false));
    assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
}

/// Everything that is written down of a ledger.
fn written(ledger: &Ledger) -> Owed {
    ledger.owed(&Remote::new("https://f/org/state".parse().unwrap()))
}

#[test]
fn a_restart_forgets_no_commit() {
    let mut ledger = Ledger::default();
    ledger.hear(accepted("a"));
    let told = ledger.next();
    assert_eq!(tell(&mut ledger), ["a pending: accepted; it is being applied"]);
    ledger.hear(News::Refused(tip("c"), "no".to_owned()));
    // The forge could not be told of the last one, and `main` has gone on meanwhile.
    let mut ledger = Ledger::after(told.as_ref(), &written(&ledger));
    ledger.hear(accepted("b"));
    ledger.hear(pass("b", &[], false));
    let mut lines = tell(&mut ledger);
    lines.sort();
    assert_eq!(
        lines,
        [
            "a success: applied together with bbbbbbbbbb",
            "b success: applied: 1 change",
            "c failure: refused: no"
        ]
    );
}

#[test]
fn nothing_grows_without_end() {
    let mut ledger = Ledger::default();
    for at in 0..1000_u16 {
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&at.to_be_bytes());
        ledger.hear(News::Accepted(Revision::from_bytes(bytes)));
    }
    assert_eq!((ledger.waiting.len(), ledger.due.len()), (KEPT, KEPT));
    assert_eq!(tell(&mut ledger).len(), KEPT);
    assert_eq!(ledger.known.len(), KEPT);
    // Neither does what is written down.
    ledger.hear(News::Refused(tip("a"), "no such thing; ".repeat(10_000)));
    let kept = serde_json::to_vec(&written(&ledger)).unwrap();
    assert!(kept.len() < KEPT * 1000, "{}", kept.len());
    let mut more = written(&ledger);
    more.waiting = more.waiting.repeat(100);
    more.lines = more.lines.iter().cycle().take(10_000).cloned().collect();
    let ledger = Ledger::after(None, &more);
    assert!(ledger.waiting.len() <= KEPT && ledger.due.len() <= KEPT);
}

fn trouble(of: fn(String) -> Trouble) -> Trouble {
    of("no".to_owned())
}

/// Tries to tell the next line in vain; returns the commit's first letter, and whether there was a line.
fn fail(ledger: &mut Ledger, pause: &mut Pause, why: &Trouble) -> Option<String> {
    let line = ledger.next()?;
    ledger.failed(&line, why, pause);
    Some(line.revision.to_string()[..1].to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_isnt_taken_is_told_again_with_the_newest_word() {
    let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
    let refused = trouble(Trouble::Refused);
    ledger.hear(accepted("a"));
    assert!(fail(&mut ledger, &mut pause, &refused).is_some());
    assert!(ledger.next().is_none() && ledger.trouble().is_some());
    ledger.hear(pass("a", &["held back"], false));
    // A change of state is told at once.
    assert!(fail(&mut ledger, &mut pause, &refused).is_some());
    for seconds in [60, 900, 900] {
        ledger.hear(pass("a", &[&format!("held back before {seconds}")], false));
        tokio::time::sleep(Duration::from_secs(seconds - 1)).await;
        assert!(ledger.next().is_none(), "{seconds}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(fail(&mut ledger, &mut pause, &refused).is_some(), "{seconds}");
    }
    // Another token is tried at once.
    ledger.forget_waits();
    assert_eq!(tell(&mut ledger), ["a failure: held back before 900"]);
    assert_eq!(ledger.trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn what_lags_is_told_for_minutes_and_then_seldom() {
    let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
    let lagging = trouble(Trouble::Lagging);
    ledger.hear(accepted("a"));
    let start = Instant::now();
    let mut attempts = Vec::new();
    while start.elapsed() < Duration::from_secs(3600) {
        if fail(&mut ledger, &mut pause, &lagging).is_some() {
            attempts.push(start.elapsed().as_secs());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 63, 127, 255, 1155, 2055, 2955]);
}

#[tokio::test(start_paused = true)]
async fn one_commit_that_isnt_taken_silences_no_other() {
    let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
    let ailing = trouble(Trouble::Ailing);
    ledger.hear(accepted("a"));
    assert_eq!(fail(&mut ledger, &mut pause, &ailing).as_deref(), Some("a"));
    ledger.hear(accepted("b"));
    ledger.hear(News::Refused(tip("c"), "no".to_owned()));
    assert_eq!(tell(&mut ledger).len(), 2);
    assert!(ledger.trouble().is_some(), "it is known that one is missing");
    // It is given up once the branch has gone on and a day is over.
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_secs(300)).await;
        fail(&mut ledger, &mut pause, &ailing);
    }
    assert!(!ledger.owes() && ledger.trouble().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_hangs_at_one_commit_hears_of_the_others() {
    let (mut ledger, mut pause) = (Ledger::default(), Pause::default());
    for letter in ["a", "b", "c"] {
        ledger.hear(accepted(letter));
    }
    // It doesn't answer at all about the first, nor about what comes after it.
    let away = Trouble::Away { why: "no answer within 20 s".to_owned(), wait: None };
    let mut tried = String::new();
    for _ in 0..6 {
        while !pause.is_over() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tried += &fail(&mut ledger, &mut pause, &away).unwrap();
    }
    assert_eq!(tried, "abcabc");
}

#[tokio::test(start_paused = true)]
async fn other_words_come_at_growing_distances_and_another_state_at_once() {
    let mut ledger = Ledger::default();
    ledger.hear(accepted("a"));
    let mut told = tell(&mut ledger).len();
    // A week of passes, each of which fails in other words.
    for minute in 0..7 * 24 * 60 {
        ledger.hear(pass("a", &[&format!("failed at {minute}")], false));
        told += tell(&mut ledger).len();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!((20..60).contains(&told), "{told}");
    ledger.hear(pass("a", &[], false));
    assert_eq!(tell(&mut ledger), ["a success: applied: 1 change"]);
    // Words that the forge shows already need no other.
    ledger.hear(accepted("b"));
    ledger.hear(pass("b", &["one"], false));
    assert_eq!(tell(&mut ledger), ["b failure: one"]);
    ledger.hear(pass("b", &["two"], false));
    ledger.hear(pass("b", &["one"], false));
    assert!(!ledger.owes());
}
