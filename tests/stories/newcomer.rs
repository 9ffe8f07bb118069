//! Somebody who has never been here: from the link that an admin hands over to a website that everybody may visit, and to a shell in
//! the server behind it, by keyboard alone.

use std::time::Duration;

use berth_tests::{Newcomer, World};

crate::stories! {
    a_newcomer_comes_to_a_website_and_a_shell_by_keyboard,
}

fn a_newcomer_comes_to_a_website_and_a_shell_by_keyboard(world: &World) {
    let stages = Newcomer::expected(world.lab()).comes();
    let all: Duration = stages.iter().map(|(_, time)| *time).sum();
    let told: Vec<String> =
        stages.iter().map(|(what, time)| format!("{what} {:.1} s", time.as_secs_f64())).collect();
    eprintln!("{:.1} s in all: {}", all.as_secs_f64(), told.join(", "));
}
