//! What a plan costs: the calls its ready changes make, and how long they take at the pace of their lanes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Change, Plan};

/// Calls by `service` and operation.
pub type Calls = BTreeMap<(&'static str, &'static str), usize>;

/// The calls of every change that may go ahead.
pub fn calls(plan: &Plan) -> Calls {
    let mut calls = Calls::new();
    for target in &plan.targets {
        for operation in target.changes.iter().filter(|c| c.is_ready()).flat_map(|c| c.action.calls()) {
            *calls.entry((crate::word::Word::word(target.service), operation)).or_default() += 1;
        }
    }
    calls
}

/// Where the calls of a target's operation queue, and how fast they go.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Targets of one scope share their quotas.
    pub scope: String,
    /// Calls per second; infinite when not paced.
    pub rate: f64,
    /// What a call takes, where that is known: changes made one at a time go no faster.
    pub latency: Option<Duration>,
}

/// Calls still to be made, by target and operation, and whether one at a time.
#[derive(Debug, Default)]
pub struct Work<'p> {
    calls: BTreeMap<(&'p str, &'static str, bool), usize>,
}

impl<'p> Work<'p> {
    /// All of a plan.
    pub fn of(plan: &'p Plan) -> Self {
        let mut work = Work::default();
        for target in &plan.targets {
            for change in target.changes.iter().filter(|c| c.is_ready()) {
                let one_at_a_time = change.action.lane().is_some();
                for operation in change.action.calls() {
                    *work.calls.entry((&target.target, operation, one_at_a_time)).or_default() += 1;
                }
            }
        }
        work
    }

    /// A change of a target ended, whichever way.
    pub fn ended(&mut self, target: &str, change: &Change) {
        let one_at_a_time = change.action.lane().is_some();
        for operation in change.action.calls() {
            let left = self
                .calls
                .iter_mut()
                .find(|((t, o, one), _)| *t == target && *o == operation && *one == one_at_a_time);
            if let Some((_, calls)) = left {
                *calls = calls.saturating_sub(1);
            }
        }
    }

    /// How long what is left takes: as long as the longest queue. `None` where nothing is paced.
    pub fn expected(&self, pace: impl Fn(&str, &'static str) -> Option<Pace>) -> Option<Duration> {
        let mut queues: HashMap<(String, &'static str), f64> = HashMap::new();
        let mut is_paced = false;
        for ((target, operation, one_at_a_time), calls) in self.calls.iter().filter(|(_, calls)| **calls > 0)
        {
            let Some(Pace { scope, rate, latency }) = pace(target, operation) else { continue };
            is_paced |= rate.is_finite();
            let latency = latency.filter(|_| *one_at_a_time).unwrap_or_default().as_secs_f64();
            *queues.entry((scope, operation)).or_default() += *calls as f64 * latency.max(1.0 / rate);
        }
        let longest = queues.into_values().fold(0.0, f64::max);
        is_paced.then(|| Duration::try_from_secs_f64(longest).unwrap_or(Duration::MAX))
    }
}
