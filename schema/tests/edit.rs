//! Edits: what changes in a file's text, what stays, and that every result says exactly what was meant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use berth_schema::api_token::Scope;
use berth_schema::backup::ServerBackup;
use berth_schema::domain::{Domain, DomainAccess, Tls};
use berth_schema::edit::{self, DomainEdit, EditError, QuotaEdit, ServerEdit, UserEdit};
use berth_schema::name::{ServerId, UserName};
use berth_schema::quantity::{Bytes, Cpus};
use berth_schema::server::{PowerState, Server};
use berth_schema::user::{ApiToken, Passkey, QuotaOverride, Role, SecondFactor, SshKey, User};
use berth_schema::{Parsed, State};
use proptest::prelude::*;

const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi ann@laptop",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD jonas@laptop",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvTmhemq6diOVWu+C3HR9GvsNO9feexKYRBICZaHuY2 rasa@laptop",
];
const HASH: &str = "$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.";

fn passkey(name: &str) -> Passkey {
    Passkey::new(&name.replace(' ', "-").repeat(9)[..22], &"k".repeat(43), name).unwrap()
}

fn token(name: &str) -> ApiToken {
    let digest = name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().repeat(32);
    let (made, until) = ("2026-11-30T18:00:00Z", "2027-02-28T18:00:00Z");
    ApiToken::new(&digest[..64], &[Scope::Read, Scope::Servers].into(), made, until, name).unwrap()
}

fn key(number: usize) -> SshKey {
    KEYS[number].parse().unwrap()
}

fn server(text: &str, edits: &[ServerEdit]) -> String {
    edit::server(&"shop".parse().unwrap(), text, edits).unwrap()
}

fn user(text: &str, edits: &[UserEdit]) -> String {
    edit::user(&"ann".parse().unwrap(), text, edits).unwrap()
}

#[test]
fn one_value_changes_and_nothing_else() {
    let text = "#:schema x\n# The shop.\nid   = 1 # for ever\n\nowner='ann'   # hers\n# Memory.\nmemory = \"1 GiB\" # enough\n";
    let edits = [
        ServerEdit::Memory(Some(Bytes::new(2 << 30))),
        ServerEdit::Owner("bob".parse().unwrap()),
        ServerEdit::Cpus(Some(Cpus::from_processors(1.5).unwrap())),
        ServerEdit::Pids(Some(std::num::NonZeroU32::new(100).unwrap())),
    ];
    assert_eq!(
        server(text, &edits),
        "#:schema x\n# The shop.\nid   = 1 # for ever\n\nowner=\"bob\"   # hers\n# Memory.\nmemory = \"2 GiB\" # enough\ncpus = 1.5\npids = 100\n"
    );
}

#[test]
fn exceptions_are_a_list_like_others() {
    let text = "id = 1\nowner = \"ann\"\nallow = [\n    \"10.1.2.3/32:05432/tcp\", # the database\n    \"10.9.0.0/16\",\n]\n";
    let allow = |texts: &[&str]| ServerEdit::Allow(texts.iter().map(|text| text.parse().unwrap()).collect());
    assert_eq!(
        server(text, &[allow(&["10.1.2.3/32:5432/tcp", "10.8.0.0/16:53"])]),
        "id = 1\nowner = \"ann\"\nallow = [\n    \"10.1.2.3/32:05432/tcp\", # the database\n    \"10.8.0.0/16:53\",\n]\n"
    );
    assert_eq!(server(text, &[allow(&[])]), "id = 1\nowner = \"ann\"\n");
}

#[test]
fn the_same_in_other_words_stays() {
    let text = "id = 0x1\nowner = 'ann'\nmemory = \"1024 MiB\"\ncpus = 1.0\n";
    let edits = [
        ServerEdit::Memory(Some(Bytes::new(1 << 30))),
        ServerEdit::Owner("ann".parse().unwrap()),
        ServerEdit::Cpus(Some(Cpus::from_processors(1.0).unwrap())),
        ServerEdit::State(Some(PowerState::Running)),
        ServerEdit::Disk(None),
    ];
    assert_eq!(server(text, &edits), text);
}

