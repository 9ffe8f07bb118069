//! Sheets and lists, as people see them.

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::web::{
    Blank, DomainRead, Input, Me, Object, PlatformRead, ServerRead, Servers, Token, UserRead, Users, UsersOf,
};

use crate::bench::Bench;

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

async fn names(bench: &Bench, token: &Token, search: &str, everybody: bool) -> Vec<String> {
    let asked = Servers { search: search.to_owned(), everybody, page: 1 };
    let page = bench.ask(Some(token), &asked).await.unwrap();
    assert_eq!(page.all as usize, page.rows.len());
    page.rows.into_iter().map(|card| card.name.to_string()).collect()
}

#[tokio::test]
async fn a_member_sees_what_they_own_and_what_they_are_a_member_of() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    assert_eq!(names(&bench, &bob, "", false).await, ["bobs", "cyns2"]);
    assert_eq!(names(&bench, &bob, " BOBS", false).await, ["bobs"]);
    assert_eq!(names(&bench, &bob, "3", false).await, ["cyns2"]);
    let sheet = bench.ask(Some(&bob), &ServerRead { id: id(1) }).await.unwrap();
    assert!(sheet.may_edit);
    assert_eq!(sheet.text, "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\n");
    assert_eq!((sheet.card.memory, sheet.card.nano_cpus), (512 << 20, 1_000_000_000));
    assert_eq!(sheet.card.ssh, "ssh -p 10022 bobs@hosting.example.org");
    assert_eq!(sheet.card.domains[0].url, "https://bobs.hosting.example.org");
    let field = |name: &str| sheet.fields.iter().find(|field| field.name == name).unwrap().clone();
    assert_eq!(field("memory").value, Input::Text("512 MiB".to_owned()));
    assert_eq!((field("cpus").value, field("cpus").default.as_str()), (Input::Unset, "1"));
    let theirs = bench.ask(Some(&bob), &ServerRead { id: id(3) }).await.unwrap();
    assert!(!theirs.may_edit);
    let domain = DomainRead { fqdn: "bobs.hosting.example.org".parse().unwrap() };
    let domain = bench.ask(Some(&bob), &domain).await.unwrap();
    assert_eq!((domain.server, domain.may_edit), (id(1), true));
}

#[tokio::test]
async fn an_admin_sees_everything_but_hashes() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    assert!(names(&bench, &ann, "", false).await.is_empty(), "none is hers");
    assert_eq!(names(&bench, &ann, "", true).await, ["bobs", "cyns", "cyns2"]);
    assert_eq!(names(&bench, &ann, "cyn", true).await, ["cyns", "cyns2"]);
    assert!(bench.ask(Some(&ann), &ServerRead { id: id(2) }).await.unwrap().may_edit);
    let users = |search: &str| Users { search: search.to_owned(), page: 1, of: UsersOf::All };
    let all = bench.ask(Some(&ann), &users("")).await.unwrap();
    let cards: Vec<_> =
        all.rows.iter().map(|card| (card.name.as_str(), card.servers, card.has_password)).collect();
    assert_eq!(cards, [("ann", 0, true), ("bob", 1, true), ("cyn", 2, true), ("dan", 0, false)]);
    assert_eq!(bench.ask(Some(&ann), &users("BOB@example")).await.unwrap().all, 1);
    for name in ["ann", "bob"] {
        let sheet = bench.ask(Some(&ann), &UserRead { name: name.parse().unwrap() }).await.unwrap();
        assert!(!serde_json::to_string(&sheet).unwrap().contains("argon2"));
    }
    let sheet = bench.ask(Some(&ann), &PlatformRead {}).await.unwrap();
    assert_eq!(sheet.text, "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n");
    assert_eq!(sheet.made_by.unwrap().summary, "The organisation");
}

#[tokio::test]
async fn quotas_are_told_in_words() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let person = bench.ask(Some(&bob), &Me {}).await.unwrap();
    let told: Vec<_> = person
        .quota
        .iter()
        .map(|quota| (quota.field.as_str(), quota.used_text.as_str(), quota.allowed_text.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("servers", "1 server", "3 servers"),
            ("cpus", "1 cpus", "4 cpus"),
            ("memory", "512 MiB of memory", "8 GiB of memory"),
            ("pids", "2048 processes", "6144 processes"),
            ("disk", "10 GiB of disk", "50 GiB of disk"),
            ("domains", "1 domain", "10 domains"),
        ]
    );
    assert_eq!((person.platform.kept_days, person.platform.forge), (30, None));
}

#[tokio::test]
async fn addresses_have_the_ports_that_are_not_the_usual_ones() {
    let bench = Bench::new();
    let platform =
        "domain = \"hosting.example.org\"\n[web]\nhttp_port = 8080\nhttps_port = 443\n[ssh]\nport = 22\n";
    let plain = Edit::write("domains/bobs.hosting.example.org.toml", "server = \"bobs\"\ntls = \"off\"\n");
    bench.commit("other ports", &[Edit::write("platform.toml", platform), plain]);
    let bob = bench.sign_in("bob").await;
    let card = bench.ask(Some(&bob), &ServerRead { id: id(1) }).await.unwrap().card;
    assert_eq!(card.ssh, "ssh bobs@hosting.example.org");
    assert_eq!(card.domains[0].url, "http://bobs.hosting.example.org:8080");
}

#[tokio::test]
async fn a_new_file_has_every_field_and_its_default() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let fields = bench.ask(Some(&bob), &Blank { of: Object::Server(String::new()) }).await.unwrap();
    assert!(fields.iter().all(|field| field.value == Input::Unset));
    let memory = fields.iter().find(|field| field.name == "memory").unwrap();
    assert_eq!(memory.default, "1 GiB");
}
