//! The stages of a pass for one target: what a pass over all of them, and the daemon's loop, are made of.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::execute::{Report, Status};
use crate::aws::Failure;
use crate::aws::client::Api;
use crate::config::Target;
use crate::plan::guard::{self, Circumstances, Policy};
use crate::plan::{Kind, TargetPlan};
use crate::service::former::same_key;
use crate::service::reading::{self, Listing, Reading};
use crate::service::{self, Desired, Known, Observed};
use crate::state::Memory;

/// Nobody was seen before.
static NOBODY: Known = Known::new();

/// A target, what the roster wants of it, and what is remembered of it.
#[derive(Debug, Clone, Copy)]
pub struct Aim<'a> {
    /// The target's settings.
    pub target: &'a Target,
    /// What the roster wants.
    pub desired: &'a Desired,
    /// What earlier passes remembered, of this target and maybe of others.
    pub memory: &'a Memory,
}

impl<'a> Aim<'a> {
    /// Nothing where the roster was not resolved for the target.
    pub fn of(
        target: &'a Target,
        desired: &'a BTreeMap<String, Desired>,
        memory: &'a Memory,
    ) -> Option<Aim<'a>> {
        Some(Aim { target, desired: desired.get(&target.name)?, memory })
    }

    fn known(&self) -> &'a Known {
        self.memory.principals.get(&self.target.name).unwrap_or(&NOBODY)
    }

    /// How to read it with the fewest calls.
    pub fn reading(&self, now: Timestamp) -> Reading {
        let removes_unlisted = self.target.rules.policy == Policy::Sync;
        let listing = self.memory.listings.get(&self.target.name);
        reading::choose(self.desired, removes_unlisted, self.known(), listing, now)
    }

    /// Reads it; by listing where `reading` does not say otherwise, and also where it does and anything at all
    /// differs: a write is never planned from less than a listing. `None` when the API is another service's.
    pub async fn observe(&self, api: &Api, reading: Reading) -> Option<Result<Observed, Failure>> {
        let result = service::observe(api, self.desired, reading).await?;
        let differs = |observed: &Observed| self.diff(observed).is_none_or(|diff| !diff.changes.is_empty());
        if result.as_ref().is_ok_and(|observed| !observed.is_listing() && differs(observed)) {
            return service::observe(api, self.desired, Reading::List).await;
        }
        Some(result)
    }

    fn diff(&self, observed: &Observed) -> Option<service::Diff> {
        service::diff(&self.target.name, self.desired, observed, self.known())
    }

    /// Compares and guards; pure.
    pub fn plan(&self, observed: &Observed, now: Timestamp, force_removals: bool) -> Option<TargetPlan> {
        let circumstances = Circumstances { clocks: &self.memory.clocks, now, force_removals };
        let guarded = guard::guard(self.target, self.diff(observed)?, circumstances);
        Some(TargetPlan { by_name: !observed.is_listing(), ..guarded })
    }
}

/// Notes which principals are there now, and what the listing took. `plan` is what was applied.
pub fn remember(
    memory: &mut Memory,
    target: &str,
    wanted: &Desired,
    observed: &Observed,
    plan: Option<&TargetPlan>,
    report: &Report,
    read_at: Timestamp,
) {
    let created = created(plan, report);
    let known = memory.principals.entry(target.to_string()).or_default();
    let principals = wanted.principals();
    known.retain(|user, _| principals.contains_key(user));
    for (user, key) in principals {
        if created.contains(key.as_str())
            || (observed.contains(&key) && !renamed(known.get(&user), &key, observed))
        {
            known.insert(user, key);
        }
    }
    memory.observed.insert(target.to_string(), read_at);
    if observed.is_listing() {
        memory.listings.remove(target);
        let listing = Listing::of(observed, wanted, read_at);
        memory.listings.extend(listing.map(|listing| (target.to_string(), listing)));
    }
}

/// True while a user's old principal still has access: until somebody has dealt with it, it is not forgotten.
fn renamed(old: Option<&String>, new: &str, observed: &Observed) -> bool {
    old.is_some_and(|old| !same_key(old, new) && observed.is_live(old))
}

fn created<'p>(plan: Option<&'p TargetPlan>, report: &Report) -> HashSet<&'p str> {
    let made: HashSet<&str> =
        report.entries.iter().filter(|e| e.status == Status::Done).map(|e| e.change.as_str()).collect();
    let creations = plan.into_iter().flat_map(|p| &p.changes).filter(|c| c.kind == Kind::CreateUser);
    creations.filter(|c| made.contains(c.id.as_str())).map(|c| c.subject.key()).collect()
}
