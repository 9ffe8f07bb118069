//! The table of routes: each path with who may open it and what answers. The router is made from it, and so are the tests that
//! try each route as somebody who may not.

use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use berth_wire::web::{Needs, Scope, Who};
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use crate::api::{self, handler as of_api};
use crate::app::App;
use crate::authority::require;
use crate::guard::guard;
use crate::page::{
    admin, audit, browse, change, changes, clean_up, doc_file, doc_form, doc_history, doc_search, doc_upload,
    docs, domain_form, form, home, log, open, pull, review, reviews, server, server_form, servers, settings,
    terminal, tokens, user, user_form, users,
};
use crate::problem::Problem;
use crate::{account, confirm, factor, file, invite, oidc, passkey, resume, signin};

/// A row of the table.
#[derive(Debug)]
pub struct Route {
    /// Method. `GET` goes for `HEAD` too; pages have only that and `POST`.
    pub method: Method,
    /// Path, with names in braces where anything may stand.
    pub path: &'static str,
    /// People who may open it.
    pub who: Who,
    /// Scope that an API token has to have. Pages take none.
    pub needs: Needs,
    handler: MethodRouter<App>,
}

/// The shortest answer that is compressed, in bytes.
const WORTH_IT: u64 = 512;

/// The table.
pub fn table() -> Vec<Route> {
    use Who::{Admin, Anybody, Known as SignedIn, Reader};
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
        get("/pulls/{user}/{topic}", SignedIn, pull::show),
        get("/pulls/{user}/{topic}/events", SignedIn, pull::events),
        post("/pulls/{user}/{topic}/withdraw", SignedIn, pull::withdraw),
        // The wiki.
        get("/docs", Reader, docs::to_index),
        get("/docs/", Reader, docs::index),
        get("/docs/search", Reader, doc_search::show),
        get("/docs/{*path}", Reader, docs::show),
        get("/wiki/picture/{*path}", Reader, doc_file::picture),
        get("/wiki/diagram/{digest}", Reader, doc_file::diagram),
        get("/wiki/history/{*path}", SignedIn, doc_history::show),
        get("/wiki/new", SignedIn, doc_form::new),
        post("/wiki/new", SignedIn, doc_form::post_new),
        get("/wiki/edit/{*path}", SignedIn, doc_form::edit),
        post("/wiki/edit/{*path}", SignedIn, doc_form::post_edit),
        get("/wiki/rename/{*path}", SignedIn, form::show::<doc_form::Rename>),
        post("/wiki/rename/{*path}", SignedIn, form::post::<doc_form::Rename>),
        get("/wiki/remove/{*path}", SignedIn, form::show::<doc_form::Remove>),
        post("/wiki/remove/{*path}", SignedIn, form::post::<doc_form::Remove>),
        get("/wiki/upload", SignedIn, doc_upload::show),
        post("/wiki/upload", SignedIn, doc_upload::post),
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
        post("/admin/users/{name}/oidc/remove", Admin, user::unbind),
        post("/admin/users/{name}/tokens/revoke", Admin, user::revoke_token),
        get("/admin/users/{name}/edit", Admin, form::show::<user_form::Edit>),
        post("/admin/users/{name}/edit", Admin, form::post::<user_form::Edit>),
        get("/admin/users/{name}/remove", Admin, form::show::<user_form::Remove>),
        post("/admin/users/{name}/remove", Admin, form::post::<user_form::Remove>),
        get("/admin/audit", Admin, audit::show),
        get("/admin/settings", Admin, form::show::<settings::Settings>),
        post("/admin/settings", Admin, form::post::<settings::Settings>),
        // The state as it is written.
        get("/admin/state", Admin, browse::folder::show),
        get("/admin/state/file/{*path}", Admin, browse::file::show),
        get("/admin/state/diff", Admin, browse::diff::show),
        get("/admin/state/table", Admin, browse::table::show),
        get("/admin/state/table.csv", Admin, browse::table::file),
        get("/admin/state/new", Admin, form::show::<browse::text_form::New>),
        post("/admin/state/new", Admin, form::post::<browse::text_form::New>),
        get("/admin/state/edit/{*path}", Admin, form::show::<browse::text_form::Edit>),
        post("/admin/state/edit/{*path}", Admin, form::post::<browse::text_form::Edit>),
        get("/admin/state/remove/{*path}", Admin, form::show::<browse::text_form::Remove>),
        post("/admin/state/remove/{*path}", Admin, form::post::<browse::text_form::Remove>),
        get("/dbgate", Admin, browse::moved),
        get("/dbgate/", Admin, browse::moved),
        // Signing in.
        get("/login", Anybody, signin::show),
        post("/login", Anybody, signin::enter),
        get("/login/code", Anybody, signin::show_code),
        post("/login/code", Anybody, signin::enter_code),
        post("/login/passkey/options", Anybody, passkey::challenge),
        post("/login/passkey", Anybody, signin::enter_by_passkey),
        get("/login/oidc", Anybody, oidc::begin),
        get("/login/oidc/back", Anybody, oidc::back),
        get("/login/join", Anybody, oidc::show_join),
        post("/login/join", Anybody, oidc::join),
        get("/confirm", SignedIn, confirm::show),
        post("/confirm", SignedIn, confirm::enter),
        post("/confirm/passkey", SignedIn, confirm::by_passkey),
        post("/confirm/oidc", SignedIn, oidc::confirm),
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
        post("/account/oidc", SignedIn, oidc::bind),
        post("/account/oidc/remove", SignedIn, oidc::unbind),
        get("/account/tokens", SignedIn, tokens::show),
        post("/account/tokens", SignedIn, tokens::make),
        post("/account/tokens/revoke", SignedIn, tokens::revoke),
        // Files.
        get("/assets/{name}", Anybody, file::give),
        // Pages about the API.
        get("/swagger", Anybody, of_api::swagger_redirect),
        get("/swagger/", Anybody, of_api::swagger),
        get("/swagger/{name}", Anybody, of_api::swagger_file),
    ]
    .into_iter()
    .chain(api())
    .collect()
}

