//! When a call may go out: as fast as the service allows, and no faster.
//!
//! Quotas are per account, Region and operation, so there is one gate per scope (account or profile, Region,
//! service) and operation. Behind it a [`Lane`] says when the next call may go, and a [`Queue`] says whose
//! it is: targets that share the scope take turns, and of a target's calls the one that was made first goes
//! first, also when it comes back throttled. Whoever is next takes a place among the calls under way
//! (`concurrency`) before it goes, so a slow lane never holds places.
//!
//! Everything below this file is pure; this file adds the clock, the waiting and the locks. What lanes
//! learned outlives the process in `state_dir` ([`learned`]).

pub mod descent;
pub mod lane;
pub mod learned;
pub mod queue;
pub mod search;
pub mod throttles;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use lane::{Lane, Prior, Ticket};
use learned::Learned;
use queue::Queue;

/// Calls per second where neither AWS nor the settings name a rate.
const UNDOCUMENTED: f64 = 10.0;
/// Documented quotas of DataZone, per second, account and Region.
const DOCUMENTED: &[(&str, f64)] =
    &[("CreateProjectMembership", 3.0), ("DeleteProjectMembership", 3.0), ("ListProjectMemberships", 8.0)];

/// The rates a target's settings name, in calls per second by operation, `default` for the rest.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Where lanes start: `pace`.
    pub start: BTreeMap<String, f64>,
    /// Where they stop: `max_pace`.
    pub ceiling: BTreeMap<String, f64>,
    /// Nothing is paced: the sandbox in the same process.
    pub unlimited: bool,
    /// Under which settings they were named: see [`Pacer::renew`].
    pub epoch: u64,
}

impl Rates {
    fn prior(&self, operation: &str) -> Prior {
        if self.unlimited {
            return Prior::Unlimited;
        }
        let documented = || DOCUMENTED.iter().find(|(name, _)| *name == operation).map(|(_, rate)| *rate);
        let named = self.start.get(operation).copied().or_else(documented);
        named.or_else(|| self.start.get("default").copied()).map_or(Prior::Blind(UNDOCUMENTED), Prior::Named)
    }

    fn ceiling(&self, operation: &str) -> f64 {
        let of = |name| self.ceiling.get(name).copied().filter(|_| !self.unlimited);
        of(operation).or_else(|| of("default")).unwrap_or(f64::INFINITY)
    }
}

/// All gates of the process.
#[derive(Debug)]
pub struct Pacer {
    start: Instant,
    learned: Mutex<Learned>,
    epoch: AtomicU64,
    gates: Mutex<HashMap<(String, &'static str), Arc<Gate>>>,
}

impl Pacer {
    /// A pacer that begins with what an earlier one learned.
    pub fn new(learned: Learned) -> Self {
        Pacer {
            start: Instant::now(),
            learned: Mutex::new(learned),
            epoch: AtomicU64::new(0),
            gates: Mutex::default(),
        }
    }

    /// The gate of an operation. Calls under way from before the settings changed share the gate there is, and do
    /// not make the one that others find.
    pub fn gate(&self, scope: &str, operation: &'static str, rates: &Rates) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (scope.to_string(), operation);
        if rates.epoch < self.epoch() {
            return gates.get(&key).map_or_else(|| self.new_gate(&key, rates), Arc::clone);
        }
        let gate = gates.entry(key.clone()).or_insert_with(|| self.new_gate(&key, rates));
        // Of several targets that share a lane, each one's ceiling counts.
        gate.state().lane.cap(rates.ceiling(operation));
        Arc::clone(gate)
    }

    fn new_gate(&self, (scope, operation): &(String, &'static str), rates: &Rates) -> Arc<Gate> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let prior = learned.prior(scope, operation, rates.prior(operation), Timestamp::now());
        let lane = Lane::new(prior, rates.ceiling(operation));
        let state = State { lane, queue: Queue::default(), refused: None };
        Arc::new(Gate { start: self.start, state: Mutex::new(state) })
    }

    /// The settings that rates are named under now.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// What there is to remember for the next process.
    pub fn learned(&self, now: Timestamp) -> Learned {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((scope, operation), gate) in self.gates.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let state = gate.state();
            let lane = &state.lane;
            if let Some(knee) = lane.settled() {
                learned.learn(scope, operation, knee, lane.prior(), now);
            }
        }
        learned
    }

    /// Starts over from what was learned: the settings may name other rates now.
    pub fn renew(&self, now: Timestamp) {
        let learned = self.learned(now);
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Calls per second of each operation of a scope that was called.
    pub fn rates(&self, scope: &str) -> BTreeMap<&'static str, f64> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let of_scope = gates.iter().filter(|((of, _), _)| of == scope);
        of_scope.map(|((_, operation), gate)| (*operation, gate.rate())).collect()
    }
}

/// What the calls of one operation pass through.
#[derive(Debug)]
pub struct Gate {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lane: Lane,
    queue: Queue<Arc<Notify>>,
    refused: Option<Refused>,
}

/// How an operation has been throttled since something of it was last admitted.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The first time.
    pub since: Instant,
    /// How often.
    pub count: u32,
}

/// Who waits: a target, and the number of its call.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    /// The target's number.
    pub target: usize,
    /// The call's number: older calls have lower ones.
    pub call: u64,
}

impl Gate {
    /// Waits for its turn, and for a place among the calls under way.
    pub async fn pass<'p>(
        &self,
        waiter: Waiter,
        places: &'p Semaphore,
    ) -> Option<(SemaphorePermit<'p>, Ticket)> {
        let woken = Arc::new(Notify::new());
        self.state().queue.join(waiter.target, waiter.call, Arc::clone(&woken));
        let _leaving = Leaving { gate: self, waiter };
        loop {
            let wait = {
                let state = self.state();
                let is_next = state.queue.next() == Some((waiter.target, waiter.call));
                is_next.then(|| state.lane.due(self.start.elapsed()))
            };
            match wait {
                None => woken.notified().await,
                Some(Duration::ZERO) => {
                    let place = places.acquire().await.ok()?;
                    let mut state = self.state();
                    let now = self.start.elapsed();
                    let is_next = state.queue.next() == Some((waiter.target, waiter.call));
                    if is_next && state.lane.due(now).is_zero() {
                        let ticket = state.lane.send(now);
                        state.queue.served(waiter.target);
                        return Some((place, ticket));
                    }
                }
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    // An older call may have come back and be next.
                    () = woken.notified() => {}
                },
            }
        }
    }

    /// A call was not throttled.
    pub fn admitted(&self) {
        self.state().refused = None;
    }

    /// A call was throttled.
    pub fn throttled(&self, ticket: Ticket, retry_after: Option<Duration>) -> Refused {
        let mut state = self.state();
        state.lane.throttled(ticket, self.start.elapsed(), retry_after);
        let refused = state.refused.get_or_insert_with(|| Refused { since: Instant::now(), count: 0 });
        refused.count += 1;
        *refused
    }

    /// Calls per second the service is taken to admit; infinite when not paced.
    pub fn rate(&self) -> f64 {
        let state = self.state();
        state.lane.knee().unwrap_or_else(|| state.lane.rate())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the queue when a call went out or was given up, and wakes whoever is next.
struct Leaving<'g> {
    gate: &'g Gate,
    waiter: Waiter,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.queue.leave(self.waiter.target, self.waiter.call);
        if let Some(next) = state.queue.next_waiter() {
            next.notify_one();
        }
    }
}
