//! Whether the loop makes progress. Each part of the daemon says by when it will be heard from again; when one
//! of them lets that pass, the watchdog is not fed any more and `/livez` says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a busy machine may add to any wait.
pub const SLACK: Duration = Duration::from_secs(30);

/// By when each part is to be heard from.
#[derive(Debug, Default)]
pub struct Heart {
    due: Mutex<BTreeMap<String, Instant>>,
}

impl Heart {
    /// A part is heard from, and will be again by `due`.
    pub fn beat(&self, part: &str, due: Instant) {
        self.due().insert(part.to_string(), due + SLACK);
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
