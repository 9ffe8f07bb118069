//! Ground that every answer to the panel stands on: the state, the person who asks, and the door's own records.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use berth_count::Counts;
use berth_fault::{Fault, Kind};
use berth_host::Acting;
use berth_judge::form::{Forms, Marks, Via};
use berth_repo::StateRepo;
use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::user::Role;
use berth_wire::web::{Needs, Refusal, Scope, Token};
use parking_lot::Mutex;

use super::audit::{Act, Audit, Line};
use super::browse::{Blames, marks};
use super::clock::{Clock, Now};
use super::factors::begun::Begun;
use super::factors::ceremonies::Ceremonies;
use super::factors::halves::Halves;
use super::factors::kept::Kept;
use super::gate::Gate;
use super::grants::Grants;
use super::heard::Heard;
use super::invitations::Invitations;
use super::means::Means;
use super::oidc::provided::Provided;
use super::orders::Orders;
use super::outcomes::Outcomes;
use super::past::Past;
use super::refusals::{
    admins_only, no_good_state, out_of_scope, sign_in_first, signed_out, stale, unavailable,
};
use super::secret::{Digest, SecretError};
use super::store::{Store, StoreError};
use super::throttle::Throttle;
use super::tickets::Tickets;
use super::tokens::{Found, Tokens};
use super::wiki::Wiki;
use crate::door::Door;
use crate::members::Good;

/// The panel's door, before it is opened.
pub struct Panel {
    pub(crate) door: Arc<Door>,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) invitations: Invitations,
    /// Secrets and counters of factors.
    pub(crate) kept: Kept,
    /// Sign-ins that wait for their code.
    pub(crate) halves: Halves,
    /// Challenges that passkeys are to sign.
    pub(crate) ceremonies: Ceremonies,
    /// Second factors that are being set up.
    pub(crate) begun: Begun,
    pub(crate) throttle: Throttle,
    /// Checks and hashes of passwords.
    pub(crate) checks: Gate,
    pub(crate) past: Past,
    pub(crate) wiki: Wiki,
    pub(crate) outcomes: Outcomes,
    pub(crate) forms: Forms,
    /// Names of the marks that stand for secrets.
    pub(crate) marks: Marks,
    pub(crate) blames: Blames,
    pub(crate) grants: Grants,
    /// The last clean-up of each server.
    pub(crate) clean_ups: Orders,
    pub(crate) tickets: Tickets,
    pub(crate) leads: Heard,
    /// Sign-ins by the OpenID provider.
    pub(crate) oidc: Provided,
    /// Turn of the commits that the door makes itself.
    pub(crate) writing: Mutex<()>,
    audit: Audit,
    stand_ins: RandomState,
}

/// The panel's door can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
    /// Its own files can't be used.
    #[error("cannot open the panel's door")]
    Store(#[from] StoreError),
    /// The key of grants can't be had.
    #[error("cannot open the panel's door")]
    Key(#[from] SecretError),
}

impl Fault for PanelError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Key(error) => error.hint(),
        }
    }
}

/// Somebody who is signed in, at the moment of a question.
pub(crate) struct Asker {
    pub(crate) name: UserName,
    /// Role that they act in. By an API token without the scope `admin`, that is a member's.
    pub(crate) role: Role,
    /// Scopes of the API token that they asked with; `None` where they signed in.
    pub(crate) scopes: Option<BTreeSet<Scope>>,
    /// The state that the question is answered from.
    pub(crate) good: Good,
    /// Digest of the token that they asked with.
    pub(crate) token: Digest,
    /// Means by which they signed in.
    pub(crate) means: Means,
    /// Set if they have just proved who they are.
    pub(crate) is_fresh: bool,
    /// Set if a program asks, by an API token or by a sign-in of its own.
    pub(crate) is_program: bool,
}

impl Asker {
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    pub(crate) fn state(&self) -> &State {
        &self.good.state
    }

    /// Returns whether they act as a member by an API token without the scope `admin`, whatever their role is.
    pub(crate) fn is_narrow(&self) -> bool {
        self.scopes.as_ref().is_some_and(|scopes| !scopes.contains(&Scope::Admin))
    }

    /// Way in which their changes come. A program that asks by the session of a browser is taken for the panel's pages.
    pub(crate) fn via(&self) -> Via {
        match (self.is_program, self.is_narrow()) {
            (_, true) => Via::NarrowToken,
            (true, false) => Via::Api,
            (false, false) => Via::Panel,
        }
    }

    /// Refuses what an API token without this scope may not do.
    pub(crate) fn must_have(&self, scope: Scope) -> Result<(), Refusal> {
        match &self.scopes {
            // Each scope reads, too: whoever changes something looks at it first.
            Some(scopes) if scope != Scope::Read && !scopes.contains(&scope) => Err(out_of_scope(scope)),
            _ => Ok(()),
        }
    }

    /// Refuses what an API token may not do that lacks what a question needs.
    pub(crate) fn must_meet(&self, needs: Needs) -> Result<(), Refusal> {
        match needs {
            Needs::Session if self.scopes.is_some() => Err(sign_in_first()),
            Needs::Session | Needs::Nothing | Needs::Depends => Ok(()),
            Needs::Scope(scope) => self.must_have(scope),
        }
    }

