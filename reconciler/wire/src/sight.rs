//! Sight: a look at the engine, for whoever plans without one.

use berth_plan::Observed;
use berth_plan::Programs;
use berth_plan::render::Templates;
use berth_schema::Origin;
use serde::{Deserialize, Serialize};

/// The world that the next pass would plan against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The prefix of the platform that this is about.
    pub platform: String,
    /// Everything that exists.
    pub observed: Observed,
    /// The last revision of which every change succeeded: who owned what before.
    pub applied: Option<Origin>,
    /// The templates that configurations are made from in place of the built-in ones.
    pub templates: Templates,
    /// The programs of the host that belong in the platform's own containers.
    #[serde(default)]
    pub programs: Programs,
}
