//! Tells throttles of a quota from those that come whatever the rate is.
//!
//! A lane that is throttled slows down; if the quota was the cause, throttles end. If another cause strikes
//! a few percent of all calls, they go on, and the lane would sink to nothing for no gain. So while it
//! descends, the share of throttled calls above half of the rate it came from is compared with the share
//! below. When it is no better below, the rate goes back up and is held there for a while, then looked at
//! again. It still sinks over thousands of calls, for what cannot be told apart has to be taken for a quota.

/// So many calls without a throttle end a descent.
const CALM: f64 = 120.0;
/// A share of throttled calls that no quota explains is at most this high.
const SHARE_MAX: f64 = 0.15;
/// "No better": still this much of what it was.
const NO_BETTER: f64 = 0.7;
/// Calls above, and throttles below, before it is judged.
const CALLS_ABOVE: f64 = 20.0;
/// See [`CALLS_ABOVE`].
const THROTTLES_BELOW: f64 = 5.0;
/// The floor, against the rate the descent came from.
const FLOOR: f64 = 0.9;
/// For how many calls the floor holds.
const HELD_CALLS: f64 = 1000.0;
/// Throttles beyond this share end it at once.
const HELD_SHARE_MAX: f64 = 0.2;

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    calls: f64,
    throttled: f64,
}

impl Tally {
    fn share(self) -> f64 {
        self.throttled / self.calls.max(1.0)
    }
}

/// A rate on its way down.
#[derive(Debug, Clone, Default)]
pub struct Descent {
    from: Option<f64>,
    above: Tally,
    below: Tally,
    /// A rate not to go below, and for how many more calls.
    held: Option<(f64, f64)>,
}

impl Descent {
    /// The rate not to go below, in calls per second.
    pub fn floor(&self) -> f64 {
        self.held.map_or(0.0, |(floor, _)| floor)
    }

    /// A call goes out at this rate.
    pub fn sent(&mut self, rate: f64) {
        if let Some(tally) = self.tally(rate) {
            tally.calls += 1.0;
        }
        if let Some((_, calls)) = &mut self.held {
            *calls -= 1.0;
            if *calls <= 0.0 {
                *self = Descent::default();
            }
        }
    }

    /// A call sent at this rate was throttled, so many calls after the last cut.
    pub fn throttled(&mut self, rate: f64, since: f64) {
        let begin = match self.from {
            None => true,
            Some(_) if self.held.is_some() => false,
            // Fallen at once, with nothing to compare.
            Some(from) => since > CALM || (rate <= 0.5 * from && self.above.calls < CALLS_ABOVE),
        };
        if begin {
            *self = Descent { from: Some(rate), ..Descent::default() };
        }
        if let Some(tally) = self.tally(rate) {
            tally.throttled += 1.0;
        }
        if self.held.is_some() {
            if self.above.calls >= CALLS_ABOVE && self.above.share() > HELD_SHARE_MAX {
                *self = Descent::default();
            }
        } else if self.below.throttled >= THROTTLES_BELOW && self.above.calls >= CALLS_ABOVE {
            let (above, below) = (self.above.share(), self.below.share());
            let unexplained = below < SHARE_MAX && below > NO_BETTER * above;
            let from = self.from.filter(|_| unexplained);
            let held = from.map(|from| (FLOOR * from, HELD_CALLS));
            *self = Descent { from: from.or(Some(rate)), held, ..Descent::default() };
        }
    }

    fn tally(&mut self, rate: f64) -> Option<&mut Tally> {
        let from = self.from?;
        Some(if rate > 0.5 * from { &mut self.above } else { &mut self.below })
    }
}
