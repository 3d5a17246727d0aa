//! The board on which the parts of the daemon write how they stand, and from which HTTP reads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::generation::Generation;
use super::history::History;
use super::pass::End;
use super::status::{
    Configuration, ErrorNote, LastPass, PaceLine, PassOutcome, Quarter, TargetState, TargetStatus,
};
use super::view::Planned;
use crate::plan::{HeldBy, Kind, Verdict};
use crate::reconcile::Status as Became;
use crate::telemetry::metrics::Attempts;
use crate::telemetry::people;
use crate::word::Word as _;

/// So many errors are kept.
const ERRORS_MAX: usize = 20;
/// Of one pass, so many failed changes are shown.
const ERRORS_OF_A_PASS: usize = 5;

/// How everything stands.
#[derive(Debug)]
pub struct Board {
    targets: BTreeMap<String, Card>,
    errors: VecDeque<ErrorNote>,
    history: History,
    /// Which files are in force.
    pub configuration: Configuration,
}

/// What is known of one target.
#[derive(Debug)]
struct Card {
    status: TargetStatus,
    planned: Option<Arc<Planned>>,
}

impl Board {
    /// Nothing has happened yet.
    pub fn new(config: &std::path::Path, generation: &Generation) -> Board {
        let configuration = Configuration {
            path: config.display().to_string(),
            hash: String::new(),
            loaded: generation.loaded,
            users: 0,
            last_reload_ok: true,
            problem: None,
            needs_restart: Vec::new(),
        };
        let (targets, errors, history) = Default::default();
        let mut board = Board { targets, errors, history, configuration };
        board.take_over(generation, Vec::new(), Some(generation.loaded));
        board
    }

    /// Another generation is in force. `read` is when the files on disk were read, if they were and are valid.
    pub fn take_over(
        &mut self,
        generation: &Generation,
        needs_restart: Vec<String>,
        read: Option<Timestamp>,
    ) {
        let configuration = &mut self.configuration;
        configuration.hash.clone_from(&generation.digest);
        configuration.users = generation.roster.users.len();
        if let Some(read) = read {
            configuration.loaded = read;
            configuration.last_reload_ok = true;
            configuration.problem = None;
        }
        configuration.needs_restart = needs_restart;
        let settings = &generation.settings;
        self.targets.retain(|name, card| {
            settings.targets.get(name).is_some_and(|target| target.place() == card.status.place)
        });
        for target in settings.targets.values() {
            let card = self.targets.entry(target.name.clone()).or_insert_with(|| Card {
                status: empty(target.name.clone(), target.kind(), target.place(), target.rules.policy),
                planned: None,
            });
            card.status.policy = target.rules.policy;
            card.status.users_desired = generation.desired.get(&target.name).map_or(0, |d| d.len());
        }
    }

    /// The files on disk are invalid.
    pub fn refuse(&mut self, problem: String) {
        self.configuration.last_reload_ok = false;
        self.configuration.problem = Some(problem);
    }

    /// A pass begins.
    pub fn begin(&mut self, target: &str) {
        if let Some(card) = self.targets.get_mut(target) {
            card.status.passing = true;
            card.status.next_pass = None;
        }
    }

    /// The next pass is due.
    pub fn expect(&mut self, target: &str, at: Timestamp) {
        if let Some(card) = self.targets.get_mut(target) {
            card.status.next_pass = Some(at);
        }
    }

    /// A pass at a place ended; `now` is the end. A target that is elsewhere by now is not what it was about.
    pub fn end(&mut self, target: &str, place: &str, end: &End, failures: u32, now: Timestamp) {
        for note in notes(target, end, now) {
            self.note(note);
        }
        let card = self.targets.get_mut(target).filter(|card| card.status.place == place);
        let Some(Card { status, planned }) = card else { return };
        status.passing = false;
        status.consecutive_failures = failures;
        let (made, failed) = (end.report.count(Became::Done), end.report.count(Became::Failed));
        let (started, seconds, outcome) = (end.started, end.took.as_secs_f64(), end.outcome);
        if outcome != PassOutcome::Interrupted || end.planned.is_some() {
            status.last_pass = Some(LastPass { started, seconds, outcome, made, failed });
        }
        if outcome == PassOutcome::Ok {
            status.last_success = Some(end.started);
        }
        status.error = end.trouble.as_ref().map(|t| format!("{}; {}", t.message, t.advice));
        if let Some(new) = &end.planned {
            count(status, new);
            *planned = Some(Arc::clone(new));
        }
        status.state = state(status, end);
        let drift = self.drift();
        self.history.pass(now, made, failed, drift);
    }

    /// The credentials and lanes of a target as they are now.
    pub fn measure(&mut self, target: &str, expiry: Option<Timestamp>, pace: Vec<PaceLine>) {
        if let Some(card) = self.targets.get_mut(target) {
            card.status.credentials_expire = expiry;
            card.status.pace = pace;
        }
    }

    /// The attempts so far.
    pub fn sample(&mut self, now: Timestamp, attempts: Attempts) {
        let drift = self.drift();
        self.history.sample(now, attempts, drift);
    }

