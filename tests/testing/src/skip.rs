//! Tests that can't be made on this machine.

/// Tells why a test can't be made here. Where all must be made, that is a failure.
#[track_caller]
pub fn skipped(why: &str) {
    assert!(!all_must_run(), "BERTH_TESTS=all, and this one can't be made here: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Returns `true` where no test may be skipped: `BERTH_TESTS=all`, as CI sets it.
pub fn all_must_run() -> bool {
    match std::env::var("BERTH_TESTS").as_deref() {
        Ok("all") => true,
        Ok("") | Err(_) => false,
        Ok(other) => panic!("BERTH_TESTS is `{other}`; it is `all`, or it isn't set"),
    }
}
