//! One paced operation: when its next call may go out, and what each throttle says about the quota.
//!
//! Pure, and without a clock: time is an argument, counted from an arbitrary start, so hours of traffic are
//! a loop of milliseconds in a test.
//!
//! Calls leave evenly spaced, [`Lane::rate`] a second. What the quota is nobody says, so the lane looks
//! for its *knee*, the rate at which throttles begin:
//!
//! 1. **Search.** Until the first throttle the rate grows from the prior, faster from one that is a mere
//!    guess. The first throttle tells little: a service that banks unused calls for a second lets a fast
//!    lane through for a while. It is assumed to do so until shown otherwise.
//! 2. **Cycle.** At each throttle the bank is empty, so the calls admitted between two throttles and the
//!    time between them bound the quota ([`super::throttles`]). The knee is put there, the lane pauses for
//!    a call and a half, dips by a few percent, stays at the knee for a while (its *patience*, doubled as
//!    long as the knees agree, short again when they do not) and then tries a little more, and more.
//! 3. **Other quotas.** A lane that got far beyond its knee without a throttle searches again. One that is
//!    throttled there, with nothing gained from a bank, is at a service that banks nothing: from then on
//!    the knee is just below the rate that was throttled, until throttles come early again.
//! 4. **Throttles that are no quota** go on however slow the lane gets; [`super::descent`] notices, and keeps
//!    the rate from sinking to nothing.
//!
//! Only a throttle of a call sent after the last cut is news; the others were under way then.

use std::time::Duration;

use super::descent::Descent;
use super::search::{BANK_SECONDS, doubling, overshoot};
use super::throttles::Throttles;

/// The share of the prior a lane starts at.
const START: f64 = 0.82;
/// However often it is throttled, a lane keeps this share of its prior,
const FLOOR: f64 = 0.02;
/// but no less than this in calls per second (or its prior),
const FLOOR_MIN: f64 = 0.2;
/// and no more than this, should the prior be far too high.
const FLOOR_MAX: f64 = 20.0;
/// Calls late by more than this are not caught up with.
const CATCH_UP: Duration = Duration::from_millis(10);
/// The time between calls is averaged over so many,
const GAP_CALLS: f64 = 8.0;
/// and a lane whose calls come slower than one in so many slots is not held back by it.
const GAP_SLOTS: f64 = 2.0;
/// After a throttle the lane waits for the time of so many calls.
const PAUSE: f64 = 1.4;
/// And begins this much below the knee,
const DIP: f64 = 0.03;
/// returning to it within so many calls.
const DIP_CALLS: f64 = 12.0;
/// A stay is as many calls as this at most, or as many as fit into [`STAY_SECONDS`].
const STAY_CALLS: f64 = 135.0;
/// See [`STAY_CALLS`].
const STAY_SECONDS: f64 = 19.5;
/// A stay lasts at least so long.
const STAY_SECONDS_MIN: f64 = 2.6;
/// Where nothing is banked, this share of it.
const STAY_UNBANKED: f64 = 0.56;
/// The first stays are this long, in calls.
const PATIENCE: f64 = 16.0;
/// What is left of the patience when knees disagree.
const IMPATIENCE: f64 = 18.0;
/// Knees closer than this, in logarithms, agree.
const AGREE: f64 = 0.28;
/// After a stay: so much more per length of the stay, evenly,
const TRY_EVENLY: f64 = 0.018;
/// and so much more, ever faster.
const TRY_FASTER: f64 = 0.0207;
/// How fast "ever faster" is.
const TRY_POWER: f64 = 4.12;
/// So far beyond the knee without a throttle, the quota must be another one.
const BEYOND: f64 = 1.4;
/// A throttle so far beyond the knee shows that nothing was banked.
const NOTHING_BANKED: f64 = 1.13;
/// So many early throttles in a row show that something is.
const EARLY: u8 = 3;
/// Where nothing is banked, the knee is so far below the rate that was throttled.
const SHY: f64 = 0.976;

/// What a lane knows of its quota to begin with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// Documented, or from the settings, in calls per second; taken to be right within a factor of two.
    Named(f64),
    /// Nobody named a rate; a cautious start, calls per second.
    Blind(f64),
    /// The knee of an earlier run.
    Learned {
        /// What it would have started from otherwise.
        prior: f64,
        /// The knee then.
        knee: f64,
    },
    /// Not paced at all.
    Unlimited,
}

