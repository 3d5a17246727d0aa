//! Which time counts for what waits for a date: `expires` and `removal_grace`. Pure.
//!
//! The wall clock is followed, but a jump is not believed at once: a clock set a year ahead would let everybody
//! expire, one set back would bring leavers back. For an hour (by the monotonic clock) time goes on from where
//! it was, long enough for NTP or a person to mend the clock; then the new time is taken for the right one, and
//! clocks of removals go on from where they were. A wall clock that is behind what is remembered at the start is
//! doubted as well; then nobody knows what time it is, and nothing is written meanwhile. Passes are scheduled by
//! the monotonic clock alone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A difference between both clocks that is no jump: NTP's corrections, a slow start.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);
/// How long a jump is doubted.
const DOUBTED_FOR: Duration = Duration::from_secs(3600);

/// Follows the wall clock.
#[derive(Debug)]
pub struct Clock {
    wall: Timestamp,
    monotonic: Instant,
    doubted_since: Option<Instant>,
    /// Until the wall clock has caught up with what was remembered at the start.
    behind: bool,
}

/// The time that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time.
    pub now: Timestamp,
    /// How far the wall clock is off, while that is doubted.
    pub doubted: Option<SignedDuration>,
    /// It has been doubted since the start: then nobody knows what time it is.
    pub behind: bool,
    /// A jump that is believed from now on.
    pub believed: Option<SignedDuration>,
}

impl Clock {
    /// Follows a wall clock from here on. `remembered` is the latest time that an earlier process has seen.
    pub fn new(wall: Timestamp, monotonic: Instant, remembered: Option<Timestamp>) -> Self {
        match remembered.filter(|then| then.duration_since(wall) > TOLERANCE) {
            Some(then) => Clock { wall: then, monotonic, doubted_since: None, behind: true },
            None => Clock { wall, monotonic, doubted_since: None, behind: false },
        }
    }

    /// The time that counts, both clocks showing these.
    pub fn read(&mut self, wall: Timestamp, monotonic: Instant) -> Reading {
        let passed = SignedDuration::try_from(monotonic - self.monotonic).unwrap_or(SignedDuration::MAX);
        let expected = self.wall.checked_add(passed).unwrap_or(Timestamp::MAX);
        let off = wall.duration_since(expected);
        // Later than what was remembered is what a clock is after a while without rosterd.
        let is_jump = off.abs() > TOLERANCE && !(self.behind && off.is_positive());
        let since = if is_jump { *self.doubted_since.get_or_insert(monotonic) } else { monotonic };
        if is_jump && monotonic - since < DOUBTED_FOR {
            return Reading { now: expected, doubted: Some(off), behind: self.behind, believed: None };
        }
        *self = Clock::new(wall, monotonic, None);
        Reading { now: wall, doubted: None, behind: false, believed: is_jump.then_some(off) }
    }
}
