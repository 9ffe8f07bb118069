//! The walk, through trees as people have them and as an attacker makes them.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

const MIB: u64 = 1 << 20;

fn write(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    for _ in 0..bytes / MIB {
        file.write_all(&[7; MIB as usize]).unwrap();
    }
    file.sync_all().unwrap();
}

fn measure(walk: &mut Walk) -> Measured {
    loop {
        if let Some(done) = walk.work(Instant::now() + Duration::from_millis(5)) {
            return done.unwrap();
        }
    }
}

fn through(places: &[&Path]) -> Walk {
    let folders = places.iter().map(|place| place.to_path_buf()).collect();
    Walk::through(Places { folders, has_layer: true })
}

fn of(places: &[&Path]) -> Measured {
    measure(&mut through(places))
}

/// The same by `du`, which remembers every file.
fn du(place: &Path) -> u64 {
    let said = Command::new("du").args(["-s", "--block-size=1"]).arg(place).output().unwrap();
    String::from_utf8(said.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn it_counts_as_du_does() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    write(&at("a/one"), 3 * MIB);
    write(&at("a/b/c/two"), 2 * MIB);
    // Several names take their bytes once, in whichever folders they are.
    for name in ["a/again", "a/b/again", "again"] {
        fs::hard_link(at("a/one"), at(name)).unwrap();
    }
    // A hole takes none.
    File::create(at("hole")).unwrap().write_all_at(b"end", 1 << 40).unwrap();
    for number in 0..500 {
        fs::write(at(&format!("small-{number}")), "x").unwrap();
    }
    let measured = of(&[home.path()]);
    // Three folders, and files by all of their names.
    assert_eq!((measured.extent, measured.inodes), (Extent::Whole, 3 + 6 + 500));
    assert!(measured.bytes.abs_diff(du(home.path())) <= 4, "{measured:?}, du: {}", du(home.path()));
    assert!(measured.bytes >= 5 * MIB && measured.bytes < 9 * MIB, "{measured:?}");
    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("more"), MIB);
    let both = of(&[home.path(), other.path()]);
    assert!(both.bytes.abs_diff(measured.bytes + du(other.path())) <= 4, "{both:?}");
}

#[test]
fn a_file_with_very_many_names_is_not_lost_in_shares() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("0"), MIB);
    for number in 1..10_000 {
        fs::hard_link(home.path().join("0"), home.path().join(number.to_string())).unwrap();
    }
    let measured = of(&[home.path()]);
    assert!(measured.bytes.abs_diff(du(home.path())) <= 4, "{measured:?}, du: {}", du(home.path()));
}

#[test]
fn no_link_leads_out() {
    let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&outside.path().join("secret"), 5 * MIB);
    for (name, to) in [("folder", outside.path()), ("up", Path::new("..")), ("self", Path::new("self"))] {
        symlink(to, home.path().join(name)).unwrap();
    }
    symlink(outside.path().join("secret"), home.path().join("file")).unwrap();
    assert!(of(&[home.path()]).bytes < MIB);
    // The place itself may be one: it is a mistake, and no way out.
    let error = through(&[&home.path().join("folder")]).work(Instant::now() + Duration::from_secs(9));
    assert!(error.unwrap().is_err());
}

#[test]
fn depth_and_number_are_bounded_and_that_is_told() {
    let home = tempfile::tempdir().unwrap();
    let mut deep = home.path().to_owned();
    for _ in 0..20 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    write(&deep.join("hidden"), 4 * MIB);
    let walk = || through(&[home.path()]);
    assert_eq!(measure(&mut walk()).extent, Extent::Whole);
    let shallow = measure(&mut Walk { deepest: 10, ..walk() });
    assert!(shallow.extent == Extent::Part && shallow.bytes < MIB, "{shallow:?}");
    let few = measure(&mut Walk { most: 5, ..walk() });
    assert!(few.extent == Extent::Part && few.bytes < MIB, "{few:?}");
}

#[test]
fn a_tree_deeper_than_any_path_is_walked_through_to_its_bound() {
    let home = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    let mut within = rustix::fs::open(home.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..DEEPEST + 50 {
        rustix::fs::mkdirat(&within, &name, Mode::RWXU).unwrap();
        within = openat(&within, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let measured = of(&[home.path()]);
    assert_eq!(measured.extent, Extent::Part);
    // Nothing else can remove it.
    assert!(Command::new("rm").arg("-rf").arg(home.path()).status().unwrap().success());
}

#[test]
fn files_that_come_and_go_disturb_nothing() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("stays"), 2 * MIB);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                let folder = home.path().join(format!("{}", number % 7));
                // Now a folder, now a link out of here.
                let _ = fs::create_dir_all(folder.join("a/b"));
                let _ = fs::write(folder.join("a/b/file"), "x");
                let _ = fs::remove_dir_all(&folder);
                let _ = symlink("/usr", &folder);
                let _ = fs::remove_file(&folder);
                number += 1;
            }
        });
        for _ in 0..200 {
            let measured = of(&[home.path()]);
            assert!(measured.bytes >= 2 * MIB && measured.bytes < 3 * MIB, "{measured:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_place_that_is_gone_is_a_part_and_one_that_is_closed_an_error() {
    let home = tempfile::tempdir().unwrap();
    let gone = of(&[&home.path().join("gone"), home.path()]);
    assert_eq!(gone.extent, Extent::Part);
    if rustix::process::geteuid().is_root() {
        return;
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let said = through(&[home.path()]).work(Instant::now() + Duration::from_secs(9));
    let error = said.unwrap().unwrap_err();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}
