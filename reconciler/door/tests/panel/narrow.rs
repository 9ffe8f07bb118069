//! An admin's API token without the scope `admin`: it may what a member may, whatever role its owner has. And what no token may.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::web::{
    Approve, Change, Commit, CommitRead, Committed, Deed, FieldEdit, Input, Invite, Object, Plan, Planned,
    ProposalRead, Proposals, Propose, ProposeRevert, Proposed, Reject, Revert, Scope, ServerRead, Standing,
    Token, Why,
};

use crate::api_tokens::make;
use crate::bench::Bench;

/// A server of bob's in which ann is a member, and one of ann's own.
const BOBS: &str = "id = 8\nowner = \"bob\"\nmembers = [\"ann\"]\n";
const ANNS: &str = "id = 9\nowner = \"ann\"\n";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ x@y";

fn organised() -> Bench {
    let bench = Bench::organised();
    let edits = [Edit::write("servers/with-ann.toml", BOBS), Edit::write("servers/anns.toml", ANNS)];
    bench.commit("more servers", &edits);
    let domain = Edit::write("domains/with.hosting.example.org.toml", "server = \"with-ann\"\n");
    bench.commit("a domain", &[domain]);
    bench
}

fn server(name: &str) -> Object {
    Object::Server(name.to_owned())
}

fn field(name: &str, now: Input) -> FieldEdit {
    FieldEdit { name: name.to_owned(), was: Input::Unset, now }
}

fn text(text: &str) -> Input {
    Input::Text(text.to_owned())
}

fn edit(of: Object, name: &str, now: Input) -> Change {
    Change { of, deed: Deed::Edit { fields: vec![field(name, now)] } }
}

fn with_domain(fqdn: &str, server: &str) -> Change {
    let deed = Deed::Create { fields: vec![field("server", text(server))] };
    Change { of: Object::Domain(fqdn.to_owned()), deed }
}

async fn plan(bench: &Bench, token: &Token, change: &Change) -> Planned {
    bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap()
}

async fn commit(bench: &Bench, token: &Token, change: &Change, planned: &Planned) -> Committed {
    let digest = planned.digest.clone();
    let commit = Commit { change: change.clone(), digest, from: None, knows: true };
    bench.ask(Some(token), &commit).await.unwrap()
}

/// Checks that a change is refused to the token, however it asks, and told why; and that its owner may make it who signs in.
async fn is_members(bench: &Bench, token: &Token, change: &Change) {
    let planned = plan(bench, token, change).await;
    assert_eq!(planned.standing, Standing::Refused, "{change:?}: {planned:?}");
    let told = planned.findings.iter().any(|finding| finding.message.contains("lacks the scope `admin`"));
    assert!(told, "{planned:?}");
    assert!(matches!(commit(bench, token, change, &planned).await, Committed::Changed { .. }), "{change:?}");
    assert_eq!(bench.refusal(Some(token), &Propose { change: change.clone() }).await, Why::Forbidden);
    let ann = bench.sign_in("ann").await;
    assert_eq!(plan(bench, &ann, change).await.standing, Standing::Allowed, "{change:?}");
}

#[tokio::test]
async fn a_server_in_which_an_admin_is_only_a_member_stays_as_it_is() {
    let bench = organised().open();
    let ann = bench.sign_in("ann").await;
    let (_, narrow) = make(&bench, &ann, &[Scope::Servers, Scope::Domains]).await;
    bench.ask(Some(&narrow), &ServerRead { id: ServerId(8.try_into().unwrap()) }).await.unwrap();
    let main = || std::fs::read(bench.repo().join("refs/heads/main")).unwrap();
    let tip = main();
    let domain = || Object::Domain("with.hosting.example.org".to_owned());
    let given_away = FieldEdit { was: text("ann"), ..field("owner", text("bob")) };
    for change in [
        edit(server("with-ann"), "pids", text("256")),
        edit(domain(), "port", text("8080")),
        Change { of: domain(), deed: Deed::Remove },
        with_domain("more.hosting.example.org", "with-ann"),
        // Her own, and no member's to change.
        Change { of: server("anns"), deed: Deed::Edit { fields: vec![given_away] } },
        edit(server("anns"), "allow", Input::List(vec!["10.0.0.1/32:80/tcp".to_owned()])),
    ] {
        is_members(&bench, &narrow, &change).await;
    }
    assert_eq!(main(), tip);
    bench.commit("no domain", &[Edit::remove("domains/with.hosting.example.org.toml")]);
    is_members(&bench, &narrow, &Change { of: server("with-ann"), deed: Deed::Remove }).await;
    // What is her own she changes by it.
    let own = edit(server("anns"), "pids", text("256"));
    let planned = plan(&bench, &narrow, &own).await;
    assert!(matches!(commit(&bench, &narrow, &own, &planned).await, Committed::Made { .. }), "{planned:?}");
}

