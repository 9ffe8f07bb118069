//! Rates of counters, from one reading to the next.

use std::time::Duration;

/// Bytes a second.
pub(super) fn bytes(number: u64, elapsed: Duration) -> u32 {
    rate(u128::from(number) * 1000, elapsed)
}

/// Thousandths of `amount` a microsecond: thousandths of a processor for microseconds of it, and bytes a second for
/// thousandths of bytes.
pub(super) fn rate(amount: u128, elapsed: Duration) -> u32 {
    u32::try_from(amount * 1000 / elapsed.as_micros().max(1)).unwrap_or(u32::MAX)
}
