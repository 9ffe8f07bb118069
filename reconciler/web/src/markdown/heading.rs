//! Headings of a page: each with an anchor, gathered for the table of contents.

use std::fmt;

use comrak::Anchorizer;
use comrak::adapters::{HeadingAdapter, HeadingMeta};
use comrak::nodes::Sourcepos;
use parking_lot::Mutex;
use serde::Serialize;

use super::address::anchor;

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// Level, from 2: the first is the page's title.
    pub(crate) level: u8,
    /// Anchor.
    pub(crate) id: String,
    /// Words.
    pub(crate) text: String,
}

/// Headings, as they are written.
#[derive(Default)]
pub(super) struct Headings(Mutex<Known>);

#[derive(Default)]
struct Known {
    anchors: Anchorizer,
    entries: Vec<Entry>,
}

impl Headings {
    /// The headings that were written.
    pub(super) fn entries(self) -> Vec<Entry> {
        self.0.into_inner().entries
    }
}

/// The page has one heading of the first level, its title.
fn level(level: u8) -> u8 {
    level.clamp(2, 6)
}

impl HeadingAdapter for Headings {
    fn enter(&self, output: &mut dyn fmt::Write, heading: &HeadingMeta, _: Option<Sourcepos>) -> fmt::Result {
        let (level, mut known) = (level(heading.level), self.0.lock());
        let id = anchor(&known.anchors.anchorize(&heading.content));
        write!(output, "<h{level} id=\"{}\">", minijinja::HtmlEscape(&id))?;
        known.entries.push(Entry { level, id, text: heading.content.clone() });
        Ok(())
    }

    fn exit(&self, output: &mut dyn fmt::Write, heading: &HeadingMeta) -> fmt::Result {
        writeln!(output, "</h{}>", level(heading.level))
    }
}
