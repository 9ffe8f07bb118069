//! Shells: what people run in servers through the SSH router, for as long as somebody looks or may come back.
//!
//! A shell belongs to the token that opened it: nobody else finds it, and whoever signs in again doesn't either. It outlives the
//! page for two minutes, with the end of its output, so that a reload or a dropped connection loses nothing. The router ends it
//! when the session ends; this process decides nothing of that.

mod screen;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_schema::name::ServerId;
use berth_schema::ticket::{Act, Size};
use berth_tasks::Tasks;
use berth_wire::router::{Ears, Mouth, Router, Said};
use berth_wire::web::{Door, Ticket, Token};
use bytes::Bytes;
use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc;

use crate::problem::Problem;
use screen::Screen;
pub(crate) use screen::{Sight, View};

/// Time that a shell waits for somebody to come back, and that its last words are kept.
pub(crate) const STAY: Duration = Duration::from_secs(120);
/// Time that the output of a clean-up is kept.
const KEPT: Duration = Duration::from_secs(600);
/// Time between two looks at what is over.
const SWEEP: Duration = Duration::from_secs(5);
/// Orders that wait for the server.
const ORDERS: usize = 32;
/// Characters of a shell's number, which is 128 random bits.
const NUMBER: usize = 16;
/// Size of a terminal that nobody has said yet, and of what isn't one.
pub(crate) const SIZE: Size = Size { columns: 80, rows: 24 };

/// The shells of a panel. A clone is the same shells.
#[derive(Debug, Clone)]
pub struct Shells {
    router: Option<Router>,
    tasks: Tasks,
    all: Arc<Mutex<HashMap<String, Arc<Shell>>>>,
}

/// Something that runs in a server.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) number: String,
    token: Token,
    server: ServerId,
    act: Act,
    pub(crate) screen: Mutex<Screen>,
    orders: mpsc::Sender<Order>,
}

/// Order of a person's to the server.
#[derive(Debug)]
pub(crate) enum Order {
    Input(Bytes),
    Resize(Size),
}

impl Shells {
    /// Shells through the router that listens in this folder; without one, nothing runs.
    pub fn new(router: Option<Router>, tasks: Tasks) -> Self {
        let shells = Self { router, tasks, all: Arc::default() };
        let all = Arc::clone(&shells.all);
        shells.tasks.keep("the sweep of shells", async move {
            let mut sweeps = tokio::time::interval(SWEEP);
            loop {
                sweeps.tick().await;
                let now = Instant::now();
                all.lock().retain(|_, shell| !shell.is_over(now));
            }
        });
        shells
    }

    /// Begins something in a server, in somebody's name, and returns both halves of it. The error is a page: the door's "no",
    /// or a router that isn't there.
    pub(crate) async fn open(
        &self,
        door: &Door,
        token: &Token,
        asked: &Ticket,
        size: Size,
    ) -> Result<(Ears, Mouth), Problem> {
        let Some(router) = &self.router else { return Err(Problem::no_router()) };
        let ticket = door.ask(Some(token), asked).await?;
        router.open(ticket, size.bounded()).await.map_err(|error| {
            tracing::warn!(%error, "the SSH router can't be reached");
            Problem::no_router()
        })
    }

