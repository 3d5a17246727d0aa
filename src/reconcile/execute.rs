//! Running the ready changes of one target: each after what it depends on, one lane at a time, everything
//! else concurrently. One failing change stops only what depends on it.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tracing::{debug, error, warn};

use super::schedule::Schedule;
use crate::aws::Class;
use crate::aws::client::Api;
use crate::plan::{Change, Field, Kind, Removal, TargetPlan};
use crate::service::{self, Made, Outcome};
use crate::telemetry::audit::{Audit, Line};
use crate::telemetry::people;
use crate::words;

words! {
    /// What became of a change.
    Status {
        /// It was made.
        Done = "done",
        /// It was tried and failed.
        Failed = "failed",
        /// What it depends on failed.
        Skipped = "skipped",
        /// rosterd was told to stop before it began.
        NotStarted = "not_started",
    }
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The target.
    pub target: String,
    /// The change's id.
    pub change: String,
    /// The principal or group.
    pub principal: String,
    /// What the change does.
    pub kind: Kind,
    /// What became of it.
    pub status: Status,
    /// What went wrong, or what to know of it.
    pub note: Option<String>,
    /// What the failure means, where there was an answer to go by.
    pub class: Option<Class>,
}

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order the changes ended, target by target.
    pub entries: Vec<Entry>,
}

impl Report {
    /// How many changes ended so.
    pub fn count(&self, status: Status) -> usize {
        self.entries.iter().filter(|e| e.status == status).count()
    }
}

/// News for a progress bar.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A change ended.
    Ended(&'a Entry),
}

/// The changes of one target, about to be made.
pub struct Run<'a> {
    /// Which target, and its changes.
    pub target: &'a TargetPlan,
    /// Its clients, which also say when to stop.
    pub api: &'a Api,
    /// Changes under way at once.
    pub concurrency: usize,
    /// Where each write leaves its line.
    pub audit: &'a Audit,
    /// The plan's hash, for those lines.
    pub plan_hash: &'a str,
    /// Who is told of each change that ended.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// How the making of one change ended.
struct Ended {
    at: usize,
    status: Status,
    note: Option<String>,
    class: Option<Class>,
    outcome: Outcome,
}
type Running<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;

impl<'a> Run<'a> {
    /// Makes every change that can be made.
    pub async fn to_the_end(self) -> Vec<Entry> {
        let changes: Vec<&Change> = self.target.changes.iter().filter(|c| c.is_ready()).collect();
        let mut schedule = Schedule::new(&changes, &self.target.changes);
        let mut made = Made::default();
        let mut entries = Vec::with_capacity(changes.len());
        let lost = removals(&changes);
        let begun = Line::begin(&self.target.target, self.plan_hash, changes.len(), &lost, Timestamp::now());
        if let Err(error) = self.audit.write(&begun) {
            error!(target_name = self.target.target, "nothing is written to AWS: {error}");
        }
        let mut running: FuturesUnordered<Running<'_>> = FuturesUnordered::new();
        loop {
            // Nothing more is written that cannot be recorded.
            let may_start = || !self.api.caller().is_stopping() && self.audit.ready().is_ok();
            while running.len() < self.concurrency && may_start() {
                let Some(at) = schedule.start() else { break };
                let made = made.clone_for(changes[at]);
                running.push(Box::pin(self.one(at, changes[at], made)));
            }
            let Some(Ended { at, status, note, class, outcome }) = running.next().await else { break };
            let change = changes[at];
            if let Some(created) = outcome.created {
                made.ids.insert(change.id.clone(), created);
            }
            self.end(change, status, note, class, &mut entries);
            for skipped in schedule.ended(at, status == Status::Done) {
                let note = Some(format!("needs {}, which was not made", change.id));
                self.end(changes[skipped], Status::Skipped, note, None, &mut entries);
            }
        }
        for (at, why) in schedule.left() {
            let note = why.map(|id| format!("needs {id}, which is blocked or held back"));
            let status = if note.is_some() { Status::Skipped } else { Status::NotStarted };
            self.end(changes[at], status, note, None, &mut entries);
        }
        entries
    }

