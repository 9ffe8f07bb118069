//! A platform for the stand-in to answer from: a few servers, domains, members, changes and proposals, with texts of the test's
//! choice wherever the door may send any.

use berth_schema::Revision;
use berth_schema::domain::{DomainAccess, Tls};
use berth_schema::name::{ServerId, ServerName};
use berth_schema::server::PowerState;
use berth_schema::tool::Tool;
use berth_schema::user::Role;
use berth_wire::web::{
    ApiTokenCard, ApiTokenMade, ApiTokens, Approve, At, Audit, AuditRow, BeginTotp, BlamePart, Blank, Commit,
    CommitLine, CommitRead, CommitSheet, Committed, Content, Decided, Deed, Destination, DiffSheet, DocEdit,
    DocFound, DocRead, DocSheet, Docs, DocsCard, DocsFound, DocsSearch, DomainCard, DomainRead, DomainSheet,
    Domains, Done, EndApiToken, Event, Excerpt, FactorSheet, Factors, Field, FieldFinding, FileDiff,
    FileSheet, FoundLine, FoundSheet, History, Input, Invite, Invited, Is, Lead, Leads, MakeApiToken, Object,
    Open, Opened, Page, PageCard, PasskeyCard, Plan, Planned, PlatformRead, PlatformSheet, Power,
    ProposalCard, ProposalRead, ProposalSheet, Proposals, Propose, ProposeRevert, Proposed, ProviderCard,
    PullCard, PullRead, PullState, PullWithdraw, Pulls, Reject, Revert, Scope, Secret, ServerCard,
    ServerRead, ServerSheet, Servers, SessionCard, Sessions, Standing, StateBlame, StateDiff, StateFile,
    StateSearch, StateTable, StateText, StateTree, TableCell, TableRow, TableSheet, TextSheet, ToolCard,
    Totp, TotpSecret, TreeEntry, TreeSheet, UserCard, UserRead, UserSheet, Users, Why,
};
use jiff::Timestamp;

use crate::door::{StandIn, quota, refusal};
use crate::pulls::{card as pull_card, sheet as pull_sheet};

/// Text that would do something if it got into a page as it is.
pub(crate) const HOSTILE: &str = "</textarea></pre><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A revision.
pub(crate) fn revision() -> Revision {
    Revision::from_bytes([0xab; 20])
}

pub(crate) fn id(number: u32) -> ServerId {
    serde_json::from_value(number.into()).unwrap()
}

pub(crate) fn field(name: &str, value: Input, default: &str) -> Field {
    Field { name: name.to_owned(), value, default: default.to_owned() }
}

pub(crate) fn text(text: &str) -> Input {
    Input::Text(text.to_owned())
}

pub(crate) fn finding(field: Option<&str>, message: &str) -> FieldFinding {
    FieldFinding {
        field: field.map(str::to_owned),
        is_error: true,
        message: message.to_owned(),
        hint: Some(format!("mend {message}")),
        place: None,
    }
}

/// A plan with this standing, whose texts are all the same.
pub(crate) fn planned(standing: Standing, word: &str) -> Planned {
    Planned {
        standing,
        digest: "the-digest".to_owned(),
        findings: Vec::new(),
        plan: format!("~ server shop {word}"),
        losses: vec![format!("Everything outside the volumes is lost: {word}")],
        diffs: vec![diff(word)],
        merged_with: vec![format!("cleo changed `members`: {word}")],
        summary: format!("server shop: {word}"),
        shuts_out: Vec::new(),
        id: None,
    }
}

pub(crate) fn diff(word: &str) -> FileDiff {
    let lines =
        vec!["@@ -1 +1 @@".to_owned(), format!("-memory = \"{word}\""), "+memory = \"2GiB\"".to_owned()];
    FileDiff { path: format!("servers/{word}.toml"), lines }
}

