//! Somebody who is signed in: reads pages and the API again and again, and changes a server by both.

use std::collections::BTreeSet;
use std::thread;

use anyhow::{Context as _, ensure};
use berth_tests::Panel;
use berth_tests::namespace::Namespace;
use berth_tests::panel::PASSWORD;

use super::line::{Answer, Body, Encoding, Line, Request};
use super::process::Spent;
use crate::times::Times;

/// Somebody who is signed in.
pub(super) struct Reader {
    namespace: Namespace,
    host: String,
    /// Header that says who it is.
    pub(super) credential: String,
}

/// Times of changes by a form, each with the processor time of all of them.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) plans: (Times, Spent),
    pub(super) commits: (Times, Spent),
    /// From the answer to a commit until it is applied.
    pub(super) applied: (Times, Spent),
}

impl Reader {
    pub(super) fn signed_in(panel: &Panel, name: &str) -> anyhow::Result<Self> {
        let host = panel.at("").trim_start_matches("https://").to_owned();
        let mut reader = Self::of_port(panel.namespace(), &host);
        let password = PASSWORD.replace(' ', "+");
        let form = format!("user={name}&password={password}");
        let answer = reader.line()?.ask(&reader.post("/login", &form))?;
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.with_context(|| format!("{name} isn't let in: {}", answer.head))?;
        reader.credential = format!("cookie: {}", cookie.split(';').next().unwrap_or_default());
        Ok(reader)
    }

    /// Somebody with a token for the API.
    pub(super) fn with_token(panel: &Panel, name: &str) -> anyhow::Result<Self> {
        let host = panel.at("").trim_start_matches("https://").to_owned();
        let mut reader = Self::of_port(panel.namespace(), &host);
        let body = format!("{{\"username\":\"{name}\",\"password\":\"{PASSWORD}\"}}");
        let answer = reader.line()?.ask(&reader.send("POST", "/api/login", Body::Json(&body)))?;
        let token = answer.text()?.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.with_context(|| format!("{name} gets no token: {}", answer.head))?;
        reader.credential = format!("authorization: Bearer {token}");
        Ok(reader)
    }

    /// Somebody without a session, at another port of the same loopback.
    pub(super) fn of_port(namespace: &Namespace, host: &str) -> Self {
        Self { namespace: namespace.clone(), host: host.to_owned(), credential: String::new() }
    }

    fn line(&self) -> anyhow::Result<Line> {
        Line::to(&self.namespace, &self.host)
    }

    fn get<'a>(&'a self, path: &'a str) -> Request<'a> {
        Request { encoding: Encoding::Gzip, ..self.send("GET", path, Body::None) }
    }

