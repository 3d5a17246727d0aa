//! The last day in quarters of an hour, for the charts. Bounded: an older quarter makes room for a newer one.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::status::Quarter;
use crate::telemetry::metrics::Attempts;

const QUARTER_SECONDS: i64 = 900;
const QUARTERS: usize = 96;

/// What happened, quarter by quarter.
#[derive(Debug, Default)]
pub struct History {
    quarters: VecDeque<Quarter>,
    attempts: Attempts,
}

impl History {
    /// The quarters of the last day, oldest first; those in which nothing was noted are there too.
    pub fn quarters(&self) -> Vec<Quarter> {
        self.quarters.iter().copied().collect()
    }

    /// Notes the end of a pass.
    pub fn pass(&mut self, now: Timestamp, made: usize, failed: usize, drift: usize) {
        let Some(quarter) = self.at(now) else { return };
        quarter.made += made as u64;
        quarter.failed += failed as u64;
        quarter.drift = quarter.drift.max(drift as u64);
    }

    /// Notes the attempts so far, and how much differs now.
    pub fn sample(&mut self, now: Timestamp, attempts: Attempts, drift: usize) {
        let before = self.attempts;
        let Some(quarter) = self.at(now) else { return };
        quarter.attempts += attempts.all - before.all;
        quarter.throttled += attempts.throttled - before.throttled;
        quarter.drift = quarter.drift.max(drift as u64);
        self.attempts = attempts;
    }

    /// The quarter of a time, made where it is the newest. A clock that went back adds to the newest.
    fn at(&mut self, now: Timestamp) -> Option<&mut Quarter> {
        let second = now.as_second() - now.as_second().rem_euclid(QUARTER_SECONDS);
        let day = QUARTER_SECONDS * QUARTERS as i64;
        let newest = self.quarters.back().map(|q| q.start.as_second());
        // After a jump of more than a day nothing before it belongs to the last day.
        let mut next = match newest {
            Some(newest) if second - newest <= day => newest + QUARTER_SECONDS,
            _ => second,
        };
        while next <= second {
            let start = Timestamp::from_second(next).ok()?;
            let empty = Quarter { start, made: 0, failed: 0, drift: 0, attempts: 0, throttled: 0 };
            self.quarters.push_back(empty);
            next += QUARTER_SECONDS;
        }
        while self.quarters.len() > QUARTERS {
            self.quarters.pop_front();
        }
        self.quarters.back_mut()
    }
}
