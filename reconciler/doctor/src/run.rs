//! The run: carries out an attempt, asks the witnesses, and judges.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use berth_link::{Inside, Link, Namespace, Plane};

use crate::attempt::{Act, Attempt, Expected, Leaves, Place, Proof, Trial};
use crate::canary::Root;
use crate::error::DoctorError;
use crate::kernel::{Kernel, Table};
use crate::report::Verdict;
use crate::scene::Scene;
use crate::share::{self, Share};
use crate::sighting::Tokens;
use crate::witness::Witness;

/// Time that a packet may be on its way before a witness is asked.
const TRAVEL: Duration = Duration::from_millis(150);
/// Time that something that must work has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that a run needs.
pub(crate) struct Stage<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) tokens: &'a Tokens,
    pub(crate) attacker: &'a Root,
    pub(crate) neighbour: &'a Root,
    pub(crate) witnesses: BTreeMap<Place, Witness>,
}

/// The account of whoever made an attempt.
#[derive(Default)]
struct Told {
    said: String,
    connected: bool,
    answered: bool,
    share: Option<Share>,
}

/// The course of an attempt: the figures before it, and the account of it.
#[derive(Default)]
struct Course {
    told: Told,
    tables: BTreeMap<Place, Table>,
    tracked: BTreeMap<Place, u64>,
    /// Packets that the plane had had from the attacker.
    received: u64,
}

/// The finding of a proof.
enum Evidence {
    /// Nothing.
    Absent,
    /// Something, but no more than may be, and how much.
    Below(String),
    /// It got through, or worked, and the sign of it.
    Found(String),
}

impl Course {
    fn add(&mut self, told: Told) {
        // A line is one act's.
        if !told.said.is_empty() {
            self.told.said.push_str(&told.said);
            self.told.said.push('\n');
        }
        self.told.connected |= told.connected;
        self.told.answered |= told.answered;
        self.told.share = told.share.or(self.told.share.take());
    }
}

