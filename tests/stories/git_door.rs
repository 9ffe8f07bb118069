//! The git door: real git, over the real SSH router, to the state repo. What is pushed is judged, planned and applied before
//! the eyes of whoever pushes.

use std::fs::DirEntry;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use berth_testing::organisation::FILES;
use berth_tests::folder::git;
use berth_tests::process::{PATIENCE, within};
use berth_tests::{GitDoor, Person, Platform, Ran, World, eventually, image, run};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

crate::stories! {
    a_push_is_planned_applied_and_told,
    what_fails_is_followed_until_it_is_done,
    what_the_door_refuses_it_explains,
    members_push_what_is_theirs,
    of_two_pushes_both_are_in,
    a_push_while_nobody_reconciles_is_kept,
    a_push_that_breaks_off_is_none,
    a_clone_holds_nobody_else_s_secrets,
    junk_is_refused_cheaply,
    a_proposal_goes_through_the_door,
}

fn door() -> GitDoor {
    GitDoor::alone(&["ann", "bob", "cyn", "eve"], &FILES)
}

/// The events of a reconciler, as they come.
struct Events(Arc<Mutex<Vec<Value>>>);

impl Events {
    fn of(data: &Path) -> Self {
        let mut stream = UnixStream::connect(data.join("control.sock")).expect("the control socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: berth\r\n\r\n").expect("ask for events");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        // The head is there: from now on nothing is missed.
        while reader.read_line(&mut line).expect("an answer") > 2 {
            line.clear();
        }
        // Events come when there are some; whoever waits for one has a deadline of their own.
        reader.get_ref().set_read_timeout(None).expect("no deadline");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let events = Self(Arc::clone(&heard));
        std::thread::spawn(move || {
            let lines = reader.lines().map_while(Result::ok).filter(|line| line.starts_with('{'));
            for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                heard.lock().expect("events").push(event);
            }
        });
        events
    }

    /// The plan of the first pass on a revision, and what became of each of its changes.
    #[track_caller]
    fn pass(&self, revision: &str) -> (Value, Vec<Value>) {
        eventually("the pass has ended", || {
            let events = self.0.lock().expect("events");
            let is_it = |event: &&Value| event["event"] == "planned" && event["revision"] == *revision;
            let first = events.iter().position(|event| is_it(&event))?;
            let rest = &events[first..];
            let end = rest.iter().position(|event| event["event"] == "pass-ended")?;
            let ended = rest[..end].iter().filter(|event| event["event"] == "ended").cloned();
            Some((rest[0].clone(), ended.collect()))
        })
    }
}

/// Lines that the other side wrote about a push.
fn remote(ran: &Ran) -> Vec<String> {
    let lines = ran.stderr.lines().filter_map(|line| line.strip_prefix("remote: "));
    lines.map(|line| line.replace("\u{1b}[K", "").trim_end().to_owned()).collect()
}

/// Asserts that a push was accepted, and that its output has these words.
#[track_caller]
fn accepted(ran: Ran, words: &[&str]) -> Ran {
    words.iter().fold(ran.good(), |ran, words| ran.says(words))
}

/// Asserts that a push was refused, with these words, and that nothing moved.
#[track_caller]
fn refused(door: &GitDoor, person: &Person, ran: Ran, words: &[&str]) {
    let ran = ran.coded(1).says("Refused; nothing was changed.").says("pre-receive hook declined");
    words.iter().fold(ran, |ran, words| ran.says(words));
    let before = door.tip();
    person.again();
    assert_eq!(door.tip(), before);
}

