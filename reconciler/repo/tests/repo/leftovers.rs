//! A view's folder and the gits at work there: what one that was ended left half written, and a push that is still there.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use berth_repo::view::ViewError;

use crate::sharing::{House, is_whole};

#[test]
fn what_was_left_half_written_goes_after_a_day() {
    let house = House::of(2);
    let view = house.view("bob");
    let age = |path: &Path, hours: u64| {
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(path).unwrap().set_modified(then).unwrap();
    };
    let (mut old, mut young) = (Vec::new(), Vec::new());
    for repository in [house.state.bare.clone(), house.stores().pop().unwrap(), view.clone()] {
        for (hours, left) in [(25, &mut old), (23, &mut young)] {
            let folder = repository.join(format!("objects/tmp_objdir-incoming-{hours}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("object"), "half").unwrap();
            age(&folder, hours);
            left.push(folder);
            for name in ["tmp_obj_", "pack/tmp_pack_", "pack/.tmp-7-pack-", "pack/pack_git2_"] {
                let path = repository.join(format!("objects/{name}{hours}"));
                fs::write(&path, "half").unwrap();
                age(&path, hours);
                left.push(path);
            }
        }
    }
    house.tidy();
    assert_eq!(old.iter().find(|path| path.exists()), None);
    assert_eq!(young.iter().find(|path| !path.exists()), None);
    is_whole(&view);
}

#[test]
fn a_view_stays_while_a_push_into_it_is_judged() {
    let house = House::of(2);
    let view = house.view("bob");
    let enter = || house.views.enter(&"bob".parse().unwrap(), None, Duration::from_secs(60));
    drop(enter().unwrap());
    // Another store counts, as when a page was hidden.
    let current = house.stores().pop().unwrap().with_file_name("current");
    fs::write(current, "store-other").unwrap();
    fs::write(view.join("of-a-git-at-work"), "").unwrap();
    assert!(matches!(enter(), Err(ViewError::Changed { .. })));
    assert!(view.join("of-a-git-at-work").exists());
    house.view("bob");
    assert!(!view.join("of-a-git-at-work").exists());
    drop(enter().unwrap());
}
