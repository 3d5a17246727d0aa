//! What is counted as it happens, and what a scrape shows beside it.
//!
//! [`families`] lists every metric; here stand the counters and histograms that events go into; [`scrape`]
//! turns the daemon's status into gauges and all of it into the text format.

pub mod families;
pub mod scrape;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::proto::Metric;
use prometheus::{HistogramVec, IntCounterVec, Registry};

use crate::daemon::status::PassOutcome;
use crate::plan::Kind;
use crate::reconcile::Status;
use crate::service::ServiceKind;
use crate::word::Word as _;
use crate::words;

words! {
    /// How an attempt ended.
    Outcome {
        /// It was answered as asked.
        Ok = "ok",
        /// Too fast.
        Throttled = "throttled",
        /// The service or the way to it failed.
        Failed = "failed",
        /// The service said no.
        Refused = "refused",
    }
}

/// Attempts and how many of them were throttled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All.
    pub all: u64,
    /// Of those, throttled.
    pub throttled: u64,
}

/// What is counted as it happens.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: IntCounterVec,
    pass_duration: HistogramVec,
    changes: IntCounterVec,
    attempts: IntCounterVec,
    attempt_duration: HistogramVec,
    retries: IntCounterVec,
    pacer_wait: HistogramVec,
    all: AtomicU64,
    throttled: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        Metrics {
            passes: families::PASSES.counter(&registry),
            pass_duration: families::PASS_DURATION.histogram(&registry),
            changes: families::CHANGES.counter(&registry),
            attempts: families::ATTEMPTS.counter(&registry),
            attempt_duration: families::ATTEMPT_DURATION.histogram(&registry),
            retries: families::RETRIES.counter(&registry),
            pacer_wait: families::PACER_WAIT.histogram(&registry),
            registry,
            all: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Begins the counters of a target at zero: the first failure is an increase, too.
    pub fn expect(&self, target: &str) {
        for outcome in PassOutcome::ALL {
            self.passes.with_label_values(&[target, outcome.word()]);
        }
        for kind in Kind::ALL {
            for status in [Status::Done, Status::Failed] {
                self.changes.with_label_values(&[target, kind.word(), status.word()]);
            }
        }
    }

    /// Counts an attempt.
    pub fn attempt(&self, service: ServiceKind, operation: &str, outcome: Outcome, took: Duration) {
        for other in Outcome::ALL {
            self.attempts.with_label_values(&[service.word(), operation, other.word()]);
        }
        self.attempts.with_label_values(&[service.word(), operation, outcome.word()]).inc();
        self.attempt_duration.with_label_values(&[service.word(), operation]).observe(took.as_secs_f64());
        self.all.fetch_add(1, Ordering::Relaxed);
        self.throttled.fetch_add(u64::from(outcome == Outcome::Throttled), Ordering::Relaxed);
    }

    /// Counts a retry.
    pub fn retry(&self, service: ServiceKind, operation: &str) {
        self.retries.with_label_values(&[service.word(), operation]).inc();
    }

    /// Notes how long an attempt waited for its turn.
    pub fn waited(&self, service: ServiceKind, operation: &str, wait: Duration) {
        self.pacer_wait.with_label_values(&[service.word(), operation]).observe(wait.as_secs_f64());
    }

    /// Counts a change that was tried or skipped.
    pub fn change(&self, target: &str, kind: Kind, status: Status) {
        if status != Status::NotStarted {
            self.changes.with_label_values(&[target, kind.word(), status.word()]).inc();
        }
    }

    /// Counts a pass.
    pub fn pass(&self, target: &str, outcome: PassOutcome, took: Duration) {
        self.passes.with_label_values(&[target, outcome.word()]).inc();
        self.pass_duration.with_label_values(&[target]).observe(took.as_secs_f64());
    }

    /// Attempts of all operations so far.
    pub fn totals(&self) -> Attempts {
        let (all, throttled) = (&self.all, &self.throttled);
        Attempts { all: all.load(Ordering::Relaxed), throttled: throttled.load(Ordering::Relaxed) }
    }

    /// What an attempt at a service took so far, on average.
    pub fn mean_seconds(&self, service: ServiceKind) -> Option<Duration> {
        let families = self.attempt_duration.collect();
        let of_service = families.iter().flat_map(|f| f.get_metric());
        let of_service = of_service.filter(|m| label(m, "service") == service.word());
        let (mut sum, mut count) = (0.0, 0);
        for metric in of_service {
            sum += metric.get_histogram().get_sample_sum();
            count += metric.get_histogram().get_sample_count();
        }
        Duration::try_from_secs_f64(sum / count as f64).ok()
    }

    /// Attempts so far by service and operation.
    pub fn attempts(&self) -> BTreeMap<(String, String), Attempts> {
        let mut all: BTreeMap<(String, String), Attempts> = BTreeMap::new();
        for metric in self.attempts.collect().iter().flat_map(|f| f.get_metric()) {
            let key = (label(metric, "service").to_string(), label(metric, "operation").to_string());
            let count = metric.get_counter().get_value() as u64;
            let attempts = all.entry(key).or_default();
            attempts.all += count;
            if label(metric, "outcome") == Outcome::Throttled.word() {
                attempts.throttled += count;
            }
        }
        all
    }
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
}
