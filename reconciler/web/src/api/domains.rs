//! Domains.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use berth_schema::name::Fqdn;
use berth_wire::web::{Change, Deed, DomainRead, DomainSheet, Domains, Object};

use super::body::{Named, Nothing, Part, Sent, Wishes};
use super::caller::Caller;
use super::edit::{DomainEdit, Edits as _, NewDomain, of_changed, of_new};
use super::problem::Problem;
use super::shape::{Domain, DomainDetails, List, Written};
use super::write::{How, OfFile, write};
use crate::app::App;
use crate::visitor::Bound;

/// Lists domains: those of the caller's servers, or everybody's.
#[utoipa::path(get, path = "/api/domains", tag = "Domains", params(Part), responses((status = 200, description = "Domains.", body = List<Domain>)))]
pub(crate) async fn domains(
    State(app): State<App>,
    caller: Caller,
    Wishes(part): Wishes<Part>,
) -> Result<Json<List<Domain>>, Problem> {
    let asked = Domains { search: part.search(), everybody: part.everybody(&caller)?, page: part.page() };
    Ok(Json(caller.ask(&app, &asked).await?.into()))
}

/// Shows one domain.
#[utoipa::path(get, path = "/api/domains/{fqdn}", tag = "Domains", params(("fqdn" = String, Path, description = "Name of the domain.")), responses((status = 200, description = "The domain.", body = DomainDetails)))]
pub(crate) async fn domain(
    State(app): State<App>,
    caller: Caller,
    Named(fqdn): Named<Fqdn>,
) -> Result<Json<DomainDetails>, Problem> {
    Ok(Json(caller.ask(&app, &DomainRead { fqdn }).await?.into()))
}

/// Makes a domain.
#[utoipa::path(post, path = "/api/domains", tag = "Domains", params(How), request_body = NewDomain, responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn create_domain(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Wishes(how): Wishes<How>,
    Sent(new): Sent<NewDomain>,
) -> Result<Response, Problem> {
    let (fqdn, fields) = new.split();
    let deed = Deed::Create { fields: of_new(fields.values()) };
    write(&app, &caller, &how, &OfFile { change: Change { of: Object::Domain(fqdn), deed }, from }).await
}

/// Changes fields of a domain.
#[utoipa::path(patch, path = "/api/domains/{fqdn}", tag = "Domains", params(("fqdn" = String, Path, description = "Name of the domain."), How), request_body = DomainEdit, responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn edit_domain(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(fqdn): Named<Fqdn>,
    Wishes(how): Wishes<How>,
    Sent(edit): Sent<DomainEdit>,
) -> Result<Response, Problem> {
    let sheet = caller.ask(&app, &DomainRead { fqdn }).await?;
    let fields = of_changed(edit.values(), &sheet.fields);
    let change = Change { of: object(&sheet), deed: Deed::Edit { fields } };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

/// Removes a domain.
#[utoipa::path(delete, path = "/api/domains/{fqdn}", tag = "Domains", params(("fqdn" = String, Path, description = "Name of the domain."), How), responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn remove_domain(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(fqdn): Named<Fqdn>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    let sheet = caller.ask(&app, &DomainRead { fqdn }).await?;
    let change = Change { of: object(&sheet), deed: Deed::Remove };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

fn object(sheet: &DomainSheet) -> Object {
    Object::Domain(sheet.card.fqdn.to_string())
}
