//! `rosterd run`: the loop one can trust for years.
//!
//! ```text
//! signals, HTTP ──▶ Order ─┐                      ┌─▶ target loop (one task each): wait → pass → record
//! files (looked at) ───────┴▶ supervisor ─ files ─┤
//! systemd ◀── ready, status, watchdog ──┘  in force└─▶ …
//!                                   board ◀── every part writes, HTTP reads
//! ```
//!
//! * This page: starting, the supervisor, stopping. [`target`] is the loop of a target, [`mod@pass`] one pass.
//! * Pure, with time as an argument: [`schedule`], [`clock`], [`converge`], [`history`], [`heart`], [`watch`].
//! * [`generation`]: the files in force; [`store`]: what is remembered; [`lock`]: one writer a `state_dir`.
//! * [`board`] and [`view`] are what HTTP shows, in the words of [`status`]; [`systemd`] what systemd is told.

pub mod board;
pub mod clock;
pub mod converge;
pub mod generation;
pub mod heart;
pub mod history;
pub mod lock;
pub mod pass;
pub mod schedule;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod systemd;
pub mod target;
pub mod view;
pub mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::warn;

use self::board::Board;
use self::clock::{Clock, Reading};
use self::generation::{Generation, Read, read_still};
use self::heart::Heart;
use self::lock::Lock;
use self::status::{FORMAT_VERSION, PlanView, Status};
use self::store::Store;
use self::watch::Fingerprint;
use crate::aside::aside;
use crate::aws::Door;
use crate::aws::pacer::learned::Learned;
use crate::roster::files::Invalid;
use crate::telemetry::audit::Audit;

pub use supervisor::{Ended, supervise};

/// The wall clock.
pub type Wall = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// What stands in for AWS, where something does.
pub trait StandIn: Send + Sync {
    /// Where it answers.
    fn url(&self) -> String;
    /// New files are in force: it should have what they name.
    fn provide(&self, generation: &Generation);
    /// A pass has ended.
    fn save(&self) -> Result<(), String>;
}

/// How the daemon is started.
pub struct Options {
    /// The settings file.
    pub config: PathBuf,
    /// Every target is passed once, and nothing is served.
    pub once: bool,
    /// What answers instead of AWS, and a folder of its own for what is remembered of it.
    pub stand_in: Option<(Box<dyn StandIn>, PathBuf)>,
    /// What all clients send with.
    pub http: SharedHttpClient,
    /// What time it is.
    pub wall: Wall,
    /// What a busy machine may add to any wait before the loop counts as hung.
    pub slack: Duration,
}

/// What a busy machine may add to any wait.
pub const SLACK: Duration = Duration::from_secs(30);

/// Why the daemon does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The files are not valid.
    #[error(transparent)]
    Files(#[from] Invalid),
    /// The lock, the audit trail or the port is not to be had.
    #[error("{0}")]
    Taken(String),
}