fn line(word: &str) -> CommitLine {
    CommitLine {
        revision: revision(),
        author: format!("Ann {word} <ann@example.org>"),
        at: Timestamp::UNIX_EPOCH,
        summary: format!("summary {word}"),
        door: Some(format!("panel {word}")),
        paths: vec![
            "servers/shop.toml".to_owned(),
            "domains/shop.example.org.toml".to_owned(),
            "users/bob.toml".to_owned(),
        ],
        outcome: Some(format!("applied {word}")),
    }
}

fn domain(name: &str) -> DomainCard {
    DomainCard {
        fqdn: name.parse().unwrap(),
        server: "shop".parse().unwrap(),
        port: 80,
        tls: Tls::Auto,
        access: DomainAccess::Public,
        cloudflare: true,
        url: format!("https://{name}"),
    }
}

pub(crate) fn server(number: u32, name: &str) -> ServerCard {
    ServerCard {
        id: id(number),
        name: name.parse::<ServerName>().unwrap(),
        owner: "bob".parse().unwrap(),
        members: vec!["cleo".parse().unwrap()],
        wanted: PowerState::Running,
        nano_cpus: 1_500_000_000,
        memory: 2 << 30,
        pids: 4096,
        disk: 20 << 30,
        domains: vec![domain("shop.example.org"), domain("*.shop.example.org")],
        ssh: format!("ssh -p 10022 {name}@hosting.example.org"),
    }
}

fn user(name: &str, word: &str) -> UserCard {
    UserCard {
        name: name.parse().unwrap(),
        role: Role::User,
        email: Some(word.to_owned()),
        servers: 1,
        keys: 2,
        has_password: true,
        has_second_factor: false,
        passkeys: 0,
        accounts: 0,
        seen: None,
        is_away: false,
    }
}

fn proposal(word: &str) -> ProposalCard {
    ProposalCard {
        topic: "twice-the-memory".to_owned(),
        author: Some("bob".parse().unwrap()),
        opened: Some(Timestamp::UNIX_EPOCH),
        summary: format!("proposal {word}"),
        tip: revision(),
        need: format!("needs review {word}"),
        fit: "clean".to_owned(),
    }
}

pub(crate) fn server_fields(word: &str) -> Vec<Field> {
    vec![
        field("id", text("3"), ""),
        field("owner", text("bob"), ""),
        field("members", Input::List(vec!["cleo".to_owned()]), ""),
        field("state", Input::Unset, "running"),
        field("cpus", text("1.5"), "1"),
        field("memory", text("2GiB"), "1GiB"),
        field("pids", Input::Unset, "4096"),
        field("disk", Input::Unset, "20GiB"),
        field("image", text(word), word),
        field("reset", text("7"), ""),
        field("allow", Input::Unset, ""),
    ]
}

fn token_card(word: &str) -> ApiTokenCard {
    ApiTokenCard {
        id: "0a0a0a0a0a0a0a0a".to_owned(),
        name: word.to_owned(),
        scopes: vec![Scope::Read],
        made: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        is_over: true,
    }
}

/// The wiki as a list.
pub(crate) fn docs(word: &str) -> DocsCard {
    let page = |path: &str| PageCard { path: path.to_owned(), title: word.to_owned() };
    DocsCard {
        pages: vec![page("guide/first.md"), page("README.md")],
        files: vec!["guide/plan.png".to_owned()],
        left_out: 1,
        edit: DocEdit::Freely,
        forge: None,
        at: revision(),
    }
}

/// A page of it.
pub(crate) fn doc(text: &str) -> DocSheet {
    DocSheet {
        path: "guide/first.md".to_owned(),
        title: "First steps".to_owned(),
        text: text.to_owned(),
        made_by: Some(line("made")),
        is_past: false,
        is_masked: false,
        is_text: true,
        edit: DocEdit::Freely,
        at: revision(),
    }
}

fn tool(tool: Tool) -> ToolCard {
    let url = format!("https://{}--shop.example.org", tool.title().to_lowercase());
    ToolCard { tool, url }
}

pub(crate) fn page<T>(rows: Vec<T>) -> Page<T> {
    let all = u32::try_from(rows.len()).unwrap();
    Page { rows, page: 1, pages: 3, all }
}

