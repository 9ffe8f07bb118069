//! Sheets: one file each, with the values that a form shows and the commit that made it so.

use berth_schema::form;
use berth_schema::kind::Kind;
use berth_schema::view::on_page;
use berth_wire::web::{
    Blank, CommitLine, DomainRead, DomainSheet, Field, PlatformRead, PlatformSheet, Refusal, ServerRead,
    ServerSheet, UserRead, UserSheet,
};

use super::super::panel::{Asker, Panel};
use super::super::refusals::{not_found, unavailable};
use super::super::secret::Digest;
use super::cards::{domain_card, quota, server_cards, tool_cards, user_card};
use super::history::newest;
use super::sight::{domain_path, kind_of, server_of};

/// A file as the person may read it.
struct Page {
    text: String,
    fields: Vec<Field>,
    made_by: Option<CommitLine>,
}

/// Shows one server.
pub(crate) fn server(panel: &Panel, asker: &Asker, asked: ServerRead) -> Result<ServerSheet, Refusal> {
    let state = asker.state();
    let server = state.servers.get(&asked.id).filter(|server| asker.sees(server)).ok_or_else(not_found)?;
    let page = read(panel, asker, Kind::Server, &format!("servers/{}.toml", server.name))?;
    let card = server_cards(state, &[&**server]).into_iter().next().ok_or_else(not_found)?;
    Ok(ServerSheet {
        card,
        fields: page.fields,
        text: page.text,
        may_edit: asker.changes(server),
        made_by: page.made_by,
        tools: tool_cards(&state.platform, server),
        at: asker.good.at,
    })
}

/// Shows one domain.
pub(crate) fn domain(panel: &Panel, asker: &Asker, asked: DomainRead) -> Result<DomainSheet, Refusal> {
    let state = asker.state();
    let domain = state.domains.get(&asked.fqdn).ok_or_else(not_found)?;
    let server = server_of(state, domain).filter(|server| asker.sees(server)).ok_or_else(not_found)?;
    let path = domain_path(domain).ok_or_else(not_found)?;
    let page = read(panel, asker, Kind::Domain, &path)?;
    Ok(DomainSheet {
        card: domain_card(&state.platform, domain),
        server: server.id,
        fields: page.fields,
        text: page.text,
        may_edit: asker.changes(server),
        made_by: page.made_by,
    })
}

/// Shows somebody's file: one's own, or anybody's to an admin.
pub(crate) fn user(panel: &Panel, asker: &Asker, asked: UserRead) -> Result<UserSheet, Refusal> {
    let state = asker.state();
    let may = asker.is_admin() || asked.name == asker.name;
    let user = state.users.get(&asked.name).filter(|_| may).ok_or_else(not_found)?;
    let page = read(panel, asker, Kind::User, &format!("users/{}.toml", user.name))?;
    let servers = state.servers.values().filter(|server| server.owner == user.name).count();
    let sessions = panel.tokens.count(&user.name, Digest::of_standing(user), panel.now().date);
    Ok(UserSheet {
        card: user_card(user, servers),
        ssh_keys: user.ssh_keys.iter().map(ToString::to_string).collect(),
        fields: page.fields,
        quota: quota(state, user),
        made_by: page.made_by,
        sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
    })
}

/// Shows the platform's settings.
pub(crate) fn platform(panel: &Panel, asker: &Asker, _: PlatformRead) -> Result<PlatformSheet, Refusal> {
    const PATH: &str = "platform.toml";
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let content = repo.read(&asker.good.at, PATH).map_err(|error| unavailable(&error))?;
    let text = content.and_then(|content| String::from_utf8(content).ok()).ok_or_else(not_found)?;
    // The text is edited: marks are put back into it, and asterisks would be kept.
    let text = panel.marks.veil(PATH, &text).ok_or_else(not_found)?.text;
    Ok(PlatformSheet { text, at: asker.good.at, made_by: newest(panel, &repo, asker, PATH)? })
}

/// Tells the fields of a file that isn't there yet.
pub(crate) fn blank(_: &Panel, asker: &Asker, asked: Blank) -> Result<Vec<Field>, Refusal> {
    let kind = kind_of(&asked.of).ok_or_else(not_found)?;
    Ok(form::fields(kind, "", &asker.state().platform))
}

/// Reads a file that the person may see. Nobody gets a password's hash to see, wherever somebody put one.
fn read(panel: &Panel, asker: &Asker, kind: Kind, path: &str) -> Result<Page, Refusal> {
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let content = repo.read(&asker.good.at, path).map_err(|error| unavailable(&error))?;
    let reader = (!asker.is_admin()).then_some(&asker.name);
    let text = content.and_then(|content| on_page(reader, path, &content)).ok_or_else(not_found)?;
    Ok(Page {
        fields: form::fields(kind, &text, &asker.state().platform),
        text,
        made_by: newest(panel, &repo, asker, path)?,
    })
}
