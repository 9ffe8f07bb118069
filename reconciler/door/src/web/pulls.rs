//! Changes that went to the forge which hosts the state repo: one's own, or everybody's for an admin.

use berth_wire::web::{PullCard, PullRead, PullSheet, Pulls, Refusal};

use super::changes::{Looks, change};
use super::panel::{Asker, Panel};

/// Lists them.
pub(crate) fn pulls(panel: &Panel, asker: &Asker, _: Pulls) -> Result<Vec<PullCard>, Refusal> {
    change(panel, asker, None, Looks::None, |author| panel.forms.pulls(author))
}

/// Shows one of them.
pub(crate) fn pull(panel: &Panel, asker: &Asker, asked: PullRead) -> Result<PullSheet, Refusal> {
    change(panel, asker, None, Looks::None, |author| panel.forms.pull(author, &asked.user, &asked.topic))
}
