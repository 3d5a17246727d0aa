//! The loop of one target. Each target has a task of its own, so that one that is slow or dead holds no other
//! back; a pass that panics is a failed pass, and the loop goes on.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, info, info_span, warn};

use super::Shared;
use super::converge::Tries;
use super::generation::Generation;
use super::pass::{End, Pass, Trouble};
use super::schedule::Rhythm;
use super::status::{PaceLine, PassOutcome};
use crate::aws::call;
use crate::aws::client::{self, Api};
use crate::config::Target;
use crate::reconcile::{Report, Status};
use crate::word::Word as _;

/// Rung when a pass is to begin now.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    /// The digest of the files under which somebody allowed removals beyond the cap.
    allowed: Mutex<Option<String>>,
}

impl Bell {
    /// Asks for a pass; `allowed` is the digest of the files in force where `max_removals` is not to hold it:
    /// what somebody allowed under one roster is not allowed under the next.
    pub fn ring(&self, allowed: Option<String>) {
        if allowed.is_some() {
            *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = allowed;
        }
        self.rung.notify_one();
    }

    /// True for one pass, under the files it was allowed for.
    fn allows_removals(&self, digest: &str) -> bool {
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if allowed.as_deref().is_some_and(|allowed| allowed != digest) {
            warn!("removals beyond `max_removals` were allowed for files that are not in force any more");
        }
        allowed.as_deref() == Some(digest)
    }
}

/// What the loop of a target knows of the world outside.
#[derive(Debug)]
pub struct Loop {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The target's name.
    pub name: String,
    /// Where it is: at another place it is another target, with a loop of its own.
    pub place: String,
    /// The files in force.
    pub generations: watch::Receiver<Arc<Generation>>,
    /// Asks for a pass.
    pub bell: Arc<Bell>,
}

/// Passes in a row that newer files may stop: one of a target whose roster changes all the time has to end, too.
const STOPPED_MAX: u32 = 3;

/// How a loop has fared so far.
#[derive(Debug, Default)]
struct Course {
    /// Failed passes in a row.
    failures: u32,
    /// Passes in a row that newer files have stopped.
    stopped: u32,
    /// The generation in which what the last pass was about last changed.
    since: u64,
    /// The settings that the clients were made from.
    settings_digest: String,
    /// And those that their rates were named under.
    epoch: u64,
}

impl Loop {
    /// Passes until rosterd stops or the target is taken out of the settings; gives how the last one ended.
    pub async fn run(mut self) -> Option<PassOutcome> {
        let tries = Arc::new(Mutex::new(Tries::default()));
        let mut link: Option<Api> = None;
        let mut course = Course::default();
        let mut due = Instant::now();
        let mut last = None;
        while let Some(asked) = self.wait(due, course.since).await {
            // Both before the files are taken: what they say may be older, never newer.
            let (unsure, epoch) = (self.shared.is_unsure(), self.shared.door.pacer.epoch());
            let generation = Arc::clone(&self.generations.borrow_and_update());
            let Some(target) = self.own(&generation) else { break };
            course.since = generation.since.get(&self.name).copied().unwrap_or_default();
            if course.settings_digest != generation.settings_digest {
                course.settings_digest.clone_from(&generation.settings_digest);
                course.failures = 0;
                *tries.lock().unwrap_or_else(PoisonError::into_inner) = Tries::default();
                link = None;
            }
            if course.epoch != epoch {
                course.epoch = epoch;
                link = None;
            }
            let api = match link.take() {
                Some(api) => api,
                None => {
                    let Shared { endpoint, http, door, .. } = &*self.shared;
                    let limits = generation.settings.daemon.limits;
                    client::connect(target, endpoint.as_deref(), http, limits, door).await
                }
            };
            if asked {
                tries.lock().unwrap_or_else(PoisonError::into_inner).try_again(Instant::now());
            }
            let began = Instant::now();
            let end = self.pass(&generation, api.clone(), &tries, &mut course, unsure).await;
            course.failures = match end.outcome {
                // What takes long and comes forward is no failure.
                PassOutcome::Timeout if end.report.count(Status::Done) > 0 => 0,
                PassOutcome::Failed | PassOutcome::Timeout => course.failures + 1,
                PassOutcome::Ok | PassOutcome::Partial => 0,
                PassOutcome::Interrupted => course.failures,
            };
            self.record(&end, &api, course.failures);
            last = Some(end.outcome);
            // Credentials are looked for anew: files and environment may hold others now.
            if !end.trouble.as_ref().is_some_and(|t| t.credentials) {
                link = Some(api);
            }
            if self.shared.once || self.shared.is_stopping() {
                break;
            }
            let daemon = &generation.settings.daemon;
            let rhythm = Rhythm { interval: daemon.interval, jitter: daemon.jitter };
            due = rhythm.next(began, Instant::now(), course.failures, fastrand::f64());
            self.expect(due);
        }
        self.shared.heart.rest(&self.name);
        last
    }