fn a_push_is_planned_applied_and_told(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.write("users/bob.toml", "");
        state.write("servers/bobs.toml", "id = 2\nowner = \"bob\"\n");
    });
    platform.apply();
    let _daemon = platform.daemon();
    let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann", "bob"]);
    let events = Events::of(&platform.data());
    let (ann, bob) = (door.clone_as("ann"), door.clone_as("bob"));

    // The plan that is shown is what is done: compared by what it says, and by the digest of its every step.
    let changes: [(&Person, &str, &str, &str); 3] = [
        (&ann, "servers/blog.toml", "id = 3\nowner = \"ann\"\n", "create"),
        (&bob, "servers/bobs.toml", "id = 2\nowner = \"bob\"\nmemory = \"96 MiB\"\n", "update"),
        (&ann, "servers/shop.toml", "", "entomb"),
    ];
    for (person, path, text, action) in changes {
        person.again();
        person.commit(|state| {
            match text {
                "" => state.remove(path),
                _ => state.write(path, text),
            };
        });
        let pushed = person.push().good();
        let revision = door.tip();
        let (planned, ended) = events.pass(&revision);
        let said = remote(&pushed);
        let digest = planned["digest"].as_str().expect("a digest");
        assert_eq!(said[0], format!("Planned against the engine as it is now (plan {digest})."), "{pushed}");
        let text: Vec<&str> = planned["text"].as_str().expect("a plan").lines().collect();
        assert_eq!(said[1..=text.len()], text, "{pushed}");
        // What was done, and how it went.
        let after = said[1 + text.len()..].join("\n");
        assert!(after.contains(&format!("(plan {digest})")), "{pushed}");
        assert_eq!(ended.len(), 1, "{ended:?}");
        let subject = ended[0]["subject"].as_str().expect("a subject");
        assert_eq!((ended[0]["action"].as_str(), &ended[0]["result"]["ended"]), (Some(action), &"done".into()), "{ended:?}");
        assert!(after.contains(&format!("done    {action} {subject}")), "{pushed}");
        assert!(after.contains("Applied ") && after.contains(": 1 change."), "{pushed}");
    }
    platform.running(3);
    platform.settled();

    // In colour, for whoever asks.
    ann.again();
    ann.commit(|state| {
        state.server("blog", 3, "memory = \"96 MiB\"\n");
    });
    let coloured = ann.git(&["push", "-o", "color", "origin", "HEAD:main"]).good();
    assert!(coloured.stderr.contains("\u{1b}[3") , "{coloured}");

    // What somebody did by hand, and nobody mends by themselves, stands in the plan before as in the plan after: a container of
    // somebody else's has the name that a new server would have.
    platform.docker().run(&["create", "--name", &platform.name(6), image::TINY]);
    ann.again();
    ann.commit(|state| {
        state.server("blocked", 6, "").server("free", 7, "");
    });
    let pushed = ann.push().good();
    let (planned, ended) = events.pass(&door.tip());
    let said = remote(&pushed);
    let text: Vec<&str> = planned["text"].as_str().expect("a plan").lines().collect();
    assert_eq!(said[1..=text.len()], text, "{pushed}");
    assert!(text.iter().any(|line| line.contains("server blocked (id 6)")), "{pushed}");
    assert_eq!(ended.len(), 1, "{ended:?}");
    pushed.says("done    create server free (id 7)").says("is not wholly applied: 1 change done, 0 failed");
    platform.docker().run(&["rm", &platform.name(6)]);
    platform.running(6);

    // Nobody waits who doesn't want to.
    ann.commit(|state| {
        state.server("wiki", 4, "");
    });
    let quick = ann.git(&["push", "-o", "no-wait", "-o", "no-color", "origin", "HEAD:main"]).good();
    let quick = quick.says("Planned against the engine").says("is accepted; `berth status` shows how it is applied");
    assert!(!quick.stderr.contains("done "), "{quick}");
    platform.running(4);
}

