//! What all parts of the daemon share: the way to AWS, the clock, what is remembered, and how everything stands.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use super::board::Board;
use super::clock::{Clock, Reading};
use super::generation::Generation;
use super::heart::Heart;
use super::lock::Lock;
use super::status::{FORMAT_VERSION, PlanView, Status};
use super::store::Store;
use super::{Order, StandIn, Wall};
use crate::aside::aside;
use crate::aws::Door;
use crate::telemetry::audit::Audit;

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
    pub(super) generation: tokio::sync::watch::Sender<Arc<Generation>>,
    pub(super) clock: Mutex<Clock>,
    pub(super) doubted: AtomicBool,
    /// See [`Shared::is_unsure`].
    pub(super) unsure: AtomicBool,
    /// Jumps that are believed.
    pub(super) jumps: AtomicU32,
    /// One pass of each target, when somebody else says so.
    pub once: bool,
    pub(super) store: Mutex<Store>,
    pub(super) save_failed: Arc<AtomicBool>,
    pub(super) board: Mutex<Board>,
    pub(super) stand_in: Option<Box<dyn StandIn>>,
    pub(super) started: Timestamp,
    pub(super) _lock: Lock,
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
            self.jumps.fetch_add(1, Ordering::SeqCst);
            aside(|| self.store().shift(off));
            self.jumps.fetch_add(1, Ordering::SeqCst);
            warn!("the clock was off by {off:#} for an hour and is believed now: it is {}", reading.now);
        }
        reading
    }

    /// The time that counts for removals: see [`super::clock`].
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

    /// True while nobody knows what day it is: the clock started behind what is remembered, and no files have
    /// been in force since for the day it turned out to be. Nothing is written then.
    pub fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::SeqCst)
    }

    /// The files in force are for the day it is, if the clock can tell.
    pub fn is_sure_of(&self, day: Date) {
        if !self.reading().behind && self.generation().day == day {
            self.unsure.store(false, Ordering::SeqCst);
        }
    }

    /// True while the clock has been behind what is remembered, since the start.
    pub fn is_behind(&self) -> bool {
        self.reading().behind
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

    /// A pass has ended.
    pub(super) fn passed(&self) {
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
        let targets = planned.iter().map(|planned| planned.view(show_people, most)).collect();
        PlanView { format_version: FORMAT_VERSION, show_people, targets }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}
