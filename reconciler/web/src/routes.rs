//! The table of routes: each path with who may open it and what answers. The router is made from it, and so are the tests that
//! try each route as somebody who may not.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, on};
use berth_wire::web::Who;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, StatusCode, Version};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use crate::app::App;
use crate::authority::require;
use crate::guard::guard;
use crate::page::{
    admin, audit, change, changes, clean_up, domain_form, form, home, log, open, review, reviews, server,
    server_form, servers, settings, terminal, user, user_form, users,
};
use crate::problem::Problem;
use crate::{account, confirm, factor, file, invite, passkey, resume, signin};

/// A row of the table.
#[derive(Debug)]
pub struct Route {
    /// Method: `GET`, which goes for `HEAD` too, or `POST`.
    pub method: Method,
    /// Path, with names in braces where anything may stand.
    pub path: &'static str,
    /// People who may open it.
    pub who: Who,
    handler: MethodRouter<App>,
}

/// The shortest answer that is compressed, in bytes.
const WORTH_IT: u64 = 512;

/// The table.
pub fn table() -> Vec<Route> {
    use Who::{Admin, Anybody, Known as SignedIn};
    vec![
        // Servers.
        get("/", SignedIn, home::show),
        get("/events", SignedIn, home::events),
        get("/vm/new", SignedIn, form::show::<server_form::New>),
        post("/vm/new", SignedIn, form::post::<server_form::New>),
        get("/vm/{id}", SignedIn, server::show),
        get("/vm/{id}/events", SignedIn, server::events),
        get("/vm/{id}/edit", SignedIn, form::show::<server_form::Edit>),
        post("/vm/{id}/edit", SignedIn, form::post::<server_form::Edit>),
        post("/vm/{id}/power", SignedIn, form::post::<server_form::Turn>),
        post("/vm/{id}/restart", SignedIn, server::restart),
        post("/vm/{id}/reset", SignedIn, form::post::<server_form::Reset>),
        get("/vm/{id}/terminal", SignedIn, terminal::show),
        get("/vm/{id}/terminal/socket", SignedIn, terminal::socket),
        get("/vm/{id}/log", SignedIn, log::show),
        get("/vm/{id}/log/events", SignedIn, log::events),
        get("/vm/{id}/log/file", SignedIn, log::file),
        get("/vm/{id}/clean-up", SignedIn, clean_up::show),
        post("/vm/{id}/clean-up", SignedIn, clean_up::begin),
        get("/vm/{id}/remove", SignedIn, form::show::<server_form::Remove>),
        post("/vm/{id}/remove", SignedIn, form::post::<server_form::Remove>),
        // Domains.
        get("/vm/{id}/domains/new", SignedIn, form::show::<domain_form::New>),
        post("/vm/{id}/domains/new", SignedIn, form::post::<domain_form::New>),
        get("/domains/{fqdn}/edit", SignedIn, form::show::<domain_form::Edit>),
        post("/domains/{fqdn}/edit", SignedIn, form::post::<domain_form::Edit>),
        get("/domains/{fqdn}/remove", SignedIn, form::show::<domain_form::Remove>),
        post("/domains/{fqdn}/remove", SignedIn, form::post::<domain_form::Remove>),
        get("/open", SignedIn, open::show),
        // Changes and proposals.
        get("/changes", SignedIn, changes::show),
        get("/changes/{revision}", SignedIn, change::show),
        get("/changes/{revision}/events", SignedIn, change::events),
        post("/changes/{revision}/revert", SignedIn, change::revert),
        get("/reviews", SignedIn, reviews::show),
        get("/reviews/{topic}", SignedIn, review::show),
        post("/reviews/{topic}/approve", SignedIn, review::approve),
        post("/reviews/{topic}/reject", SignedIn, review::reject),
        // For admins.
        get("/admin/", Admin, admin::show),
        get("/admin/events", Admin, admin::events),
        get("/admin/servers", Admin, servers::show),
        get("/admin/servers/events", Admin, servers::events),
        get("/admin/users", Admin, users::show),
        get("/admin/users/new", Admin, form::show::<user_form::New>),
        post("/admin/users/new", Admin, form::post::<user_form::New>),
        get("/admin/users/{name}", Admin, user::show),
        post("/admin/users/{name}/invite", Admin, user::invite),
        post("/admin/users/{name}/sessions/end", Admin, user::end_sessions),
        post("/admin/users/{name}/totp/remove", Admin, user::lift_factor),
        post("/admin/users/{name}/passkeys/remove", Admin, user::remove_passkey),
        get("/admin/users/{name}/edit", Admin, form::show::<user_form::Edit>),
        post("/admin/users/{name}/edit", Admin, form::post::<user_form::Edit>),
        get("/admin/users/{name}/remove", Admin, form::show::<user_form::Remove>),
        post("/admin/users/{name}/remove", Admin, form::post::<user_form::Remove>),
        get("/admin/audit", Admin, audit::show),
        get("/admin/settings", Admin, form::show::<settings::Settings>),
        post("/admin/settings", Admin, form::post::<settings::Settings>),
        // Signing in.
        get("/login", Anybody, signin::show),
        post("/login", Anybody, signin::enter),
        get("/login/code", Anybody, signin::show_code),
        post("/login/code", Anybody, signin::enter_code),
        post("/login/passkey/options", Anybody, passkey::challenge),
        post("/login/passkey", Anybody, signin::enter_by_passkey),
        get("/confirm", SignedIn, confirm::show),
        post("/confirm", SignedIn, confirm::enter),
        post("/confirm/passkey", SignedIn, confirm::by_passkey),
        post("/logout", Anybody, signin::leave),
        get("/resume", SignedIn, resume::show),
        get("/invite/{secret}", Anybody, invite::show),
        post("/invite/{secret}", Anybody, invite::accept),
        // One's own account.
        get("/account", SignedIn, account::show),
        get("/account/edit", SignedIn, form::show::<user_form::Own>),
        post("/account/edit", SignedIn, form::post::<user_form::Own>),
        post("/account/password", SignedIn, account::set_password),
        post("/account/sign-out-everywhere", SignedIn, account::sign_out_everywhere),
        post("/account/sessions/end", SignedIn, account::end_session),
        get("/account/totp", SignedIn, factor::begin),
        post("/account/totp", SignedIn, factor::set),
        post("/account/totp/remove", SignedIn, factor::remove),
        post("/account/recovery", SignedIn, factor::renew),
        post("/account/passkeys/options", SignedIn, passkey::begin),
        post("/account/passkeys", SignedIn, passkey::add),
        post("/account/passkeys/remove", SignedIn, passkey::remove),
        // Files.
        get("/assets/{name}", Anybody, file::give),
    ]
}

