//! Forms of a server: a new one, other values, on or off, and its removal.

use berth_schema::name::ServerId;
use berth_wire::web::{Blank, Input, Object, ServerRead, ServerSheet};
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
    "Up to 25 lower-case letters, digits and hyphens. It is the login, too.",
    Control::Line,
    Place::Needed,
);
static CPUS: Shape = shape("cpus", "Processors", "Such as 1 or 0.5.", Control::Amount, Place::Open);
static MEMORY: Shape =
    shape("memory", "Memory", "With its unit, such as 2GiB or 512MiB.", Control::Amount, Place::Open);
static DISK: Shape = shape("disk", "Disk", "With its unit, such as 20GiB.", Control::Amount, Place::Open);
static MEMBERS: Shape = shape(
    "members",
    "Members",
    "People who may log in besides the owner, one a line.",
    Control::List,
    Place::Open,
);
static PIDS: Shape =
    shape("pids", "Processes", "Processes and threads at most, at least 64.", Control::Number, Place::Folded);
static IMAGE: Shape = shape(
    "image",
    "Image",
    "A change makes the server anew: what is outside its volumes is lost.",
    Control::Line,
    Place::Folded,
);
static OWNER: Shape = shape(
    "owner",
    "Owner",
    "The member who answers for it, and whose quota it counts against.",
    Control::Line,
    Place::Folded,
);
static OWN: Shape = shape("owner", "Owner", "", Control::Line, Place::Carried);
static ALLOW: Shape = shape(
    "allow",
    "Destinations that the firewall allows",
    "One a line, such as 10.1.2.3/32:5432/tcp. Only admins may change this.",
    Control::List,
    Place::Folded,
);
static STATE: Shape = shape("state", "State", "", Control::Line, Place::Carried);
static RESET: Shape = shape("reset", "Reset", "", Control::Number, Place::Carried);

/// Every field of a server that a form may have.
pub(crate) static SHAPES: [&Shape; 11] =
    [&NAME, &CPUS, &MEMORY, &DISK, &MEMBERS, &PIDS, &IMAGE, &OWNER, &ALLOW, &STATE, &RESET];

/// Fields that the person sees.
fn shapes(visitor: &Visitor, of_new: bool) -> Vec<&'static Shape> {
    let mut shapes = vec![&CPUS, &MEMORY, &DISK, &MEMBERS, &PIDS, &IMAGE];
    match (visitor.person.is_admin(), of_new) {
        (true, _) => shapes.extend([&OWNER, &ALLOW]),
        (false, true) => shapes.push(&OWN),
        (false, false) => {}
    }
    if of_new {
        shapes.insert(0, &NAME);
    }
    shapes
}

/// A new server.
#[derive(Debug, Deserialize)]
pub(crate) struct New {}

impl Filled for New {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let of = Object::Server(String::new());
        let mut fields = visitor.ask(app, &Blank { of: of.clone() }).await?;
        for field in fields.iter_mut().filter(|field| field.name == "owner") {
            field.value = Input::Text(visitor.person.name.to_string());
        }
        let form = Form::new("/vm/new", "New server", Link::new("/", "Servers"), of, Act::Create);
        let shapes = shapes(visitor, true);
        Ok(Form { shapes, fields, with_quota: true, ..form })
    }
}

fn back(sheet: &ServerSheet) -> Link {
    Link::new(format!("/vm/{}", sheet.card.id), sheet.card.name.to_string())
}

fn object(sheet: &ServerSheet) -> Object {
    Object::Server(sheet.card.name.to_string())
}

/// Other values for a server.
#[derive(Debug, Deserialize)]
pub(crate) struct Edit {
    id: ServerId,
}

impl Filled for Edit {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { id } = self;
        let sheet = visitor.ask(app, &ServerRead { id }).await?;
        let title = format!("Edit {}", sheet.card.name);
        let form = Form::new(format!("/vm/{id}/edit"), title, back(&sheet), object(&sheet), Act::Edit);
        let shapes = shapes(visitor, false);
        Ok(Form { shapes, fields: sheet.fields, with_quota: sheet.card.owner == visitor.person.name, ..form })
    }
}

/// A server, turned on or off.
#[derive(Debug, Deserialize)]
pub(crate) struct Turn {
    id: ServerId,
}

impl Filled for Turn {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { id } = self;
        let sheet = visitor.ask(app, &ServerRead { id }).await?;
        let title = sheet.card.name.to_string();
        let form = Form::new(format!("/vm/{id}/power"), title, back(&sheet), object(&sheet), Act::Turn);
        Ok(Form { shapes: vec![&STATE], fields: sheet.fields, ..form })
    }
}

/// A server's system, made anew.
#[derive(Debug, Deserialize)]
pub(crate) struct Reset {
    id: ServerId,
}

impl Filled for Reset {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { id } = self;
        let sheet = visitor.ask(app, &ServerRead { id }).await?;
        let title = format!("Reset {}", sheet.card.name);
        let form = Form::new(format!("/vm/{id}/reset"), title, back(&sheet), object(&sheet), Act::Turn);
        Ok(Form { shapes: vec![&RESET], fields: sheet.fields, ..form })
    }
}

/// The end of a server.
#[derive(Debug, Deserialize)]
pub(crate) struct Remove {
    id: ServerId,
}

impl Filled for Remove {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let Self { id } = self;
        let sheet = visitor.ask(app, &ServerRead { id }).await?;
        let days = visitor.person.platform.kept_days;
        let intro = format!(
            "The server is stopped, and its data is kept for {days} days. Until then, a server of the same name and \
             number has it again. After that it is gone for good."
        );
        Ok(Form::removal(format!("/vm/{id}/remove"), back(&sheet), object(&sheet), intro))
    }
}
