//! One pass of one target: observe → diff → guard → apply, with its end as plain data.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::converge::Tries;
use super::generation::Generation;
use super::status::PassOutcome;
use super::view::Planned;
use crate::aside::aside;
use crate::aws::client::Api;
use crate::aws::{Class, Failure};
use crate::config::Target;
use crate::plan::{Plan, saved};
use crate::reconcile::execute::Run;
use crate::reconcile::{self, Aim, Progress, Report, Status, target};
use crate::state::Memory;
use crate::telemetry::audit::Audit;
use crate::telemetry::people;
use crate::word::one_line;

/// How a pass ended.
#[derive(Debug)]
pub struct End {
    /// In one word.
    pub outcome: PassOutcome,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it planned, where it came so far.
    pub planned: Option<Arc<Planned>>,
    /// What it made.
    pub report: Report,
    /// Why it failed.
    pub trouble: Option<Trouble>,
}

/// What went wrong with a pass as a whole; without names.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// It is about credentials: they are loaded anew.
    pub credentials: bool,
}

impl Trouble {
    /// Of one thing that nobody foresaw.
    pub fn new(message: &str, advice: &str) -> Self {
        Trouble { message: message.into(), advice: advice.into(), credentials: false }
    }

    fn of(failure: &Failure) -> Self {
        Trouble {
            message: one_line(&people::hide_addresses(&failure.what())),
            advice: failure.advice(),
            credentials: failure.class == Class::Credentials,
        }
    }
}

/// What a pass is made with.
pub struct Pass {
    /// What all parts of the daemon share.
    pub shared: Arc<Shared>,
    /// The files in force.
    pub generation: Arc<Generation>,
    /// The target's name.
    pub name: String,
    /// Its clients.
    pub api: Api,
    /// What was tried before.
    pub tries: Arc<Mutex<Tries>>,
    /// `max_removals` does not hold this once.
    pub force_removals: bool,
    /// Nobody knew what day it was when the files were taken.
    pub unsure: bool,
    /// Holds true once no new call is to start.
    pub stop: watch::Receiver<bool>,
}

impl Pass {
    /// Makes the pass.
    pub async fn make(self) -> End {
        let (began, started) = (Instant::now(), (self.shared.wall)());
        let (outcome, planned, report, trouble) = match self.stages().await {
            Ok((planned, report, trouble)) => {
                let outcome = if trouble.is_some() { PassOutcome::Failed } else { outcome(&report) };
                (outcome, Some(Arc::new(planned)), report, trouble)
            }
            Err(None) => (PassOutcome::Interrupted, None, Report::default(), None),
            Err(Some(trouble)) => (PassOutcome::Failed, None, Report::default(), Some(trouble)),
        };
        End { outcome, started, took: began.elapsed(), planned, report, trouble }
    }

    /// The stages; `Err(None)` where it was told to stop before anything could be planned.
    async fn stages(&self) -> Result<(Planned, Report, Option<Trouble>), Option<Trouble>> {
        let (shared, settings) = (&self.shared, &self.generation.settings);
        let target = settings.targets.get(&self.name);
        let (now, memory) = self.look(target);
        let aim = target.and_then(|target| Aim::of(target, &self.generation.desired, &memory)).ok_or(None)?;
        let api = self.api.until(self.stop.clone());
        // Boxed: the compiler gives up on the layout of one future of all stages.
        let observed = match aim.observe(&api, aim.reading(now)).boxed().await {
            None => return Err(None),
            Some(Err(failure)) if failure.class == Class::Interrupted => return Err(None),
            Some(Err(failure)) => return Err(Some(Trouble::of(&failure))),
            Some(Ok(observed)) => observed,
        };
        let mut plan = aim.plan(&observed, now, self.force_removals).ok_or(None)?;
        let hopeless = self.tries().review(&mut plan, Instant::now());
        let plan = Plan { targets: vec![plan], unobserved: Vec::new() };
        let (report, trouble) = match plan.ready() {
            0 => (Report::default(), None),
            _ => match self.objection() {
                // What was observed is remembered all the same.
                Some(trouble) => (Report::default(), Some(trouble)),
                None => (self.apply(&api, &plan, now).boxed().await, unrecorded(&shared.audit)),
            },
        };
        let read_at = now;
        let now = shared.now();
        // What is timed by a clock that nobody believes is not remembered.
        if !self.is_unsure() {
            aside(|| {
                shared.store().update(&self.name, &aim.target.place(), &shared.door, |memory| {
                    let made = plan.targets.first();
                    target::remember(memory, &self.name, aim.desired, &observed, made, &report, read_at);
                    memory.clocks = reconcile::clocks(&memory.clocks, &plan, &report, now);
                });
            });
        }
        let plan = plan.targets.into_iter().next().ok_or(None)?;
        let became = report.entries.iter().map(|e| (e.change.clone(), e.status)).collect();
        Ok((Planned { plan, at: read_at, became, hopeless }, report, trouble))
    }

