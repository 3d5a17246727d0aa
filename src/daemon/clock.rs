//! Which time counts for what waits for a date: `expires` and `removal_grace`. Pure.
//!
//! The wall clock is followed, but a jump is not believed at once: a clock set a year ahead would let everybody
//! expire, one set back would bring leavers back. For an hour (by the monotonic clock) time goes on from where
//! it was, long enough for NTP or a person to mend the clock; then the new time is taken for the right one, and
//! clocks of removals go on from where they were. At the start the latest time that is remembered stands for
//! where it was, should the wall clock be behind it. Passes are scheduled by the monotonic clock alone.

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
}

/// The time that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time.
    pub now: Timestamp,
    /// How far the wall clock is off, while that is doubted.
    pub doubted: Option<SignedDuration>,
    /// A jump that is believed from now on.
    pub believed: Option<SignedDuration>,
}

impl Clock {
    /// Follows a wall clock from here on.
    pub fn new(wall: Timestamp, monotonic: Instant) -> Self {
        Clock { wall, monotonic, doubted_since: None }
    }

    /// The time that counts, both clocks showing these.
    pub fn read(&mut self, wall: Timestamp, monotonic: Instant) -> Reading {
        let passed = SignedDuration::try_from(monotonic - self.monotonic).unwrap_or(SignedDuration::MAX);
        let expected = self.wall.checked_add(passed).unwrap_or(Timestamp::MAX);
        let off = wall.duration_since(expected);
        let is_jump = off.abs() > TOLERANCE;
        let since = if is_jump { *self.doubted_since.get_or_insert(monotonic) } else { monotonic };
        if is_jump && monotonic - since < DOUBTED_FOR {
            return Reading { now: expected, doubted: Some(off), believed: None };
        }
        *self = Clock::new(wall, monotonic);
        Reading { now: wall, doubted: None, believed: is_jump.then_some(off) }
    }
}
