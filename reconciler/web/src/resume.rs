//! `/resume`: the form that somebody sent when they had to sign in, or to confirm who they are. It says what the form said.

use axum::extract::State;
use axum::response::Response;
use berth_wire::path::local;
use minijinja::{Value, context};

use crate::app::App;
use crate::page;
use crate::page::browse::text_form;
use crate::page::form::{CONFIRMED, Control, Shape};
use crate::page::{doc_form, domain_form, server_form, settings, user_form};
use crate::visitor::Visitor;

/// A form's end: its path as in the table of routes, what it does in words, and its fields.
pub(crate) struct Does {
    pub(crate) path: &'static str,
    words: &'static str,
    shapes: &'static [&'static Shape],
    /// Labels of fields that aren't of a file.
    labels: &'static [(&'static str, &'static str)],
}

/// Forms' ends for whoever is signed in.
pub(crate) static ALL: [Does; 49] = [
    Does::file("/vm/new", "New server", &server_form::SHAPES),
    Does::file("/vm/{id}/edit", "Edit a server", &server_form::SHAPES),
    Does::file("/vm/{id}/power", "Start or stop a server", &server_form::SHAPES),
    Does::act("/vm/{id}/restart", "Restart a server", &[]),
    Does::file("/vm/{id}/reset", "Reset a server", &server_form::SHAPES),
    Does::act("/vm/{id}/clean-up", "Clean a server up", &[]),
    Does::file("/vm/{id}/remove", "Remove a server", &[&CONFIRMED]),
    Does::file("/vm/{id}/domains/new", "New domain", &domain_form::SHAPES),
    Does::file("/domains/{fqdn}/edit", "Edit a domain", &domain_form::SHAPES),
    Does::file("/domains/{fqdn}/remove", "Remove a domain", &[&CONFIRMED]),
    Does::act("/changes/{revision}/revert", "Revert a change", &[]),
    Does::act("/reviews/{topic}/approve", "Approve a proposal", &[("at", "Revision")]),
    Does::act("/reviews/{topic}/reject", "Reject a proposal", &[("reason", "Words for its author")]),
    Does::act("/pulls/{user}/{topic}/withdraw", "Take a change back", &[]),
    Does::file("/wiki/new", "New page", &doc_form::SHAPES),
    Does::file("/wiki/edit/{*path}", "Edit a page", &doc_form::SHAPES),
    Does::file("/wiki/rename/{*path}", "Rename a page", &[&doc_form::TO]),
    Does::file("/wiki/remove/{*path}", "Remove a page", &[&CONFIRMED]),
    Does::act("/wiki/upload", "Upload a picture", &[]),
    Does::file("/admin/users/new", "New member", &user_form::SHAPES),
    Does::act("/admin/users/{name}/invite", "Make a link with which a member sets a password", &[]),
    Does::act("/admin/users/{name}/sessions/end", "Sign a member out everywhere", &[]),
    Does::act("/admin/users/{name}/totp/remove", "Remove a member’s second factor", &[]),
    Does::act("/admin/users/{name}/passkeys/remove", "Remove a member’s passkey", &[("called", "Passkey")]),
    Does::act(
        "/admin/users/{name}/oidc/remove",
        "Take a member’s account at the provider out",
        &[("account", "Account")],
    ),
    Does::act("/admin/users/{name}/tokens/revoke", "Revoke a member’s API token", &[("called", "Token")]),
    Does::file("/admin/users/{name}/edit", "Edit a member", &user_form::SHAPES),
    Does::file("/admin/users/{name}/remove", "Remove a member", &[&CONFIRMED]),
    Does::file("/admin/settings", "Settings", &[&settings::TEXT]),
    Does::file("/admin/state/new", "New file", &[&text_form::PATH, &text_form::TEXT]),
    Does::file("/admin/state/edit/{*path}", "Edit a file", &[&text_form::TEXT]),
    Does::file("/admin/state/remove/{*path}", "Remove a file", &[&CONFIRMED]),
    Does::file("/account/edit", "Your keys and address", &user_form::SHAPES),
    Does::act("/account/password", "Set a password", &[]),
    Does::act("/account/sign-out-everywhere", "Sign out everywhere else", &[]),
    Does::act("/account/sessions/end", "Sign out in one place", &[("called", "Place")]),
    Does::act("/account/totp", "Set up codes of an app", &[("code", "Code")]),
    Does::act("/account/totp/remove", "Remove the second factor", &[("code", "Code")]),
    Does::act("/account/recovery", "Make new recovery codes", &[]),
    Does::act("/account/passkeys", "Add a passkey", &[("name", "Its name")]),
    Does::act("/account/passkeys/options", "Add a passkey", &[]),
    Does::act("/account/passkeys/remove", "Remove a passkey", &[("called", "Passkey")]),
    Does::act(
        "/account/tokens",
        "Make an API token",
        &[("name", "Its name"), ("scope", "Scope"), ("days", "Days")],
    ),
    Does::act("/account/tokens/revoke", "Revoke an API token", &[("called", "Token")]),
    Does::act("/account/oidc", "Bind an account at the provider", &[]),
    Does::act(
        "/account/oidc/remove",
        "Take an account at the provider out",
        &[("account", "Account"), ("knows", "You know that it is your only way in")],
    ),
    Does::act("/confirm", "Confirm who you are", &[("code", "Code")]),
    Does::act("/confirm/passkey", "Confirm who you are", &[]),
    Does::act("/confirm/oidc", "Confirm who you are", &[("code", "Code")]),
];

