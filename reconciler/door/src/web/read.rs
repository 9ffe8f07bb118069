//! Questions that read. Each answers from the last good state what the person may see; what isn't theirs is told of like
//! what isn't there.

mod cards;
mod commit;
mod history;
mod lists;
mod page;
mod sheets;
mod sight;

pub(crate) use cards::{domain_card, person, provider_card, quota, server_cards, site_url};
pub(crate) use commit::{commit, find};
pub(crate) use history::{history, line, newest};
pub(crate) use lists::{domains, me, servers, users};
pub(crate) use page::page;
pub(crate) use sheets::{blank, domain, platform, server, user};
pub(crate) use sight::{Viewer, file_of, server_of};
