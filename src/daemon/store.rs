//! What is remembered between passes, kept for all targets and saved for the next process.
//!
//! What could cost somebody access or keep it (principals, clocks of removals) is saved as soon as it changes;
//! what only saves calls (listings, learned rates) every ten minutes and at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::aws::Door;
use crate::state::Memory;

const SAVE_EVERY: Duration = Duration::from_secs(600);

/// The memory of the daemon.
#[derive(Debug)]
pub struct Store {
    memory: Memory,
    dir: PathBuf,
    saved: Instant,
    failed: Arc<AtomicBool>,
}

impl Store {
    /// What was saved in a folder.
    pub fn load(dir: PathBuf) -> Store {
        Store { memory: Memory::load(&dir), dir, saved: Instant::now(), failed: Arc::default() }
    }

    /// Where each target is now: what is remembered of another place under its name is forgotten.
    pub fn move_to(&mut self, places: BTreeMap<String, String>) {
        self.memory = std::mem::take(&mut self.memory).of_places(places);
    }

    /// The clock was wrong by so much.
    pub fn shift(&mut self, by: SignedDuration) {
        self.memory.shift(by);
    }

    /// The latest time that is remembered.
    pub fn newest(&self) -> Option<Timestamp> {
        self.memory.newest()
    }

    /// What is remembered of one target and still holds; `usual` is how long it may have gone unseen.
    pub fn look(&mut self, target: &str, usual: Option<Duration>, now: Timestamp) -> Memory {
        if let Some(usual) = usual {
            self.memory.forget_stale(target, usual, now);
        }
        self.of(target)
    }

    /// What is remembered of one target.
    fn of(&self, target: &str) -> Memory {
        self.memory.of_target(target)
    }

    /// Holds true when the last attempt to save failed; read without waiting for one under way.
    pub fn failed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.failed)
    }

    /// Remembers anew, and saves where that matters. Nothing is remembered of a target that is elsewhere by now.
    pub fn update(&mut self, target: &str, place: &str, door: &Door, change: impl FnOnce(&mut Memory)) {
        if self.memory.places.get(target).is_none_or(|now| now != place) {
            return;
        }
        let before = self.of(target);
        change(&mut self.memory);
        let after = self.of(target);
        let matters = before.principals != after.principals || before.clocks != after.clocks;
        if matters || self.failed.load(Ordering::Relaxed) || self.saved.elapsed() >= SAVE_EVERY {
            self.save(door);
        }
    }

    /// Saves everything.
    pub fn save(&mut self, door: &Door) {
        self.saved = Instant::now();
        let learned = door.pacer.learned(Timestamp::now());
        let rates = if learned.is_empty() { Ok(()) } else { learned.save(&self.dir) };
        let saved = self.memory.save(&self.dir).and(rates);
        let had_failed = self.failed.swap(saved.is_err(), Ordering::Relaxed);
        match saved {
            Ok(()) if had_failed => info!("what passes remember is saved again"),
            Err(error) if !had_failed => {
                warn!("{error}; rosterd goes on and tries again, and forgets it at a restart");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