fn what_fails_is_followed_until_it_is_done(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let _daemon = platform.daemon();
    let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann"]);
    let events = Events::of(&platform.data());
    let ann = door.clone_as("ann");
    let missing = |id: u32| format!("{}/nowhere:{id}", platform.prefix);
    let tag = |image: &str| platform.docker().run(&["tag", image::TINY, image]);

    // The image comes while whoever pushed still listens.
    let image = missing(2);
    let revision = ann.commit(|state| {
        state.server("late", 2, &format!("image = \"{image}\"\n"));
    });
    let ran = std::thread::scope(|scope| {
        let push = scope.spawn(|| ann.push());
        let (_, ended) = events.pass(&revision);
        assert_eq!(ended[0]["result"]["ended"], "failed", "{ended:?}");
        tag(&image);
        push.join().expect("a push")
    });
    let ran = accepted(ran, &["FAILED  create server late (id 2)", "1 failed, to be tried again in"]);
    let ran = ran.says("Trying again to apply").says("done    create server late (id 2)");
    let last = remote(&ran).pop().expect("a last line");
    assert_eq!(last, format!("Applied {}: 1 change.", &revision[..10]), "{ran}");

    // Whoever hangs up takes nothing back.
    let image = missing(3);
    let revision = ann.commit(|state| {
        state.server("later", 3, &format!("image = \"{image}\"\n"));
    });
    let mut push = ann.command(&["push", "origin", "HEAD:main"]);
    let mut push = push.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().expect("a push");
    let (_, ended) = events.pass(&revision);
    assert_eq!(ended[0]["result"]["ended"], "failed", "{ended:?}");
    let is_over = push.try_wait().expect("a push").is_some();
    // With its ssh.
    let group = Pid::from_child(&push);
    let _ = kill_process_group(group, Signal::KILL);
    push.wait().expect("a push");
    assert!(!is_over, "it waited for what is tried again");
    assert_eq!(door.tip(), revision);
    tag(&image);
    platform.running(3);
    platform.settled();
    for id in [2, 3] {
        platform.docker().run(&["rmi", &missing(id)]);
    }
}

fn what_the_door_refuses_it_explains(_: &World) {
    let door = door();
    let ann = door.clone_as("ann");
    // A mistake, with its place, its line and a hint.
    let ran = ann.push_change(|state| {
        state.server("shop", 3, "memroy = \"1 GiB\"\n");
    });
    refused(&door, &ann, ran, &["servers/shop.toml:3:1", "3 | memroy = ", "help: did you mean `memory`?"]);
    // All of them at once.
    let ran = ann.push_change(|state| {
        state.server("shop", 1, "cpus = 0\n").write("domains/a.hosting.example.org.toml", "server = \"nobody\"\n");
    });
    refused(&door, &ann, ran, &["servers/shop.toml:1:6", "domains/a.hosting.example.org.toml:1:"]);
    // A secret, even in a commit that another takes back.
    ann.commit(|state| {
        state.append("users/ann.toml", "password_hash = \"hunter2\"\n");
    });
    ann.commit(|state| {
        state.write("users/ann.toml", "role = \"admin\"\n");
    });
    let ran = ann.push();
    assert!(!ran.words().contains("hunter2"), "{ran}");
    refused(&door, &ann, ran, &["users/ann.toml:2", "a later commit doesn't hide it"]);
    // History.
    let old = ann.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned();
    accepted(ann.push_change(|state| {
        state.server("shop", 3, "");
    }), &["server shop (id 3)"]);
    ann.git(&["reset", "--quiet", "--hard", &old]).good();
    ann.commit(|state| {
        state.server("other", 4, "");
    });
    let ran = ann.git(&["push", "--force", "origin", "HEAD:main"]);
    refused(&door, &ann, ran, &["history only grows", "git pull --rebase"]);
    let ran = ann.git(&["push", "origin", ":main"]);
    refused(&door, &ann, ran, &["main can't be deleted"]);
    // A private key, in any file of any commit.
    ann.git(&["reset", "--quiet", "--hard", "origin/main"]).good();
    ann.commit(|state| {
        state.write("docs/notes.md", "# Notes\n\n-----BEGIN OPENSSH PRIVATE KEY-----\n");
    });
    ann.commit(|state| {
        state.remove("docs/notes.md");
    });
    let ran = ann.push();
    refused(&door, &ann, ran, &["docs/notes.md:3:", "this is a private key", "help: "]);
    // Who isn't known, isn't let in; what is no command, isn't run.
    door.ask("eve", "git-upload-pack '/state'").coded(1).says("the state knows no such user");
    door.ask("ann", "git-upload-pack '/etc'").coded(1).says("there is no such repository");
    door.ask("ann", "git-upload-archive '/state'").coded(1).says("that is no command of this login");
    door.ask("ann", "id").coded(1).says("unrecognized command 'id'").says("`help` lists the commands");
    assert!(!door.log().contains("panicked"), "{}", door.log());
}

