//! One pass: observe → diff → guard → apply. The only place where the stages meet.
//!
//! The observations of all targets run at once, and so do their applications; within a target the
//! dependencies of a plan are kept and everything else runs concurrently ([`execute`]). A dry run is a
//! pass that does not call [`apply`].

pub mod execute;
pub mod verify;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use crate::aws::client::Api;
use crate::aws::{Door, Failure};
use crate::config::Settings;
use crate::plan::guard::{self, Circumstances, Clocks, Policy};
use crate::plan::{Kind, Plan, TargetPlan, Unobserved};
use crate::service::former::same_key;
use crate::service::reading::{self, Listing, Reading};
use crate::service::{self, Desired, Known, Observed};
use crate::state::Memory;
use crate::telemetry::audit::Audit;

pub use execute::{Progress, Report, Status};

/// What was read of each target, or why it could not be.
pub type Observations = BTreeMap<String, Result<Observed, Failure>>;

/// How to read each target with the fewest calls.
pub fn readings(
    settings: &Settings,
    desired: &BTreeMap<String, Desired>,
    memory: &Memory,
    now: Timestamp,
) -> BTreeMap<String, Reading> {
    let nobody = Known::new();
    let reading = |(name, desired): (&String, &Desired)| {
        let removes_unlisted = settings.targets.get(name).is_none_or(|t| t.rules.policy == Policy::Sync);
        let known = memory.principals.get(name).unwrap_or(&nobody);
        let reading = reading::choose(desired, removes_unlisted, known, memory.listings.get(name), now);
        (name.clone(), reading)
    };
    desired.iter().map(reading).collect()
}

/// Reads every target at once; by listing where `readings` does not say otherwise, and also where it does and
/// anything at all differs: a write is never planned from less than a listing.
pub async fn observe(
    apis: &BTreeMap<String, Api>,
    desired: &BTreeMap<String, Desired>,
    readings: &BTreeMap<String, Reading>,
    memory: &Memory,
) -> Observations {
    let nobody = &Known::new();
    let reads = apis.iter().filter_map(|(name, api)| Some((name, api, desired.get(name)?)));
    let reads = reads.map(|(name, api, desired)| async move {
        let reading = readings.get(name).copied().unwrap_or_default();
        let mut result = service::observe(api, desired, reading).await?;
        let known = memory.principals.get(name).unwrap_or(nobody);
        let differs = |observed: &Observed| {
            service::diff(name, desired, observed, known).is_none_or(|diff| !diff.changes.is_empty())
        };
        if result.as_ref().is_ok_and(|observed| !observed.is_listing() && differs(observed)) {
            result = service::observe(api, desired, Reading::List).await?;
        }
        Some((name.clone(), result))
    });
    futures_util::future::join_all(reads).await.into_iter().flatten().collect()
}

/// Compares and guards; pure.
pub fn plan(
    settings: &Settings,
    desired: &BTreeMap<String, Desired>,
    observations: &Observations,
    memory: &Memory,
    now: Timestamp,
    force_removals: bool,
) -> Plan {
    let circumstances = Circumstances { clocks: &memory.clocks, now, force_removals };
    let nobody = Known::new();
    let mut plan = Plan::default();
    for target in settings.targets.values() {
        let (Some(desired), Some(observation)) = (desired.get(&target.name), observations.get(&target.name))
        else {
            continue;
        };
        match observation {
            Ok(observed) => {
                let known = memory.principals.get(&target.name).unwrap_or(&nobody);
                if let Some(diff) = service::diff(&target.name, desired, observed, known) {
                    let by_name = !observed.is_listing();
                    let guarded = guard::guard(target, diff, circumstances);
                    plan.targets.push(TargetPlan { by_name, ..guarded });
                }
            }
            Err(failure) => plan.unobserved.push(Unobserved {
                target: target.name.clone(),
                service: target.kind(),
                error: failure.to_string(),
            }),
        }
    }
    plan
}

/// Makes the ready changes of every target, all targets at once.
pub async fn apply(
    plan: &Plan,
    plan_hash: &str,
    apis: &BTreeMap<String, Api>,
    door: &Door,
    concurrency: usize,
    audit: &Audit,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Report {
    let runs = plan.targets.iter().filter_map(|target| Some((target, apis.get(&target.target)?)));
    let runs = runs.map(|(target, api)| {
        execute::Run { target, api, door, concurrency, audit, plan_hash, progress }.to_the_end()
    });
    let mut report = Report::default();
    for part in futures_util::future::join_all(runs).await {
        report.entries.extend(part);
    }
    report
}

/// When a pass read its targets, and when it was over.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the targets were read.
    pub read_at: Timestamp,
    /// When everything was applied.
    pub now: Timestamp,
}

/// What to remember after a pass: principals that are there now, clocks of removals still due. `plan` is
/// what was applied, `pending` what the roster asks for; they differ where a saved plan was applied.
pub fn remember(
    memory: &Memory,
    desired: &BTreeMap<String, Desired>,
    observations: &Observations,
    plan: &Plan,
    pending: &Plan,
    report: &Report,
    Times { read_at, now }: Times,
) -> Memory {
    let mut principals = memory.principals.clone();
    for (target, wanted) in desired {
        let Some(Ok(observed)) = observations.get(target) else { continue };
        let created = created(plan.targets.iter().find(|t| t.target == *target), report);
        let known = principals.entry(target.clone()).or_default();
        let wanted = wanted.principals();
        known.retain(|user, _| wanted.contains_key(user));
        for (user, key) in wanted {
            if created.contains(key.as_str())
                || (observed.contains(&key) && !renamed(known.get(&user), &key, observed))
            {
                known.insert(user, key);
            }
        }
    }
    let mut clocks: Clocks = guard::wind(&memory.clocks, pending, now);
    // A removal that was made starts anew, should the same thing come back.
    for entry in report.entries.iter().filter(|e| e.status == Status::Done) {
        clocks.remove(&entry.change);
    }
    let mut listings = memory.listings.clone();
    for (target, observed) in observations {
        if let (Ok(observed), Some(desired)) = (observed, desired.get(target))
            && observed.is_listing()
        {
            listings.remove(target);
            listings.extend(Listing::of(observed, desired, read_at).map(|listing| (target.clone(), listing)));
        }
    }
    Memory { places: memory.places.clone(), principals, clocks, listings }
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
