//! The description of the API (OpenAPI 3.1): made of the handlers' own words, and of the table of routes for what holds for each.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{Face, Needs, Who};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, Ref, Required, ResponseBuilder};

use super::once::HEADER;
use super::problem::{Body, MEDIA_TYPE};
use super::{account, changes, domains, problem, pulls, reviews, seed, servers, tokens, users};
use crate::app::App;
use crate::session::COOKIE;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Berth",
        description = "What members do in the panel, for programs. Every change is a commit, judged like a push.",
        license(name = "Apache-2.0 OR MIT")
    ),
    paths(
        account::login, account::logout, account::me,
        servers::servers, servers::server, servers::create_server, servers::edit_server, servers::remove_server,
        servers::restart, servers::clean_up, servers::cleaned_up,
        domains::domains, domains::domain, domains::create_domain, domains::edit_domain, domains::remove_domain,
        users::users, users::user, users::create_user, users::edit_user, users::remove_user, users::invite,
        users::platform,
        changes::changes, changes::change, changes::revert, changes::audit, changes::sync,
        reviews::reviews, reviews::review, reviews::approve, reviews::reject,
        pulls::pulls, pulls::pull, pulls::withdraw,
        tokens::tokens, tokens::make_token, tokens::revoke_token,
        tokens::tokens_of, tokens::revoke_token_of,
        seed::status, seed::create_named, seed::start_named, seed::stop_named, seed::delete_named,
        seed::cleanup_named, seed::control, seed::dns,
        problem::list, show,
    ),
    components(schemas(Body<'static>))
)]
struct Description;

/// The description, as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Described(Bytes);

/// A row of the table of routes, as far as the description needs it.
pub(crate) type Row = (Method, &'static str, Who, Needs);

/// Describes the API.
pub(crate) fn describe(rows: &[Row]) -> Described {
    let mut description = Description::openapi();
    description.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("A token of the panel's, or of POST /api/login."))
                .build(),
        ),
    );
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            COOKIE,
            "The panel's own cookie, for its own pages.",
        ))),
    );
    for (method, path, who, needs) in rows {
        let Some(item) = description.paths.paths.get_mut(*path) else { continue };
        let operation = match http_method(method) {
            HttpMethod::Get => item.get.as_mut(),
            HttpMethod::Post => item.post.as_mut(),
            HttpMethod::Patch => item.patch.as_mut(),
            HttpMethod::Delete => item.delete.as_mut(),
            _ => None,
        };
        if let Some(operation) = operation {
            complete(operation, method, *who, *needs);
        }
    }
    Described(description.to_json().unwrap_or_default().into())
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// Adds what holds for every operation of its kind: how it is refused, who may ask for it, and that a write may name itself.
fn complete(operation: &mut Operation, method: &Method, who: Who, needs: Needs) {
    let problem = ResponseBuilder::new()
        .description("It was refused, or failed.")
        .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build();
    operation.responses.responses.insert("default".to_owned(), problem.into());
    if who == Who::Anybody {
        // None at all, which is not what an operation has that says nothing.
        operation.security = Some(Vec::new());
        return;
    }
    let none: [&str; 0] = [];
    let ways = ["token", "session"].map(|way| SecurityRequirement::new(way, none));
    operation.security = Some(ways.into());
    let scope = match needs {
        Needs::Scope(scope) => format!("Scope of a token: `{scope}`."),
        Needs::Session => "Only after a sign-in: no API token does.".to_owned(),
        Needs::Nothing => "Scope of a token: any.".to_owned(),
        Needs::Depends => "Scope of a token: that of what it changes.".to_owned(),
    };
    let role = if who == Who::Admin { " For admins." } else { "" };
    let before = operation.description.take().map(|text| text + "\n\n").unwrap_or_default();
    operation.description = Some(format!("{before}{scope}{role}"));
    if *method != Method::GET {
        let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
        let parameter = ParameterBuilder::new()
            .name(HEADER)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Names the write: sent again within a day, it is answered as before and not done again.",
            ))
            .schema(Some(key.pattern(Some("^[!-~]+$")).build()))
            .build();
        operation.parameters.get_or_insert_default().push(parameter.into());
    }
}

/// The description with whom people ask, as the door last told it.
fn with_contact(text: &Bytes, face: &Face) -> Bytes {
    let Some(contact) = &face.contact else { return text.clone() };
    let Ok(mut description) = serde_json::from_slice::<Value>(text) else { return text.clone() };
    let field = if contact.href == contact.text { "url" } else { "email" };
    let name = face.title.as_deref().unwrap_or("Berth");
    if let Some(info) = description.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("contact".to_owned(), json!({ "name": name, field: contact.text }));
    }
    serde_json::to_vec(&description).map_or_else(|_| text.clone(), Bytes::from)
}

/// Gives the description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "About", responses((status = 200, description = "This description.", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn show(
    State(app): State<App>,
    Extension(Described(text)): Extension<Described>,
) -> Response {
    let mut answer = with_contact(&text, &app.organisation.face()).into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
