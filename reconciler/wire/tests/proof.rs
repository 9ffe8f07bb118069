//! The way in which a panel proves its name to a CA, as its settings let it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use berth_schema::{Parsed, State};
use berth_wire::certificate::Proof;

#[test]
fn a_name_below_localhost_is_proved_to_nobody() {
    for (panel, proof) in [("panel.localhost", None), ("panel.example.org", Some(Proof::Http01))] {
        let text = format!("domain = \"h.example.org\"\n[panel]\ndomain = \"{panel}\"\n");
        let state = State::assemble(&[Parsed::parse("platform.toml", &text)]).unwrap();
        assert_eq!(Proof::of(&state.platform), proof, "{panel}");
    }
}