    fn post<'a>(&'a self, path: &'a str, form: &'a str) -> Request<'a> {
        self.send("POST", path, Body::Form(form))
    }

    fn send<'a>(&'a self, method: &'a str, path: &'a str, body: Body<'a>) -> Request<'a> {
        Request { method, path, credential: &self.credential, body, encoding: Encoding::Plain }
    }

    /// Reads a page once, as the first one to do so.
    pub(super) fn once(&self, path: &str) -> anyhow::Result<Times> {
        let (mut line, mut times) = (self.line()?, Times::default());
        let answer = times.measure(|| line.ask(&self.get(path)))?;
        ensure!(answer.head.starts_with("HTTP/1.1 200"), "{path}: {}", answer.head);
        Ok(times)
    }

    /// Reads a page as often as is asked over each of so many connections at once.
    pub(super) fn read(&self, path: &str, connections: usize, rounds: usize) -> anyhow::Result<Times> {
        let lines: Vec<Line> = (0..connections).map(|_| self.line()).collect::<Result<_, _>>()?;
        thread::scope(|scope| {
            let readers: Vec<_> = lines
                .into_iter()
                .map(|mut line| {
                    scope.spawn(move || -> anyhow::Result<Times> {
                        let mut times = Times::default();
                        // The handshake is no page's.
                        line.ask(&self.get(path))?;
                        for _ in 0..rounds {
                            let answer = times.measure(|| line.ask(&self.get(path)))?;
                            ensure!(answer.head.starts_with("HTTP/1.1 200"), "{path}: {}", answer.head);
                        }
                        Ok(times)
                    })
                })
                .collect();
            let mut all = Times::default();
            for reader in readers {
                all.add(reader.join().ok().context("a reader broke")??);
            }
            Ok(all)
        })
    }

    /// Plans changes of a server by its form, and commits each of them. `settle` waits until what is committed is applied: a plan that
    /// was made before that may be another one at the commit. `spent` looks at the processes' time.
    pub(super) fn change(
        &self,
        path: &str,
        rounds: usize,
        settle: &dyn Fn() -> anyhow::Result<()>,
        spent: &dyn Fn() -> anyhow::Result<Spent>,
    ) -> anyhow::Result<Changes> {
        let mut line = self.line()?;
        let mut changes = Changes::default();
        let mut was = "0.5";
        let mut before = spent()?;
        let mut since = |all: &mut Spent| -> anyhow::Result<()> {
            let now = spent()?;
            all.add(now.since(before));
            before = now;
            Ok(())
        };
        for _ in 0..rounds {
            let now = if was == "0.5" { "0.25" } else { "0.5" };
            let form = format!("was.cpus=%7B%22text%22%3A%22{was}%22%7D&cpus={now}");
            let asked = format!("{form}&step=plan");
            let plan = changes.plans.0.measure(|| line.ask(&self.post(path, &asked)))?;
            since(&mut changes.plans.1)?;
            let text = plan.text()?;
            let digest =
                text.split("name=\"digest\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
            let digest = digest.with_context(|| format!("no plan in {}{text}", plan.head))?;
            let asked = format!("{form}&step=commit&digest={digest}");
            let commit = changes.commits.0.measure(|| line.ask(&self.post(path, &asked)))?;
            since(&mut changes.commits.1)?;
            let is_done = commit.head.contains("location: /changes/");
            ensure!(is_done, "no commit: {}{}", commit.head, commit.text()?);
            changes.applied.0.measure(settle)?;
            since(&mut changes.applied.1)?;
            was = now;
        }
        Ok(changes)
    }

    /// Changes a server by the API, and waits each time until the change is applied. Returns the times of the changes, with the
    /// processor time of all of them.
    pub(super) fn write(
        &self,
        path: &str,
        rounds: usize,
        settle: &dyn Fn() -> anyhow::Result<()>,
        spent: &dyn Fn() -> anyhow::Result<Spent>,
    ) -> anyhow::Result<(Times, Spent)> {
        let mut line = self.line()?;
        let (mut times, mut all) = (Times::default(), Spent::default());
        for round in 0..rounds {
            let cpus = if round % 2 == 0 { "0.25" } else { "0.5" };
            let body = format!("{{\"cpus\":{cpus}}}");
            let before = spent()?;
            let written = times.measure(|| line.ask(&self.send("PATCH", path, Body::Json(&body))))?;
            all.add(spent()?.since(before));
            let is_done =
                written.head.starts_with("HTTP/1.1 200") && written.text()?.contains("\"committed\"");
            ensure!(is_done, "no commit: {}{}", written.head, written.text()?);
            settle()?;
        }
        Ok((times, all))
    }

    /// A page as it is sent without compression.
    pub(super) fn page(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self.line()?.ask(&Request { encoding: Encoding::Plain, ..self.get(path) })?.body)
    }

    /// Compressed bytes of a page, and of the page with all that it names to be loaded.
    pub(super) fn weight(&self, path: &str) -> anyhow::Result<(usize, usize)> {
        let mut line = self.line()?;
        let mut weigh = |path: &str| -> anyhow::Result<usize> {
            let Answer { head, body } = line.ask(&self.get(path))?;
            ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            Ok(body.len())
        };
        let text = String::from_utf8(self.page(path)?)?;
        let named = text.split('"').filter(|word| word.starts_with("/assets/")).collect::<BTreeSet<_>>();
        let alone = weigh(path)?;
        let more = named.into_iter().map(&mut weigh).sum::<anyhow::Result<usize>>()?;
        Ok((alone, alone + more))
    }
}
