//! The lobby, spoken to as the SSH router speaks to the door: no engine, so that every plan is from state to state.

use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use serde_json::Value;

use super::{Bench, Command, Said};

impl Bench {
    /// What the lobby says to a line.
    fn lobby(&self, user: &str, line: &str) -> Said {
        self.ask(user, Command::Lobby(line.parse().unwrap())).rest()
    }

    /// The same in JSON: the name of the answer, and the answer. Everything that the lobby says that way is as its schema says.
    #[track_caller]
    fn json(&self, user: &str, line: &str) -> (i32, String, Value) {
        let said = self.lobby(user, &format!("{line} --json"));
        assert_eq!(said.error, "", "{line}");
        let text = String::from_utf8(said.output).unwrap();
        assert!(text.ends_with("}\n"), "{text}");
        let whole: Value = serde_json::from_str(&text).unwrap();
        let schema = jsonschema::validator_for(&berth_door::lobby::schema()).unwrap();
        let mistakes: Vec<String> = schema.iter_errors(&whole).map(|mistake| mistake.to_string()).collect();
        assert_eq!(mistakes, [""; 0], "{text}");
        let (name, answer) = whole.as_object().unwrap().iter().next().unwrap();
        (said.code.unwrap(), name.clone(), answer.clone())
    }

