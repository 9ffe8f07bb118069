//! Forms of a domain: a new one for a server, other values, and its removal.

use berth_schema::name::{Fqdn, ServerId};
use berth_wire::web::{Blank, DomainRead, DomainSheet, Input, Object, ServerRead};
use serde::Deserialize;

use super::address::Link;
use super::form::{Act, Control, Filled, Form, Place, Shape};
use crate::app::App;
use crate::problem::Problem;
use crate::visitor::Visitor;

static NAME: Shape = Shape {
    name: "name",
    label: "Domain",
    help: "The whole name that visitors type. Names outside the platform’s domain must lead here in DNS first.",
    control: Control::Line,
    place: Place::Needed,
};
static PORT: Shape = Shape {
    name: "port",
    label: "Port in the server",
    help: "Where the server’s own web server listens.",
    control: Control::Number,
    place: Place::Open,
};
static ACCESS: Shape = Shape {
    name: "access",
    label: "People who may open it",
    help: "",
    control: Control::Choice(&[
        ("public", "Everybody"),
        ("users", "Members of the platform"),
        ("owner", "The server’s owner and members"),
    ]),
    place: Place::Open,
};
static TLS: Shape = Shape {
    name: "tls",
    label: "Certificate",
    help: "",
    control: Control::Choice(&[
        ("auto", "Automatic, from a public CA"),
        ("internal", "From the platform’s own CA, which browsers warn about"),
        ("off", "None: plain HTTP"),
    ]),
    place: Place::Folded,
};
static CLOUDFLARE: Shape = Shape {
    name: "cloudflare",
    label: "Cloudflare stands in front",
    help: "Then visitors’ addresses come from Cloudflare’s header.",
    control: Control::Choice(&[("true", "Yes"), ("false", "No")]),
    place: Place::Folded,
};
static SERVER: Shape = Shape {
    name: "server",
    label: "Server",
    help: "Name of the server that answers.",
    control: Control::Line,
    place: Place::Folded,
};
/// Every field of a domain that a form may have.
pub(crate) static SHAPES: [&Shape; 6] = [&NAME, &PORT, &ACCESS, &TLS, &CLOUDFLARE, &SERVER];
static OWN: Shape =
    Shape { name: "server", label: "Server", help: "", control: Control::Line, place: Place::Carried };

/// A new domain of a server.
#[derive(Debug, Deserialize)]
pub(crate) struct New {
    id: ServerId,
}

impl Filled for New {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { id } = self;
        let of = Object::Domain(String::new());
        let card = visitor.ask(app, &ServerRead { id }).await?.card;
        let mut fields = visitor.ask(app, &Blank { of: of.clone() }).await?;
        for field in fields.iter_mut().filter(|field| field.name == "server") {
            field.value = Input::Text(card.name.to_string());
        }
        let back = Link::new(format!("/vm/{id}"), card.name.to_string());
        let title = format!("New domain for {}", card.name);
        let form = Form::new(format!("/vm/{id}/domains/new"), title, back, of, Act::Create);
        let intro = format!("Any name below {} is free to take.", visitor.person.platform.domain);
        Ok(Form { intro, shapes: vec![&NAME, &PORT, &ACCESS, &TLS, &CLOUDFLARE, &OWN], fields, ..form })
    }
}

fn back(sheet: &DomainSheet) -> Link {
    Link::new(format!("/vm/{}", sheet.server), sheet.card.server.to_string())
}

/// Other values for a domain.
#[derive(Debug, Deserialize)]
pub(crate) struct Edit {
    fqdn: Fqdn,
}

impl Filled for Edit {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { fqdn } = self;
        let sheet = visitor.ask(app, &DomainRead { fqdn: fqdn.clone() }).await?;
        let of = Object::Domain(fqdn.to_string());
        let path = format!("/domains/{fqdn}/edit");
        let form = Form::new(path, format!("Edit {fqdn}"), back(&sheet), of, Act::Edit);
        let removal = Some(Link::new(format!("/domains/{fqdn}/remove"), format!("Remove {fqdn} …")));
        let shapes = vec![&PORT, &ACCESS, &TLS, &CLOUDFLARE, &SERVER];
        Ok(Form { shapes, fields: sheet.fields, removal, ..form })
    }
}

/// The end of a domain.
#[derive(Debug, Deserialize)]
pub(crate) struct Remove {
    fqdn: Fqdn,
}

impl Filled for Remove {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { fqdn } = self;
        let sheet = visitor.ask(app, &DomainRead { fqdn: fqdn.clone() }).await?;
        let intro =
            "Nobody reaches the server by this name any more. The server and its data stay as they are.";
        let of = Object::Domain(fqdn.to_string());
        Ok(Form::removal(format!("/domains/{fqdn}/remove"), back(&sheet), of, intro))
    }
}
