//! `/vm/{id}/clean-up`: removes what nothing in a server needs, and shows what that did while it works. Leads to a reset, too.

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::ServerId;
use berth_schema::ticket::Act;
use berth_wire::web::{ServerRead, Ticket};
use minijinja::context;

use super::address::Named;
use super::lines::Lines;
use super::server::reset;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::shell::SIZE;
use crate::visitor::{Peer, Visitor};

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &ServerRead { id }).await?;
    let shell = app.shells.clean_up(&visitor.token, id);
    let (output, ended) = match &shell {
        None => (None, None),
        Some(shell) => {
            let screen = shell.screen.lock();
            let ended = screen.ended().map(|(words, is_good)| (words.to_owned(), is_good));
            let mut lines = Lines::default();
            let mut shown = lines.take(&screen.text());
            shown.extend(lines.rest());
            (Some(shown.join("\n")), ended)
        }
    };
    let context = context! {
        card => value(&sheet.card),
        may => sheet.may_edit,
        reset => value(reset(&sheet)),
        waits => shell.is_some() && ended.is_none(),
        output,
        words => ended.as_ref().map(|(words, _)| words.as_str()),
        is_good => ended.as_ref().is_some_and(|(_, is_good)| *is_good),
    };
    Ok(page::render(&app, &visitor, "clean_up.html", context))
}

pub(crate) async fn begin(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Peer(from): Peer,
) -> Result<Response, Problem> {
    visitor.ask(&app, &ServerRead { id }).await?;
    let asked = Ticket { server: id, act: Act::CleanUp, from };
    match app.shells.begin(&app.door, &visitor.token, &asked, SIZE).await {
        Ok(_) => {}
        Err(problem) if problem.is_of_the_session() => return Err(problem),
        Err(problem) => visitor.tell(&app, Notice::bad(format!("Nothing was removed. {}", problem.words()))),
    }
    Ok(page::see_other(&format!("/vm/{id}/clean-up")))
}