/// Lets the stand-in answer every question, each with `word` in every text.
pub(crate) fn furnish(door: &StandIn, word: &'static str) {
    door.answer(move |_, _, _: Servers| Ok(page(vec![server(3, "shop"), server(4, "wiki")])));
    door.answer(move |_, _, asked: ServerRead| {
        if asked.id != id(3) && asked.id != id(4) {
            return Err(refusal(Why::NotFound, "there is no such server"));
        }
        Ok(ServerSheet {
            card: server(asked.id.get(), "shop"),
            fields: server_fields(word),
            text: format!("id = 3\n# {word}\n"),
            may_edit: true,
            made_by: Some(line(word)),
            tools: Tool::ALL.map(tool).to_vec(),
            at: revision(),
        })
    });
    door.answer(move |_, _, _: Open| {
        Ok(Opened { url: Secret("https://shop.example.org/.berth/enter?code=abc".to_owned()) })
    });
    door.answer(move |_, _, _: Leads| {
        let (addresses, wanted) = (vec![[203, 0, 113, 9].into()], vec![[192, 0, 2, 1].into()]);
        let to = Destination::Elsewhere { addresses, wanted };
        Ok(vec![Lead { fqdn: "shop.example.org".parse().unwrap(), to }])
    });
    door.answer(move |_, _, asked: DomainRead| {
        Ok(DomainSheet {
            card: domain(asked.fqdn.as_str()),
            server: id(3),
            fields: vec![
                field("server", text("shop"), ""),
                field("port", Input::Unset, "80"),
                field("tls", text("internal"), "auto"),
                field("access", text(word), "public"),
                field("cloudflare", text("true"), "false"),
            ],
            text: word.to_owned(),
            may_edit: true,
            made_by: Some(line(word)),
        })
    });
    door.answer(move |_, _, asked: Blank| {
        let names: &[&str] = match asked.of {
            Object::Server(_) => &["owner", "members", "cpus", "memory", "pids", "disk", "image", "allow"],
            Object::Domain(_) => &["server", "port", "tls", "access", "cloudflare"],
            _ => &["role", "email", "ssh_keys", "quota.servers", "quota.cpus", "quota.memory"],
        };
        Ok(names.iter().map(|name| field(name, Input::Unset, word)).collect())
    });
    door.answer(move |_, _, _: History| Ok(page(vec![line(word), line(word)])));
    door.answer(move |_, _, _: CommitRead| {
        Ok(CommitSheet { line: line(word), diffs: vec![diff(word)], may_revert: true, is_overtaken: false })
    });
    door.answer(move |_, _, _: PlatformRead| {
        Ok(PlatformSheet {
            text: format!("domain = \"x\"\n# {word}\n"),
            at: revision(),
            made_by: Some(line(word)),
        })
    });
    door.answer(move |_, _, _: Users| Ok(page(vec![user("bob", word), user("cleo", word)])));
    door.answer(move |_, _, asked: UserRead| {
        Ok(UserSheet {
            card: user(asked.name.as_str(), word),
            ssh_keys: vec![format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabcdefghijkl {word}")],
            fields: vec![
                field("email", text(word), ""),
                field("role", Input::Unset, "user"),
                field("quota.memory", Input::Unset, word),
            ],
            quota: vec![quota()],
            made_by: Some(line(word)),
            sessions: 2,
        })
    });
    door.answer(move |_, _, _: Factors| {
        let passkeys = vec![PasskeyCard { id: "an-id".to_owned(), name: word.to_owned() }];
        Ok(FactorSheet {
            totp: Totp::On { recovery: 2 },
            passkeys,
            accounts: vec!["https://login.example.org 4711".parse().unwrap()],
            provider: Some(ProviderCard {
                label: "Sign in".to_owned(),
                host: "login.example.org".to_owned(),
            }),
            has_account: true,
            only_way: None,
            has_password: true,
            is_fresh: true,
            has_panel: true,
        })
    });
    door.answer(move |_, _, _: Sessions| {
        let one = |is_here| SessionCard {
            id: "an-id".to_owned(),
            made: Timestamp::UNIX_EPOCH,
            used: Timestamp::UNIX_EPOCH,
            from: word.to_owned(),
            browser: word.to_owned(),
            passkey: Some(word.to_owned()),
            provider: None,
            is_here,
        };
        Ok(vec![one(true), one(false)])
    });
    door.answer(move |_, _, _: ApiTokens| Ok(vec![token_card(word)]));
    door.answer(move |_, _, asked: MakeApiToken| {
        if asked.days == 0 {
            return Err(refusal(Why::BadQuestion, "A token is good for 1 to 366 days."));
        }
        let card = ApiTokenCard { scopes: asked.scopes, ..token_card(word) };
        Ok(ApiTokenMade { token: Secret("berth_the-new-one".to_owned()), card })
    });
    door.answer(move |_, _, _: EndApiToken| Ok(Done));
    door.answer(move |_, _, _: Domains| Ok(page(vec![domain("shop.example.org")])));
    door.answer(move |_, _, _: BeginTotp| {
        Ok(TotpSecret { secret: Secret(word.to_owned()), uri: Secret(word.to_owned()) })
    });
    door.answer(move |_, _, _: Audit| {
        let row = |event| AuditRow {
            at: Timestamp::UNIX_EPOCH,
            who: Some(word.to_owned()),
            from: Some(word.to_owned()),
            event,
        };
        let act = Event::Act { act: word.to_owned(), of: word.to_owned() };
        Ok(page(vec![row(act), row(Event::Commit(Box::new(line(word))))]))
    });
    browse(door, word);
    door.answer(move |_, _, _: Docs| Ok(docs(word)));
    door.answer(move |_, _, _: DocRead| {
        Ok(doc(&format!("# {word}\n\n{word}\n\n## {word}\n\n```\n{word}\n```\n")))
    });
    door.answer(move |_, _, asked: DocsSearch| {
        let excerpt =
            [(word, false), (word, true)].map(|(text, is_hit)| Excerpt { text: text.to_owned(), is_hit });
        let page = PageCard { path: "guide/first.md".to_owned(), title: word.to_owned() };
        let row = DocFound { page, heading: Some(word.to_owned()), excerpt: excerpt.into() };
        let rows = if asked.words == "none" { Vec::new() } else { vec![row] };
        Ok(DocsFound { all: u32::try_from(rows.len()).unwrap(), rows, searched: 7, left_out: 2 })
    });
    door.answer(move |_, _, _: Proposals| Ok(vec![proposal(word)]));
    door.answer(move |_, _, _: Pulls| Ok(vec![pull_card(word, PullState::Failed)]));
    door.answer(move |_, _, _: PullRead| {
        let card = PullCard { why: Some(word.to_owned()), ..pull_card(word, PullState::Failed) };
        Ok(pull_sheet(word, card))
    });
    door.answer(move |_, me, _: ProposalRead| {
        Ok(ProposalSheet {
            card: proposal(word),
            commits: vec![line(word), line(word)],
            findings: vec![finding(Some("memory"), word), finding(None, word)],
            plan: word.to_owned(),
            losses: vec![word.to_owned()],
            diffs: vec![diff(word)],
            approvers: vec!["ann".parse().unwrap()],
            may_approve: me == "ann",
            shuts_out: Vec::new(),
            may_reject: true,
        })
    });
    door.answer(move |_, _, _: Plan| Ok(planned(Standing::Allowed, word)));
    door.answer(move |_, _, _: Commit| Ok(Committed::Made { revision: revision() }));
    door.answer(move |_, _, _: Propose| {
        Ok(Proposed { topic: "twice-the-memory".to_owned(), revision: revision(), is_sent: false })
    });
    door.answer(move |_, _, _: Revert| {
        Ok(Committed::Changed { planned: Box::new(planned(Standing::Allowed, word)) })
    });
    door.answer(move |_, _, asked: ProposeRevert| {
        let topic = format!("revert-{}", asked.revision.short());
        Ok(Proposed { topic, revision: revision(), is_sent: false })
    });
    door.answer(move |_, _, _: Power| Ok(Done));
    door.answer(move |_, _, _: Approve| {
        Ok(Decided { revision: revision(), message: format!("Merged {word}.") })
    });
    door.answer(move |_, _, _: Reject| Ok(Done));
    door.answer(move |_, _, _: PullWithdraw| Ok(Done));
    door.answer(move |_, _, _: Invite| {
        Ok(Invited {
            invitation: Secret("the-secret-of-a-link".to_owned()),
            until: Timestamp::UNIX_EPOCH,
            mailed: None,
        })
    });
}

/// The state as it is written.
fn browse(door: &StandIn, word: &'static str) {
    let at = At { revision: revision(), is_tip: true };
    door.answer(move |_, _, asked: StateTree| {
        let entry = |name: &str, is| TreeEntry {
            name: name.to_owned(),
            path: Some(name.to_owned()),
            is,
            newest: Some(line(word)),
        };
        let odd = TreeEntry { name: word.to_owned(), path: None, is: Is::File { size: 1 }, newest: None };
        let rows = vec![entry("docs", Is::Folder), entry("platform.toml", Is::File { size: 7 }), odd];
        let at = At { is_tip: asked.at.is_empty(), ..at };
        Ok(TreeSheet { at, made_by: Some(line(word)), entries: page(rows) })
    });
    door.answer(move |_, _, asked: StateFile| {
        if asked.path != "servers/shop.toml" {
            return Err(refusal(Why::NotFound, "there is no such file"));
        }
        let lines = page(vec!["id = 3".to_owned(), word.to_owned()]);
        let content = Content::Text { lines, first: 501, hidden: 1 };
        let at = At { is_tip: asked.at.is_empty(), ..at };
        Ok(FileSheet { at, size: 9, content, made_by: Some(line(word)), may_edit: true })
    });
    door.answer(move |_, _, _: StateText| {
        Ok(TextSheet { text: format!("id = 3\n# {word}\n"), base: revision() })
    });
    door.answer(move |_, _, _: StateBlame| Ok(vec![BlamePart { first: 501, lines: 2, line: line(word) }]));
    door.answer(move |_, _, _: StateDiff| {
        Ok(DiffSheet { from: Some(revision()), to: at, diffs: page(vec![diff(word)]) })
    });
    door.answer(move |_, _, _: StateSearch| {
        let found =
            FoundLine { path: "servers/shop.toml".to_owned(), number: 502, page: 2, text: word.to_owned() };
        Ok(FoundSheet { at, lines: vec![found], is_cut: true, unread: 2 })
    });
    door.answer(move |_, _, asked: StateTable| {
        let columns = ["name", "owner", "memory"].map(str::to_owned).to_vec();
        let unknown: Vec<String> = asked.having.into_iter().map(|(name, _)| name).collect();
        let cell = |text: &str, is_default| TableCell { text: text.to_owned(), is_default };
        let cells = vec![cell("shop", false), cell(word, false), cell("=1+1", true)];
        let row = TableRow { path: "servers/shop.toml".to_owned(), cells };
        let unknown = unknown.into_iter().filter(|name| !columns.contains(name)).collect();
        Ok(TableSheet { columns, rows: page(vec![row]), unknown })
    });
}

/// Takes everything away but the people.
pub(crate) fn empty(door: &StandIn) {
    door.answer(|_, _, _: Servers| Ok(nothing()));
    door.answer(|_, _, _: History| Ok(nothing()));
    door.answer(|_, _, _: Users| Ok(nothing()));
    door.answer(|_, _, _: Proposals| Ok(Vec::new()));
}

fn nothing<T>() -> Page<T> {
    Page { rows: Vec::new(), page: 1, pages: 1, all: 0 }
}

/// The edit of a field that a change holds.
pub(crate) fn edit<'a>(deed: &'a Deed, name: &str) -> Option<&'a berth_wire::web::FieldEdit> {
    let (Deed::Create { fields } | Deed::Edit { fields }) = deed else { return None };
    fields.iter().find(|field| field.name == name)
}