/// A call on its way.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    number: u64,
    sent: Duration,
    rate: f64,
}

/// One paced operation.
#[derive(Debug, Clone)]
pub struct Lane {
    prior: f64,
    ceiling: f64,
    rate: f64,
    next: Duration,
    sent: u64,
    last: Option<Duration>,
    /// Seconds between calls of late.
    gap: f64,
    /// When the rate was last cut; what was sent before says nothing new.
    cut: Option<Duration>,
    /// Calls since then that wanted to go faster.
    since: f64,
    stage: Stage,
    patience: f64,
    settled: Option<f64>,
    /// Whether the service is taken to bank unused calls, and how many throttles in a row spoke for it.
    banks: bool,
    early: u8,
    throttles: Throttles,
    descent: Descent,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Search {
        /// When it began, and the calls before it.
        from: Option<(Duration, u64)>,
        /// From a mere guess.
        blind: bool,
        /// The knee it left behind.
        beyond: Option<f64>,
    },
    Cycle {
        knee: f64,
    },
}

impl Lane {
    /// A lane that was never used, and never goes faster than `ceiling`, in calls per second.
    pub fn new(prior: Prior, ceiling: f64) -> Self {
        let (named, stage) = match prior {
            Prior::Named(rate) => (rate, Stage::Search { from: None, blind: false, beyond: None }),
            Prior::Blind(rate) => (rate, Stage::Search { from: None, blind: true, beyond: None }),
            Prior::Learned { prior, knee } => (prior, Stage::Cycle { knee: knee.min(ceiling) }),
            Prior::Unlimited => (f64::INFINITY, Stage::Cycle { knee: f64::INFINITY }),
        };
        let rate = match stage {
            Stage::Search { .. } => named * START,
            Stage::Cycle { knee } => knee * (1.0 - DIP),
        };
        Lane {
            prior: named,
            ceiling,
            rate: rate.min(ceiling),
            next: Duration::ZERO,
            sent: 0,
            last: None,
            gap: 0.0,
            cut: None,
            since: 0.0,
            stage,
            patience: if matches!(prior, Prior::Learned { .. }) { STAY_CALLS } else { PATIENCE },
            settled: None,
            early: 0,
            banks: true,
            throttles: Throttles::default(),
            descent: Descent::default(),
        }
    }

    /// Calls per second just now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The last knee that calls have passed at: one that was cut at once is the trace of a bad moment.
    pub fn settled(&self) -> Option<f64> {
        match self.stage {
            Stage::Search { beyond: Some(_), .. } => self.knee(),
            _ => self.settled,
        }
    }

    /// Never goes faster than this from now on, in calls per second.
    pub fn cap(&mut self, ceiling: f64) {
        self.ceiling = self.ceiling.min(ceiling);
        self.rate = self.rate.min(self.ceiling);
        if let Stage::Cycle { knee } = &mut self.stage {
            *knee = knee.min(self.ceiling);
        }
    }

    /// The rate at which throttles begin, once there was one.
    pub fn knee(&self) -> Option<f64> {
        match self.stage {
            Stage::Cycle { knee } => Some(knee),
            Stage::Search { beyond, .. } => beyond.map(|knee| knee.max(self.rate)),
        }
    }

    /// What the lane started from.
    pub fn prior(&self) -> f64 {
        self.prior
    }