/// What somebody wants of the running daemon.
#[derive(Debug)]
pub enum Order {
    /// Read the files again; the answer is what is wrong with them.
    Reload(Option<oneshot::Sender<Result<(), String>>>),
    /// Begin a pass now, of one target or of all.
    Reconcile {
        /// All where none is named.
        target: Option<String>,
        /// `max_removals` does not hold this once.
        force_removals: bool,
    },
    /// End; the name of the signal.
    Stop(&'static str),
}

/// What all parts of the daemon share.
pub struct Shared {
    /// The settings file.
    pub config: PathBuf,
    /// It runs against a stand-in.
    pub sandbox: bool,
    /// Where that answers.
    pub endpoint: Option<String>,
    /// What all clients send with.
    pub http: SharedHttpClient,
    /// What time it is, right or wrong.
    pub wall: Wall,
    /// What all calls go through.
    pub door: Arc<Door>,
    /// Every write leaves its line here.
    pub audit: Audit,
    /// Whether the loop makes progress.
    pub heart: Heart,
    /// Holds true once rosterd is to end.
    pub stop: tokio::sync::watch::Sender<bool>,
    /// For those who want something of the supervisor.
    pub orders: mpsc::Sender<Order>,
    generation: tokio::sync::watch::Sender<Arc<Generation>>,
    clock: Mutex<Clock>,
    doubted: AtomicBool,
    /// Jumps that are believed.
    jumps: AtomicU32,
    /// One pass of each target, when somebody else says so.
    pub once: bool,
    store: Mutex<Store>,
    save_failed: Arc<AtomicBool>,
    board: Mutex<Board>,
    stand_in: Option<Box<dyn StandIn>>,
    started: Timestamp,
    _lock: Lock,
}

/// A daemon about to run.
pub struct Daemon {
    /// What its parts share.
    pub shared: Arc<Shared>,
    /// What is wanted of it.
    pub orders: mpsc::Receiver<Order>,
    /// The files as they were when read.
    pub read: Fingerprint,
    /// Only one pass of each target.
    pub once: bool,
}

/// Orders that may wait.
const ORDERS_MAX: usize = 16;

/// Reads the files, takes the lock, opens the trail. Nothing has been called yet.
pub fn prepare(options: Options) -> Result<Daemon, StartError> {
    let Options { config, once, stand_in, http, wall, slack } = options;
    let now = wall();
    let Some(Read { generation, fingerprint: read, .. }) = read_still(&config, now, now, None) else {
        return Err(StartError::Taken(
            "the files keep changing while they are read; start again when they are still".into(),
        ));
    };
    let generation = generation?;
    let settings = &generation.settings;
    let (state_dir, audit) = match &stand_in {
        Some((_, dir)) => (dir.clone(), dir.join("audit.jsonl")),
        None => (settings.daemon.state_dir.clone(), settings.daemon.audit.clone()),
    };
    let lock = lock::take(&state_dir).map_err(StartError::Taken)?;
    let audit = Audit::open(&audit).map_err(StartError::Taken)?;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let door = Door::new(settings.daemon.concurrency, stopping, Learned::load(&state_dir, now));
    let mut store = Store::load(state_dir);
    store.move_to(generation.places());
    let remembered = store.newest();
    let board = Board::new(&config, &generation);
    let stand_in = stand_in.map(|(stand_in, _)| stand_in);
    if let Some(stand_in) = &stand_in {
        stand_in.provide(&generation);
    }
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let shared = Shared {
        config,
        sandbox: stand_in.is_some(),
        endpoint: stand_in.as_ref().map(|s| s.url()),
        http,
        door,
        audit,
        heart: Heart::new(slack),
        stop,
        orders,
        generation: tokio::sync::watch::channel(Arc::new(generation)).0,
        clock: Mutex::new(Clock::new(now, Instant::now(), remembered)),
        jumps: AtomicU32::new(0),
        once,
        doubted: AtomicBool::new(false),
        save_failed: store.failed(),
        store: Mutex::new(store),
        board: Mutex::new(board),
        stand_in,
        started: now,
        wall,
        _lock: lock,
    };
    Ok(Daemon { shared: Arc::new(shared), orders: ordered, read, once })
}

impl Shared {
    /// The files in force.
    pub fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generation.borrow())
    }

    fn reading(&self) -> Reading {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = clock.read((self.wall)(), Instant::now());
        if let Some(off) = reading.believed {
            // Nobody reads the clock before what it has timed goes on from where it was.
            aside(|| self.store().shift(off));
            self.jumps.fetch_add(1, Ordering::SeqCst);
            warn!("the clock was off by {off:#} for an hour and is believed now: it is {}", reading.now);
        }
        reading
    }

    /// The time that counts for removals: see [`clock`].
    pub fn now(&self) -> Timestamp {
        let reading = self.reading();
        let was_doubted = self.doubted.swap(reading.doubted.is_some(), Ordering::Relaxed);
        if let Some(off) = reading.doubted.filter(|_| !was_doubted) {
            let meanwhile = match reading.behind {
                true => "nothing is written to AWS".to_string(),
                false => format!("`expires` and `removal_grace` count on from {}", reading.now),
            };
            warn!("the clock is off by {off:#} from where it should be; for an hour {meanwhile}");
        }
        reading.now
    }

    /// How far the clock has been behind what is remembered, since the start.
    pub fn behind(&self) -> Option<SignedDuration> {
        let reading = self.reading();
        reading.doubted.filter(|_| reading.behind).map(SignedDuration::abs)
    }

    /// How many jumps of the clock were believed so far.
    pub fn jumps(&self) -> u32 {
        self.jumps.load(Ordering::SeqCst)
    }

    /// True once no new call is to start.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// What is remembered.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How everything stands.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left to do on a target.
    fn drift_of(&self, target: &str) -> usize {
        self.board().targets().iter().find(|t| t.name == target).map_or(0, |t| t.drift)
    }

    /// A pass has ended.
    fn passed(&self) {
        if let Some(Err(error)) = aside(|| self.stand_in.as_ref().map(|s| s.save())) {
            warn!("the sandbox is not saved: {error}");
        }
    }

    /// Everything there is to say.
    pub fn status(&self) -> Status {
        let generation = self.generation();
        let late = self.heart.late(Instant::now());
        let board = self.board();
        let (targets, configuration) = (board.targets(), board.configuration.clone());
        let (errors, history) = (board.errors(), board.history());
        drop(board);
        let mut not_ready = Vec::new();
        if !configuration.last_reload_ok {
            not_ready
                .push("configuration: the files on disk are invalid; earlier ones are in force".to_string());
        }
        for target in &targets {
            if target.consecutive_failures > 0 {
                let passes = crate::word::count(target.consecutive_failures as usize, "pass");
                let error = target.error.as_deref().unwrap_or("no reason given");
                not_ready.push(format!("{}: failing ({passes} in a row): {error}", target.name));
            } else if !target.was_observed {
                not_ready.push(format!("{}: not observed yet", target.name));
            }
        }
        Status {
            format_version: FORMAT_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            now: (self.wall)(),
            started: self.started,
            live: late.is_none(),
            ready: not_ready.is_empty(),
            not_ready,
            sandbox: self.sandbox,
            show_people: generation.settings.show_people,
            audit_lines_pending: self.audit.pending(),
            state_save_failed: self.save_failed.load(Ordering::Relaxed),
            configuration,
            targets,
            errors,
            history,
        }
    }

    /// The plans of all targets, at most so many changes each.
    pub fn plans(&self, most: usize) -> PlanView {
        let show_people = self.generation().settings.show_people;
        let planned = self.board().planned();
        let targets = planned.iter().map(|(_, planned)| planned.view(show_people, most)).collect();
        PlanView { format_version: FORMAT_VERSION, show_people, targets }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The folder a stand-in's own files are in, beside those of AWS.
pub fn sandbox_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("sandbox")
}