    fn end(
        &self,
        change: &Change,
        status: Status,
        note: Option<String>,
        class: Option<Class>,
        entries: &mut Vec<Entry>,
    ) {
        let entry = Entry {
            target: self.target.target.clone(),
            change: change.id.clone(),
            principal: change.subject.key().to_string(),
            kind: change.kind,
            status,
            note,
            class,
        };
        (self.progress)(Progress::Ended(&entry));
        entries.push(entry);
    }

    async fn one(&self, at: usize, change: &Change, made: Made) -> Ended {
        let api = self.api.traced();
        let line = Line::of(&self.target.target, change, self.plan_hash, Timestamp::now());
        let mut record = Record { audit: self.audit, api: &api, line, ended: false };
        let result = service::apply(&api, &change.action, &made).await;
        record.ended = true;
        let line = &mut record.line;
        line.time = Timestamp::now();
        line.request_ids = api.request_ids();
        line.outcome = "failed";
        let mut class = None;
        let (status, note, outcome) = match result {
            Some(Ok(outcome)) => {
                debug!(target_name = self.target.target, change = change.kind.to_string(), "done");
                line.outcome = "done";
                (Status::Done, outcome.note.clone(), outcome)
            }
            Some(Err(failure))
                if failure.class == Class::Interrupted
                    && line.request_ids.is_empty()
                    && !failure.uncertain =>
            {
                let (status, outcome) = (Status::NotStarted, Outcome::default());
                return Ended { at, status, note: None, class: None, outcome };
            }
            Some(Err(failure)) => {
                class = Some(failure.class);
                // No answer, or none that says whether it took effect.
                if failure.uncertain {
                    line.outcome = "unknown";
                }
                warn!(
                    target_name = self.target.target,
                    user = people::stand_in(change),
                    change = change.kind.to_string(),
                    code = failure.code,
                    request_id = failure.request_id.as_deref(),
                    "failed: {}",
                    people::hide_principal(change, &failure.to_string())
                );
                (Status::Failed, Some(failure.to_string()), Outcome::default())
            }
            None => (Status::Failed, Some("the change is for another service".into()), Outcome::default()),
        };
        line.note.clone_from(&note);
        match self.audit.write(line) {
            Ok(()) => Ended { at, status, note, class, outcome },
            Err(error) => {
                let (user, kind) = (people::stand_in(change), change.kind.to_string());
                error!(
                    target_name = self.target.target,
                    user,
                    change = kind,
                    "{status}, not recorded yet: {error}"
                );
                let note = Some(format!("{UNRECORDED} {error}"));
                Ended { at, status: Status::Failed, note, class: None, outcome }
            }
        }
    }
}

/// What a plan takes away, for the line that begins it: on record even if rosterd is killed in the middle.
fn removals(changes: &[&Change]) -> Vec<Field> {
    let lost = changes.iter().filter(|c| c.removal != Removal::None);
    lost.map(|c| Field { name: c.kind.to_string(), old: Some(c.subject.key().to_string()), new: None })
        .collect()
}

/// The line of an action under way: where rosterd ends before the answer comes, it says so.
struct Record<'a> {
    audit: &'a Audit,
    api: &'a Api,
    line: Line<'a>,
    ended: bool,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.ended || !self.api.caller().has_sent() {
            return;
        }
        let line = &mut self.line;
        line.time = Timestamp::now();
        line.request_ids = self.api.request_ids();
        line.outcome = "unknown";
        line.note = Some("cut off before the answer came; the next pass looks".into());
        if let Err(error) = self.audit.write(line) {
            error!("a call that was cut off is not recorded: {error}");
        }
    }
}

/// What the report says of a write without an audit line.
const UNRECORDED: &str = "not recorded, so nothing more is written:";

impl Made {
    /// The references one change may need.
    fn clone_for(&self, change: &Change) -> Made {
        let needed = change.after.iter().filter_map(|id| Some((id.clone(), self.ids.get(id)?.clone())));
        Made { ids: needed.collect(), fresh: !change.after.is_empty() }
    }
}