impl Stage<'_> {
    /// Makes an attempt and judges it.
    pub(crate) async fn attempt(&self, attempt: &Attempt) -> Result<Verdict, DoctorError> {
        let trial = match &attempt.how {
            Ok(trial) => trial,
            Err(why) => return Ok(Verdict::NotTried((*why).to_owned())),
        };
        self.witnesses.values().for_each(Witness::forget);
        let mut course = self.before(trial)?;
        let verdict = self.try_out(attempt, trial, &mut course).await;
        let Some(script) = &trial.after else { return verdict };
        let mended = self.attacker.shell(script).await;
        let verdict = verdict?;
        // What it found holds, also when the attacker can't be mended for the next attempt.
        if !matches!(verdict, Verdict::Through(_)) {
            mended?;
        }
        Ok(verdict)
    }

    /// Makes the attempt and judges it before the attacker's system is mended.
    async fn try_out(
        &self,
        attempt: &Attempt,
        trial: &Trial,
        course: &mut Course,
    ) -> Result<Verdict, DoctorError> {
        if let Some(script) = &trial.before {
            self.attacker.shell(script).await?;
        }
        self.acts(&trial.acts, attempt.number, course).await?;
        self.judge(attempt, trial, course).await
    }

    /// Notes the figures that are compared afterwards.
    fn before(&self, trial: &Trial) -> Result<Course, DoctorError> {
        let mut course = Course::default();
        for proof in &trial.proofs {
            match proof {
                Proof::Neighbours { place, .. } | Proof::NeighboursChanged(place) => {
                    course.tables.insert(*place, self.kernel(*place)?.neighbours()?);
                }
                Proof::Tracked { place, .. } => {
                    course.tracked.insert(*place, self.kernel(*place)?.tracked()?);
                }
                _ => {}
            }
        }
        if let Leaves::Packets(_) = trial.leaves {
            course.received = self.received()?;
        }
        Ok(course)
    }

    fn kernel(&self, place: Place) -> Result<Kernel<'_>, DoctorError> {
        let witness = self.witnesses.get(&place).ok_or(DoctorError::NoWitness { place })?;
        Ok(Kernel(witness.namespace()))
    }

    /// Counts the packets that the plane has had from the attacker.
    fn received(&self) -> Result<u64, DoctorError> {
        self.kernel(Place::Plane)?.received(&self.scene.attacker.link.port)
    }

    /// Carries out acts. Connections and datagrams that stand side by side are tried at once: most of them end in silence.
    async fn acts(&self, acts: &[Act], number: u16, course: &mut Course) -> Result<(), DoctorError> {
        let waits = |act: &Act| matches!(act, Act::Tcp { .. } | Act::Udp { .. });
        for together in acts.chunk_by(|one, next| waits(one) && waits(next)) {
            for act in join_all(together.iter().map(|act| self.act(act, number))).await {
                course.add(act?);
            }
        }
        Ok(())
    }

    async fn act(&self, act: &Act, number: u16) -> Result<Told, DoctorError> {
        let mut told = Told::default();
        let token = self.tokens.of(number);
        told.said = match act {
            Act::Tcp { to, port, from } => {
                let (port, from) = (port.to_string(), from.map(|from| from.to_string()));
                let arguments: Vec<&str> =
                    ["tcp", to, &port, &token].into_iter().chain(from.as_deref()).collect();
                self.attacker.send(&arguments, &[]).await?
            }
            Act::Udp { to, port } => self.attacker.send(&["udp", to, &port.to_string(), &token], &[]).await?,
            Act::Frames(frames) => self.attacker.send(&["frames", "eth0"], &packed(frames)).await?,
            Act::Ask { server, name, count } => {
                self.attacker.send(&["ask", &server.to_string(), name, &count.to_string()], &[]).await?
            }
            Act::Shell(script) => self.attacker.shell(script).await?,
            Act::From { place, to } => {
                if let Some(witness) = self.witnesses.get(place) {
                    let answer = blocking(|| witness.asks(SocketAddr::from(*to), &token));
                    told.connected = answer.is_ok();
                    told.answered = answer.is_ok_and(|answered| answered);
                }
                String::new()
            }
            Act::Take(kind) => {
                told.share = Some(share::take(*kind, self.attacker, self.neighbour).await?);
                String::new()
            }
            Act::Unlink | Act::Link => {
                self.link(matches!(act, Act::Link))?;
                String::new()
            }
        };
        told.connected |= told.said.lines().any(|line| line == "connected");
        told.answered |= told.said.lines().any(|line| line.starts_with("answered"));
        Ok(told)
    }

    /// Takes the attacker's link away, or makes it.
    fn link(&self, there: bool) -> Result<(), DoctorError> {
        let member = &self.scene.attacker;
        let plane = Plane::registered(&self.scene.prefix)?.ok_or(DoctorError::NoPlane)?;
        if !there {
            return Ok(plane.disconnect(&member.link.port)?);
        }
        let link = Link {
            port: member.link.port.clone(),
            address: member.link.address,
            gateway: member.link.gateway,
            inside: Inside::Only,
        };
        Ok(plane.connect(&link, &Namespace::of_process(self.attacker.0.pid)?)?)
    }

    async fn judge(&self, attempt: &Attempt, trial: &Trial, course: &Course) -> Result<Verdict, DoctorError> {
        if let Some(share) = &course.told.share {
            return Ok(share.verdict(attempt.expected));
        }
        tokio::time::sleep(TRAVEL).await;
        if attempt.expected == Expected::Works {
            return self.worked(attempt.number, trial, course).await;
        }
        let (mut through, mut measured) = (Vec::new(), Vec::new());
        blocking(|| {
            for proof in &trial.proofs {
                match self.evidence(proof, attempt.number, course)? {
                    Evidence::Found(words) => through.push(words),
                    Evidence::Below(words) => measured.push(words),
                    Evidence::Absent => {}
                }
            }
            Ok::<_, DoctorError>(())
        })?;
        if !through.is_empty() {
            return Ok(Verdict::Through(through.join("; ")));
        }
        match trial.leaves {
            Leaves::Seen if !self.left(attempt.number, trial) => {
                let said = course.told.said.lines().next().unwrap_or("nothing").to_owned();
                return Ok(Verdict::CouldNot(format!("it did not leave the attacker, who said: {said}")));
            }
            Leaves::Packets(least) => {
                let sent = self.received()?.saturating_sub(course.received);
                if sent <= least {
                    let why =
                        format!("only {sent} packets left the attacker, and its limit is tried by {least}");
                    return Ok(Verdict::CouldNot(why));
                }
                measured.insert(0, format!("of {sent} packets"));
            }
            Leaves::Seen | Leaves::MayStay => {}
        }
        Ok(match attempt.expected {
            Expected::Limited => Verdict::Limited(measured.join(", ")),
            _ => Verdict::Refused,
        })
    }

    async fn worked(&self, number: u16, trial: &Trial, course: &Course) -> Result<Verdict, DoctorError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut missing = None;
            for proof in &trial.proofs {
                if !matches!(self.evidence(proof, number, course)?, Evidence::Found(_)) {
                    missing = Some(proof);
                    break;
                }
            }
            match missing {
                None => return Ok(Verdict::Works),
                Some(proof) if Instant::now() > until => {
                    return Ok(Verdict::Broken(told_missing(proof, course)));
                }
                Some(_) => tokio::time::sleep(TRAVEL).await,
            }
        }
    }

    /// Returns whether the plane saw something of the attempt come from the attacker.
    fn left(&self, number: u16, trial: &Trial) -> bool {
        let Some(plane) = self.witnesses.get(&Place::Plane) else { return false };
        let sent = |act: &Act| match act {
            Act::Tcp { to, port, .. } => to.parse().is_ok_and(|to| plane.saw_opening((to, *port))),
            _ => false,
        };
        plane.saw(number) || trial.acts.iter().any(sent)
    }

    /// Looks for a proof.
    fn evidence(&self, proof: &Proof, number: u16, course: &Course) -> Result<Evidence, DoctorError> {
        let at = |place: &Place| self.witnesses.get(place).ok_or(DoctorError::NoWitness { place: *place });
        let found =
            |is_it: bool, words: String| if is_it { Evidence::Found(words) } else { Evidence::Absent };
        let measured = |is_more: bool, words: String| {
            if is_more { Evidence::Found(words) } else { Evidence::Below(words) }
        };
        Ok(match proof {
            Proof::Seen(place) => found(at(place)?.saw(number), format!("its packet arrived at {place}")),
            Proof::Opened(place, to) => found(
                at(place)?.saw_opening(*to),
                format!("its connection to {}:{} arrived at {place}", to.0, to.1),
            ),
            Proof::OpenedAs(place, from) => found(
                at(place)?.saw_opening_from(*from),
                format!("its connection in the name of {from} arrived at {place}"),
            ),
            Proof::Heard(place) => found(at(place)?.heard(number), format!("a listener at {place} was told")),
            Proof::Connected => found(course.told.connected, "it had a connection".to_owned()),
            Proof::Answered => found(course.told.answered, "it had an answer".to_owned()),
            Proof::Says(words) => {
                found(course.told.said.contains(words.as_str()), format!("it learned `{}`", words.trim()))
            }
            Proof::AnswersAbove(most) => {
                let answers: u32 = course
                    .told
                    .said
                    .lines()
                    .filter_map(|line| line.strip_prefix("answers ")?.parse::<u32>().ok())
                    .sum();
                measured(answers > *most, format!("{answers} answered"))
            }
            Proof::Neighbours { place, more_than } => {
                let before = course.tables.get(place).map_or(0, Table::len);
                let more = self.kernel(*place)?.neighbours()?.len().saturating_sub(before);
                measured(more > *more_than, format!("{more} new neighbours at {place}"))
            }
            Proof::NeighboursChanged(place) => {
                let now = self.kernel(*place)?.neighbours()?;
                let is_known = |mac: &str| mac != "00:00:00:00:00:00";
                let changed = course.tables.get(place).into_iter().flatten().find(|(address, mac)| {
                    now.get(*address).is_some_and(|now| now != *mac && is_known(now) && is_known(mac))
                });
                changed.map_or(Evidence::Absent, |(address, _)| {
                    Evidence::Found(format!("{place} believes that {address} is elsewhere"))
                })
            }
            Proof::Tracked { place, more_than } => {
                let before = course.tracked.get(place).copied().unwrap_or_default();
                let more = self.kernel(*place)?.tracked()?.saturating_sub(before);
                measured(more > *more_than, format!("{more} more connections tracked at {place}"))
            }
            Proof::NotServed { place, to } => {
                self.not_served(*place, *to, number).map_or(Evidence::Absent, Evidence::Found)
            }
        })
    }

    /// Has a service connect to the neighbour, which must get it, and nobody else. Twice when it fails, since a machine
    /// may be too busy once.
    fn not_served(&self, place: Place, to: (Ipv4Addr, u16), number: u16) -> Option<String> {
        // A number that no attempt has.
        let stolen = number | 0x8000;
        let (client, server) = (self.witnesses.get(&place)?, self.witnesses.get(&Place::Neighbour)?);
        let mut missing = String::new();
        for _ in 0..2 {
            let answered = client.asks(SocketAddr::from(to), &self.tokens.of(stolen));
            if self.witnesses.get(&Place::Attacker).is_some_and(|attacker| attacker.saw(stolen)) {
                return Some(format!("it got what {place} sent to the neighbour"));
            }
            missing = match answered {
                Ok(true) if server.heard(stolen) => return None,
                Ok(_) => "somebody else answered".to_owned(),
                Err(error) => error.to_string(),
            };
        }
        Some(format!("{place} doesn't reach the neighbour any more ({missing})"))
    }
}

/// Runs what waits without holding up the other tasks of this thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Frames as the attacker's program reads them.
fn packed(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = u32::try_from(frames.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    for frame in frames {
        bytes.extend(u16::try_from(frame.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

fn told_missing(proof: &Proof, course: &Course) -> String {
    let said = course.told.said.trim().replace('\n', ", ");
    let what = match proof {
        Proof::Heard(place) | Proof::Seen(place) => format!("nothing arrived at {place}"),
        Proof::Connected => "there was no connection".to_owned(),
        Proof::Answered => "there was no answer".to_owned(),
        Proof::Says(words) => format!("`{words}` was not the answer"),
        _ => "it did not work".to_owned(),
    };
    if said.is_empty() { what } else { format!("{what} ({said})") }
}