impl Does {
    const fn file(path: &'static str, words: &'static str, shapes: &'static [&'static Shape]) -> Self {
        Self { path, words, shapes, labels: &[] }
    }

    const fn act(
        path: &'static str,
        words: &'static str,
        labels: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { path, words, shapes: &[], labels }
    }

    /// The label of a field, and its value in words; `None` for what a page carries without showing it.
    fn shows(&self, name: &str, value: &str) -> Option<(String, String)> {
        let is_carried = ["was.", "main.", "pick."].iter().any(|before| name.starts_with(before))
            || ["step", "digest", "base", "response", "id", "user", "shut-out"].contains(&name);
        if is_carried || value.is_empty() {
            return None;
        }
        if let Some(shape) = self.shapes.iter().find(|shape| shape.name == name) {
            return Some((shape.label.to_owned(), in_words(shape.control, value)));
        }
        let label = self.labels.iter().find(|(known, _)| *known == name).map_or(name, |(_, label)| *label);
        Some((label.to_owned(), value.to_owned()))
    }
}

fn in_words(control: Control, value: &str) -> String {
    let words = match control {
        Control::Choice(values) => values.iter().find(|(known, _)| *known == value).map(|(_, words)| *words),
        _ => None,
    };
    words.unwrap_or(value).to_owned()
}

/// Finds what a path does, and what the path itself names: each with its label.
fn find(path: &str) -> Option<(&'static Does, Vec<(&'static str, String)>)> {
    let path = path.split('?').next().unwrap_or_default();
    ALL.iter().find_map(|does| Some((does, named(does.path, path)?)))
}

fn named(pattern: &str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut pattern, mut parts) = (pattern.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (pattern.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some("{*path}"), Some(first)) => {
                let path: Vec<&str> = std::iter::once(first).chain(parts).collect();
                found.push(("File", path.join("/")));
                return Some(found);
            }
            (Some("{id}"), Some(id)) => found.push(("Server", id.to_owned())),
            (Some("{fqdn}"), Some(fqdn)) => found.push(("Domain", fqdn.to_owned())),
            (Some("{name}"), Some(name)) => found.push(("Member", name.to_owned())),
            (Some("{topic}"), Some(topic)) => found.push(("Proposal", topic.to_owned())),
            (Some("{revision}"), Some(revision)) => {
                found.push(("Change", revision.chars().take(10).collect()));
            }
            (Some(expected), Some(part)) if expected == part => {}
            _ => return None,
        }
    }
}

/// `GET /resume`
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Response {
    let kept = visitor.session.content.kept.as_ref();
    let Some((path, form)) = kept.and_then(|kept| Some((&kept.path, kept.form.as_ref()?))) else {
        return page::see_other("/");
    };
    let path = local(path);
    // What would have been done at once is shown once more: somebody comes back after a while.
    let step = |name: &str, value: &str| match (name, value) {
        ("step", "commit" | "propose") => "plan".to_owned(),
        _ => value.to_owned(),
    };
    let found = find(path);
    let words = found.as_ref().map(|(does, _)| does.words);
    let (does, mut shown) = match found {
        Some((does, named)) => {
            (Some(does), named.into_iter().map(|(label, value)| (label.to_owned(), value)).collect())
        }
        None => (None, Vec::new()),
    };
    shown.extend(form.iter().filter_map(|(name, value)| match does {
        Some(does) => does.shows(name, value),
        None => Some((name.clone(), value.clone())),
    }));
    let values: Vec<Value> =
        form.iter().map(|(name, value)| context! { name => &**name, value => step(name, value) }).collect();
    let shown: Vec<Value> =
        shown.iter().map(|(label, value)| context! { label => &**label, value => &**value }).collect();
    let has_plan = form.iter().any(|(name, _)| name == "step");
    page::render(&app, &visitor, "resume.html", context! { path, words, shown, values, has_plan })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_what_it_is_about_and_fields_have_their_labels() {
        let (does, named) = find("/admin/users/bob/passkeys/remove?x").unwrap();
        assert_eq!((does.words, named), ("Remove a member’s passkey", vec![("Member", "bob".to_owned())]));
        assert_eq!(does.shows("called", "my phone"), Some(("Passkey".to_owned(), "my phone".to_owned())));
        assert_eq!(does.shows("id", "AAAA"), None);
        let (does, _) = find("/admin/users/bob/edit").unwrap();
        assert_eq!(does.shows("was.role", "x"), None);
        assert_eq!(does.shows("role", "admin").unwrap().0, "Role");
        assert!(find("/vm/3").is_none() && find("/vm/3/edit/more").is_none());
    }
}