    /// Refuses what only admins may do.
    pub(crate) fn must_be_admin(&self) -> Result<(), Refusal> {
        if self.is_admin() {
            return Ok(());
        }
        // Whoever isn't one isn't told of a scope that would do nothing for them.
        match self.is_in_role(Role::Admin) {
            true => self.must_have(Scope::Admin).and(Err(admins_only())),
            false => Err(admins_only()),
        }
    }

    /// Returns whether the state gives them this role, whatever their token is for.
    pub(crate) fn is_in_role(&self, role: Role) -> bool {
        self.state().users.get(&self.name).is_some_and(|user| user.role == role)
    }

    /// Refuses what only somebody may do who has just proved who they are.
    pub(crate) fn must_be_fresh(&self) -> Result<(), Refusal> {
        if self.is_fresh { Ok(()) } else { Err(stale()) }
    }
}

impl Panel {
    /// A door for the panel beside the git door, which keeps its records in Berth's data.
    pub fn new(door: Arc<Door>, clock: Clock) -> Result<Self, PanelError> {
        let store = Store::open(&door.settings().data)?;
        let marks = marks(&store)?;
        Ok(Self {
            grants: Grants::open(&store, clock.now().date)?,
            tokens: Tokens::open(store.folder("tokens")?, clock.now().date)?,
            invitations: Invitations::of(store.folder("invitations")?),
            kept: Kept::of(store.folder("factors")?),
            halves: Halves::default(),
            ceremonies: Ceremonies::default(),
            begun: Begun::default(),
            throttle: Throttle::default(),
            checks: Gate::default(),
            past: Past::default(),
            wiki: Wiki::default(),
            outcomes: Outcomes::default(),
            forms: Forms::of(&door.settings().state, door.settings().resolver)
                .knowing(door.members().memory())
                .marking(marks.clone()),
            marks,
            blames: Blames::default(),
            clean_ups: Orders::default(),
            tickets: Tickets::default(),
            leads: Heard::default(),
            oidc: Provided::open(store.folder("oidc")?, &door.settings().data, door.members())?,
            audit: Audit::of(store),
            writing: Mutex::default(),
            stand_ins: RandomState::new(),
            clock,
            door,
        })
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The last good state.
    pub(crate) fn good(&self) -> Result<Good, Refusal> {
        let _acting = self.act()?;
        let good = self.door.members().good().map_err(|error| unavailable(&error))?;
        good.ok_or_else(no_good_state)
    }

    /// The state repo, opened for this question. It knows what was parsed for those before.
    pub(crate) fn repo(&self) -> Result<StateRepo, Refusal> {
        let repo = StateRepo::open(&self.door.settings().state).map_err(|error| unavailable(&error))?;
        Ok(repo.knowing(self.door.members().memory()))
    }

    /// Lets this thread act as the owner of the state repo, as everything does that reads or writes it.
    pub(crate) fn act(&self) -> Result<Acting, Refusal> {
        self.door.owner().act().map_err(|error| unavailable(&error))
    }

    /// Finds out who asks with a token. One whose holder has gone, or has another role, password or second factor by now, is dead; so
    /// is one that a passkey or an account at the provider was used for which they don't have any more.
    pub(crate) fn asker(&self, token: Option<&Token>) -> Result<Asker, Refusal> {
        let Some(token) = token else { return Err(signed_out()) };
        if let Some(asker) = self.by_api_token(token)? {
            return Ok(asker);
        }
        let token = Digest::of(token.as_str());
        let found = self.tokens.find(token, self.now().date).map_err(|error| unavailable(&error))?;
        let Some(Found { user: name, standing, is_fresh, means, is_program }) = found else {
            return Err(signed_out());
        };
        let good = self.good()?;
        match good.state.users.get(&name) {
            Some(user) if standing.stands(&good.state, user, &means) => {
                Ok(Asker { role: user.role, scopes: None, name, good, token, means, is_fresh, is_program })
            }
            _ => {
                self.tokens.end(&name, token).map_err(|error| unavailable(&error))?;
                Err(signed_out())
            }
        }
    }

    /// The hash that stands in for the one of somebody who has none: mostly somebody else's, always the same for a name, so
    /// that a name that is nobody's costs what one costs that is somebody's.
    pub(crate) fn stand_in<'s>(&self, state: &'s State, name: &str) -> &'s str {
        let hashes = || state.users.values().filter_map(|user| user.password_hash.as_deref());
        let count = hashes().count() as u64;
        let pick = self.stand_ins.hash_one(name).checked_rem(count);
        let pick = pick.and_then(|pick| usize::try_from(pick).ok());
        pick.and_then(|pick| hashes().nth(pick)).unwrap_or(berth_password::STAND_IN)
    }

    /// Text of the audit log, the oldest line first.
    pub(crate) fn read_log(&self) -> Result<String, StoreError> {
        self.audit.read()
    }

    /// Leaves what another process told that it counts.
    pub(crate) fn leave_counts(&self, file: &str, counts: &Counts) -> Result<(), StoreError> {
        self.audit.leave_counts(file, counts)
    }

    /// Adds a line to the audit log.
    pub(crate) fn note(&self, who: Option<&UserName>, from: Option<IpAddr>, act: Act<'_>) {
        if let Some(login) = act.login() {
            berth_count::count(login, 1);
        }
        self.audit.write(&Line { at: self.now().date, who, from, act });
    }
}