    /// Keeps a note; the same thing again only counts.
    pub fn note(&mut self, mut note: ErrorNote) {
        let same = |n: &ErrorNote| n.target == note.target && n.message == note.message;
        if let Some(at) = self.errors.iter().position(same)
            && let Some(before) = self.errors.remove(at)
        {
            note.count += before.count;
        }
        self.errors.push_front(note);
        self.errors.truncate(ERRORS_MAX);
    }

    /// The targets as they stand.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.targets.values().map(|card| card.status.clone()).collect()
    }

    /// What each target's last pass planned.
    pub fn planned(&self) -> Vec<Arc<Planned>> {
        self.targets.values().filter_map(|card| card.planned.clone()).collect()
    }

    /// What is left to do on a target.
    pub fn drift_of(&self, target: &str) -> usize {
        self.targets.get(target).map_or(0, |card| card.status.drift)
    }

    /// What went wrong last, newest first.
    pub fn errors(&self) -> Vec<ErrorNote> {
        self.errors.iter().cloned().collect()
    }

    /// The last day.
    pub fn history(&self) -> Vec<Quarter> {
        self.history.quarters()
    }

    fn drift(&self) -> usize {
        self.targets.values().map(|card| card.status.drift).sum()
    }
}

fn empty(
    name: String,
    service: crate::service::ServiceKind,
    place: String,
    policy: crate::plan::guard::Policy,
) -> TargetStatus {
    TargetStatus {
        name,
        service,
        place,
        policy,
        state: TargetState::Starting,
        passing: false,
        last_pass: None,
        last_success: None,
        next_pass: None,
        consecutive_failures: 0,
        credentials_expire: None,
        was_observed: false,
        users_desired: 0,
        users_observed: 0,
        users_unmanaged: 0,
        in_step: 0,
        drift: 0,
        drift_by_kind: BTreeMap::new(),
        pending: 0,
        held: 0,
        held_by: BTreeMap::new(),
        removals_held: 0,
        blocked: 0,
        not_converging: 0,
        error: None,
        pace: Vec::new(),
    }
}

/// What a plan leaves to be done, once its report is in.
fn count(status: &mut TargetStatus, planned: &Planned) {
    let plan = &planned.plan;
    status.was_observed = true;
    status.users_desired = plan.listed;
    status.users_observed = plan.population;
    status.users_unmanaged = plan.unlisted + plan.out_of_scope;
    status.drift_by_kind = Kind::ALL.iter().map(|kind| (*kind, 0)).collect();
    status.held_by = HeldBy::ALL.iter().map(|by| (*by, 0)).collect();
    (status.pending, status.held, status.removals_held, status.blocked) = (0, 0, 0, 0);
    let mut differing = BTreeSet::new();
    let left = plan.changes.iter().filter(|c| planned.became.get(&c.id) != Some(&Became::Done));
    for change in left {
        *status.drift_by_kind.entry(change.kind).or_default() += 1;
        differing.extend(change.user.as_deref());
        match &change.verdict {
            Verdict::Ready => status.pending += 1,
            Verdict::Blocked { .. } => status.blocked += 1,
            Verdict::Held { by, .. } => {
                status.held += 1;
                *status.held_by.entry(*by).or_default() += 1;
                status.removals_held += usize::from(matches!(by, HeldBy::RemovalCap | HeldBy::EmptyRoster));
            }
        }
    }
    // Counted anew: the plan was made before its changes were.
    status.in_step = plan.in_step.max(plan.listed.saturating_sub(differing.len()));
    status.drift = status.pending + status.held + status.blocked;
    let is_left = |id: &&String| planned.became.get(*id) != Some(&Became::Done);
    status.not_converging = planned.hopeless.iter().filter(is_left).count();
}

fn state(status: &TargetStatus, end: &End) -> TargetState {
    match end.outcome {
        PassOutcome::Failed => TargetState::Failing,
        PassOutcome::Timeout if end.planned.is_none() => TargetState::Failing,
        PassOutcome::Interrupted if end.planned.is_none() => status.state,
        _ if status.removals_held > 0 => TargetState::Held,
        _ if status.drift > 0 => TargetState::Drifted,
        _ if status.was_observed => TargetState::InStep,
        _ => status.state,
    }
}

/// What a pass has to say of what went wrong, without names: roster ids are enough to find it.
fn notes(target: &str, end: &End, now: Timestamp) -> Vec<ErrorNote> {
    let note = |message: String, advice: String| ErrorNote {
        at: now,
        count: 1,
        target: Some(target.to_string()),
        message,
        advice,
    };
    let mut notes = Vec::new();
    let failed = end.report.entries.iter().filter(|e| e.status == Became::Failed);
    for entry in failed.take(ERRORS_OF_A_PASS) {
        let Some(change) = end.planned.as_ref().and_then(|p| p.change(&entry.change)) else { continue };
        let why = people::hide_principal(change, entry.note.as_deref().unwrap_or_default());
        let (why, advice) = why.rsplit_once("; ").map_or((why.as_str(), ""), |(why, advice)| (why, advice));
        let (who, kind) = (people::stand_in(change), change.kind);
        notes.push(note(format!("{kind} of {who} failed: {why}"), advice.to_string()));
    }
    notes.extend(end.trouble.as_ref().map(|t| note(t.message.clone(), t.advice.clone())));
    notes
}
