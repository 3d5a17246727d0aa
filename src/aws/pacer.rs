//! When a call may go out: a steady rate per account, Region, service and operation, slowed by throttles.
//!
//! The core, [`Lane`], is a GCRA without burst and has no clock: time is an argument, counted from an
//! arbitrary start. After a throttle it halves its rate once per second at most, pauses, and climbs back
//! by a tenth of its prior with every second that passes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls per second where neither AWS nor the settings name a rate.
const UNDOCUMENTED: f64 = 10.0;
/// Documented quotas (DataZone, per account and Region), less 3 %.
const DOCUMENTED: &[(&str, f64)] = &[
    ("CreateProjectMembership", 3.0 * 0.97),
    ("DeleteProjectMembership", 3.0 * 0.97),
    ("ListProjectMemberships", 8.0 * 0.97),
];
/// However often it is throttled, an operation keeps this share of its prior.
const FLOOR: f64 = 0.02;

/// The rates a target starts from.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// By operation, `default` for the rest; from the settings.
    pub settings: BTreeMap<String, f64>,
    /// Nothing is paced: the sandbox in the same process.
    pub unlimited: bool,
}

impl Rates {
    fn of(&self, operation: &str) -> f64 {
        if self.unlimited {
            return f64::INFINITY;
        }
        let documented = || DOCUMENTED.iter().find(|(name, _)| *name == operation).map(|(_, rate)| *rate);
        self.settings
            .get(operation)
            .copied()
            .or_else(documented)
            .or_else(|| self.settings.get("default").copied())
            .unwrap_or(UNDOCUMENTED)
    }
}

/// One paced operation.
#[derive(Debug, Clone)]
pub struct Lane {
    prior: f64,
    rate: f64,
    next: Duration,
    cut: Option<Duration>,
    climbed: Duration,
}

impl Lane {
    /// A lane at its prior rate, in calls per second.
    pub fn new(prior: f64) -> Self {
        Lane { prior, rate: prior, next: Duration::ZERO, cut: None, climbed: Duration::ZERO }
    }

    /// Takes the next slot and says how long to wait for it.
    pub fn reserve(&mut self, now: Duration) -> Duration {
        if self.rate.is_infinite() {
            return self.next.saturating_sub(now);
        }
        if self.rate < self.prior {
            let since = now.saturating_sub(self.climbed).as_secs_f64();
            self.rate = (self.rate + self.prior * 0.1 * since).min(self.prior);
        }
        self.climbed = now;
        let slot = self.next.max(now);
        self.next = slot + Duration::from_secs_f64(1.0 / self.rate);
        slot - now
    }

    /// A call was throttled: slow down, and wait as long as the service asks.
    pub fn throttled(&mut self, now: Duration, retry_after: Option<Duration>) {
        if self.rate.is_finite() && self.cut.is_none_or(|at| now.saturating_sub(at) >= Duration::from_secs(1))
        {
            self.rate = (self.rate / 2.0).max(self.prior * FLOOR);
            self.cut = Some(now);
            self.climbed = now;
        }
        let pause = retry_after.unwrap_or(if self.rate.is_finite() {
            Duration::from_secs_f64(1.5 / self.rate)
        } else {
            Duration::ZERO
        });
        self.next = self.next.max(now + pause);
    }
}

/// All lanes of the process.
#[derive(Debug)]
pub struct Pacer {
    start: Instant,
    lanes: Mutex<HashMap<(String, &'static str), Lane>>,
}

impl Default for Pacer {
    fn default() -> Self {
        Pacer { start: Instant::now(), lanes: Mutex::default() }
    }
}

impl Pacer {
    /// Waits for the next slot of an operation.
    pub async fn wait(&self, scope: &str, operation: &'static str, rates: &Rates) {
        let wait = self.with(scope, operation, rates, |lane, now| lane.reserve(now));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Reports a throttle.
    pub fn throttled(
        &self,
        scope: &str,
        operation: &'static str,
        rates: &Rates,
        retry_after: Option<Duration>,
    ) {
        self.with(scope, operation, rates, |lane, now| lane.throttled(now, retry_after));
    }

    fn with<T>(
        &self,
        scope: &str,
        operation: &'static str,
        rates: &Rates,
        act: impl FnOnce(&mut Lane, Duration) -> T,
    ) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane =
            lanes.entry((scope.to_string(), operation)).or_insert_with(|| Lane::new(rates.of(operation)));
        act(lane, self.start.elapsed())
    }
}
