#![no_main]

use berth_ssh_router_fuzz::properties;

libfuzzer_sys::fuzz_target!(|said: &[u8]| properties::frames(said));
