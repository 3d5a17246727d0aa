//! What lanes learned, kept in `state_dir` for the next process.
//!
//! A knee is worth less the older it is: every week without a throttle moves it half of the way (in
//! logarithms) back to what the lane would have started from; after sixty days it is forgotten. It stays
//! within a factor of fifty of that start, and it does not count when the start itself was changed in the
//! settings. A file that cannot be read is ignored with a warning: losing it costs a few throttles.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lane::Prior;
use crate::state::{self, write_private};

/// The file's name in `state_dir`.
const FILE: &str = "rates.json";
/// The age, in days, at which half of what was learned is left.
const HALF_LIFE_DAYS: f64 = 7.0;
/// The age at which nothing is left.
const FORGOTTEN_DAYS: f64 = 60.0;
/// How far from the start a knee may be.
const FACTOR_MAX: f64 = 50.0;

/// Knees by `scope operation`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    rates: BTreeMap<String, Rate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Rate {
    /// Calls per second at which throttles began.
    knee: f64,
    /// What the lane started from then.
    prior: f64,
    /// When the knee was last known to hold.
    at: Timestamp,
}

impl Learned {
    /// What was saved and still holds.
    pub fn load(state_dir: &Path, now: Timestamp) -> Learned {
        let mut learned: Learned = state::load(&state_dir.join(FILE), "rates are learned anew");
        learned.rates.retain(|_, rate| rate.holds(now));
        learned
    }

    /// Saves, whole or not at all.
    pub fn save(&self, state_dir: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        write_private(&state_dir.join(FILE), &text)
    }

    /// True when nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// Notes a knee.
    pub fn learn(&mut self, scope: &str, operation: &str, knee: f64, prior: f64, at: Timestamp) {
        self.rates.insert(key(scope, operation), Rate { knee, prior, at });
    }

    /// What a lane starts with that would start with `prior` otherwise.
    pub fn prior(&self, scope: &str, operation: &str, prior: Prior, now: Timestamp) -> Prior {
        let (Prior::Named(start) | Prior::Blind(start)) = prior else { return prior };
        match self.rates.get(&key(scope, operation)) {
            Some(rate) if rate.prior == start => Prior::Learned { prior: start, knee: rate.aged(now) },
            _ => prior,
        }
    }
}

impl Rate {
    fn days(self, now: Timestamp) -> f64 {
        // A clock that was set back makes a knee young, not invalid.
        (now.duration_since(self.at).as_secs_f64() / 86_400.0).max(0.0)
    }

    fn holds(self, now: Timestamp) -> bool {
        let is_sane = |n: f64| n.is_finite() && n > 0.0;
        is_sane(self.knee) && is_sane(self.prior) && self.days(now) <= FORGOTTEN_DAYS
    }

    fn aged(self, now: Timestamp) -> f64 {
        let left = (-self.days(now) / HALF_LIFE_DAYS).exp2();
        let factor = (self.knee / self.prior).clamp(1.0 / FACTOR_MAX, FACTOR_MAX);
        self.prior * factor.powf(left)
    }
}

fn key(scope: &str, operation: &str) -> String {
    format!("{scope} {operation}")
}
