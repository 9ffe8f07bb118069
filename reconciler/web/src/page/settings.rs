//! `/admin/settings`: `platform.toml`, as a text.

use berth_wire::web::{Field, Input, Object, PlatformRead};
use serde::Deserialize;

use super::address::Link;
use super::form::{Act, Control, Filled, Form, Place, Shape};
use crate::app::App;
use crate::problem::Problem;
use crate::visitor::Visitor;

pub(crate) static TEXT: Shape = Shape {
    name: "text",
    label: "Settings of the platform",
    help: "The file platform.toml. What is wrong with it is named by line and column.",
    control: Control::Text,
    place: Place::Open,
};

/// Another text of the settings.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {}

impl Filled for Settings {
    async fn form(self, app: &App, visitor: &Visitor) -> Result<Form, Problem> {
        let sheet = visitor.ask(app, &PlatformRead {}).await?;
        let text = Field { name: "text".to_owned(), value: Input::Text(sheet.text), default: String::new() };
        let back = Link::new("/admin/", "Admin");
        let form = Form::new("/admin/settings", "Settings", back, Object::Platform, Act::Write);
        Ok(Form {
            shapes: vec![&TEXT],
            fields: vec![text],
            base: Some(sheet.at),
            history: Some("/changes?kind=platform".to_owned()),
            ..form
        })
    }
}