#[test]
fn what_is_taken_out_leaves_the_comments_above() {
    let text = "#:schema x\n# Role.\nrole = \"admin\" # for now\n# Mail.\nemail = \"a@b.org\"\n\n# Quota.\n[quota]\n# Few.\nservers = 1\n# End.\n";
    let without_role = user(text, &[UserEdit::Role(None)]);
    assert_eq!(
        without_role,
        "#:schema x\n# Role.\n# Mail.\nemail = \"a@b.org\"\n\n# Quota.\n[quota]\n# Few.\nservers = 1\n# End.\n"
    );
    let bare = user(&without_role, &[UserEdit::Email(None), UserEdit::Quota(QuotaEdit::Servers(None))]);
    assert_eq!(bare, "#:schema x\n# Role.\n# Mail.\n\n# Quota.\n[quota]\n# Few.\n# End.\n");
    // And a first field comes back below the heading.
    let again = user(&bare, &[UserEdit::Email(Some("a@b.org".to_owned()))]);
    assert_eq!(
        again,
        "#:schema x\nemail = \"a@b.org\"\n# Role.\n# Mail.\n\n# Quota.\n[quota]\n# Few.\n# End.\n"
    );
    assert_eq!(
        user("# Only words.", &[UserEdit::Role(Some(Role::Admin))]),
        "# Only words.\nrole = \"admin\"\n"
    );
    assert_eq!(user("# Only words.\nrole = \"admin\"\n", &[UserEdit::Role(None)]), "# Only words.\n");
}

#[test]
fn a_quota_is_found_however_it_is_written() {
    let edits = [UserEdit::Quota(QuotaEdit::Servers(Some(5))), UserEdit::Quota(QuotaEdit::Domains(Some(2)))];
    assert_eq!(user("", &edits), "[quota]\nservers = 5\ndomains = 2\n");
    assert_eq!(
        user("quota = { servers = 1 } # few\n", &edits),
        "quota = { servers = 5, domains = 2 } # few\n"
    );
    assert_eq!(user("quota.servers = 1 # few\n", &edits), "quota.servers = 5 # few\nquota.domains = 2\n");
    assert_eq!(
        user("role = \"user\"\n[quota]\nservers = 1 # few\n", &edits),
        "role = \"user\"\n[quota]\nservers = 5 # few\ndomains = 2\n"
    );
}

#[test]
fn keys_come_and_go_one_by_one() {
    let [ann, jonas, rasa] = KEYS;
    let text = format!(
        "ssh_keys = [\n    # At home.\n    \"{ann}\", # old\n    # At work.\n    '{jonas}' # new\n]\n"
    );
    let set =
        |numbers: &[usize]| user(&text, &[UserEdit::SshKeys(numbers.iter().map(|n| key(*n)).collect())]);
    assert_eq!(
        set(&[0, 1, 2]),
        format!(
            "ssh_keys = [\n    # At home.\n    \"{ann}\", # old\n    # At work.\n    '{jonas}', # new\n    \"{rasa}\",\n]\n"
        )
    );
    assert_eq!(set(&[1]), format!("ssh_keys = [\n    # At work.\n    '{jonas}', # new\n]\n"));
    assert_eq!(set(&[]), "");
    assert_eq!(user("", &[UserEdit::SshKeys(vec![key(0)])]), format!("ssh_keys = [\n    \"{ann}\",\n]\n"));
    // On one line it stays on one line.
    let members =
        |names: &[&str]| ServerEdit::Members(names.iter().map(|name| name.parse().unwrap()).collect());
    let text = "id = 1\nowner = \"ann\"\nmembers = [\"bob\", \"cyn\"] # all\n";
    assert_eq!(
        server(text, &[members(&["cyn", "dan"])]),
        "id = 1\nowner = \"ann\"\nmembers = [\"cyn\", \"dan\"] # all\n"
    );
    assert_eq!(server(text, &[members(&[])]), "id = 1\nowner = \"ann\"\n");
}

#[test]
fn line_ends_of_windows_stay() {
    let text = "id = 1\r\nowner = \"ann\" # x\r\n";
    assert_eq!(
        server(text, &[ServerEdit::State(Some(PowerState::Stopped))]),
        "id = 1\r\nowner = \"ann\" # x\r\nstate = \"stopped\"\r\n"
    );
}