    /// Begins something that outlives its page.
    pub(crate) async fn begin(
        &self,
        door: &Door,
        token: &Token,
        asked: &Ticket,
        size: Size,
    ) -> Result<Arc<Shell>, Problem> {
        let (ears, mouth) = self.open(door, token, asked, size).await?;
        let mut number = [0; NUMBER];
        SystemRandom::new().fill(&mut number).map_err(|_| Problem::internal())?;
        let (orders, ordered) = mpsc::channel(ORDERS);
        let shell = Arc::new(Shell {
            number: URL_SAFE_NO_PAD.encode(number),
            token: token.clone(),
            server: asked.server,
            act: asked.act,
            screen: Mutex::default(),
            orders,
        });
        self.all.lock().insert(shell.number.clone(), Arc::clone(&shell));
        let (carried, stop) = (Arc::clone(&shell), self.tasks.stop().clone());
        self.tasks.serve("a shell", async move {
            let words = tokio::select! {
                words = carried.carry(ears, mouth, ordered) => words,
                () = carried.nobody_comes_back() => "It was closed, since nobody came back to it.".to_owned(),
                () = stop.cancelled() => "The panel is started anew. Reconnect in a moment.".to_owned(),
            };
            let view = carried.screen.lock().end(words);
            if let Some((view, end)) = view {
                // Whoever looks no more doesn't hear it.
                let _ = tokio::time::timeout(SWEEP, view.send(View::End(end))).await;
            }
        });
        Ok(shell)
    }

    /// Finds a person's shell by its number.
    pub(crate) fn find(&self, token: &Token, server: ServerId, number: &str) -> Option<Arc<Shell>> {
        let shell = self.all.lock().get(number).cloned()?;
        (shell.token == *token && shell.server == server).then_some(shell)
    }

    /// Finds a person's newest clean-up of a server.
    pub(crate) fn clean_up(&self, token: &Token, server: ServerId) -> Option<Arc<Shell>> {
        let all = self.all.lock();
        let mine = all
            .values()
            .filter(|shell| shell.act == Act::CleanUp && shell.server == server && shell.token == *token);
        mine.max_by_key(|shell| shell.screen.lock().begun()).cloned()
    }
}

impl Shell {
    /// Gives an order, once the server has taken those before it.
    pub(crate) async fn order(&self, order: Order) {
        // One that has ended takes none.
        let _ = self.orders.send(order).await;
    }

    /// Carries both directions until the act ends, and returns a sentence why.
    async fn carry(&self, ears: Ears, mouth: Mouth, orders: mpsc::Receiver<Order>) -> String {
        tokio::select! {
            words = self.hear(ears) => words,
            // Its end is the hearing's to tell.
            () = obey(mouth, orders) => std::future::pending().await,
        }
    }

    async fn hear(&self, mut ears: Ears) -> String {
        loop {
            let bytes = match ears.next().await {
                Ok(Said::Output(bytes) | Said::Error(bytes)) => bytes,
                Ok(Said::Exit(code)) => {
                    self.screen.lock().exit(code);
                    return match (self.act, code) {
                        (Act::Terminal, 0) => "The shell has ended.".to_owned(),
                        (Act::Terminal, code) => format!("The shell has ended with exit code {code}."),
                        (_, 0) => "Done.".to_owned(),
                        (_, code) => format!("It ended with exit code {code}."),
                    };
                }
                Ok(Said::Words(words)) => {
                    return format!("It was closed: {}.", berth_schema::text::safe_line(&words, 300));
                }
                Err(_) => return "The SSH router broke off. It may have been started anew.".to_owned(),
            };
            let view = self.screen.lock().write(&bytes);
            if let Some(view) = view {
                // Waits for whoever looks; one who looks no more lets go.
                let _ = view.send(View::Output(bytes)).await;
            }
        }
    }

    /// Waits until nobody has looked for too long. A clean-up needs nobody.
    async fn nobody_comes_back(&self) {
        if self.act == Act::CleanUp {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(SWEEP).await;
            if self.screen.lock().is_alone_since(Instant::now(), STAY) {
                return;
            }
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let kept = if self.act == Act::CleanUp { KEPT } else { STAY };
        self.screen.lock().is_over(now, kept)
    }
}

/// Carries orders to the server for as long as it takes them.
async fn obey(mut mouth: Mouth, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        let told = match order {
            Order::Input(bytes) => mouth.input(&bytes).await,
            Order::Resize(size) => mouth.resize(size.bounded()).await,
        };
        if told.is_err() {
            break;
        }
    }
    // Dropped, it would end what may still have something to say.
    std::future::pending::<()>().await;
}
