//! `rosterd run`: the loop one can trust for years.
//!
//! ```text
//! signals, HTTP ──▶ Order ─┐                      ┌─▶ target loop (one task each): wait → pass → record
//! files (looked at) ───────┴▶ supervisor ─ files ─┤
//! systemd ◀── ready, status, watchdog ──┘  in force└─▶ …
//!                                   board ◀── every part writes, HTTP reads
//! ```
//!
//! * This page: starting. [`supervisor`] runs and ends it, [`reloading`] is its part in reloads; [`target`] is the
//!   loop of a target, [`mod@pass`] one pass; [`shared`] is what they share.
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
pub mod reloading;
pub mod schedule;
pub mod shared;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod systemd;
pub mod target;
pub mod view;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::board::Board;
use self::clock::Clock;
use self::generation::{Generation, Read, read_still};
use self::heart::Heart;
use self::store::Store;
use self::watch::Fingerprint;
use crate::aws::Door;
use crate::aws::pacer::learned::Learned;
use crate::roster::files::Invalid;
use crate::telemetry::audit::Audit;

pub use shared::Shared;
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

/// A daemon about to run.
pub struct Daemon {
    /// What its parts share.
    pub shared: Arc<Shared>,
    /// What is wanted of it.
    pub orders: mpsc::Receiver<Order>,
    /// The files as they were when read.
    pub read: Fingerprint,
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
    let mut clock = Clock::new(now, Instant::now(), store.newest());
    let unsure = clock.read(now, Instant::now()).behind;
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
        clock: Mutex::new(clock),
        unsure: AtomicBool::new(unsure),
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
    Ok(Daemon { shared: Arc::new(shared), orders: ordered, read })
}

/// The folder a stand-in's own files are in, beside those of AWS.
pub fn sandbox_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("sandbox")
}