/// A resolver that nobody is at, so that no proof is found and none is waited for.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn names_of_others_want_a_proof_from_a_narrow_token() {
    let bench = organised().open_with(Some(nobody()));
    let ann = bench.text("users/ann.toml") + "[quota]\ncustom_domains = true\n";
    bench.commit("names of her own", &[Edit::write("users/ann.toml", ann)]);
    let ann = bench.sign_in("ann").await;
    let (_, narrow) = make(&bench, &ann, &[Scope::Domains]).await;
    let foreign = with_domain("www.example.com", "anns");
    let planned = plan(&bench, &narrow, &foreign).await;
    assert_ne!(planned.standing, Standing::Allowed, "{planned:?}");
    assert_eq!(plan(&bench, &ann, &foreign).await.standing, Standing::Allowed);
}

#[tokio::test]
async fn a_narrow_token_sees_and_decides_on_no_proposal_of_others() {
    let bench = organised().open();
    let propose = async |who: &str, of: &str| -> Proposed {
        let change = edit(server(of), "memory", text("2 GiB"));
        let token = bench.sign_in(who).await;
        bench.ask(Some(&token), &Propose { change }).await.unwrap()
    };
    let (cyns, anns) = (propose("cyn", "cyns").await, propose("ann", "anns").await);
    let ann = bench.sign_in("ann").await;
    let (_, narrow) = make(&bench, &ann, &[Scope::Reviews, Scope::Read]).await;
    let (_, wide) = make(&bench, &ann, &[Scope::Reviews, Scope::Admin]).await;
    let topics = async |token: &Token| {
        let cards = bench.ask(Some(token), &Proposals {}).await.unwrap();
        cards.into_iter().map(|card| card.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(&narrow).await, std::slice::from_ref(&anns.topic));
    assert_eq!(topics(&wide).await.len(), 2);
    let read = |made: &Proposed| ProposalRead { topic: made.topic.clone(), from: None };
    let approve =
        |made: &Proposed| Approve { topic: made.topic.clone(), at: made.revision, from: None, knows: true };
    let reject = |made: &Proposed| Reject { topic: made.topic.clone(), reason: String::new() };
    assert_eq!(bench.refusal(Some(&narrow), &read(&cyns)).await, Why::NotFound);
    assert_eq!(bench.refusal(Some(&narrow), &approve(&cyns)).await, Why::NotFound);
    assert_eq!(bench.refusal(Some(&narrow), &reject(&cyns)).await, Why::NotFound);
    // Her own, which needs nobody's consent, she reads, and finishes or closes, as every member may.
    assert!(bench.ask(Some(&narrow), &read(&anns)).await.unwrap().may_approve);
    bench.ask(Some(&narrow), &reject(&anns)).await.unwrap();
    bench.ask(Some(&wide), &approve(&cyns)).await.unwrap();
    assert!(bench.text("servers/cyns.toml").contains("2 GiB"));
    assert!(topics(&wide).await.is_empty());
}

#[tokio::test]
async fn what_an_admin_granted_a_narrow_token_takes_not_back() {
    let bench = organised().open();
    let granted = format!("{ANNS}allow = [\"10.0.0.1/32:80/tcp\"]\n");
    let revision = bench.commit_as("ann", "a way out", &[Edit::write("servers/anns.toml", granted)]);
    let ann = bench.sign_in("ann").await;
    let (_, narrow) = make(&bench, &ann, &[Scope::Servers]).await;
    bench.ask(Some(&narrow), &CommitRead { revision, attempted: None }).await.unwrap();
    let revert = |digest| Revert { revision, digest, from: None, knows: true };
    let planned = async |token: &Token| match bench.ask(Some(token), &revert(None)).await.unwrap() {
        Committed::Changed { planned } => *planned,
        made => panic!("{made:?}"),
    };
    let shown = planned(&narrow).await;
    assert_eq!(shown.standing, Standing::Refused, "{shown:?}");
    let tried = bench.ask(Some(&narrow), &revert(Some(shown.digest))).await.unwrap();
    assert!(matches!(tried, Committed::Changed { .. }), "{tried:?}");
    assert_eq!(bench.refusal(Some(&narrow), &ProposeRevert { revision }).await, Why::Forbidden);
    assert_eq!(planned(&ann).await.standing, Standing::Allowed);
}

#[tokio::test]
async fn no_token_changes_by_what_anybody_gets_in() {
    let bench = organised().open();
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    let (_, account) = make(&bench, &bob, &[Scope::Account]).await;
    let (_, wide) = make(&bench, &ann, &[Scope::Account, Scope::Admin]).await;
    let user = |name: &str| Object::User(name.to_owned());
    let key = || Input::List(vec![KEY.to_owned()]);
    let with_key = |name: &str| edit(user(name), "ssh_keys", key());
    let new = |fields| Change { of: user("eve"), deed: Deed::Create { fields } };
    for (token, change) in [
        (&account, with_key("bob")),
        (&wide, with_key("ann")),
        (&wide, with_key("bob")),
        (&wide, new(vec![field("ssh_keys", key())])),
        (&account, edit(user("bob"), "password_hash", text("x"))),
        (&account, edit(user("bob"), "tokens", key())),
    ] {
        let refusal = bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap_err();
        assert_eq!(refusal.why, Why::Stale, "{change:?}");
        assert!(refusal.message.contains("No API token may do that"), "{refusal:?}");
        let commit = Commit { change: change.clone(), digest: String::new(), from: None, knows: true };
        assert_eq!(bench.refusal(Some(token), &commit).await, Why::Stale);
        assert_eq!(bench.refusal(Some(token), &Propose { change }).await, Why::Stale);
    }
    // Nor by taking back what took a way in away.
    let with = bench.text("users/bob.toml");
    bench.commit("a key", &[Edit::write("users/bob.toml", format!("ssh_keys = [\"{KEY}\"]\n{with}"))]);
    let revision = bench.commit_as("bob", "the key is lost", &[Edit::write("users/bob.toml", with)]);
    let revert = |digest| Revert { revision, digest, from: None, knows: true };
    for token in [&account, &wide] {
        assert_eq!(bench.refusal(Some(token), &revert(None)).await, Why::Stale);
        assert_eq!(bench.refusal(Some(token), &revert(Some(String::new()))).await, Why::Stale);
        assert_eq!(bench.refusal(Some(token), &ProposeRevert { revision }).await, Why::Stale);
    }
    // The rest of the file it changes, and whoever signs in changes all of it.
    let mut email = edit(user("bob"), "email", text("b@example.org"));
    let Deed::Edit { fields } = &mut email.deed else { panic!() };
    fields[0].was = text("bob@example.org");
    assert_eq!(plan(&bench, &account, &email).await.standing, Standing::Allowed);
    assert_eq!(plan(&bench, &wide, &new(Vec::new())).await.standing, Standing::Allowed);
    assert_eq!(plan(&bench, &bob, &with_key("bob")).await.standing, Standing::Allowed);
}

#[tokio::test]
async fn invitations_are_made_by_admins_who_have_just_proved_who_they_are() {
    let bench = organised().open();
    let ann = bench.sign_in("ann").await;
    let (_, wide) = make(&bench, &ann, &[Scope::Account, Scope::Admin]).await;
    let invite = Invite { user: "bob".parse().unwrap() };
    let refusal = bench.ask(Some(&wide), &invite).await.unwrap_err();
    assert!(refusal.message.contains("No API token may do that"), "{refusal:?}");
    bench.ask(Some(&ann), &invite).await.unwrap();
    bench.pass(Duration::from_secs(10 * 60));
    assert_eq!(bench.refusal(Some(&ann), &invite).await, Why::Stale);
}