fn members_push_what_is_theirs(_: &World) {
    let door = door();
    let (ann, bob) = (door.clone_as("ann"), door.clone_as("bob"));
    // What there was before, and what cyn has.
    for text in ["id = 9\nowner = \"cyn\"\n", ""] {
        let ran = ann.push_change(|state| {
            match text {
                "" => state.remove("servers/old.toml"),
                _ => state.write("servers/old.toml", text),
            };
            state.write("domains/cyn.hosting.example.org.toml", "server = \"cyns\"\n");
            state.write("users/bob.toml", "email = \"bob@example.org\"\n[quota]\ncustom_domains = true\n");
        });
        accepted(ran, &["old"]);
    }
    bob.again();
    // Their own server, and a new one within their quota.
    let ran = bob.push_change(|state| {
        state.write("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"256 MiB\"\n");
        state.write("servers/shop.toml", "id = 3\nowner = \"bob\"\n");
    });
    accepted(ran, &["server bobs (id 1)", "server shop (id 3)"]);
    // Somebody else's. Each rule by itself is the schema's to test.
    let ran = bob.push_change(|state| {
        state.write("servers/cyns.toml", "id = 2\nowner = \"cyn\"\nmemory = \"64 MiB\"\n");
    });
    refused(&door, &bob, ran, &["servers/cyns.toml", "server `cyns` is `cyn`'s", "help: ask `cyn`, or `ann`"]);
    // And what was accepted is in the state repo, in bob's name.
    assert!(door.log().contains("user=\"bob\""), "{}", door.log());
}

fn of_two_pushes_both_are_in(_: &World) {
    let door = door();
    let people = [door.clone_as("bob"), door.clone_as("cyn")];
    for (person, id) in people.iter().zip([3, 4]) {
        let text = format!("id = {id}\nowner = \"{}\"\n", person.name());
        person.commit(|state| {
            state.write(&format!("servers/new{id}.toml"), &text);
        });
    }
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let pushes: Vec<_> = people.iter().map(|person| scope.spawn(|| person.push())).collect();
        pushes.into_iter().map(|push| push.join().expect("a push")).collect()
    });
    assert!(ran.iter().all(Ran::is_good), "{}\n{}", ran[0], ran[1]);
    // One of them came second, and hears with what their change is combined.
    let combined = ran.iter().filter(|ran| ran.stderr.contains("is combined with 1 commit of others"));
    assert_eq!(combined.count(), 1, "{}\n{}", ran[0], ran[1]);
    for person in &people {
        person.git(&["pull", "--quiet", "--ff-only", "origin", "main"]).good();
        for id in [3, 4] {
            person.clone.read(&format!("servers/new{id}.toml"));
        }
    }
}

fn a_push_while_nobody_reconciles_is_kept(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann"]);
    let ann = door.clone_as("ann");
    let ran = ann.push_change(|state| {
        state.server("blog", 2, "");
    });
    let words = [
        "Planned from state to state; no reconciler runs, so nobody sees the engine.",
        "server blog (id 2)",
        "is accepted, and no reconciler runs: it is applied when one does.",
    ];
    accepted(ran, &words);
    assert!(platform.find(2).is_none());
    let _daemon = platform.daemon();
    platform.running(2);
    platform.settled();
}

fn junk_is_refused_cheaply(_: &World) {
    let door = door();
    let ann = door.clone_as("ann");
    // Of what can't be compressed.
    let mut junk = vec![0; 50 << 20];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for part in junk.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        part.copy_from_slice(&state.to_le_bytes());
    }
    std::fs::write(ann.clone.path().join("junk"), junk).expect("junk");
    let before = (door.tip(), size_of(door.state()));
    ann.commit(|_| {});
    let sessions = received(&door).len();
    let ran = ann.push();
    // It is broken off where it is too much, and not heard to its end first.
    let bytes = eventually("the router tells of the session", || received(&door).get(sessions).copied());
    assert!(bytes > 16 << 20 && bytes < 24 << 20, "{bytes} bytes of 50 MiB came in");
    assert!(!ran.is_good(), "{ran}");
    assert!(ran.stderr.contains("pack exceeds maximum allowed size"), "{ran}");
    assert_eq!(door.tip(), before.0);
    // What was put aside for it is gone again.
    eventually("the repository is as large as before", || (size_of(door.state()) <= before.1 + (64 << 10)).then_some(()));
    // A small pack that unfolds to a lot is a file too large, and not a memory too small.
    ann.again();
    std::fs::write(ann.clone.path().join("zeros"), vec![0; 200 << 20]).expect("zeros");
    ann.commit(|_| {});
    let ran = ann.push();
    refused(&door, &ann, ran, &["bytes, more than the 1048576 that a file may have"]);
    // And the door works as before.
    accepted(ann.push_change(|state| {
        state.server("shop", 3, "");
    }), &["server shop (id 3)"]);
}