#[test]
fn what_would_be_wrong_isnt_written() {
    let ann: UserName = "ann".parse().unwrap();
    let refused = edit::user(&ann, "", &[UserEdit::PasswordHash(Some("hunter2".to_owned()))]).unwrap_err();
    assert!(matches!(&refused, EditError::Refused { findings, .. } if findings.len() == 1), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hunter2"));
    assert!(matches!(
        edit::user(&ann, "", &[UserEdit::Email(Some("no".to_owned()))]),
        Err(EditError::Refused { .. })
    ));
    assert!(matches!(edit::user(&ann, "rol = 1\n", &[]), Err(EditError::Broken { .. })));
    let fine = [ServerEdit::Cpus(Some(Cpus::from_nanos(1_234_567)))];
    let shop = "shop".parse().unwrap();
    assert!(edit::server(&shop, "id = 1\nowner = \"a\"\n", &fine).is_err());
}

#[test]
fn new_files_say_no_more_than_they_must() {
    let server = Server {
        name: "shop".parse().unwrap(),
        id: ServerId(3.try_into().unwrap()),
        owner: "ann".parse().unwrap(),
        members: vec![],
        state: PowerState::Running,
        cpus: None,
        memory: Some(Bytes::new(512 << 20)),
        pids: None,
        disk: None,
        image: None,
        reset: 0,
        allow: vec![],
        backup: ServerBackup::default(),
    };
    assert_eq!(edit::new_server(&server).unwrap(), "id = 3\nowner = \"ann\"\nmemory = \"512 MiB\"\n");
    let domain = Domain {
        fqdn: "*.a.org".parse().unwrap(),
        server: "shop".parse().unwrap(),
        port: 8080.try_into().unwrap(),
        tls: Tls::Internal,
        access: DomainAccess::Public,
        cloudflare: false,
    };
    assert_eq!(edit::new_domain(&domain).unwrap(), "server = \"shop\"\nport = 8080\ntls = \"internal\"\n");
    let fqdn = "*.a.org".parse().unwrap();
    let text = "server = \"shop\" # there\nport = 8080\n";
    assert_eq!(
        edit::domain(&fqdn, text, &[DomainEdit::Port(None), DomainEdit::Cloudflare(Some(true))]).unwrap(),
        "server = \"shop\" # there\ncloudflare = true\n"
    );
}

// On random files and edits. The edits' own check that a result reads as it was meant turns into an error here.

fn cpus() -> impl Strategy<Value = Cpus> {
    (10..1_024_000_u32)
        .prop_map(|thousandths| Cpus::from_processors(f64::from(thousandths) / 1000.0).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        (64_u64 << 20..1 << 50).prop_map(Bytes::new),
        (64_u64..1 << 20).prop_map(|mib| Bytes::new(mib << 20))
    ]
}

fn names() -> impl Strategy<Value = Vec<UserName>> {
    let all = ["bob", "cyn", "dan", "eve"].map(|name| name.parse().unwrap()).to_vec();
    prop::sample::subsequence(all, 0..=4).prop_shuffle()
}

fn server_edit() -> impl Strategy<Value = ServerEdit> {
    let image = prop::option::of("[a-z]{1,8}:[a-z0-9]{1,5}");
    prop_oneof![
        "[a-z]{1,8}".prop_map(|owner| ServerEdit::Owner(owner.parse().unwrap())),
        names().prop_map(ServerEdit::Members),
        prop::option::of(prop_oneof![Just(PowerState::Running), Just(PowerState::Stopped)])
            .prop_map(ServerEdit::State),
        prop::option::of(cpus()).prop_map(ServerEdit::Cpus),
        prop::option::of(bytes()).prop_map(ServerEdit::Memory),
        prop::option::of((64..4_194_304_u32).prop_map(|pids| pids.try_into().unwrap()))
            .prop_map(ServerEdit::Pids),
        prop::option::of(bytes()).prop_map(ServerEdit::Disk),
        image.prop_map(|image| ServerEdit::Image(image.map(|image| image.parse().unwrap()))),
    ]
}

fn user_edit() -> impl Strategy<Value = UserEdit> {
    let keys = prop::sample::subsequence(vec![0_usize, 1, 2], 0..=3).prop_shuffle();
    let quota = prop_oneof![
        any::<Option<u32>>().prop_map(QuotaEdit::Servers),
        prop::option::of(cpus()).prop_map(QuotaEdit::Cpus),
        prop::option::of(bytes()).prop_map(QuotaEdit::Memory),
        any::<Option<u32>>().prop_map(QuotaEdit::Pids),
        prop::option::of(bytes()).prop_map(QuotaEdit::Disk),
        any::<Option<u32>>().prop_map(QuotaEdit::Domains),
        any::<Option<bool>>().prop_map(QuotaEdit::CustomDomains),
    ];
    prop_oneof![
        prop::option::of(prop_oneof![Just(Role::Admin), Just(Role::User)]).prop_map(UserEdit::Role),
        prop::option::of("[a-z]{1,9}@[a-z]{1,9}\\.org").prop_map(UserEdit::Email),
        prop::option::of(Just(HASH.to_owned())).prop_map(UserEdit::PasswordHash),
        keys.prop_map(|keys| UserEdit::SshKeys(keys.into_iter().map(key).collect())),
        prop::sample::subsequence(vec!["phone", "key ring", "laptop"], 0..=3)
            .prop_shuffle()
            .prop_map(|names| UserEdit::Passkeys(names.into_iter().map(passkey).collect())),
        prop::sample::subsequence(vec!["build", "dns at home", "alarm"], 0..=3)
            .prop_shuffle()
            .prop_map(|names| UserEdit::Tokens(names.into_iter().map(token).collect())),
        prop::option::of(Just(SecondFactor::Totp)).prop_map(UserEdit::SecondFactor),
        quota.prop_map(UserEdit::Quota),
    ]
}

/// Comment lines between the lines of a text, and behind some of them.
fn commented(text: &str, picks: &[u8]) -> String {
    let mut out = String::new();
    for (number, (line, pick)) in text.lines().zip(picks.iter().cycle()).enumerate() {
        if pick & 1 > 0 {
            out.push_str(&format!("# above {number}\n"));
        }
        if pick & 2 > 0 {
            out.push_str("\n#:still above\n");
        }
        let behind = if pick & 4 > 0 { format!(" # behind {number}") } else { String::new() };
        out.push_str(&format!("{line}{behind}\n"));
    }
    if picks.first().is_some_and(|pick| pick & 8 > 0) {
        out.push_str("\n# the end");
    }
    out
}

/// Comments on lines of their own, sorted; those inside lists may go with an entry.
fn free_comments(text: &str) -> Vec<String> {
    let mut found: Vec<String> =
        text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
    found.sort();
    found
}

fn read_user(text: &str) -> User {
    let files =
        [Parsed::parse("platform.toml", "domain = \"h.org\"\n"), Parsed::parse("users/ann.toml", text)];
    let state = State::assemble(&files).unwrap_or_else(|findings| panic!("{text}\n{findings:?}"));
    User::clone(&state.users[&"ann".parse().unwrap()])
}

fn blank() -> User {
    User {
        name: "ann".parse().unwrap(),
        role: Role::User,
        email: None,
        password_hash: None,
        ssh_keys: vec![],
        passkeys: vec![],
        tokens: vec![],
        oidc: Vec::new(),
        forge_accounts: Vec::new(),
        second_factor: None,
        quota: QuotaOverride::default(),
    }
}

proptest! {
    #[test]
    fn a_servers_edits_say_what_they_mean(
        first in prop::collection::vec(server_edit(), 0..6),
        then in prop::collection::vec(server_edit(), 0..6),
        picks in prop::collection::vec(0..16_u8, 1..12),
    ) {
        let shop = "shop".parse().unwrap();
        let before = edit::server(&shop, "id = 7\nowner = \"ann\"\n", &first).unwrap();
        let before = commented(&before, &picks);
        let after = edit::server(&shop, &before, &then).unwrap_or_else(|error| panic!("{before}\n{then:?}\n{error:?}"));
        prop_assert_eq!(free_comments(&after), free_comments(&before), "{}\n---\n{}", before, after);
        // Edits that are made already change nothing.
        prop_assert_eq!(edit::server(&shop, &after, then.last().map_or(&[], std::slice::from_ref)).unwrap(), after);
    }

    #[test]
    fn a_users_edits_say_what_they_mean(
        first in prop::collection::vec(user_edit(), 0..6),
        then in prop::collection::vec(user_edit(), 0..6),
        picks in prop::collection::vec(0..16_u8, 1..12),
    ) {
        let ann = "ann".parse().unwrap();
        let before = commented(&edit::user(&ann, "", &first).unwrap(), &picks);
        let after = edit::user(&ann, &before, &then).unwrap_or_else(|error| panic!("{before}\n{then:?}\n{error:?}"));
        // Inside a list, comments go with their entry.
        if !before.contains("ssh_keys") && !before.contains("passkeys") && !before.contains("tokens") {
            prop_assert_eq!(free_comments(&after), free_comments(&before), "{}\n---\n{}", before, after);
        }
        prop_assert_eq!(edit::user(&ann, &after, then.last().map_or(&[], std::slice::from_ref)).unwrap(), &after[..]);
        // A new file of what it says says the same.
        let said = read_user(&after);
        prop_assert_eq!(read_user(&edit::new_user(&said).unwrap()), said);
    }

    #[test]
    fn the_last_edit_of_a_field_holds(edits in prop::collection::vec(user_edit(), 1..8)) {
        let ann = "ann".parse().unwrap();
        let at_once = read_user(&edit::user(&ann, &edit::new_user(&blank()).unwrap(), &edits).unwrap());
        let mut text = String::new();
        for edit in &edits {
            text = edit::user(&ann, &text, std::slice::from_ref(edit)).unwrap();
        }
        prop_assert_eq!(read_user(&text), at_once);
    }
}
