//! Changes of every sort: as files, and as forms say them.

use berth_repo::Revision;
use berth_schema::Kind;
use berth_schema::domain::Domain;
use berth_schema::edit::{self, DomainEdit, QuotaEdit, ServerEdit, UserEdit};
use berth_schema::form::{self, FieldEdit};
use berth_schema::quantity::Cpus;
use berth_schema::server::{PowerState, Server};
use berth_schema::user::Role;
use berth_wire::web::{self, Deed, Object};

use super::files::{Changed, FILES, Files, PROVED, server_id};

/// A change of some sort, as typed edits where it can be said so. Nothing where there is nothing left to change.
pub(super) fn change(sort: u8, pick: u8, files: &Files) -> Changed {
    let of = |names: &[&'static str]| names[usize::from(pick) % names.len()];
    let server = |name: &str, edit: ServerEdit| {
        let path = format!("servers/{name}.toml");
        let text = files.get(&path).and_then(|text| edit::server(&name.parse().unwrap(), text, &[edit]).ok());
        text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
    };
    let user = |name: &str, edit: UserEdit| {
        let path = format!("users/{name}.toml");
        let text = files.get(&path).and_then(|text| edit::user(&name.parse().unwrap(), text, &[edit]).ok());
        text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
    };
    let raw = |path: &str, text: &str| vec![(path.to_owned(), Some(text.to_owned()))];
    let remove = |path: &str| files.get(path).map(|_| vec![(path.to_owned(), None)]).unwrap_or_default();
    let any_server = of(&["one", "two", "cyns"]);
    match sort {
        0 => server(any_server, ServerEdit::Cpus(Some(Cpus::from_nanos(2_000_000_000)))),
        1 => server(any_server, ServerEdit::Owner(of(&["cyn", "bob", "ann", "cyn"]).parse().unwrap())),
        2 => server(any_server, ServerEdit::Members(vec!["ann".parse().unwrap()])),
        3 => server(any_server, ServerEdit::Allow(vec!["10.1.2.3/32:5432/tcp".parse().unwrap()])),
        4 => new_server(of(&["new", "new2", "one"]), [9, 2, 3, 4][usize::from(pick) % 4], "bob"),
        5 => new_server("new", 9, of(&["cyn", "bob", "nobody"])),
        // Over the quota, in one way and in another.
        6 => server(any_server, ServerEdit::Cpus(Some(Cpus::from_nanos(99_000_000_000)))),
        7 => [new_server("new", 9, "bob"), new_server("new2", 10, "bob")].concat(),
        8 => remove(&format!("servers/{any_server}.toml")),
        9 => match files.get("servers/two.toml") {
            Some(text) => [remove("servers/two.toml"), raw("servers/renamed.toml", text)].concat(),
            None => Vec::new(),
        },
        10 => user(of(&["bob", "cyn"]), UserEdit::Role(Some(Role::Admin))),
        11 => user(of(&["bob", "cyn"]), UserEdit::Quota(QuotaEdit::Servers(Some(5)))),
        12 => user(of(&["bob", "cyn", "ann"]), UserEdit::Email(Some("new@mail.example".to_owned()))),
        13 => match of(&["remove", "add", "remove", "ann"]) {
            "remove" => remove(of(&["users/cyn.toml", "users/bob.toml"])),
            "ann" => user("ann", UserEdit::Role(None)),
            _ => raw("users/eve.toml", ""),
        },
        14 | 15 => {
            let names = ["free.h.example", "x.cyns.h.example", "admin.h.example", PROVED, "other.example"];
            new_domain(of(&names), of(&["two", "cyns", "one"]))
        }
        16 => {
            let name = of(&["one.h.example", "cyns.h.example"]);
            let path = format!("domains/{name}.toml");
            let edit = [DomainEdit::Server(of(&["cyns", "two"]).parse().unwrap())];
            let text =
                files.get(&path).and_then(|text| edit::domain(&name.parse().unwrap(), text, &edit).ok());
            text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
        }
        17 => remove(of(&["domains/one.h.example.toml", "domains/cyns.h.example.toml", "docs/welcome.md"])),
        18 => match of(&["page", "platform", "new page"]) {
            "page" => raw("docs/welcome.md", "# Hello\n"),
            "new page" => raw("docs/more.md", "# More\n"),
            _ => raw("platform.toml", &FILES["platform.toml"].replace("servers = 3", "servers = 5")),
        },
        20 => user(of(&["bob", "cyn"]), UserEdit::SshKeys(Vec::new())),
        21 => raw("platform.toml", &FILES["platform.toml"].replace("[panel]\ndomain = \"panel.net\"\n", "")),
        _ => match of(&["syntax", "field", "name", "reference"]) {
            "syntax" => raw("servers/one.toml", "id = 1\nowner = \n"),
            "field" => raw("servers/one.toml", "id = 1\nowner = \"bob\"\nmemroy = \"1 GiB\"\n"),
            "name" => raw("servers/No Name.toml", "id = 9\nowner = \"bob\"\n"),
            _ => raw("domains/lost.h.example.toml", "server = \"nowhere\"\n"),
        },
    }
}

/// The same change as a form says it, where it is one that a form can say: of one file, field by field.
pub(super) fn as_form(changed: &Changed, base: Revision) -> Option<web::Change> {
    let [(path, after)] = &changed[..] else { return None };
    let kind = Kind::of(path)?;
    let name = path.rsplit('/').next()?.strip_suffix(".toml")?.to_owned();
    let of = match kind {
        Kind::Platform => Object::Platform,
        Kind::User => Object::User(name),
        Kind::Server => Object::Server(name),
        Kind::Domain => Object::Domain(name),
    };
    let deed = match (FILES.get(path), after) {
        (Some(_), None) => Deed::Remove,
        (_, Some(after)) if kind == Kind::Platform => Deed::Write { text: after.clone(), base },
        (before, Some(after)) => {
            let values = form::read(kind, before.map_or("", |before| before)).into_iter();
            let values = values.zip(form::read(kind, after)).filter(|((name, _), _)| *name != "id");
            let fields: Vec<FieldEdit> =
                values.map(|((name, was), (_, now))| FieldEdit { name: name.to_owned(), was, now }).collect();
            let said: Vec<(&str, form::Input)> = fields
                .iter()
                .filter(|edit| edit.was != edit.now)
                .map(|edit| (&*edit.name, edit.now.clone()))
                .collect();
            match before {
                Some(before) => {
                    // A mistake of another sort than a value is nothing that a form says.
                    let is_it = form::write(kind, before, &said).is_ok_and(|text| text == *after);
                    is_it.then_some(Deed::Edit { fields })?
                }
                // A door chooses the id, and never one that another had.
                None if ["id = 2\n", "id = 3\n", "id = 4\n"].iter().any(|id| after.contains(id)) => {
                    return None;
                }
                None => Deed::Create { fields },
            }
        }
        (None, None) => return None,
    };
    Some(web::Change { of, deed })
}

fn new_server(name: &str, id: u32, owner: &str) -> Changed {
    let server = Server {
        name: name.parse().unwrap(),
        id: server_id(id),
        owner: owner.parse().unwrap(),
        members: Vec::new(),
        state: PowerState::default(),
        cpus: None,
        memory: None,
        pids: None,
        disk: None,
        image: None,
        reset: 0,
        allow: Vec::new(),
        backup: berth_schema::backup::ServerBackup::default(),
    };
    vec![(format!("servers/{name}.toml"), Some(edit::new_server(&server).unwrap()))]
}

fn new_domain(name: &str, server: &str) -> Changed {
    let domain = Domain {
        fqdn: name.parse().unwrap(),
        server: server.parse().unwrap(),
        port: 80.try_into().unwrap(),
        tls: berth_schema::domain::Tls::default(),
        access: berth_schema::domain::DomainAccess::default(),
        cloudflare: false,
    };
    vec![(format!("domains/{name}.toml"), Some(edit::new_domain(&domain).unwrap()))]
}
