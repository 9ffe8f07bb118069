//! Everything that a page may need, in one value.

use std::sync::Arc;

use berth_wire::web::Door;
use tokio_util::sync::CancellationToken;

use crate::acme::Validations;
use crate::api::Answers;
use crate::challenge::Challenges;
use crate::countries::Countries;
use crate::diagram::Diagrams;
use crate::live::Live;
use crate::session::Sessions;
use crate::settings::Settings;
use crate::shell::Shells;
use crate::template::Templates;
use crate::tls::Certificates;

/// Everything that a page may need. A clone is the same app.
#[derive(Debug, Clone)]
pub struct App {
    /// The door, which says what is so and decides what may be.
    pub door: Door,
    /// The reconciler, as it is heard.
    pub live: Live,
    /// The pages' templates.
    pub templates: Arc<Templates>,
    /// Answers of the API that are given again.
    pub(crate) answers: Answers,
    /// Sessions of people.
    pub sessions: Sessions,
    /// Everything that people run in servers.
    pub shells: Shells,
    /// Diagrams of the wiki's pages.
    pub(crate) diagrams: Diagrams,
    /// Settings of the panel.
    pub settings: Arc<Settings>,
    /// Cancelled when the process is to end. An answer that goes on by itself, such as a stream of events, ends then.
    pub closing: CancellationToken,
    /// The certificate.
    pub certificates: Certificates,
    /// Countries from which people may open it.
    pub countries: Countries,
    /// Questions of an ACME CA that are answered in plain text, through the edge.
    pub challenges: Challenges,
    /// Handshakes that an ACME CA asks for.
    pub validations: Validations,
}
