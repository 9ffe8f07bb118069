//! Forms of a member: for admins a new one, other values, and their removal; for oneself, keys and address.

use berth_schema::name::UserName;
use berth_wire::web::{Blank, Object, UserRead};
use serde::Deserialize;

use super::address::Link;
use super::form::{Act, Control, Filled, Form, Place, Shape};
use crate::app::App;
use crate::problem::Problem;
use crate::visitor::Visitor;

const fn shape(
    name: &'static str,
    label: &'static str,
    help: &'static str,
    control: Control,
    place: Place,
) -> Shape {
    Shape { name, label, help, control, place }
}

static NAME: Shape = shape(
    "name",
    "Name",
    "Up to 25 lower-case letters, digits and hyphens. They sign in by it.",
    Control::Line,
    Place::Needed,
);
static EMAIL: Shape = shape("email", "E-mail address", "", Control::Line, Place::Open);
static KEYS: Shape = shape(
    "ssh_keys",
    "SSH keys",
    "Public keys, one a line, as in ~/.ssh/id_ed25519.pub.",
    Control::List,
    Place::Open,
);
static ROLE: Shape = shape(
    "role",
    "Role",
    "",
    Control::Choice(&[("user", "Member: what is their own"), ("admin", "Admin: everything")]),
    Place::Open,
);
static SERVERS: Shape = shape("quota.servers", "Servers", "Running or not.", Control::Number, Place::Folded);
static CPUS: Shape =
    shape("quota.cpus", "Processors", "Of all servers together.", Control::Amount, Place::Folded);
static MEMORY: Shape =
    shape("quota.memory", "Memory", "Of all servers together.", Control::Amount, Place::Folded);
static PIDS: Shape =
    shape("quota.pids", "Processes", "And threads, of all servers together.", Control::Number, Place::Folded);
static DISK: Shape = shape("quota.disk", "Disk", "Of all servers together.", Control::Amount, Place::Folded);
static DOMAINS: Shape =
    shape("quota.domains", "Domains", "Of all servers together.", Control::Number, Place::Folded);
static CERTIFICATES: Shape = shape(
    "quota.certificates",
    "Certificates",
    "New ones of the CA’s within seven days.",
    Control::Number,
    Place::Folded,
);
static CUSTOM: Shape = shape(
    "quota.custom_domains",
    "Names outside the platform’s domain",
    "",
    Control::Choice(&[("true", "Yes"), ("false", "No")]),
    Place::Folded,
);

/// Every field of a member that a form may have.
pub(crate) static SHAPES: [&Shape; 12] =
    [&NAME, &EMAIL, &KEYS, &ROLE, &SERVERS, &CPUS, &MEMORY, &PIDS, &DISK, &DOMAINS, &CERTIFICATES, &CUSTOM];

fn shapes() -> Vec<&'static Shape> {
    vec![&EMAIL, &KEYS, &ROLE, &SERVERS, &CPUS, &MEMORY, &PIDS, &DISK, &DOMAINS, &CERTIFICATES, &CUSTOM]
}

/// A new member.
#[derive(Debug, Deserialize)]
pub(crate) struct New {}

impl Filled for New {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let of = Object::User(String::new());
        let fields = visitor.ask(app, &Blank { of: of.clone() }).await?;
        let mut shapes = shapes();
        shapes.insert(0, &NAME);
        let back = Link::new("/admin/users", "Members");
        let form = Form::new("/admin/users/new", "New member", back, of, Act::Create);
        let intro =
            "Once they are there, make a link on their page, by which they set a password.".to_owned();
        Ok(Form { intro, shapes, fields, ..form })
    }
}

fn back(name: &UserName) -> Link {
    Link::new(format!("/admin/users/{name}"), name.to_string())
}

/// Other values for a member.
#[derive(Debug, Deserialize)]
pub(crate) struct Edit {
    name: UserName,
}

impl Filled for Edit {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { name } = self;
        let sheet = visitor.ask(app, &UserRead { name: name.clone() }).await?;
        let path = format!("/admin/users/{name}/edit");
        let of = Object::User(name.to_string());
        let form = Form::new(path, format!("Edit {name}"), back(&name), of, Act::Edit);
        Ok(Form { shapes: shapes(), fields: sheet.fields, ..form })
    }
}

/// The part of one's own file that is one's own to change.
#[derive(Debug, Deserialize)]
pub(crate) struct Own {}

impl Filled for Own {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let name = &visitor.person.name;
        let sheet = visitor.ask(app, &UserRead { name: name.clone() }).await?;
        let of = Object::User(name.to_string());
        let back = Link::new("/account", "Account");
        let form = Form::new("/account/edit", "Your keys and address", back, of, Act::Edit);
        Ok(Form { shapes: vec![&KEYS, &EMAIL], fields: sheet.fields, ..form })
    }
}

/// The end of a member.
#[derive(Debug, Deserialize)]
pub(crate) struct Remove {
    name: UserName,
}

impl Filled for Remove {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { name } = self;
        visitor.ask(app, &UserRead { name: name.clone() }).await?;
        let intro = "They are signed out everywhere, and no key or password of theirs lets them in any more.";
        let of = Object::User(name.to_string());
        Ok(Form::removal(format!("/admin/users/{name}/remove"), back(&name), of, intro))
    }
}
