//! The beginning of a process that serves the panel.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth_tasks::{TaskError, Tasks};
use berth_wire::certificate::{CertificateStanding, OrderStanding};
use berth_wire::router::Router;
use berth_wire::web::Door;

use crate::acme::{Acme, Keeper, Store, Validations};
use crate::api::Answers;
use crate::app::App;
use crate::challenge::Challenges;
use crate::countries::Countries;
use crate::diagram::Diagrams;
use crate::handover::Listeners;
use crate::live::Live;
use crate::serve::serve;
use crate::session::{SessionError, Sessions};
use crate::settings::Settings;
use crate::shell::Shells;
use crate::template::{TemplateError, Templates};
use crate::tls::{Certificates, TlsError};

/// Time for the process before this one to end. Its supervisor gives it less.
const PATIENCE: Duration = Duration::from_secs(60);

/// The panel can't be served.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the errors inside say it")]
pub enum LaunchError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error("cannot use the listening socket")]
    Listener(#[source] io::Error),
}

/// Serves the panel until its tasks are asked to end. `prepared` is called, and told whether the
/// certificate is one of the panel's own, when everything has been read that may have mistakes,
/// and before the process that serves until now has to end.
pub async fn run(
    listeners: impl Into<Listeners>,
    settings: Settings,
    tasks: &Tasks,
    prepared: impl FnOnce(bool),
) -> Result<(), LaunchError> {
    let served = begin(listeners.into(), settings, tasks, prepared).await;
    let ended = tasks.end().await;
    // When the last answer is out, and before the next process may have them.
    served?.flush()?;
    Ok(ended?)
}

async fn begin(
    Listeners { port, edge }: Listeners,
    settings: Settings,
    tasks: &Tasks,
    prepared: impl FnOnce(bool),
) -> Result<Sessions, LaunchError> {
    port.set_nonblocking(true).map_err(LaunchError::Listener)?;
    let port = tokio::net::TcpListener::from_std(port).map_err(LaunchError::Listener)?;
    let templates = Arc::new(Templates::read(settings.templates.as_deref())?);
    let store = settings.acme.as_ref().map(|acme| Store::new(&settings.data, acme, &settings.domain));
    let certificates = Certificates::open(
        &settings.data,
        &settings.domain,
        store.as_ref().and_then(Store::ordered),
        settings.acme.as_ref().map(|acme| standing(acme, &settings)),
    )?;
    let countries = tokio::task::block_in_place(|| Countries::open(&settings.data, &settings.countries));
    prepared(certificates.is_own());
    let folder = settings.data.join("sessions");
    let sessions = tokio::task::block_in_place(|| Sessions::open(&folder, PATIENCE))?;
    let (live, follow) = Live::follow(settings.panel_socket());
    tasks.keep("the reconciler's events", follow);
    let (challenges, validations) = (Challenges::default(), Validations::default());
    if let (Some(acme), Some(store)) = (settings.acme.clone(), store) {
        let keeper = Keeper {
            acme,
            domain: settings.domain.clone(),
            store,
            challenges: challenges.clone(),
            validations: validations.clone(),
            certificates: certificates.clone(),
        };
        // Only now, since the process before this one has ended: two never order at once.
        tasks.keep("the orders of certificates", keeper.keep());
    }
    let app = App {
        live,
        shells: Shells::new(settings.tickets.as_deref().map(Router::at), tasks.clone()),
        door: Door::at(&settings.web_socket()),
        templates,
        diagrams: Diagrams::by(settings.drawer.clone()),
        answers: Answers::open(&sessions)?,
        sessions: sessions.clone(),
        closing: tasks.stop().clone(),
        certificates,
        countries,
        challenges,
        validations,
        settings: Arc::new(settings),
    };
    tracing::info!(origin = app.settings.origin(), "the panel listens");
    serve(port, edge, app, tasks).await?;
    Ok(sessions)
}

/// Standing of the orders, with the failure that an earlier process left if it was one of the same order.
fn standing(acme: &Acme, settings: &Settings) -> OrderStanding {
    let (directory, proof) = (acme.directory.clone(), acme.proof);
    let earlier = CertificateStanding::read(&settings.data).filter(|told| told.domain == settings.domain);
    let earlier = earlier.and_then(|told| told.order);
    let same = earlier.filter(|order| order.directory == directory && order.proof == proof);
    OrderStanding { directory, proof, failed: same.and_then(|order| order.failed) }
}
