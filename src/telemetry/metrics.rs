//! Counters in a Prometheus registry. Labels come from closed sets: services, operations, outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{Counter, CounterVec, IntCounterVec, Opts, Registry};

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

/// What the door counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    attempts: IntCounterVec,
    seconds: CounterVec,
    retries: IntCounterVec,
}

impl Default for Metrics {
    fn default() -> Self {
        const PROOF: &str = "the names and labels below are valid and distinct";
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let attempts = IntCounterVec::new(
            opts("rosterd_aws_attempts_total", "Attempts at AWS calls by outcome."),
            &["service", "operation", "outcome"],
        )
        .expect(PROOF);
        let seconds = CounterVec::new(
            opts("rosterd_aws_attempt_seconds_total", "Time spent in attempts at AWS calls."),
            &["service", "operation"],
        )
        .expect(PROOF);
        let retries = IntCounterVec::new(
            opts("rosterd_aws_retries_total", "Attempts beyond the first of a call."),
            &["service", "operation"],
        )
        .expect(PROOF);
        registry.register(Box::new(attempts.clone())).expect(PROOF);
        registry.register(Box::new(seconds.clone())).expect(PROOF);
        registry.register(Box::new(retries.clone())).expect(PROOF);
        Metrics { registry, attempts, seconds, retries }
    }
}

impl Metrics {
    /// Counts an attempt.
    pub fn attempt(&self, service: ServiceKind, operation: &str, outcome: Outcome, took: Duration) {
        self.attempts.with_label_values(&[service.word(), operation, outcome.word()]).inc();
        let seconds: Counter = self.seconds.with_label_values(&[service.word(), operation]);
        seconds.inc_by(took.as_secs_f64());
    }

    /// What an attempt at a service took so far, on average.
    pub fn mean_seconds(&self, service: ServiceKind) -> Option<Duration> {
        let families = self.registry.gather();
        let sum = |name: &str| -> f64 {
            let metrics = families.iter().filter(|f| f.name() == name).flat_map(|f| f.get_metric());
            let of_service = metrics.filter(|m| m.get_label().iter().any(|l| l.value() == service.word()));
            of_service.map(|m| m.get_counter().get_value()).sum()
        };
        let mean = sum("rosterd_aws_attempt_seconds_total") / sum("rosterd_aws_attempts_total");
        Duration::try_from_secs_f64(mean).ok()
    }

    /// Counts a retry.
    pub fn retry(&self, service: ServiceKind, operation: &str) {
        self.retries.with_label_values(&[service.word(), operation]).inc();
    }

    /// Attempts so far by `service:operation` and outcome: what a one-shot command prints.
    pub fn attempts(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for family in self.registry.gather().iter().filter(|f| f.name() == "rosterd_aws_attempts_total") {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let pair = metric.get_label().iter().find(|p| p.name() == name);
                    pair.map_or_else(String::new, |p| p.value().to_string())
                };
                let key = format!("{}:{}", label("service"), label("operation"));
                let count = metric.get_counter().get_value() as u64;
                all.entry(key).or_default().insert(label("outcome"), count);
            }
        }
        all
    }
}
