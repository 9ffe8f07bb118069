//! The past: the revisions that `main` was at, as far back as anybody asked, kept in memory.
//!
//! Reads each commit once. A look goes only so far at a time; the door looks the rest of the way by itself when it opens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_judge::form::DOOR;
use berth_repo::{Error, Revision, StateRepo, Step};
use berth_schema::form::{self, Input};
use berth_schema::kind::Kind;
use berth_schema::name::UserName;
use berth_schema::policy::named_by;
use berth_schema::text::safe_line;
use jiff::Timestamp;
use parking_lot::Mutex;

/// Commits that are read before anybody else gets a look in.
const AT_ONCE: usize = 256;
/// Time for which one question looks further back.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most commits, and the most paths of all of them, that are kept. Those before them aren't shown.
const COMMITS: usize = 20_000;
const PATHS: usize = 500_000;
/// The most files that one commit removed whose owners are looked for.
const REMOVED: usize = 100;
/// Characters of a name and of a summary.
const NAME: usize = 100;
const SUMMARY: usize = 200;

/// The past, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Past(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tip: Option<Revision>,
    /// The youngest first.
    made: VecDeque<Arc<Made>>,
    /// The revision that comes after the oldest of them.
    next: Option<Revision>,
    paths: usize,
}

/// Part of the past that a look saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, or as much as was wanted.
    Whole,
    /// The newest part: it took too long, or older commits aren't kept.
    Newest,
}

/// A commit of the past.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) revision: Revision,
    /// The revision before, if there is one.
    pub(crate) parent: Option<Revision>,
    pub(crate) author: String,
    pub(crate) at: Timestamp,
    pub(crate) summary: String,
    /// Door that its message names.
    pub(crate) door: Option<String>,
    /// Sorted.
    pub(crate) paths: Vec<String>,
    /// Files of servers and domains that it removed, with the members whose they were.
    pub(crate) removed: Vec<(String, UserName)>,
}

impl Made {
    fn of(repo: &StateRepo, step: Step) -> Result<Self, Error> {
        let mut removed = Vec::new();
        if let Some(parent) = step.commit.parents.first() {
            for path in step.removed.iter().take(REMOVED) {
                removed.extend(owner(repo, parent, path)?.map(|owner| (path.clone(), owner)));
            }
        }
        let trailer = |name: &str| {
            let found = step.commit.trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| safe_line(value, NAME))
        };
        Ok(Self {
            revision: step.commit.revision,
            parent: step.commit.parents.first().copied(),
            author: trailer("Proposed-by").unwrap_or_else(|| safe_line(&step.commit.author.name, NAME)),
            at: Timestamp::from_second(step.commit.committer.seconds).unwrap_or_default(),
            summary: safe_line(&step.commit.summary, SUMMARY),
            door: trailer(DOOR),
            paths: step.paths,
            removed,
        })
    }

    pub(crate) fn touches(&self, path: &str) -> bool {
        self.paths.binary_search_by(|known| known.as_str().cmp(path)).is_ok()
    }
}

/// The owner of a server or of a domain's server, by its file at a revision.
fn owner(repo: &StateRepo, at: &Revision, path: &str) -> Result<Option<UserName>, Error> {
    let text =
        |path: &str| Ok(repo.read(at, path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let path = match Kind::of(path) {
        Some(Kind::Server) => path.to_owned(),
        Some(Kind::Domain) => {
            let values = form::read(Kind::Domain, &text(path)?.unwrap_or_default());
            let server = values.into_iter().find_map(|value| match value {
                ("server", Input::Text(server)) => form::path(Kind::Server, &server).ok(),
                _ => None,
            });
            let Some(path) = server else { return Ok(None) };
            path
        }
        _ => return Ok(None),
    };
    Ok(text(&path)?.and_then(|text| named_by(&path, &text)).map(|(_, owner)| owner))
}

impl Past {
    /// Looks at the commits of `main`, the youngest first, until `look` has seen enough (`true`), there are no more, or it
    /// takes too long; returns which of it was seen.
    pub(crate) fn look(
        &self,
        repo: &StateRepo,
        mut look: impl FnMut(&Arc<Made>) -> bool,
    ) -> Result<Extent, Error> {
        let until = Instant::now() + PATIENCE;
        let mut looked = 0;
        let mut first = None;
        loop {
            let mut known = self.0.lock();
            known.follow(repo)?;
            // It moved between two looks; what was seen of it is whole as far as it goes.
            if *first.get_or_insert(known.tip) != known.tip {
                return Ok(Extent::Newest);
            }
            for made in known.made.iter().skip(looked) {
                if look(made) {
                    return Ok(Extent::Whole);
                }
            }
            looked = known.made.len();
            if Instant::now() > until || !known.look_back(repo)? {
                return Ok(if known.next.is_none() { Extent::Whole } else { Extent::Newest });
            }
        }
    }

    /// Looks all the way back, unless it `ends` before.
    pub(crate) fn warm(&self, repo: &StateRepo, ends: &dyn Fn() -> bool) -> Result<(), Error> {
        self.0.lock().follow(repo)?;
        while !ends() && self.0.lock().look_back(repo)? {}
        Ok(())
    }
}

impl Known {
    /// Adds what `main` has gained.
    fn follow(&mut self, repo: &StateRepo) -> Result<(), Error> {
        let Some(tip) = repo.head()?.filter(|tip| self.tip != Some(*tip)) else { return Ok(()) };
        let trail = repo.trail(&tip, self.tip.as_ref(), AT_ONCE)?;
        if self.tip.is_none() || trail.next != self.tip {
            // The first look, or a merge that made what `main` was its second parent: the past is another one now.
            *self = Self { next: trail.next, ..Self::default() };
        }
        self.paths += trail.steps.iter().map(|step| step.paths.len()).sum::<usize>();
        for step in trail.steps.into_iter().rev() {
            self.made.push_front(Arc::new(Made::of(repo, step)?));
        }
        self.tip = Some(tip);
        Ok(())
    }

    /// Looks a bit further back, and returns whether there was anything to see.
    fn look_back(&mut self, repo: &StateRepo) -> Result<bool, Error> {
        let Some(next) = self.next.filter(|_| self.made.len() < COMMITS && self.paths < PATHS) else {
            return Ok(false);
        };
        let trail = repo.trail(&next, None, AT_ONCE)?;
        self.next = trail.next;
        self.paths += trail.steps.iter().map(|step| step.paths.len()).sum::<usize>();
        for step in trail.steps {
            self.made.push_back(Arc::new(Made::of(repo, step)?));
        }
        Ok(true)
    }
}
