//! Changes that do not converge: made again and again, and planned again by the next pass all the same; or
//! failing again and again. Pure.
//!
//! After three tries in a row the same change (same id, same old and new values) is held back, and tried again
//! after longer and longer pauses, so that a service that ignores a value is not called for ever, and one bad
//! object does not turn every pass into a failure. A change that is no longer planned is forgotten.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::Class;
use crate::plan::{Change, HeldBy, Removal, TargetPlan, Verdict};
use crate::reconcile::{Report, Status};

/// So many tries are taken for slowness of the service.
const TRIES_MAX: u32 = 3;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// The longest pause before somebody's access is tried to be taken away again.
const PAUSE_OF_REMOVALS_MAX: Duration = Duration::from_secs(1800);

/// True when trying again would fail again for the change's own sake; outages, throttles and permissions pass.
fn is_about_the_change(class: Class) -> bool {
    match class {
        Class::Conflict | Class::Exists | Class::NotFound | Class::Invalid | Class::Quota => true,
        Class::Throttle | Class::Transient | Class::Denied | Class::Credentials | Class::Interrupted => false,
    }
}

/// What was tried of one target and is still planned.
#[derive(Debug, Default)]
pub struct Tries {
    of: BTreeMap<String, Try>,
}

#[derive(Debug, Clone, Copy)]
struct Try {
    values: u64,
    count: u32,
    failed: bool,
    again: Instant,
}

impl Tries {
    /// Holds back what was tried too often, and gives its ids; forgets what is no longer planned.
    pub fn review(&mut self, plan: &mut TargetPlan, now: Instant) -> BTreeSet<String> {
        let planned: HashSet<&str> = plan.changes.iter().map(|c| c.id.as_str()).collect();
        self.of.retain(|id, _| planned.contains(id.as_str()));
        let mut hopeless = BTreeSet::new();
        for change in plan.changes.iter_mut().filter(|c| c.is_ready()) {
            let tried = self.of.get(&change.id);
            let Some(tried) = tried.filter(|t| t.values == values(change) && t.count >= TRIES_MAX) else {
                continue;
            };
            hopeless.insert(change.id.clone());
            if now < tried.again {
                change.verdict = tried.verdict(now);
            }
        }
        hold_what_follows(plan);
        hopeless
    }

    /// Tries everything again at the next pass: somebody asked for it.
    pub fn try_again(&mut self, now: Instant) {
        for tried in self.of.values_mut() {
            tried.again = now;
        }
    }

    /// Notes what was tried.
    pub fn learn(&mut self, plan: &TargetPlan, report: &Report, interval: Duration, now: Instant) {
        let changes: BTreeMap<&str, &Change> = plan.changes.iter().map(|c| (c.id.as_str(), c)).collect();
        for entry in &report.entries {
            let failed = match (entry.status, entry.class) {
                (Status::Done, _) => false,
                (Status::Failed, Some(class)) if is_about_the_change(class) => true,
                _ => continue,
            };
            let Some(change) = changes.get(entry.change.as_str()) else { continue };
            let values = values(change);
            let before = self.of.get(&entry.change).filter(|t| t.values == values).map_or(0, |t| t.count);
            let count = before + 1;
            let doublings = count.saturating_sub(TRIES_MAX).min(16);
            let most = if change.removal == Removal::None { PAUSE_MAX } else { PAUSE_OF_REMOVALS_MAX };
            let pause = interval.saturating_mul(2 << doublings).min(most.max(interval));
            self.of.insert(entry.change.clone(), Try { values, count, failed, again: now + pause });
        }
    }
}

/// What needs a change that is held back waits with it. A plan has what is needed before what needs it.
fn hold_what_follows(plan: &mut TargetPlan) {
    let mut held: BTreeSet<String> = BTreeSet::new();
    for change in &mut plan.changes {
        if let Verdict::Held { by: HeldBy::NotConverging, .. } = &change.verdict {
            held.insert(change.id.clone());
        } else if let Some(needed) = change.after.iter().find(|id| held.contains(*id))
            && change.is_ready()
        {
            let reason = format!("it needs {needed}, which is held back");
            change.verdict = Verdict::Held { by: HeldBy::NotConverging, reason };
            held.insert(change.id.clone());
        }
    }
}

impl Try {
    fn verdict(self, now: Instant) -> Verdict {
        let seconds = i64::try_from((self.again - now).as_secs()).unwrap_or(i64::MAX);
        let wait = jiff::SignedDuration::from_secs(seconds);
        let what = if self.failed { "failed" } else { "was made, and the target still differs" };
        let reason = format!("it {what}, {} times in a row; tried again in {wait:#}", self.count);
        Verdict::Held { by: HeldBy::NotConverging, reason }
    }
}

fn values(change: &Change) -> u64 {
    let mut hasher = DefaultHasher::new();
    change.fields.hash(&mut hasher);
    hasher.finish()
}
