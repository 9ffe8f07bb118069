//! The organisation's face, and its contact in the words of refusals.

use berth_schema::organisation::addressed;
use berth_wire::web::{Face, FaceRead, Refusal};

use super::panel::Panel;

/// Tells the organisation's face.
pub(crate) fn organisation(panel: &Panel, _: FaceRead) -> Result<Face, Refusal> {
    Ok(Face::from(&panel.good()?.state.platform.organisation))
}

/// Names whom the person asks, in a refusal's next step. While no state is good, that is an admin.
pub(crate) fn with_contact(panel: &Panel, refusal: Refusal) -> Refusal {
    let hint = refusal.hint.as_ref().map(|hint| {
        let good = panel.good().ok();
        addressed(hint, good.as_ref().and_then(|good| good.state.platform.organisation.contact()))
    });
    Refusal { hint, ..refusal }
}
