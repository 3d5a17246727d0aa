//! When the next pass of a target begins. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A target that keeps failing is not left alone for longer, unless its interval is.
const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);
/// After a pass longer than the interval.
const PAUSE: Duration = Duration::from_secs(1);

/// How often, and how regularly.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// From start to start.
    pub interval: Duration,
    /// How far a start may move, as a share of the interval.
    pub jitter: f64,
}

impl Rhythm {
    /// The next start after a pass; `chance` from 0 to 1. Starts that a long pass missed are not made up for.
    /// Of a target that fails again and again, the interval doubles each time.
    pub fn next(self, started: Instant, ended: Instant, failures: u32, chance: f64) -> Instant {
        let doublings = failures.saturating_sub(1).min(16);
        let backed_off = self.interval.saturating_mul(1 << doublings).min(BACKOFF_MAX.max(self.interval));
        let period = backed_off.mul_f64(1.0 + self.jitter * (2.0 * chance - 1.0));
        (started + period).max(ended + PAUSE)
    }
}
