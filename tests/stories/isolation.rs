//! Root in a server tries every way out of it (`berth doctor --isolation`), in a closed world where whatever leaks
//! arrives somewhere, and is seen there.

use std::fs;
use std::time::Duration;

use berth_tests::lab::{DENIED, MAIL, NAME, NAME_OF_PRIVATE, WEBSITE};
use berth_tests::{Lab, Platform, Ran, World, run};
use serde_json::{Value, json};

crate::stories! { nothing_gets_out_of_a_server }

/// A minute and a half when nobody else needs the machine.
const EXAMINATION: Duration = Duration::from_secs(600);

fn nothing_gets_out_of_a_server(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |_| {});
    platform.apply();
    platform.settled();

    let ran = examined(lab, &platform);
    eprintln!("{}", ran.words());
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    let result = |row: &Value| row["result"].as_str().unwrap_or_default().to_owned();
    let bad: Vec<&Value> =
        rows.iter().filter(|row| !["refused", "limited", "works", "not-tried"].contains(&&*result(row))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let count = |wanted: &str| rows.iter().filter(|row| result(row) == wanted).count();
    assert!(count("works") >= 7, "what is allowed works");
    assert!(count("refused") >= 60);
    // In the lab everything can be tried but what the platform has no container for.
    let not_tried: Vec<&Value> = rows.iter().filter(|row| result(row) == "not-tried").collect();
    assert!(not_tried.iter().all(|row| row["detail"] == "no SSH router runs here in the user plane"), "{not_tried:#?}");
    assert_eq!(ran.code, Some(0));

    // The canaries are gone, and the platform is what it was.
    assert!(platform.containers().keys().all(|name| !name.contains("canary")));
    platform.settled();
}

/// Runs the doctor with the lab's internet.
fn examined(lab: &Lab, platform: &Platform) -> Ran {
    let outside = platform.home().join("outside.json");
    let description = json!({
        "namespace": lab.internet().namespace().path(),
        "website": WEBSITE,
        "mail": MAIL,
        "name": NAME,
        "name_of_private": NAME_OF_PRIVATE,
        "denied": DENIED,
    });
    fs::write(&outside, description.to_string()).expect("the lab's description");
    let path = outside.to_string_lossy().into_owned();
    run(&mut platform.berth_command(&["doctor", "--isolation", "--json", "--outside", &path]), EXAMINATION)
}
