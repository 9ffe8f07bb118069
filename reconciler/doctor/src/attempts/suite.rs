//! A suite: the list of attempts while it is being written, each with a number and a mark of its own.

use std::fmt::Display;

use crate::attempt::{Attempt, Expected, Group, Trial};
use crate::scene::Scene;
use crate::sighting::Tokens;
use crate::threat::Threat;

/// A list that is being written.
pub(super) struct Suite<'a> {
    pub(super) scene: &'a Scene,
    tokens: &'a Tokens,
    group: Group,
    /// The threat that the attempts that follow show.
    threat: Option<Threat>,
    attempts: Vec<Attempt>,
}

/// Distinguishes one attempt's packets from all others.
pub(super) struct Mark {
    pub(super) token: String,
    /// A port that no other attempt uses.
    pub(super) port: u16,
}

impl<'a> Suite<'a> {
    pub(super) fn new(scene: &'a Scene, tokens: &'a Tokens) -> Self {
        Self { scene, tokens, group: Group::Allowed, threat: None, attempts: Vec::new() }
    }

    /// Begins a group.
    pub(super) fn group(&mut self, group: Group) {
        (self.group, self.threat) = (group, None);
    }

    /// Returns the attempts in the order in which they were added.
    pub(super) fn done(self) -> Vec<Attempt> {
        self.attempts
    }

    /// Sets the threat that the attempts that follow show.
    pub(super) fn of(&mut self, threat: Threat) -> &mut Self {
        self.threat = Some(threat);
        self
    }

    pub(super) fn refused(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Refused, trial);
    }

    pub(super) fn limited(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Limited, trial);
    }

    pub(super) fn shared(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Shared, trial);
    }

    pub(super) fn works(&mut self, name: impl Display, trial: impl FnOnce(&Mark) -> Trial) {
        self.add(name, Expected::Works, trial);
    }

    pub(super) fn not_here(&mut self, name: impl Display, expected: Expected, why: &'static str) {
        let number = self.next();
        self.push(number, name, expected, Err(why));
    }

    pub(super) fn none_here(&mut self, names: &[impl Display], expected: Expected, why: &'static str) {
        for name in names {
            self.not_here(name, expected, why);
        }
    }

    fn add(&mut self, name: impl Display, expected: Expected, trial: impl FnOnce(&Mark) -> Trial) {
        let number = self.next();
        let mark = Mark { token: self.tokens.of(number), port: 20_000 + number };
        self.push(number, name, expected, Ok(trial(&mark)));
    }

    fn next(&self) -> u16 {
        u16::try_from(self.attempts.len() + 1).unwrap_or(u16::MAX)
    }

    fn push(
        &mut self,
        number: u16,
        name: impl Display,
        expected: Expected,
        how: Result<Trial, &'static str>,
    ) {
        let (group, threat) = (self.group, self.threat);
        self.attempts.push(Attempt { number, group, threat, name: name.to_string(), expected, how });
    }
}
