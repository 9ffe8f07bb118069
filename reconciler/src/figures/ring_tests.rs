//! Rings, in memory and in files, through restarts, jumps of the clock and half-written files.

use std::fs;
use std::os::unix::fs::FileExt as _;

use berth_schema::name::ServerId;

use super::*;

/// Beginning of an hour.
const BEGIN: i64 = 1_800_000_000;

fn server(number: u32) -> Whose {
    Whose::Server(ServerId(number.try_into().unwrap()))
}

fn sample(processes: u32) -> Sample {
    Sample { cpu_millis: 250, memory: 3 << 20, processes, network: None, io: None, disk: None }
}

/// Time so many seconds after the beginning of an hour.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap()
}

/// Adds samples with these processes, and writes what there is to write.
fn push(rings: &mut Rings, second: i64, samples: &[(u32, u32)]) {
    let samples = samples.iter().map(|(number, processes)| (server(*number), sample(*processes)));
    for minute in rings.push(at(second), samples.collect()) {
        minute.write().unwrap();
    }
}

fn processes(samples: Vec<Option<Sample>>) -> Vec<Option<u32>> {
    samples.into_iter().map(|sample| sample.map(|sample| sample.processes)).collect()
}

fn hour(rings: &Rings, number: u32) -> Vec<Option<u32>> {
    processes(rings.hour(server(number)))
}

/// The past in the file up to a time, from the first sample that there is.
fn past(rings: &Rings, number: u32, span: Span, second: i64) -> Vec<Option<u32>> {
    let read = Past::of(rings.path(server(number)).unwrap()).read(span, at(second));
    assert!(read.is_empty() || read.len() == span.samples() as usize);
    processes(trimmed(read))
}

fn in_folder(folder: &std::path::Path) -> Rings {
    Rings { folder: Some(folder.to_owned()), ..Rings::default() }
}

/// Leaves the minute in hand, as at the process's end.
fn leave(rings: &Rings) {
    rings.minutes(None).into_iter().for_each(|minute| minute.write().unwrap());
}

#[test]
fn a_ring_keeps_the_newest_and_ends_with_the_others() {
    let mut rings = Rings::default();
    assert_eq!((rings.at(), hour(&rings, 1)), (None, vec![]));
    push(&mut rings, 0, &[(1, 5)]);
    push(&mut rings, 5, &[(1, 6), (2, 7)]);
    assert_eq!((hour(&rings, 1), hour(&rings, 2)), (vec![Some(5), Some(6)], vec![Some(7)]));
    // One was stopped, and then a sample was missed.
    push(&mut rings, 10, &[(2, 8)]);
    push(&mut rings, 20, &[(1, 9), (2, 9)]);
    assert_eq!(hour(&rings, 1), [Some(5), Some(6), None, None, Some(9)]);
    assert_eq!(hour(&rings, 2), [Some(7), Some(8), None, Some(9)]);
    assert_eq!((rings.newest(server(1)), rings.newest(server(3))), (Some(sample(9)), None));
    // An hour later the oldest has gone, and the other has nothing left.
    push(&mut rings, 3605, &[(2, 1)]);
    assert_eq!(hour(&rings, 2).len(), 720);
    assert_eq!(hour(&rings, 2)[..3], [Some(8), None, Some(9)]);
    for minute in 61..=122 {
        push(&mut rings, minute * 60, &[(2, 1)]);
    }
    assert_eq!((hour(&rings, 1), rings.of.len()), (vec![], 1), "what has no samples takes no room");
}

#[test]
fn memory_and_files_have_the_size_that_is_promised() {
    let home = tempfile::tempdir().unwrap();
    for (servers, memory, files) in [(200, 5_184_000, 23_238_400), (1000, 25_920_000, 116_192_000)] {
        let mut rings = in_folder(home.path());
        let all: Vec<(u32, u32)> = (1..=servers).map(|number| (number, number)).collect();
        // Hours apart, so that every span is written; all of them start and stop meanwhile.
        for hour in 0..4 {
            push(&mut rings, hour * 3600, &all);
            push(&mut rings, hour * 3600 + 5, &[]);
        }
        let bytes: usize = rings.of.values().map(|ring| size_of_val(&*ring.slots)).sum();
        assert_eq!(bytes, memory, "{servers} servers in memory");
        let lengths = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(lengths.sum::<u64>(), files, "{servers} servers in files");
    }
}