/// The rows of the API.
fn api() -> Vec<Route> {
    use Needs::{Nothing, Session};
    use Scope::{Account, Admin as Administer, Domains, Read, Reviews, Servers};
    use Who::{Admin, Anybody, Known};
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    let of = Needs::Scope;
    vec![
        row(GET, "/api/openapi.json", Anybody, Nothing, of_api::openapi),
        row(GET, "/api/problems", Anybody, Nothing, of_api::problems),
        row(POST, "/api/login", Anybody, Nothing, of_api::login),
        row(POST, "/api/logout", Known, Session, of_api::logout),
        row(GET, "/api/me", Known, Nothing, of_api::me),
        // Servers.
        row(GET, "/api/servers", Known, of(Read), of_api::servers),
        row(POST, "/api/servers", Known, of(Servers), of_api::create_server),
        row(GET, "/api/servers/{id}", Known, of(Read), of_api::server),
        row(PATCH, "/api/servers/{id}", Known, of(Servers), of_api::edit_server),
        row(DELETE, "/api/servers/{id}", Known, of(Servers), of_api::remove_server),
        row(POST, "/api/servers/{id}/restart", Known, of(Servers), of_api::restart),
        row(POST, "/api/servers/{id}/cleanup", Known, of(Servers), of_api::clean_up),
        row(GET, "/api/servers/{id}/cleanup", Known, of(Read), of_api::cleaned_up),
        // Domains.
        row(GET, "/api/domains", Known, of(Read), of_api::domains),
        row(POST, "/api/domains", Known, of(Domains), of_api::create_domain),
        row(GET, "/api/domains/{fqdn}", Known, of(Read), of_api::domain),
        row(PATCH, "/api/domains/{fqdn}", Known, of(Domains), of_api::edit_domain),
        row(DELETE, "/api/domains/{fqdn}", Known, of(Domains), of_api::remove_domain),
        // Members.
        row(GET, "/api/users", Admin, of(Administer), of_api::users),
        row(POST, "/api/users", Admin, of(Administer), of_api::create_user),
        row(GET, "/api/users/{name}", Known, of(Read), of_api::user),
        row(PATCH, "/api/users/{name}", Known, Needs::Depends, of_api::edit_user),
        row(DELETE, "/api/users/{name}", Known, Needs::Depends, of_api::remove_user),
        row(POST, "/api/users/{name}/invite", Admin, Session, of_api::invite),
        // Tokens.
        row(GET, "/api/tokens", Known, of(Read), of_api::tokens),
        row(POST, "/api/tokens", Known, Session, of_api::make_token),
        row(DELETE, "/api/tokens/{id}", Known, of(Account), of_api::revoke_token),
        row(GET, "/api/users/{name}/tokens", Admin, of(Administer), of_api::tokens_of),
        row(DELETE, "/api/users/{name}/tokens/{id}", Admin, Session, of_api::revoke_token_of),
        // Changes and proposals.
        row(GET, "/api/changes", Known, of(Read), of_api::changes),
        row(GET, "/api/changes/{revision}", Known, of(Read), of_api::change),
        row(POST, "/api/changes/{revision}/revert", Known, Needs::Depends, of_api::revert),
        row(GET, "/api/reviews", Known, of(Read), of_api::reviews),
        row(GET, "/api/reviews/{topic}", Known, of(Read), of_api::review),
        row(POST, "/api/reviews/{topic}/approve", Known, of(Reviews), of_api::approve),
        row(POST, "/api/reviews/{topic}/reject", Known, of(Reviews), of_api::reject),
        row(GET, "/api/pulls", Known, of(Read), of_api::pulls),
        row(GET, "/api/pulls/{user}/{topic}", Known, of(Read), of_api::pull),
        row(DELETE, "/api/pulls/{user}/{topic}", Known, of(Reviews), of_api::withdraw),
        // For admins.
        row(GET, "/api/platform", Admin, of(Administer), of_api::platform),
        row(GET, "/api/audit", Admin, of(Administer), of_api::audit),
        row(POST, "/api/updatecaddyconfig", Admin, of(Administer), of_api::sync),
        // The first names.
        row(GET, "/api/status/{name}", Known, of(Read), of_api::status),
        row(POST, "/api/create/{name}", Known, of(Servers), of_api::create_named),
        row(POST, "/api/start/{name}", Known, of(Servers), of_api::start_named),
        row(POST, "/api/stop/{name}", Known, of(Servers), of_api::stop_named),
        row(POST, "/api/delete/{name}", Known, of(Servers), of_api::delete_named),
        row(POST, "/api/cleanup/{name}", Known, of(Servers), of_api::cleanup_named),
        row(POST, "/api/vm/control", Known, of(Servers), of_api::control),
        row(POST, "/api/vm/dns/{id}", Known, of(Domains), of_api::dns),
    ]
}

