//! Every metric family rosterd serves beside `process_*`: name, type, labels, help. `docs/metrics.md` is this
//! list as a table; a test compares the two.
//!
//! Labels come from closed sets: targets and their operations from the settings, the rest from enums.

use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram(&'static [f64]),
}

/// A metric family.
#[derive(Debug)]
pub struct Family {
    /// Its name, unit and all.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const PASS_SECONDS: &[f64] =
    &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
const CALL_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
const WAIT_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

macro_rules! families {
    ($($ident:ident = $kind:expr, $name:literal, [$($label:literal),*], $help:literal;)+) => {
        $(#[doc = $help] pub const $ident: Family =
            Family { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+
        /// All of them.
        pub const FAMILIES: &[&Family] = &[$(&$ident),+];
    };
}

families! {
    PASSES = Type::Counter, "rosterd_passes_total", ["target", "outcome"],
        "Passes that ended, by outcome: ok, partial, failed, timeout, interrupted.";
    PASS_DURATION = Type::Histogram(PASS_SECONDS), "rosterd_pass_duration_seconds", ["target"],
        "How long passes took.";
    LAST_PASS = Type::Gauge, "rosterd_last_pass_timestamp_seconds", ["target"],
        "When the last pass began that ended.";
    LAST_SUCCESS = Type::Gauge, "rosterd_last_successful_pass_timestamp_seconds", ["target"],
        "When the last pass began that ended ok; 0 where none has since the start.";
    FAILURES = Type::Gauge, "rosterd_consecutive_failures", ["target"],
        "Failed passes in a row.";
    DESIRED = Type::Gauge, "rosterd_users_desired", ["target"],
        "Users the roster has on the target.";
    OBSERVED = Type::Gauge, "rosterd_users_observed", ["target"],
        "Principals the target holds.";
    UNMANAGED = Type::Gauge, "rosterd_users_unmanaged", ["target"],
        "Principals that neither the roster nor policy and scope make rosterd's.";
    DRIFT = Type::Gauge, "rosterd_drift", ["target", "kind"],
        "Differences between roster and target after the last pass, by what would close them.";
    CHANGES = Type::Counter, "rosterd_changes_total", ["target", "kind", "outcome"],
        "Changes that were tried, by outcome: done, failed, skipped.";
    REMOVALS_HELD = Type::Gauge, "rosterd_removals_held", ["target"],
        "Removals held back by the guard: max_removals, or a roster that lists nobody.";
    HELD = Type::Gauge, "rosterd_changes_held", ["target", "by"],
        "Changes held back, by rule.";
    BLOCKED = Type::Gauge, "rosterd_changes_blocked", ["target"],
        "Changes that cannot be made without a person.";
    NOT_CONVERGING = Type::Gauge, "rosterd_objects_not_converging", ["target"],
        "Changes that were tried again and again and are still to be made.";
    ATTEMPTS = Type::Counter, "rosterd_aws_attempts_total", ["service", "operation", "outcome"],
        "Attempts at AWS calls, by outcome: ok, throttled, failed, refused.";
    ATTEMPT_DURATION = Type::Histogram(CALL_SECONDS), "rosterd_aws_attempt_duration_seconds", ["service", "operation"],
        "How long attempts at AWS calls took.";
    RETRIES = Type::Counter, "rosterd_aws_retries_total", ["service", "operation"],
        "Attempts beyond the first of a call.";
    PACER_RATE = Type::Gauge, "rosterd_pacer_rate_calls_per_second", ["target", "operation"],
        "Calls per second the pacer takes the service to admit.";
    PACER_WAIT = Type::Histogram(WAIT_SECONDS), "rosterd_pacer_wait_seconds", ["service", "operation"],
        "How long attempts waited for their turn.";
    CREDENTIALS_EXPIRY = Type::Gauge, "rosterd_credentials_expiry_timestamp_seconds", ["target"],
        "When the credentials last used expire, where they do.";
    CONFIG_HASH = Type::Gauge, "rosterd_config_hash", [],
        "The first 48 bits of the SHA-256 over settings and roster in force.";
    RELOAD_OK = Type::Gauge, "rosterd_config_last_reload_successful", [],
        "1 when the files on disk are in force, 0 when they are invalid and earlier ones are.";
    RELOAD_TIME = Type::Gauge, "rosterd_config_last_reload_success_timestamp_seconds", [],
        "When the files in force were read.";
    READY = Type::Gauge, "rosterd_ready", [],
        "1 when /readyz answers 200.";
    AUDIT_PENDING = Type::Gauge, "rosterd_audit_lines_pending", [],
        "Audit lines that could not be written yet; while there are any, nothing is written to AWS.";
    STATE_FAILURES = Type::Gauge, "rosterd_state_save_failed", [],
        "1 when what is remembered between passes could not be saved.";
    BUILD_INFO = Type::Gauge, "rosterd_build_info", ["version"],
        "1; which rosterd this is.";
}

const PROOF: &str = "the names and labels above are valid and distinct";

impl Family {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    pub(super) fn counter(&self, registry: &Registry) -> IntCounterVec {
        let counter = IntCounterVec::new(self.opts(), self.labels).expect(PROOF);
        registry.register(Box::new(counter.clone())).expect(PROOF);
        counter
    }

    pub(super) fn histogram(&self, registry: &Registry) -> HistogramVec {
        let buckets = if let Type::Histogram(buckets) = self.kind { buckets } else { CALL_SECONDS };
        let opts = HistogramOpts::from(self.opts()).buckets(buckets.to_vec());
        let histogram = HistogramVec::new(opts, self.labels).expect(PROOF);
        registry.register(Box::new(histogram.clone())).expect(PROOF);
        histogram
    }

    pub(super) fn gauge(&self, registry: &Registry) -> GaugeVec {
        let gauge = GaugeVec::new(self.opts(), self.labels).expect(PROOF);
        registry.register(Box::new(gauge.clone())).expect(PROOF);
        gauge
    }

    pub(super) fn single(&self, registry: &Registry) -> Gauge {
        let gauge = Gauge::with_opts(self.opts()).expect(PROOF);
        registry.register(Box::new(gauge.clone())).expect(PROOF);
        gauge
    }
}
