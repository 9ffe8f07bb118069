//! By which factors somebody gets in, and who changes that.

use std::time::SystemTime;

use berth_schema::policy::{Actor, Proposal, Verdict, judge, judge_confirmed};
use berth_schema::register::IdRegister;

use super::{Files, differing, name, state};

#[test]
fn a_member_changes_their_factors_only_where_the_door_has_asked_who_they_are() {
    let lines = |lines: &str| format!("email = \"bob@h.org\"\n{lines}[quota]\ncustom_domains = true\n");
    let (phone, ring) = (format!("{} {} phone", "p".repeat(22), "k".repeat(43)), "r".repeat(22));
    let ring = format!("{ring} {} ring", "k".repeat(43));
    let with = |factor: bool, passkeys: &[&str]| {
        let factor = if factor { "second_factor = \"totp\"\n" } else { "" };
        lines(&format!("{factor}passkeys = {passkeys:?}\n"))
    };
    let judged = |from: &str, to: &str| {
        let mut before = Files::new();
        before.insert("platform.toml".to_owned(), "domain = \"h.org\"\n".to_owned());
        before.insert("users/bob.toml".to_owned(), from.to_owned());
        let mut after = before.clone();
        after.insert("users/bob.toml".to_owned(), to.to_owned());
        let (bob, old, new) = (name("bob"), state(&before).unwrap(), state(&after).unwrap());
        let proposal = Proposal {
            actor: Actor::Member(&bob),
            before: &old,
            after: &new,
            changes: &differing(&before, &after),
            proven: &[],
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: None,
        };
        (judge(&proposal), judge_confirmed(&proposal))
    };
    let both = with(true, &[&phone, &ring]);
    let changes = [
        (with(true, &[]), with(false, &[]), "second_factor"),
        (with(false, &[]), with(true, &[]), "second_factor"),
        (with(true, &[&phone]), both.clone(), "passkeys"),
        (with(true, &[&phone]), with(true, &[&ring]), "passkeys"),
    ];
    for (from, to, about) in &changes {
        let (pushed, confirmed) = judged(from, to);
        let Verdict::Deny(findings) = pushed else { panic!("{from}{to}") };
        assert_eq!(findings.len(), 1, "{findings:?}");
        let finding = format!("{} [{}]", findings[0], findings[0].hint.as_deref().unwrap());
        assert!(
            finding.contains(if *about == "passkeys" { "add a passkey" } else { "the second factor" }),
            "{finding}"
        );
        assert!(finding.contains("in the panel, under Account"), "{finding}");
        assert_eq!(confirmed, Verdict::Allow);
    }
    // A lost key goes at once, by any door.
    assert_eq!(judged(&both, &with(true, &[&ring])).0, Verdict::Allow);
    // Only the provider's word binds an account, and a lost one goes at once.
    let [here, there] = ["https://login.h.org 4711", "https://login.h.org 4712"];
    let bound = |accounts: &[&str]| lines(&format!("oidc = {accounts:?}\n"));
    let (pushed, confirmed) = judged(&bound(&[here]), &bound(&[here, there]));
    let Verdict::Deny(findings) = pushed else { panic!("{pushed:?}") };
    let finding = format!("{} [{}]", findings[0], findings[0].hint.as_deref().unwrap());
    assert!(
        finding.contains("bind an account") && finding.contains("sign in at the provider first"),
        "{finding}"
    );
    assert_eq!(confirmed, Verdict::Allow);
    assert_eq!(judged(&bound(&[here, there]), &bound(&[there])).0, Verdict::Allow);
    // Nobody here can ask the forge whose an account is: whoever says so could name an admin's, or let somebody in as themselves.
    let at_forge = |accounts: &[&str]| lines(&format!("forge_accounts = {accounts:?}\n"));
    let [mine, another] = ["github.com/bob", "github.com/bobs-other"];
    for verdict in <[Verdict; 2]>::from(judged(&at_forge(&[mine]), &at_forge(&[mine, another]))) {
        let Verdict::Deny(findings) = verdict else { panic!("{verdict:?}") };
        assert!(findings[0].message.contains("may not add an account at the forge"), "{findings:?}");
    }
    assert_eq!(judged(&at_forge(&[mine, another]), &at_forge(&[another])).0, Verdict::Allow);
    // Whoever the door asked is no more than a member.
    let (_, confirmed) = judged(&both, &format!("role = \"admin\"\n{both}"));
    assert!(matches!(confirmed, Verdict::Deny(_)), "{confirmed:?}");
}
