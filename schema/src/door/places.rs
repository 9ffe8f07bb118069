//! Places among the commands that may run at once: so many in all, so many of one member, and some for admins alone.
//!
//! Both sides of the git door count: the router, so that the door isn't flooded, and the door, which trusts no router.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::name::UserName;

/// Counter of the commands that run.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_each: usize,
    /// Places that only admins get: members can't keep those out who would throw them out.
    kept: usize,
    taken: Mutex<HashMap<UserName, usize>>,
}

/// One command's place; given back on drop.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    user: UserName,
}

/// Reasons why a command gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// All places are taken.
    Full,
    /// The member has as many commands running as one may have.
    Yours {
        /// Number of these commands.
        running: usize,
    },
}

impl Places {
    /// Free places: `most` in all, a quarter of them for admins alone, and `most_each` of one person.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_each, kept: most / 4, taken: Mutex::default() })
    }

    /// Takes a place for one more command of an admin, or of somebody of whom that isn't known.
    pub fn take(self: &Arc<Self>, user: &UserName) -> Result<Place, NoPlace> {
        self.take_of(user, self.most)
    }

    /// Takes a place for one more command of a member, and leaves those that are for admins.
    pub fn take_for_member(self: &Arc<Self>, user: &UserName) -> Result<Place, NoPlace> {
        self.take_of(user, self.most - self.kept)
    }

    fn take_of(self: &Arc<Self>, user: &UserName, open: usize) -> Result<Place, NoPlace> {
        let mut taken = self.lock();
        let running = taken.get(user).copied().unwrap_or_default();
        if taken.values().sum::<usize>() >= open {
            return Err(NoPlace::Full);
        }
        if running >= self.most_each {
            return Err(NoPlace::Yours { running });
        }
        taken.insert(user.clone(), running + 1);
        Ok(Place { places: Arc::clone(self), user: user.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, usize>> {
        // The count is right after any panic: it changes in one step.
        self.taken.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(running) = taken.get_mut(&self.user) {
            *running -= 1;
            if *running == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_leaves_room_for_others_and_a_place_comes_back() {
        let places = Places::new(3, 2);
        let (ann, bob) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let anns = [places.take(&ann).unwrap(), places.take(&ann).unwrap()];
        assert_eq!(places.take(&ann).unwrap_err(), NoPlace::Yours { running: 2 });
        let _bobs = places.take(&bob).unwrap();
        assert_eq!(places.take(&bob).unwrap_err(), NoPlace::Full);
        drop(anns);
        assert_eq!(places.lock().len(), 1, "nobody is remembered for nothing");
        assert!(places.take(&bob).is_ok());
    }

    #[test]
    fn members_leave_room_for_admins() {
        let places = Places::new(8, 4);
        let (ann, bob, cyn) = ("ann".parse().unwrap(), "bob".parse().unwrap(), "cyn".parse().unwrap());
        let members = [&bob, &bob, &bob, &bob, &cyn, &cyn].map(|who| places.take_for_member(who).unwrap());
        assert_eq!(places.take_for_member(&cyn).unwrap_err(), NoPlace::Full);
        let admins = [(); 2].map(|()| places.take(&ann).unwrap());
        assert_eq!(places.take(&ann).unwrap_err(), NoPlace::Full);
        drop((members, admins));
        assert!(places.lock().is_empty());
    }
}
