//! The page of a plan: what a change comes to, before anything is done.

use axum::response::Response;
use berth_wire::web::{Planned, Standing};
use minijinja::context;

use super::address::Link;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::visitor::Visitor;

/// The page of a plan.
pub(crate) struct PlanPage<'a> {
    /// Heading.
    pub(crate) title: &'a str,
    /// Path that the buttons send to.
    pub(crate) action: &'a str,
    /// Page to go back to.
    pub(crate) back: &'a Link,
    /// Set if there is a form to go back to.
    pub(crate) has_form: bool,
    /// Values that go with every step.
    pub(crate) carried: Vec<(String, String)>,
}

impl PlanPage<'_> {
    /// Shows a plan, with a sentence above it.
    pub(crate) fn show(
        self,
        app: &App,
        visitor: &Visitor,
        planned: &Planned,
        said: String,
        why: String,
    ) -> Response {
        let said = match &planned.standing {
            Standing::Refused => "Nothing is saved: this can’t be done".to_owned(),
            Standing::Conflict { .. } => {
                "Nothing is saved: somebody else has changed the same meanwhile".to_owned()
            }
            Standing::Nothing => "There is nothing to change".to_owned(),
            _ => said,
        };
        let approvers = match &planned.standing {
            Standing::NeedsReview { approvers } => approvers.as_slice(),
            _ => &[],
        };
        let platform = &visitor.person.platform;
        let may_commit = platform.forge.is_none() || platform.opens_pulls;
        let context = context! {
            title => self.title,
            action => self.action,
            back => value(self.back),
            has_form => self.has_form,
            carried => value(self.carried),
            planned => value(planned),
            said, why,
            wrong => matches!(planned.standing, Standing::Refused | Standing::Conflict { .. }),
            allowed => may_commit && planned.standing == Standing::Allowed,
            needs_review => may_commit && matches!(planned.standing, Standing::NeedsReview { .. }),
            review => value(approvers),
            forge => platform.forge.clone(),
            opens_pulls => platform.opens_pulls,
        };
        page::render(app, visitor, "plan.html", context)
    }
}