/// The bytes that the router received in each of the sessions that have ended.
fn received(door: &GitDoor) -> Vec<u64> {
    let log = door.router_log();
    let ended = log.lines().filter(|line| line.contains("session ended"));
    ended.filter_map(|line| line.split("received=").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

fn a_push_that_breaks_off_is_none(_: &World) {
    let mut door = door();
    let ann = door.clone_as("ann");
    let before = door.tip();
    let revision = ann.commit(|state| {
        state.server("shop", 3, "");
        // Of more than a few packets.
        for page in 0..40_u32 {
            let lines = (0..400).map(|line: u32| format!("{}\n", line.wrapping_mul(page.wrapping_mul(2_654_435_761))));
            state.write(&format!("docs/page-{page}.md"), &lines.collect::<String>());
        }
    });
    // What `git push` would send, so that it can be stopped in the middle.
    let mut packed = tempfile::tempfile().expect("a file");
    let mut pack = ann.command(&["pack-objects", "--quiet", "--revs", "--stdout"]);
    let mut asked = tempfile::tempfile().expect("a file");
    write!(asked, "{revision}\n^{before}\n").expect("revisions");
    asked.rewind().expect("a file");
    pack.stdin(asked).stdout(packed.try_clone().expect("a file"));
    assert!(pack.status().expect("a pack").success());
    let mut pack = Vec::new();
    packed.rewind().expect("a file");
    packed.read_to_end(&mut pack).expect("a pack");
    let command = format!("{before} {revision} refs/heads/main\0report-status");
    let mut push = door.ask_command("ann", "git-receive-pack '/state'");
    let mut push = push.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh");
    let mut input = push.stdin.take().expect("its input");
    write!(input, "{:04x}{command}0000", command.len() + 4).expect("a command");
    input.write_all(&pack[..pack.len() / 2]).expect("half a pack");
    input.flush().expect("half a pack");
    let objects = door.state().join("objects");
    let is_room = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("tmp_objdir-incoming");
    eventually("half a pack has come", || {
        let mut rooms = std::fs::read_dir(&objects).expect("objects").flatten().filter(is_room);
        rooms.any(|room| size_of(&room.path()) > 0).then_some(())
    });
    door.kill_door();
    let ended = within(PATIENCE, "whoever pushed hears of it", || push.try_wait().expect("ssh"));
    assert!(!ended.success());
    drop(input);

    // Nothing of it is there, and nothing is broken.
    assert_eq!(door.tip(), before);
    let mut look = git();
    look.arg("--git-dir").arg(door.state());
    run(look.args(["fsck", "--strict", "--full"]), PATIENCE).good();
    let mut look = git();
    look.arg("--git-dir").arg(door.state());
    assert!(!run(look.args(["cat-file", "-e", &revision]), PATIENCE).is_good(), "half a push is none");
    // The same again is a push like any other.
    door.open_door();
    accepted(ann.push(), &["server shop (id 3)"]);
    assert_eq!(door.tip(), revision);
}

fn a_clone_holds_nobody_else_s_secrets(_: &World) {
    const HASH: &str = "$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.";
    const OTHER: &str = "$2b$12$XA5EMVVWC1rpYp7JpspgMu/k5QOchJu8iwjNe7wkYUHNgkvh1.1TO";
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi";
    const OWN: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD";
    let cyn = format!("email = \"cyn@mail.example.org\"\npassword_hash = \"{HASH}\"\nssh_keys = [\"ssh-ed25519 {KEY}\"]\n");
    let bob = format!("password_hash = \"{OTHER}\"\nssh_keys = [\"ssh-ed25519 {OWN}\"]\n");
    let mut files = FILES;
    files[2].1 = &bob;
    files[3].1 = &cyn;
    let door = GitDoor::alone(&["ann", "bob"], &files);
    // They are in history, too, and not only at the tip.
    let ann = door.clone_as("ann");
    accepted(ann.push_change(|state| {
        state.write("users/cyn.toml", "");
    }), &[]);
    let secrets = [HASH, OTHER, KEY, "cyn@mail.example.org"];
    let person = door.clone_as("bob");
    for (whose, clone, holds) in [("ann", &ann, true), ("bob", &person, false)] {
        let objects = clone.git(&["cat-file", "--batch-all-objects", "--batch"]).good().stdout;
        assert!(objects.contains(OWN) && objects.contains("owner = \"cyn\""), "{whose} reads what is theirs");
        for secret in secrets {
            assert_eq!(objects.contains(secret), holds, "{secret} in the clone of {whose}");
        }
    }
}

/// The bytes of all files below a folder.
fn size_of(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else { continue };
        sum += if found.is_dir() { size_of(&entry.path()) } else { found.len() };
    }
    sum
}

fn a_proposal_goes_through_the_door(_: &World) {
    let door = door();
    let (ann, bob) = (door.clone_as("ann"), door.clone_as("bob"));
    bob.commit(|state| {
        state.write("docs/welcome.md", "# Welcome\n");
    });
    bob.git(&["push", "-o", "no-color", "origin", "HEAD:review/welcome"]).good().says("review/welcome waits");
    door.ask("bob", "review list").good().says("welcome");
    door.ask("bob", "review show welcome").good().says("docs/welcome.md");
    // Nobody agrees to what is their own.
    let tip = door.tip_of("review/welcome");
    door.ask("bob", &format!("review approve welcome {tip}")).coded(1);
    // Only what was looked at.
    door.ask("ann", "review approve welcome").coded(1).says("say which revision of review/welcome you agree to");
    door.ask("ann", "review show welcome").good().says(&format!("review approve welcome {tip}"));
    door.ask("ann", &format!("review approve welcome {tip}")).good().says("is merged");
    ann.again();
    assert_eq!(ann.clone.read("docs/welcome.md"), "# Welcome\n");

    // Another, over which `main` has gone on, elsewhere: both changes are in the merge.
    bob.again();
    bob.commit(|state| {
        state.write("docs/rules.md", "# Rules\n");
    });
    bob.git(&["push", "origin", "HEAD:review/rules"]).good();
    accepted(ann.push_change(|state| {
        state.server("blog", 3, "");
    }), &["server blog (id 3)"]);
    let tip = door.tip();
    let proposed = door.tip_of("review/rules");
    door.ask("ann", &format!("review approve rules {proposed}")).good().says("is merged");
    ann.again();
    assert_eq!(ann.clone.read("docs/rules.md"), "# Rules\n");
    assert!(ann.clone.read("servers/blog.toml").contains("id = 3"));
    let parents = ann.git(&["rev-list", "--parents", "--max-count=1", "HEAD"]).good().stdout;
    let parents: Vec<&str> = parents.split_whitespace().skip(1).collect();
    assert_eq!((parents.len(), parents[0]), (2, tip.as_str()), "{parents:?}");

    // One that has gone stale: `main` says something else by now.
    bob.again();
    bob.commit(|state| {
        state.append("docs/welcome.md", "Come in.\n");
    });
    bob.git(&["push", "origin", "HEAD:review/come-in"]).good();
    accepted(ann.push_change(|state| {
        state.append("docs/welcome.md", "Wipe your feet.\n");
    }), &[]);
    let tip = door.tip();
    let stale = door.tip_of("review/come-in");
    door.ask("ann", &format!("review approve come-in {stale}")).coded(1).says("docs/welcome.md");
    assert_eq!(door.tip(), tip);
    door.ask("ann", "review reject come-in").good().says("is closed");
}
