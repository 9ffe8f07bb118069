#![no_main]

use berth_ssh_router_fuzz::properties;

libfuzzer_sys::fuzz_target!(|text: &[u8]| properties::routes(text));