    /// How long the next call has to wait.
    pub fn due(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// The next call goes out.
    pub fn send(&mut self, now: Duration) -> Ticket {
        self.sent += 1;
        if self.rate.is_finite() {
            let late = now.saturating_sub(self.next);
            let is_due = self.sent > 1 && late <= CATCH_UP + Duration::from_secs_f64(0.5 / self.rate);
            let gap = self.last.replace(now).map_or(0.0, |last| now.saturating_sub(last).as_secs_f64());
            self.gap += (gap - self.gap) / GAP_CALLS;
            // A listing that waits for each page before it asks for the next shows nothing beyond its own pace.
            let is_kept_busy = is_due && self.gap * self.rate <= GAP_SLOTS;
            let from = if late > CATCH_UP { now } else { self.next };
            if is_kept_busy {
                self.since += 1.0;
                self.grow(now);
            }
            self.next = from + Duration::from_secs_f64(1.0 / self.rate);
            self.descent.sent(self.rate);
        }
        Ticket { number: self.sent, sent: now, rate: self.rate }
    }

    /// A call was throttled; `retry_after` is what the service asked for.
    pub fn throttled(&mut self, ticket: Ticket, now: Duration, retry_after: Option<Duration>) {
        self.next = self.next.max(now + retry_after.unwrap_or_default());
        if self.rate.is_infinite() {
            return;
        }
        let is_news = self.cut.is_none_or(|cut| ticket.sent > cut);
        if is_news {
            self.descent.throttled(ticket.rate, self.since);
            self.learn(ticket);
        }
        self.throttles.push(ticket.number, ticket.sent);
        if is_news {
            self.cut = Some(now);
            // Throttles on end show no agreement, only that nothing is let through.
            if self.since >= DIP_CALLS {
                self.patience *= 2.0;
            }
            self.since = 0.0;
            self.next = self.next.max(now + Duration::from_secs_f64(PAUSE / self.rate));
        }
    }

    fn grow(&mut self, now: Duration) {
        match self.stage {
            Stage::Search { blind, beyond, ref mut from } => {
                from.get_or_insert((now, self.sent - 1));
                let doubling = doubling(self.rate, blind, beyond.is_none() && self.rate < self.prior);
                self.rate *= (1.0 / (doubling * self.rate)).exp2();
            }
            Stage::Cycle { knee } => {
                if self.since >= DIP_CALLS {
                    self.settled = Some(knee);
                }
                let stay = self.stay(knee);
                let tried = ((self.since - stay) / stay).max(0.0);
                let factor = if self.since < DIP_CALLS {
                    1.0 - DIP * (1.0 - self.since / DIP_CALLS)
                } else {
                    1.0 + TRY_EVENLY * tried + TRY_FASTER * tried.powf(TRY_POWER)
                };
                self.rate = knee * factor;
                if factor > BEYOND && self.rate < self.ceiling {
                    self.stage = Stage::Search { from: None, blind: false, beyond: Some(knee) };
                    self.throttles.clear();
                    self.patience = PATIENCE;
                }
            }
        }
        self.rate = self.rate.min(self.ceiling);
    }

    /// How many calls to stay at the knee.
    fn stay(&self, knee: f64) -> f64 {
        let longest = STAY_CALLS.max(STAY_SECONDS * knee) * if self.banks { 1.0 } else { STAY_UNBANKED };
        self.patience.max(STAY_SECONDS_MIN * knee).min(longest)
    }

    /// Puts the knee where this throttle says it is.
    fn learn(&mut self, ticket: Ticket) {
        let bounds = self.throttles.bounds(ticket.number, ticket.sent);
        let knee = match self.stage {
            Stage::Search { beyond: None, blind, from } => {
                let (from, before) = from.unwrap_or((ticket.sent, ticket.number));
                let seconds = ticket.sent.saturating_sub(from).as_secs_f64();
                let banked = ticket.number.saturating_sub(before) as f64 / (seconds + BANK_SECONDS);
                let knee = banked.max(ticket.rate / overshoot(doubling(ticket.rate, blind, false)));
                knee.min(ticket.rate)
            }
            Stage::Search { .. } => {
                self.banks = false;
                self.early = 0;
                SHY * ticket.rate
            }
            Stage::Cycle { knee } => {
                self.judge_bank(ticket.rate, knee);
                if self.banks { ticket.rate.clamp(bounds.low, bounds.high) } else { SHY * ticket.rate }
            }
        };
        let knee = knee
            .max((self.prior * FLOOR).clamp(FLOOR_MIN, FLOOR_MAX).min(self.prior))
            .max(self.descent.floor())
            .min(self.ceiling);
        if let Stage::Cycle { knee: before } = self.stage
            && (knee / before).ln().abs() > AGREE
        {
            self.patience = self.patience.min(IMPATIENCE) / 2.0;
        }
        self.stage = Stage::Cycle { knee };
        self.rate = knee * (1.0 - DIP);
    }

    /// Whether the service banks unused calls: throttles far beyond the knee speak against it, early ones
    /// in a row for it.
    fn judge_bank(&mut self, throttled: f64, knee: f64) {
        if self.banks {
            self.banks = throttled <= NOTHING_BANKED * knee;
            self.early = 0;
        } else if self.since >= 0.5 * self.stay(knee) {
            self.early = 0;
        } else {
            self.early += 1;
            self.banks = self.early >= EARLY;
        }
    }
}
