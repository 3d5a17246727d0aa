//! Who is next at a gate: targets in turn, and of a target's calls the one made first.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// Those who wait, each with a way to be woken.
#[derive(Debug, Clone)]
pub struct Queue<W> {
    waiting: BTreeMap<usize, BTreeMap<u64, W>>,
    served: Option<usize>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Queue { waiting: BTreeMap::new(), served: None }
    }
}

impl<W> Queue<W> {
    /// A call of a target waits.
    pub fn join(&mut self, target: usize, call: u64, waiter: W) {
        self.waiting.entry(target).or_default().insert(call, waiter);
    }

    /// It waits no longer.
    pub fn leave(&mut self, target: usize, call: u64) {
        if let Some(calls) = self.waiting.get_mut(&target) {
            calls.remove(&call);
            if calls.is_empty() {
                self.waiting.remove(&target);
            }
        }
    }

    /// A target had its turn.
    pub fn served(&mut self, target: usize) {
        self.served = Some(target);
    }

    /// The target and the call that are next.
    pub fn next(&self) -> Option<(usize, u64)> {
        let (target, calls) = self.turn()?;
        Some((*target, *calls.first_key_value()?.0))
    }

    /// How to wake them.
    pub fn next_waiter(&self) -> Option<&W> {
        Some(self.turn()?.1.first_key_value()?.1)
    }

    fn turn(&self) -> Option<(&usize, &BTreeMap<u64, W>)> {
        let after = self.served.map_or(Unbounded, Excluded);
        self.waiting.range((after, Unbounded)).next().or_else(|| self.waiting.first_key_value())
    }
}
