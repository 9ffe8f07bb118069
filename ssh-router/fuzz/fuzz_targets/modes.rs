#![no_main]

use berth_ssh_router_fuzz::properties;

libfuzzer_sys::fuzz_target!(|opcodes: &[u8]| properties::modes(opcodes));
