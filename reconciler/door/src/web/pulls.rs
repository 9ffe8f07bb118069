//! Changes that went to the forge which hosts the state repo: one's own, or everybody's for an admin.

use berth_wire::web::{Done, PullCard, PullRead, PullSheet, PullWithdraw, Pulls, Refusal};

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

/// Takes one of them back that the forge doesn't have.
pub(crate) fn pull_withdraw(panel: &Panel, asker: &Asker, asked: PullWithdraw) -> Result<Done, Refusal> {
    let PullWithdraw { user, topic } = &asked;
    change(panel, asker, None, Looks::None, |author| panel.forms.withdraw(author, user, topic))?;
    Ok(Done)
}