#[test]
fn minutes_and_hours_are_means_and_survive_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let mut rings = in_folder(home.path());
    // Two hours and a bit: in the first 10 processes, in the second 20.
    for second in (0..7200 + 65).step_by(5) {
        push(&mut rings, second, &[(1, if second < 3600 { 10 } else { 20 })]);
    }
    assert_eq!(past(&rings, 1, Span::Month, 7260), [Some(10), Some(20), None]);
    let day = past(&rings, 1, Span::Day, 7260);
    assert_eq!((day.len(), day[59], day[60], day[120], day[121]), (122, Some(10), Some(20), Some(20), None));
    leave(&rings);
    let before = hour(&rings, 1);
    // A restart loses only the hour's oldest minute, whose place in the file the newest has taken; a crash, what wasn't written of its minute.
    let mut rings = Rings::load(home.path().to_owned(), [server(1)].into(), at(7265));
    push(&mut rings, 7265, &[(1, 30)]);
    let now = hour(&rings, 1);
    assert_eq!((now.len(), now[708], now[709]), (710, Some(20), Some(30)));
    assert_eq!(now[..709], before[11..]);
}

#[test]
fn an_hour_whose_end_nobody_saw_is_finished_later() {
    let home = tempfile::tempdir().unwrap();
    let mut rings = in_folder(home.path());
    for second in (0..1800).step_by(5) {
        push(&mut rings, second, &[(1, 8)]);
    }
    leave(&rings);
    let rings = Rings::load(home.path().to_owned(), [server(1)].into(), at(4 * 3600));
    assert_eq!(past(&rings, 1, Span::Month, 4 * 3600), [Some(8), None, None, None, None]);
}

#[test]
fn a_clock_that_jumps_costs_what_it_writes_over_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let mut rings = in_folder(home.path());
    for second in (0..600).step_by(5) {
        push(&mut rings, second, &[(1, 1)]);
    }
    // A day and a bit forward for a moment, and back.
    push(&mut rings, 90_000, &[(1, 2)]);
    assert_eq!(hour(&rings, 1), [Some(2)], "the hour before is nothing that is known");
    push(&mut rings, 600, &[(1, 3)]);
    let now = hour(&rings, 1);
    // 90,000 seconds are 25 hours: it has the place of the first sample.
    assert_eq!((now.len(), now[0], now[119]), (120, Some(1), Some(3)));
    assert!(!now.contains(&Some(2)), "what is to come isn't shown");
    // Ten minutes back: those minutes are told anew.
    push(&mut rings, 300, &[(1, 4)]);
    let now = hour(&rings, 1);
    assert_eq!((now.len(), now[59]), (60, Some(4)));
    push(&mut rings, 360, &[(1, 5)]);
    leave(&rings);
    let day = past(&rings, 1, Span::Day, 599);
    assert_eq!(day.len(), 10);
    assert_eq!(day.iter().flatten().count(), 10, "{day:?}");
}

#[test]
fn half_written_and_strange_files_do_no_harm() {
    let home = tempfile::tempdir().unwrap();
    let mut rings = in_folder(home.path());
    for second in (0..120).step_by(5) {
        push(&mut rings, second, &[(1, 1)]);
    }
    leave(&rings);
    let path = rings.path(server(1)).unwrap();
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().skip(32).position(|byte| *byte != 0).unwrap() + 32;
    // A byte in the middle of the first sample.
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&[0xff], (first + 9) as u64).unwrap();
    let mut again = Rings::load(home.path().to_owned(), [server(1)].into(), at(120));
    push(&mut again, 120, &[(1, 2)]);
    assert_eq!(hour(&again, 1).iter().flatten().count(), 24, "one sample is lost");
    // Cut off, empty, and somebody else's: nothing is known, and the file is made anew.
    for content in [&whole[..whole.len() / 2], b"", b"something else"] {
        fs::write(&path, content).unwrap();
        let mut again = Rings::load(home.path().to_owned(), [server(1)].into(), at(120));
        assert_eq!(hour(&again, 1), vec![]);
        push(&mut again, 120, &[(1, 2)]);
        push(&mut again, 180, &[(1, 2)]);
        assert_eq!(past(&again, 1, Span::Day, 180), [Some(2), None]);
        assert_eq!(fs::metadata(&path).unwrap().len(), whole.len() as u64);
    }
}

#[test]
fn one_that_is_gone_is_forgotten_and_one_that_comes_back_is_new() {
    let home = tempfile::tempdir().unwrap();
    let mut rings = in_folder(home.path());
    push(&mut rings, 0, &[(1, 1), (2, 1)]);
    push(&mut rings, 60, &[(1, 1), (2, 1)]);
    let path = |number: u32| home.path().join(format!("{number}.ring"));
    assert!(path(1).exists() && path(2).exists());
    rings.retain([server(2)].into());
    assert_eq!((hour(&rings, 1), hour(&rings, 2).len()), (vec![], 13));
    assert!(!path(1).exists() && path(2).exists());
    // Its number may be another's by then.
    rings.retain([server(1), server(2)].into());
    push(&mut rings, 120, &[(1, 7), (2, 1)]);
    assert_eq!(hour(&rings, 1), [Some(7)]);
    // One that went while nobody looked.
    leave(&rings);
    Rings::load(home.path().to_owned(), [server(1)].into(), at(180));
    assert!(path(1).exists() && !path(2).exists());
}