impl Route {
    /// Returns whether it is one of the API.
    pub fn is_api(&self) -> bool {
        self.path.starts_with(api::BELOW)
    }
}

/// A row of the API.
fn row<H: Handler<T, App>, T: 'static>(
    method: Method,
    path: &'static str,
    who: Who,
    needs: Needs,
    handler: H,
) -> Route {
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    Route { method, path, who, needs, handler: on(filter, handler) }
}

/// A page.
fn get<H: Handler<T, App>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    row(Method::GET, path, who, Needs::Session, handler)
}

/// A form's end.
fn post<H: Handler<T, App>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    row(Method::POST, path, who, Needs::Session, handler)
}

/// Makes the router: the table's routes, each behind its authority, and all behind the guards.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    let table = table();
    let rows: Vec<_> = table
        .iter()
        .filter(|route| route.is_api())
        .map(|route| (route.method.clone(), route.path, route.who, route.needs))
        .collect();
    for route in table {
        let is_api = route.is_api();
        let Route { path, who, needs, handler, .. } = route;
        let handler = match is_api {
            true => handler.route_layer(from_fn_with_state((app.clone(), who, needs), api::require)),
            false => handler.route_layer(from_fn_with_state((app.clone(), who), require)),
        };
        router = router.route(path, handler);
    }
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(wrong_way)
        .layer(Extension(api::describe(&rows)))
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(WORTH_IT).and(is_text)))
        .with_state(app)
}

async fn wrong_way(method: Method, uri: Uri) -> Problem {
    let problem = |message: String| Problem::new(StatusCode::METHOD_NOT_ALLOWED, message);
    match (uri.path().starts_with(api::BELOW), method) {
        (true, Method::GET | Method::HEAD) => problem(format!(
            "A GET changes nothing, and what {} does changes something, so it takes none.",
            uri.path()
        ))
        .hint(
            "Send it by a method of the header `Allow`. Whoever follows a link or loads a picture must not change a \
             server by it.",
        ),
        (true, method) => problem(format!("{method} isn't among the methods that this path takes."))
            .hint("The header `Allow` and /api/openapi.json name them."),
        (false, _) => problem("This address takes no forms, or it only takes forms.".to_owned())
            .hint("Start at the first page."),
    }
}

/// Returns whether an answer is worth compressing and may wait for that: a stream of events may not.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["text/html", "text/css", "text/javascript", "image/svg+xml", "application/json"]
        .iter()
        .any(|text| kind.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_may_be_kept_has_words() {
        let table = table();
        let forms = table
            .iter()
            .filter(|route| route.method == Method::POST && route.who != Who::Anybody && !route.is_api());
        let forms: Vec<&str> = forms.map(|route| route.path).collect();
        for path in &forms {
            assert!(resume::ALL.iter().any(|does| does.path == *path), "{path} has no words");
        }
        for does in &resume::ALL {
            assert!(forms.contains(&does.path), "{} is no form's end any more", does.path);
        }
    }
}
