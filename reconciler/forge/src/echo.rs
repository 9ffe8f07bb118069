//! Looks that follow a ring of the webhook: a forge may ring before its git shows what was pushed, and no second ring comes.
//! Does no I/O.

use std::time::Duration;

use berth_host::Waits;

/// Waits after a ring, as long as nothing new is found.
const AFTER: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];
/// Waits after those, while the forge can't even be looked at.
const AWAY: Waits = Waits::new(Duration::from_secs(2 * 60), Duration::from_secs(15 * 60));

/// The looks that a ring is good for.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// Looks since the ring; `None` when there was none, or what it was for has been found.
    looks: Option<u32>,
    /// Rings for which nothing has been found yet: two pushes may ring before the first of them can be seen.
    rings: u32,
}

/// The outcome of a look, as far as a ring is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The branch has something new.
    Found,
    /// The branch is as before.
    Nothing,
    /// The forge can't be looked at.
    Failed,
}

impl Echo {
    /// The webhook rang so often.
    pub(crate) fn ring(&mut self, times: u32) {
        self.looks = Some(0);
        self.rings = self.rings.saturating_add(times);
    }

    /// Returns the wait until the next look; `None` where the last ring asks for none.
    pub(crate) fn after(&mut self, look: Look) -> Option<Duration> {
        let before = self.looks?;
        if look == Look::Found {
            self.rings = self.rings.saturating_sub(1);
        }
        let wait = match (look, AFTER.get(before as usize)) {
            (Look::Found, _) if self.rings == 0 => None,
            (_, Some(wait)) => Some(*wait),
            (Look::Failed, None) => Some(AWAY.after(before.saturating_sub(AFTER.len() as u32))),
            (Look::Found | Look::Nothing, None) => None,
        };
        match wait {
            // The next look is the first one for what isn't found yet.
            Some(_) => self.looks = Some(before.saturating_add(u32::from(look != Look::Found))),
            None => *self = Self::default(),
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(echo: &mut Echo, looks: &[Look]) -> Vec<Option<u64>> {
        looks.iter().map(|look| echo.after(*look).map(|wait| wait.as_secs())).collect()
    }

    #[test]
    fn a_ring_is_good_for_some_looks() {
        let mut echo = Echo::default();
        assert_eq!(seconds(&mut echo, &[Look::Nothing, Look::Failed]), [None, None]);
        echo.ring(1);
        assert_eq!(
            seconds(&mut echo, &[Look::Nothing; 6]),
            [Some(2), Some(5), Some(15), Some(60), None, None]
        );
        echo.ring(1);
        assert_eq!(seconds(&mut echo, &[Look::Nothing, Look::Found, Look::Nothing]), [Some(2), None, None]);
    }

    #[test]
    fn a_push_whose_ring_was_heard_with_anothers_is_looked_for_too() {
        use Look::{Found, Nothing};
        let mut echo = Echo::default();
        // Both at once, and one after the other.
        echo.ring(2);
        let wanted = [Some(2), Some(2), Some(5), None, None];
        assert_eq!(seconds(&mut echo, &[Found, Nothing, Nothing, Found, Nothing]), wanted);
        echo.ring(1);
        assert_eq!(seconds(&mut echo, &[Nothing]), [Some(2)]);
        echo.ring(1);
        assert_eq!(seconds(&mut echo, &[Found, Nothing, Found]), [Some(2), Some(2), None]);
        // One look found both: it ends all the same.
        echo.ring(2);
        let wanted = [Some(2), Some(2), Some(5), Some(15), Some(60), None];
        assert_eq!(seconds(&mut echo, &[Found, Nothing, Nothing, Nothing, Nothing, Nothing]), wanted);
        echo.ring(1);
        assert_eq!(seconds(&mut echo, &[Found]), [None], "nothing is left of the rings before");
    }

    #[test]
    fn a_forge_that_is_down_is_looked_at_until_it_answers() {
        let mut echo = Echo::default();
        echo.ring(1);
        let waits = seconds(&mut echo, &[Look::Failed; 9]);
        let wanted = [2, 5, 15, 60, 120, 240, 480, 900, 900].map(Some);
        assert_eq!(waits, wanted);
        assert_eq!(echo.after(Look::Nothing), None);
    }
}