    /// A line that does what it says.
    #[track_caller]
    pub(super) fn good(&self, user: &str, line: &str) -> String {
        let said = self.lobby(user, line);
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        String::from_utf8(said.output).unwrap()
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        let output = Process::new("git").arg("-C").arg(self.repo()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(super) fn tip(&self) -> String {
        self.git(&["rev-parse", "main"])
    }

    /// Commits a file to main by the repository's own files.
    fn write(&self, path: &str, text: &str) {
        self.write_saying(path, text, "by hand");
    }

    fn write_saying(&self, path: &str, text: &str, message: &str) {
        let (length, size) = (message.len(), text.len());
        let stream = format!(
            "commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata {length}\n{message}\n\
             from refs/heads/main^0\nM 100644 inline {path}\ndata {size}\n{text}\n"
        );
        let mut import = Process::new("git");
        import.arg("-C").arg(self.repo()).args(["fast-import", "--quiet", "--force"]).stdin(Stdio::piped());
        let mut import = import.spawn().unwrap();
        import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(import.wait().unwrap().success());
    }

    pub(super) fn file(&self, path: &str) -> String {
        self.git(&["show", &format!("main:{path}")])
    }
}

#[test]
fn whoever_comes_is_greeted_with_what_is_theirs() {
    let bench = Bench::new(&[]);
    let said = bench.good("bob", "");
    assert!(said.contains("Hello bob.") && said.contains("`new <name>` makes one"), "{said}");
    bench.good("bob", "new shop");
    let said = bench.good("bob", "");
    assert!(said.contains("shop") && said.contains("ssh -p 10022 shop@hosting.example.org"), "{said}");
    assert!(said.contains("after `ssh -p 10022 git@hosting.example.org`"), "{said}");
    assert!(said.contains("unknown, to be running"), "no reconciler runs: {said}");
    assert!(!said.contains('\u{1b}') && said.ends_with('\n'), "{said:?}");
    // What is somebody else's is in no list, but for an admin who asks.
    assert!(!bench.good("ann", "ls").contains("shop"));
    assert!(bench.good("ann", "ls --all").contains("shop"));
    let said = bench.lobby("bob", "ls --all");
    assert!(said.code == Some(1) && said.error.contains("only admins"), "{said:?}");
    let log = bench.log();
    assert!(log.contains("word=\"lobby ls --all\"") && log.contains("192.0.2.7"), "{log}");
    bench.end();
}

#[test]
fn a_change_is_a_commit_in_their_name_and_can_be_taken_back() {
    let bench = Bench::new(&[]);
    let said = bench.good("bob", "new shop --memory '1 GiB' --cpus 0.5");
    assert!(said.contains("server shop (id 1) is created") && said.contains("servers/shop: new"), "{said}");
    assert_eq!(bench.file("servers/shop.toml"), "id = 1\nowner = \"bob\"\ncpus = 0.5\nmemory = \"1 GiB\"");
    let log = bench.git(&["log", "-1", "--format=%an <%ae>%n%B", "main"]);
    assert!(log.starts_with("bob <bob@") && log.ends_with("servers/shop: new\n\nBerth-Door: ssh"), "{log}");

    for (line, field) in [
        ("stop shop", "state = \"stopped\""),
        ("start shop", "state = \"running\""),
        ("reset shop --yes", "reset = 1"),
        ("reset shop --yes", "reset = 2"),
        ("set shop memory=2GiB members=ann,bob", "members = [\"ann\", \"bob\"]"),
        ("set shop members=ann cpus=", "members = [\"ann\"]"),
    ] {
        bench.good("bob", line);
        assert!(
            bench.file("servers/shop.toml").contains(field),
            "{line}: {}",
            bench.file("servers/shop.toml")
        );
    }
    assert!(!bench.file("servers/shop.toml").contains("cpus"), "a field without a value gets its default");
    assert!(bench.good("bob", "start shop").contains("says so already"));

    bench.good("bob", "domain add shop.hosting.example.org --server shop --port 8080");
    bench.good("bob", "domain set shop.hosting.example.org port=9090 access=users");
    assert!(bench.good("bob", "domain ls").contains("9090"));
    let log = bench.good("bob", "log shop.hosting.example.org");
    assert_eq!(log.lines().count(), 3, "{log}");
    let row = log.lines().nth(1).unwrap();
    assert!(row.contains("domains/shop.hosting.example.org: port, access") && row.contains("ssh"), "{log}");
    let revision = row.split_whitespace().next().unwrap();
    let said = bench.good("bob", &format!("undo {revision}"));
    assert!(said.contains("Revert \"domains/shop.hosting.example.org"), "{said}");
    assert_eq!(bench.file("domains/shop.hosting.example.org.toml"), "server = \"shop\"\nport = 8080");
    assert!(bench.git(&["log", "-1", "--format=%B", "main"]).ends_with("Berth-Door: ssh"));

    // A server goes when its name is on no domain and that is said twice.
    let said = bench.lobby("bob", "rm shop --yes");
    assert!(said.error.contains("remove that domain first"), "{said:?}");
    bench.good("bob", "domain rm shop.hosting.example.org");
    let before = bench.tip();
    let said = bench.lobby("bob", "rm shop");
    assert!(said.code == Some(1) && said.error.contains("`rm shop --yes`"), "{said:?}");
    assert!(said.error.contains("server shop (id 1) is stopped and kept as a tombstone"), "{said:?}");
    assert_eq!(bench.tip(), before);
    bench.good("bob", "rm shop --yes");
    assert!(!bench.git(&["ls-tree", "-r", "--name-only", "main"]).contains("shop"));
    // What was theirs is still in their log.
    assert!(bench.good("bob", "log").contains("servers/shop: removed"));
    bench.end();
}

#[test]
fn a_plan_changes_nothing_and_tells_by_its_code_whether_there_is_anything() {
    let bench = Bench::new(&[]);
    bench.good("bob", "new shop");
    let before = bench.tip();
    let said = bench.lobby("bob", "plan stop shop");
    let text = String::from_utf8_lossy(&said.output);
    assert_eq!(said.code, Some(2));
    assert!(
        text.contains("+state = \"stopped\"") && text.contains("server shop (id 1) is stopped"),
        "{text}"
    );
    assert!(text.ends_with("Nothing was changed.\n"), "{text}");
    assert_eq!(bench.lobby("bob", "plan start shop").code, Some(0));
    assert_eq!(bench.lobby("bob", "plan set shop memory=64GiB").code, Some(1));
    let (code, name, plan) = bench.json("bob", "plan new blog");
    assert_eq!(
        (code, name.as_str(), &plan["standing"], &plan["id"]),
        (2, "plan", &"allowed".into(), &2.into())
    );
    let said = bench.lobby("bob", "plan rm shop --yes");
    assert!(said.error.contains("nothing to confirm"), "{said:?}");
    assert_eq!(bench.tip(), before);
    bench.end();
}

#[test]
fn whatever_needs_consent_is_proposed_and_says_who_can_agree() {
    // A resolver that isn't there proves nothing.
    let resolver = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let bench = Bench::new(&["--resolver", &resolver]);
    bench.write("users/bob.toml", "[quota]\ncustom_domains = true\n");
    bench.good("bob", "new shop");
    let before = bench.tip();
    let line = "domain add shop.other.example --server shop";
    let said = bench.lobby("bob", line);
    assert!(
        said.code == Some(1) && said.error.contains("somebody else has to agree to this: `ann`"),
        "{said:?}"
    );
    assert!(said.error.contains("nobody has proved yet") && said.error.contains("TXT"), "{said:?}");
    assert!(said.error.contains(&format!("`{line} --propose`")), "{said:?}");
    assert_eq!(bench.lobby("bob", &format!("plan {line}")).code, Some(2));
    let said = bench.good("bob", &format!("{line} --propose"));
    assert!(said.contains("Proposed as review/domain-shop-other-example"), "{said}");
    assert!(said.contains("ann may agree to it"), "{said}");
    let (_, name, made) = bench.json("bob", "set shop memory=2GiB --propose");
    assert_eq!(
        (name.as_str(), &made["result"], &made["topic"]),
        ("change", &"proposed".into(), &"server-shop".into())
    );
    // What nobody could agree to isn't proposed either.
    let said = bench.lobby("bob", "set shop memory=64GiB --propose");
    assert!(said.code == Some(1) && said.error.contains("may have 8 GiB of memory"), "{said:?}");
    assert_eq!(bench.tip(), before);
    let listed = String::from_utf8(bench.ask("ann", Command::ReviewList).rest().output).unwrap();
    assert!(listed.contains("domain-shop-other-example") && listed.contains("server-shop"), "{listed}");
    let message = bench.git(&["log", "-1", "--format=%an %B", "refs/heads/review/server-shop"]);
    assert!(message.starts_with("bob ") && message.ends_with("Berth-Door: ssh"), "{message}");
    bench.end();
}

#[test]
fn a_refusal_says_the_next_step_in_text_and_in_json() {
    let bench = Bench::new(&[]);
    bench.good("ann", "new anns");
    bench.good("bob", "new shop");
    let before = bench.tip();
    for (line, message, hint) in [
        ("strat shop", "unrecognized command 'strat'", "'start'"),
        ("sh -c id", "unrecognized command 'sh'", "`help`"),
        ("scp -t /", "this login has no files", "<server>@<host>"),
        ("start", "required arguments were not provided", "<SERVER>"),
        (r"start sh\op", r"`sh\op`", ""),
        ("start shop #now", "unexpected argument '#now'", ""),
        ("start 'shop", "a quote in this command has no end", "the other quote"),
        ("set shop memroy=1GiB", "`memroy` is not a field", "did you mean `memory`?"),
        ("set shop id=7", "`id` of a server never changes", "the fields are"),
        ("set shop memory", "`memory` is not `field=value`", "as in `memory=1GiB`"),
        ("set shop cpus=1 cpus=2", "`cpus` is set twice", "once"),
        ("set shop memory=much", "", "GiB"),
        ("set shop memory=64GiB", "may have 8 GiB of memory", "ask an admin to raise"),
        ("new shop", "is there already", "another name"),
        ("new 'a b'", "a b", ""),
        ("start nothing", "you have no server `nothing`", "`ls`"),
        // As if it weren't there.
        ("start anns", "you have no server `anns`", "`ls`"),
        ("rm anns --yes", "you have no server `anns`", "`ls`"),
        ("restart anns", "you have no server `anns`", "`ls`"),
        ("restart shop", "no reconciler runs", "`berth up`"),
        ("domain rm x.hosting.example.org", "you have no domain", "`domain ls`"),
        ("domain add x.hosting.example.org --server anns", "anns", ""),
        ("log anns", "no change of `anns`", "`ls`"),
        ("undo 0123456789", "no change `0123456789`", "`log`"),
        ("undo HEAD", "is not a commit's id", "`log`"),
    ] {
        let said = bench.lobby("bob", line);
        assert_eq!((said.code, said.output.len()), (Some(1), 0), "{line}: {said:?}");
        assert!(said.error.contains("error: ") && said.error.contains("  hint: "), "{line}: {}", said.error);
        let (code, name, error) = bench.json("bob", line);
        assert_eq!((code, name.as_str()), (1, "error"), "{line}");
        let (told, next) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
        assert!(told.contains(message) && next.contains(hint) && !next.is_empty(), "{line}: {told} | {next}");
    }
    assert_eq!(bench.tip(), before);
    // Whom the door doesn't know, it doesn't let in.
    let said = bench.lobby("eve", "ls");
    assert!(said.error.starts_with("berth: the state knows no such user"), "{said:?}");
    bench.end();
}

#[test]
fn every_answer_is_as_its_schema_says() {
    let bench = Bench::new(&[]);
    for (line, name) in [
        ("", "list"),
        ("new shop --no-wait", "change"),
        ("domain add shop.hosting.example.org --server shop", "change"),
        ("domain ls", "domains"),
        ("ls", "list"),
        ("log -n 5", "log"),
        ("plan stop shop", "plan"),
        ("start shop", "change"),
        ("help", "help"),
        ("help domain add", "help"),
        ("rm shop", "error"),
        ("frobnicate", "error"),
    ] {
        let (_, said, answer) = bench.json("bob", line);
        assert_eq!(said, name, "{line}: {answer}");
    }
    let (_, _, list) = bench.json("bob", "ls");
    assert_eq!((&list["user"], &list["servers"][0]["actual"]), (&"bob".into(), &"unknown".into()));
    let (_, _, made) = bench.json("bob", "stop shop");
    assert_eq!((&made["result"], &made["applied"]["state"]), (&"made".into(), &"unknown".into()));
    assert_eq!(made["revision"].as_str().unwrap(), bench.tip());
    // A document that says more, or less, is none of them.
    let schema = jsonschema::validator_for(&berth_door::lobby::schema()).unwrap();
    for wrong in [r#"{"error":{"message":"x"}}"#, r#"{"list":[]}"#, r#"{"help":{"text":"x","more":1}}"#, "{}"]
    {
        assert!(!schema.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
    bench.end();
}

#[test]
fn whoever_is_only_a_member_sees_a_server_and_leaves_it_to_its_owner() {
    let bench = Bench::new(&[]);
    bench.write("users/cyn.toml", "");
    bench.good("bob", "new shop --members cyn");
    let before = bench.tip();
    assert!(bench.good("cyn", "ls").contains("shop"));
    assert!(bench.good("cyn", "log shop").contains("servers/shop: new"));
    for (line, message, hint) in [
        ("stop shop", "`cyn` may log in to it, and may not change it", "ask `bob`"),
        ("restart shop", "only `bob` and admins may restart `shop`", "ask `bob`"),
        (&format!("undo {before}"), "changes what isn't yours, too", "ask an admin"),
    ] {
        let (code, name, error) = bench.json("cyn", line);
        let (told, next) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
        assert_eq!((code, name.as_str()), (1, "error"));
        assert!(told.contains(message) && next.contains(hint), "{line}: {told} | {next}");
    }
    assert_eq!(bench.tip(), before);
    bench.end();
}

#[test]
fn what_others_typed_harms_nobody_who_reads_it() {
    let bench = Bench::new(&[]);
    bench.good("bob", "new shop");
    let text = "id = 1\nowner = \"bob\"\nmemory = \"1 GiB\" # \u{202e}\n";
    bench.write_saying("servers/shop.toml", text, "shop: \u{1b}[31mred\u{202e}\n\nBerth-Door: \u{1b}[2J");
    for line in
        ["", "ls", "log", "log shop", "plan set shop memory=2GiB", "log --json", "plan stop shop --json"]
    {
        let said = bench.lobby("bob", line);
        let text = format!("{}{}", String::from_utf8(said.output).unwrap(), said.error);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{line}: {text:?}");
    }
    // The same lines are there, with what would steer a terminal written out.
    assert!(bench.good("bob", "log").contains("red"));
    let plan = String::from_utf8(bench.lobby("bob", "plan set shop memory=2GiB").output).unwrap();
    let line = plan
        .lines()
        .find(|line| line.starts_with("-memory = \"1 GiB\" #"))
        .unwrap_or_else(|| panic!("{plan}"));
    assert!(line.len() > "-memory = \"1 GiB\" # ".len(), "{plan}");
    bench.end();
}

#[test]
fn where_a_forge_hosts_the_state_a_change_says_where_to_make_it() {
    let bench = Bench::new(&[]);
    bench.good("bob", "new shop");
    let made = bench.tip();
    let remote = "[remote]\nurl = \"https://forge.example.org/org/state.git\"\n";
    bench.write("platform.toml", &format!("domain = \"hosting.example.org\"\n\n{remote}"));
    let before = bench.tip();
    for line in ["new blog", "stop shop", "rm shop --yes", "set shop memory=2GiB --propose"] {
        let (code, _, error) = bench.json("bob", line);
        assert_eq!(code, 1, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains("follows https://forge.example.org/org/state.git"),
            "{error}"
        );
        assert!(error["hint"].as_str().unwrap().contains("git push https://forge.example.org"), "{error}");
    }
    let said = bench.lobby("bob", &format!("undo {made}"));
    assert!(said.code == Some(1) && said.error.contains("follows https://forge.example.org"), "{said:?}");
    assert_eq!(bench.tip(), before);
    assert!(bench.good("bob", "ls").contains("shop"), "reading goes on");
    bench.end();
}

#[test]
fn the_schema_in_the_docs_is_that_of_the_answers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lobby.schema.json");
    let schema = format!("{:#}\n", berth_door::lobby::schema());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), schema, "UPDATE=1 writes {}", path.display());
}

#[test]
fn a_lockout_needs_its_words() {
    let bench = Bench::new(&[]);
    // An admin's role and way in, which she gave herself by a commit.
    let admin = "role = \"admin\"\nssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi a\"]\n";
    bench.write("users/ann.toml", admin);
    let tip = bench.tip();
    let said = bench.lobby("ann", &format!("undo {tip}"));
    assert!(said.code == Some(1) && said.error.contains("--allow-lockout`"), "{said:?}");
    assert_eq!(bench.tip(), tip);
    bench.good("ann", &format!("undo {tip} --allow-lockout"));
    let message = bench.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains("Berth-Allow-Lockout: ann\nBerth-Door: ssh"), "{message}");
    // Nothing is left of it to take back; and nobody takes back the beginning.
    assert!(bench.good("ann", &format!("undo {tip}")).contains("says so already"));
    let first = bench.git(&["rev-list", "--max-parents=0", "main"]);
    let said = bench.lobby("ann", &format!("undo {first}"));
    assert!(said.code == Some(1) && said.error.contains("is the first commit of all"), "{said:?}");
    bench.end();
}