    fn is_unsure(&self) -> bool {
        self.unsure || self.shared.is_unsure()
    }

    /// Why nothing may be written just now.
    fn objection(&self) -> Option<Trouble> {
        // Nothing is written that cannot be recorded.
        let unrecorded = unrecorded(&self.shared.audit);
        unrecorded.or_else(|| {
            let advice = match self.shared.once {
                true => "set it; if it is right, remove memory.json from `state_dir`, whose loss is harmless",
                false => "set it; nothing is written until it is right, or for an hour",
            };
            let trouble = || Trouble::new("the clock started behind what `state_dir` remembers", advice);
            self.is_unsure().then(trouble)
        })
    }

    /// The time that counts, and what is remembered, by the same clock.
    fn look(&self, target: Option<&Target>) -> (Timestamp, Memory) {
        let (shared, daemon) = (&self.shared, &self.generation.settings.daemon);
        let grace = target.map_or(Duration::ZERO, |target| target.rules.removal_grace);
        // Of passes that others start, now and then, nobody knows what is usual.
        let usual = (!shared.once).then(|| grace + 2 * daemon.interval + daemon.pass_timeout);
        loop {
            let jumps = shared.jumps();
            let now = shared.now();
            let memory = aside(|| shared.store().look(&self.name, usual, now));
            if jumps == shared.jumps() {
                return (now, memory);
            }
        }
    }

    async fn apply(&self, api: &Api, plan: &Plan, now: Timestamp) -> Report {
        let Some(target) = plan.targets.first() else { return Report::default() };
        let shared = &self.shared;
        let hash = saved::hash(plan, now, shared.sandbox);
        let daemon = &self.generation.settings.daemon;
        let tell = |progress: Progress<'_>| {
            let Progress::Ended(entry) = progress;
            shared.door.metrics.change(&self.name, entry.kind, entry.status);
        };
        let (audit, plan_hash, progress) = (&shared.audit, hash.as_str(), &tell);
        let run = Run { target, api, concurrency: daemon.concurrency, audit, plan_hash, progress };
        let entries = run.to_the_end().await;
        let report = Report { entries };
        self.tries().learn(target, &report, daemon.interval, Instant::now());
        report
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(report: &Report) -> PassOutcome {
    let count = |status| report.count(status);
    if count(Status::NotStarted) > 0 {
        PassOutcome::Interrupted
    } else if count(Status::Failed) + count(Status::Skipped) > 0 {
        PassOutcome::Partial
    } else {
        PassOutcome::Ok
    }
}

/// Lines of the audit trail that cannot be written.
fn unrecorded(audit: &Audit) -> Option<Trouble> {
    let error = audit.ready().err()?;
    let (message, advice) = error.rsplit_once("; ").unwrap_or((&error, ""));
    Some(Trouble::new(message, advice))
}