/// A page.
fn get<H: Handler<T, App>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    let handler = on(axum::routing::MethodFilter::GET, handler);
    Route { method: Method::GET, path, who, handler }
}

/// A form's end.
fn post<H: Handler<T, App>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    let handler = on(axum::routing::MethodFilter::POST, handler);
    Route { method: Method::POST, path, who, handler }
}

/// Makes the router: the table's routes, each behind its authority, and all behind the guards.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { path, who, handler, .. } in table() {
        router = router.route(path, handler.route_layer(from_fn_with_state((app.clone(), who), require)));
    }
    let wrong_way = async || {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This address takes no forms, or it only takes forms.")
            .hint("Start at the first page.")
    };
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(wrong_way)
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(WORTH_IT).and(is_text)))
        .with_state(app)
}

/// Returns whether an answer is worth compressing and may wait for that: a stream of events may not.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["text/html", "text/css", "text/javascript", "image/svg+xml"].iter().any(|text| kind.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_may_be_kept_has_words() {
        let table = table();
        let forms = table.iter().filter(|route| route.method == Method::POST && route.who != Who::Anybody);
        let forms: Vec<&str> = forms.map(|route| route.path).collect();
        for path in &forms {
            assert!(resume::ALL.iter().any(|does| does.path == *path), "{path} has no words");
        }
        for does in &resume::ALL {
            assert!(forms.contains(&does.path), "{} is no form's end any more", does.path);
        }
    }
}
