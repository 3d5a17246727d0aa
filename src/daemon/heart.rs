//! Whether the loop makes progress. Each part of the daemon says by when it will be heard from again; when one
//! of them lets that pass, the watchdog is not fed any more and `/livez` says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// By when each part is to be heard from.
#[derive(Debug)]
pub struct Heart {
    /// What a busy machine may add to any wait.
    slack: Duration,
    due: Mutex<BTreeMap<String, Instant>>,
}

impl Heart {
    /// Every part may be late by `slack`.
    pub fn new(slack: Duration) -> Self {
        Heart { slack, due: Mutex::default() }
    }

    /// A part is heard from, and will be again by `due`.
    pub fn beat(&self, part: &str, due: Instant) {
        self.due().insert(part.to_string(), due + self.slack);
    }

    /// A part has ended.
    pub fn rest(&self, part: &str) {
        self.due().remove(part);
    }

    /// A part that should have been heard from.
    pub fn late(&self, now: Instant) -> Option<String> {
        self.due().iter().find(|(_, due)| **due < now).map(|(part, _)| part.clone())
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
