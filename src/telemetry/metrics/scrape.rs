//! A scrape: the counters, the daemon's status as gauges, and the process, in the text format.
//!
//! Gauges are built anew from the status at every scrape, so that a target taken out of the settings leaves
//! none behind.

use prometheus::proto::MetricFamily;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};

use super::{Metrics, families};
use crate::daemon::status::{Status, TargetStatus};
use crate::word::Word as _;

/// The content type of what [`scrape`] gives.
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

/// Everything there is to scrape.
pub fn scrape(metrics: &Metrics, status: &Status) -> String {
    let gauges = Registry::new();
    of_daemon(status, &gauges);
    of_targets(&status.targets, &gauges);
    let mut families = metrics.registry.gather();
    families.extend(gauges.gather());
    families.extend(of_process());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    TextEncoder::new().encode_to_string(&families).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn of_process() -> Vec<MetricFamily> {
    use prometheus::core::Collector as _;
    use prometheus::process_collector::ProcessCollector;
    ProcessCollector::for_self().collect()
}

/// Without /proc there is nothing to say of the process.
#[cfg(not(target_os = "linux"))]
fn of_process() -> Vec<MetricFamily> {
    Vec::new()
}

fn of_daemon(status: &Status, registry: &Registry) {
    let configuration = &status.configuration;
    let bits = configuration.hash.get(..12).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    families::CONFIG_HASH.single(registry).set(bits.unwrap_or_default() as f64);
    families::RELOAD_OK.single(registry).set(f64::from(u8::from(configuration.last_reload_ok)));
    families::RELOAD_TIME.single(registry).set(seconds(configuration.loaded));
    families::READY.single(registry).set(f64::from(u8::from(status.ready)));
    families::AUDIT_PENDING.single(registry).set(status.audit_lines_pending as f64);
    families::STATE_FAILURES.single(registry).set(f64::from(u8::from(status.state_save_failed)));
    families::BUILD_INFO.gauge(registry).with_label_values(&[status.version]).set(1.0);
}

fn of_targets(targets: &[TargetStatus], registry: &Registry) {
    let by_target = [
        (
            &families::FAILURES,
            (|t| Some(f64::from(t.consecutive_failures))) as fn(&TargetStatus) -> Option<f64>,
        ),
        (&families::LAST_PASS, |t| t.last_pass.as_ref().map(|p| seconds(p.started))),
        (&families::LAST_SUCCESS, |t| Some(t.last_success.map_or(0.0, seconds))),
        (&families::CREDENTIALS_EXPIRY, |t| t.credentials_expire.map(seconds)),
        (&families::DESIRED, |t| Some(t.users_desired as f64)),
        (&families::OBSERVED, |t| t.was_observed.then_some(t.users_observed as f64)),
        (&families::UNMANAGED, |t| t.was_observed.then_some(t.users_unmanaged as f64)),
        (&families::REMOVALS_HELD, |t| t.was_observed.then_some(t.removals_held as f64)),
        (&families::BLOCKED, |t| t.was_observed.then_some(t.blocked as f64)),
        (&families::NOT_CONVERGING, |t| t.was_observed.then_some(t.not_converging as f64)),
    ];
    for (family, value) in by_target {
        let gauge = family.gauge(registry);
        for target in targets {
            if let Some(value) = value(target) {
                gauge.with_label_values(&[&target.name]).set(value);
            }
        }
    }
    let drift = families::DRIFT.gauge(registry);
    let held = families::HELD.gauge(registry);
    let rates = families::PACER_RATE.gauge(registry);
    for target in targets {
        for (kind, count) in &target.drift_by_kind {
            drift.with_label_values(&[target.name.as_str(), kind.word()]).set(*count as f64);
        }
        for (by, count) in &target.held_by {
            held.with_label_values(&[target.name.as_str(), by.word()]).set(*count as f64);
        }
        for line in &target.pace {
            if let Some(rate) = line.calls_per_second {
                rates.with_label_values(&[target.name.as_str(), line.operation]).set(rate);
            }
        }
    }
}

fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
