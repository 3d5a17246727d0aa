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

/// Where the calls of a target's operation queue, and how fast they go: targets that share a quota share a
/// lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// What tells lanes apart, beside the operation.
    pub lane: String,
    /// Calls per second.
    pub rate: f64,
}

/// Calls still to be made, by target and operation.
#[derive(Debug, Default)]
pub struct Work<'p> {
    calls: BTreeMap<(&'p str, &'static str), usize>,
    /// The target of each change, and its operations, while it is to be made.
    changes: HashMap<&'p str, (&'p str, Vec<&'static str>)>,
}

impl<'p> Work<'p> {
    /// All of a plan.
    pub fn of(plan: &'p Plan) -> Self {
        let mut work = Work::default();
        for target in &plan.targets {
            for change in target.changes.iter().filter(|c| c.is_ready()) {
                work.add(&target.target, change);
            }
        }
        work
    }

    fn add(&mut self, target: &'p str, change: &'p Change) {
        let operations = change.action.calls();
        for operation in &operations {
            *self.calls.entry((target, operation)).or_default() += 1;
        }
        self.changes.insert(&change.id, (target, operations));
    }

    /// A change ended, whichever way.
    pub fn ended(&mut self, change: &str) {
        let Some((target, operations)) = self.changes.remove(change) else { return };
        for operation in operations {
            if let Some(calls) = self.calls.get_mut(&(target, operation)) {
                *calls = calls.saturating_sub(1);
            }
        }
    }

    /// How long what is left takes: as long as the longest queue. `None` where nothing is paced.
    pub fn expected(&self, pace: impl Fn(&str, &'static str) -> Option<Pace>) -> Option<Duration> {
        let mut lanes: HashMap<(String, &'static str), f64> = HashMap::new();
        for ((target, operation), calls) in self.calls.iter().filter(|(_, calls)| **calls > 0) {
            if let Some(Pace { lane, rate }) = pace(target, operation).filter(|p| p.rate > 0.0) {
                *lanes.entry((lane, operation)).or_default() += *calls as f64 / rate;
            }
        }
        let longest = lanes.into_values().fold(0.0, f64::max);
        (longest > 0.0).then(|| Duration::try_from_secs_f64(longest).unwrap_or(Duration::MAX))
    }
}