    /// The target, where it still is the one this loop is for.
    fn own<'g>(&self, generation: &'g Generation) -> Option<&'g Target> {
        generation.settings.targets.get(&self.name).filter(|target| target.place() == self.place)
    }

    /// Waits for the next pass: true when somebody or a newer roster asks for it, nothing when there is none.
    async fn wait(&mut self, due: Instant, since: u64) -> Option<bool> {
        self.shared.heart.beat(&self.name, due);
        loop {
            tokio::select! {
                biased;
                () = call::stopped(self.shared.stop.subscribe()) => return None,
                changed = self.generations.changed() => {
                    changed.ok()?;
                    let generation = Arc::clone(&self.generations.borrow_and_update());
                    self.own(&generation)?;
                    if generation.since.get(&self.name).is_some_and(|now| *now != since) {
                        return Some(true);
                    }
                }
                () = self.bell.rung.notified() => return Some(true),
                () = tokio::time::sleep_until(due) => return Some(false),
            }
        }
    }

    /// One pass within its bounds: told to stop by a newer roster, by the end of rosterd or of `pass_timeout`, it
    /// ends its calls under way; if it does not, it is cut off.
    async fn pass(
        &self,
        generation: &Arc<Generation>,
        api: Api,
        tries: &Arc<Mutex<Tries>>,
        course: &mut Course,
        unsure: bool,
    ) -> End {
        let daemon = &generation.settings.daemon;
        let (stop, stopping) = watch::channel(false);
        let pass = Pass {
            shared: Arc::clone(&self.shared),
            generation: Arc::clone(generation),
            name: self.name.clone(),
            api,
            tries: Arc::clone(tries),
            force_removals: self.bell.allows_removals(&generation.digest),
            unsure,
            stop: stopping,
        };
        let began = Instant::now();
        let started = (self.shared.wall)();
        let timeout = began + daemon.pass_timeout;
        // Work that must not stay half done is two calls more at most.
        let cut_off = timeout + 2 * daemon.limits.call_timeout + daemon.limits.attempt_timeout;
        self.shared.heart.beat(&self.name, cut_off);
        self.shared.board().begin(&self.name);
        let span = info_span!("pass", target_name = self.name);
        let mut pass = std::pin::pin!(AssertUnwindSafe(pass.make().instrument(span)).catch_unwind());
        let (mut newer, mut is_late) = (self.generations.clone(), false);
        let stopped = std::mem::take(&mut course.stopped);
        let may_be_stopped = stopped < STOPPED_MAX;
        loop {
            tokio::select! {
                ended = &mut pass => {
                    let mut end = ended.unwrap_or_else(|_| broken(started, began.elapsed(), "the pass panicked"));
                    if is_late && end.outcome == PassOutcome::Interrupted {
                        end.outcome = PassOutcome::Timeout;
                        let advice = "the next pass goes on from there; raise `pace` or `daemon.pass_timeout`";
                        end.trouble = Some(Trouble::new("the pass took longer than `daemon.pass_timeout`", advice));
                    }
                    return end;
                }
                Ok(()) = newer.changed() => {
                    let now = newer.borrow_and_update();
                    let is_gone = self.own(&now).is_none();
                    let is_other = now.since.get(&self.name) != Some(&course.since);
                    if is_gone || (is_other && may_be_stopped) {
                        course.stopped = stopped + 1;
                        stop.send_replace(true);
                    }
                }
                () = call::stopped(self.shared.stop.subscribe()), if !*stop.borrow() => { stop.send_replace(true); }
                () = tokio::time::sleep_until(timeout), if !is_late => {
                    is_late = true;
                    stop.send_replace(true);
                }
                () = tokio::time::sleep_until(cut_off) => {
                    let mut end = broken(started, began.elapsed(), "the pass did not end and was cut off");
                    end.outcome = PassOutcome::Timeout;
                    return end;
                }
            }
        }
    }

    fn record(&self, end: &End, api: &Api, failures: u32) {
        let shared = &self.shared;
        let took = end.took;
        shared.door.metrics.pass(&self.name, end.outcome, took);
        let service = api.caller().service().word();
        let attempts = shared.door.metrics.attempts();
        let rates = api.caller().rates().into_iter().map(|(operation, rate)| {
            let counted =
                attempts.get(&(service.to_string(), operation.to_string())).copied().unwrap_or_default();
            let calls_per_second = rate.is_finite().then_some(rate);
            PaceLine { operation, calls_per_second, attempts: counted.all, throttled: counted.throttled }
        });
        let expiry = *api.caller().expiry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut board = shared.board();
        board.end(&self.name, &self.place, end, failures, (shared.wall)());
        board.measure(&self.name, expiry, rates.collect());
        board.sample((shared.wall)(), shared.door.metrics.totals());
        drop(board);
        shared.passed();
        self.log(end, failures);
    }

    /// One line a pass.
    fn log(&self, end: &End, failures: u32) {
        let count = |status| end.report.count(status);
        let (made, failed, took_ms) =
            (count(Status::Done), count(Status::Failed), end.took.as_millis() as u64);
        let (target_name, outcome) = (self.name.as_str(), end.outcome.word());
        let drift = self.shared.board().drift_of(target_name);
        match &end.trouble {
            Some(Trouble { message, advice, .. }) => {
                warn!(target_name, outcome, made, failed, took_ms, failures, "pass: {message}; {advice}");
            }
            None if failed > 0 => warn!(target_name, outcome, made, failed, drift, took_ms, "pass"),
            None => info!(target_name, outcome, made, drift, took_ms, "pass"),
        }
    }

    fn expect(&self, due: Instant) {
        let wait = SignedDuration::try_from(due.saturating_duration_since(Instant::now()));
        let at = (self.shared.wall)().checked_add(wait.unwrap_or_default());
        self.shared.board().expect(&self.name, at.unwrap_or(Timestamp::MAX));
    }
}

fn broken(started: Timestamp, took: Duration, message: &str) -> End {
    let trouble = Some(Trouble::new(message, "this is a mistake in rosterd: please report it with the log"));
    End { outcome: PassOutcome::Failed, started, took, planned: None, report: Report::default(), trouble }
}
