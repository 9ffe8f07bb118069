#![no_main]

use berth_ssh_router_fuzz::properties;

libfuzzer_sys::fuzz_target!(|line: &[u8]| properties::command(line));
