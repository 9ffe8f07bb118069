#![no_main]

use berth_ssh_router_fuzz::properties;

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| properties::beginning(input.1, usize::from(input.0)));
