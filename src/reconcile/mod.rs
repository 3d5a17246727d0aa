//! One pass: observe → diff → guard → apply. The only place where the stages meet.
//!
//! The observations of all targets run at once, and so do their applications; within a target the
//! dependencies of a plan are kept and everything else runs concurrently ([`execute`]). The daemon does the
//! same for each target alone ([`target`]). A dry run is a pass that does not call [`apply`].

pub mod execute;
pub mod schedule;
pub mod target;
pub mod verify;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::aws::Failure;
use crate::aws::client::Api;
use crate::config::Settings;
use crate::plan::guard::{self, Clocks};
use crate::plan::{Plan, Unobserved};
use crate::service::reading::Reading;
use crate::service::{Desired, Observed};
use crate::state::Memory;
use crate::telemetry::audit::Audit;

pub use execute::{Progress, Report, Status};
pub use target::Aim;

/// What was read of each target, or why it could not be.
pub type Observations = BTreeMap<String, Result<Observed, Failure>>;

/// How to read each target with the fewest calls.
pub fn readings(
    settings: &Settings,
    desired: &BTreeMap<String, Desired>,
    memory: &Memory,
    now: Timestamp,
) -> BTreeMap<String, Reading> {
    let aims = settings.targets.values().filter_map(|target| Aim::of(target, desired, memory));
    aims.map(|aim| (aim.target.name.clone(), aim.reading(now))).collect()
}

/// Reads every target at once.
pub async fn observe(
    settings: &Settings,
    apis: &BTreeMap<String, Api>,
    desired: &BTreeMap<String, Desired>,
    readings: &BTreeMap<String, Reading>,
    memory: &Memory,
) -> Observations {
    let aims = settings.targets.values().filter_map(|target| Aim::of(target, desired, memory));
    let reads = aims.map(|aim| async move {
        let name = &aim.target.name;
        let reading = readings.get(name).copied().unwrap_or_default();
        Some((name.clone(), aim.observe(apis.get(name)?, reading).await?))
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
    let mut plan = Plan::default();
    for aim in settings.targets.values().filter_map(|target| Aim::of(target, desired, memory)) {
        match observations.get(&aim.target.name) {
            Some(Ok(observed)) => plan.targets.extend(aim.plan(observed, now, force_removals)),
            Some(Err(failure)) => plan.unobserved.push(Unobserved {
                target: aim.target.name.clone(),
                service: aim.target.kind(),
                error: failure.to_string(),
            }),
            None => {}
        }
    }
    plan
}

/// Makes the ready changes of every target, all targets at once.
pub async fn apply(
    plan: &Plan,
    plan_hash: &str,
    apis: &BTreeMap<String, Api>,
    concurrency: usize,
    audit: &Audit,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Report {
    let runs = plan.targets.iter().filter_map(|target| Some((target, apis.get(&target.target)?)));
    let runs = runs.map(|(target, api)| {
        execute::Run { target, api, concurrency, audit, plan_hash, progress }.to_the_end()
    });
    let mut report = Report::default();
    for part in futures_util::future::join_all(runs).await {
        report.entries.extend(part);
    }
    report
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
    let mut memory = memory.clone();
    for (target, wanted) in desired {
        if let Some(Ok(observed)) = observations.get(target) {
            let plan = plan.targets.iter().find(|t| t.target == *target);
            target::remember(&mut memory, target, wanted, observed, plan, report, read_at);
        }
    }
    memory.clocks = clocks(&memory.clocks, pending, report, now);
    memory
}

/// The clocks of removals after a pass.
pub fn clocks(clocks: &Clocks, pending: &Plan, report: &Report, now: Timestamp) -> Clocks {
    let mut clocks = guard::wind(clocks, pending, now);
    // A removal that was made starts anew, should the same thing come back.
    for entry in report.entries.iter().filter(|e| e.status == Status::Done) {
        clocks.remove(&entry.change);
    }
    clocks
}

/// When a pass read its targets, and when it was over.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the targets were read.
    pub read_at: Timestamp,
    /// When everything was applied.
    pub now: Timestamp,
}
