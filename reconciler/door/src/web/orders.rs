//! Orders that were given for each server, so that nobody keeps one from working.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use berth_schema::name::ServerId;
use parking_lot::Mutex;

/// Time between two orders for one server.
const PAUSE: Duration = Duration::from_secs(60);

/// The last order for each server, as long as it counts.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<HashMap<ServerId, Instant>>);

impl Orders {
    /// Notes an order, or returns how long to wait first.
    pub(crate) fn begin(&self, server: ServerId, now: Instant) -> Result<(), Duration> {
        let mut last = self.0.lock();
        last.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        match last.get(&server) {
            Some(at) => Err((*at + PAUSE).saturating_duration_since(now)),
            None => {
                last.insert(server, now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_one_order_a_minute() {
        let (orders, now) = (Orders::default(), Instant::now());
        let [one, other] = [1, 2].map(|id: u32| ServerId(id.try_into().unwrap()));
        orders.begin(one, now).unwrap();
        assert_eq!(orders.begin(one, now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        orders.begin(other, now).unwrap();
        orders.begin(one, now + PAUSE).unwrap();
        assert_eq!(orders.0.lock().len(), 1, "what is over is forgotten");
    }
}
