//! What the throttles of a lane say about its quota.
//!
//! At a throttle the service has less than one call left. Between two of them it admitted what was sent and
//! not throttled, and earned as much: over the time between, that is the quota, give or take the fractions
//! at both ends. Each earlier throttle bounds it, from close by roughly, from far back narrowly. Walking
//! back from the newest, the bounds are intersected until one contradicts those after it: the quota was
//! another one then, and what is older is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

/// How many throttles are remembered.
const REMEMBERED: usize = 16;
/// The fractions at both ends, in calls, with room for calls that overtake each other.
const FRACTIONS: f64 = 2.84;
/// And for other consumers: this much of the square root of the calls.
const NOISE: f64 = 0.027;

#[derive(Debug, Clone, Copy)]
struct Throttle {
    number: u64,
    sent: Duration,
}

/// Between what the quota is, in calls per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// At least.
    pub low: f64,
    /// At most; infinite when nothing is known.
    pub high: f64,
}

/// The throttles of late, in the order their calls were sent.
#[derive(Debug, Clone, Default)]
pub struct Throttles(VecDeque<Throttle>);

impl Throttles {
    /// Adds the throttle of a call.
    pub fn push(&mut self, number: u64, sent: Duration) {
        let at = self.before(number);
        self.0.insert(at, Throttle { number, sent });
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What they say, the call of this number having been throttled too; forgets those that no longer hold.
    pub fn bounds(&mut self, number: u64, sent: Duration) -> Bounds {
        let mut bounds = Bounds { low: 0.0, high: f64::INFINITY };
        let end = self.before(number);
        let mut outdated = 0;
        for at in (0..end).rev() {
            let earlier = self.0[at];
            let seconds = sent.saturating_sub(earlier.sent).as_secs_f64();
            if seconds <= 0.0 {
                continue;
            }
            let throttled = (end - 1 - at) as f64;
            let admitted = (number - earlier.number - 1) as f64 - throttled;
            let slack = FRACTIONS + NOISE * admitted.sqrt();
            let low = (admitted - slack).max(0.0) / seconds;
            let high = (admitted + slack) / seconds;
            if low > bounds.high || high < bounds.low {
                outdated = at + 1;
                break;
            }
            bounds = Bounds { low: bounds.low.max(low), high: bounds.high.min(high) };
        }
        self.0.drain(..outdated);
        bounds
    }

    fn before(&self, number: u64) -> usize {
        self.0.iter().rposition(|t| t.number < number).map_or(0, |at| at + 1)
    }
}
