//! The door: every AWS call of rosterd goes through [`Caller::call`].
//!
//! For each attempt: wait at the pacer's gate for a turn and for one of the places bounded by `concurrency`,
//! send, count. A throttle slows the gate, and the call goes back into its queue, where it keeps its turn; it
//! is given up only when nothing at all was admitted for as long as a call may take. A transient failure waits
//! with jitter and is tried again until the attempts or the time of the call are used up. What is left is a
//! [`Failure`] that says what to do.
//! The closure builds the request anew for each attempt, so what has to stay the same across attempts
//! (a client token) is made before it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug, info_span, warn};

use super::classify::{self, Class, Failure};
use super::pacer::learned::Learned;
use super::pacer::{Gate, Pacer, Rates, Waiter};
use super::retry::Waits;
use crate::plan::cost::Pace;
use crate::service::ServiceKind;
use crate::telemetry::metrics::{Metrics, Outcome};

/// Bounds on one call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Attempts, the first included.
    pub attempts: u32,
    /// The time one attempt may take.
    pub attempt_timeout: Duration,
    /// The time the attempts of a call may take together, and how long a throttled one is kept while nothing
    /// of its operation is admitted.
    pub call_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            attempts: 10,
            attempt_timeout: Duration::from_secs(20),
            call_timeout: Duration::from_secs(180),
        }
    }
}

/// What all calls of the process share.
#[derive(Debug)]
pub struct Door {
    /// Says when a call may go out.
    pub pacer: Pacer,
    /// Counts attempts.
    pub metrics: Arc<Metrics>,
    places: Semaphore,
    stop: watch::Receiver<bool>,
    /// Calls so far, and targets: their numbers say who goes first.
    calls: AtomicU64,
    targets: AtomicUsize,
}

impl Door {
    /// A door with `concurrency` places, which lets nothing out once `stop` holds true.
    pub fn new(concurrency: usize, stop: watch::Receiver<bool>, learned: Learned) -> Arc<Self> {
        Arc::new(Door {
            pacer: Pacer::new(learned),
            metrics: Arc::default(),
            places: Semaphore::new(concurrency.max(1)),
            stop,
            calls: AtomicU64::new(0),
            targets: AtomicUsize::new(0),
        })
    }
}

/// What an IAM policy for a target names: one ARN for calls about users, one for those about groups.
#[derive(Debug, Default)]
pub struct Resources {
    /// For users, profiles and projects.
    pub users: String,
    /// For groups.
    pub groups: String,
}

/// The door as one target sees it.
#[derive(Debug, Clone)]
pub struct Caller {
    door: Arc<Door>,
    service: ServiceKind,
    target: usize,
    /// Targets of one account and Region share their pace.
    scope: Arc<str>,
    rates: Arc<Rates>,
    resources: Arc<Resources>,
    limits: Limits,
    /// For the metric.
    pub expiry: Expiry,
    /// Says when this target alone is to stop.
    stop: Option<watch::Receiver<bool>>,
    trace: Option<Arc<Trace>>,
    /// Half-done work is finished even when rosterd is told to stop.
    committed: bool,
}

/// When the credentials expire that calls were last signed with; nothing where they do not, or none was.
pub type Expiry = Arc<Mutex<Option<Timestamp>>>;

/// What became of the requests of one action.
#[derive(Debug, Default)]
struct Trace {
    ids: Mutex<Vec<String>>,
    /// One of them went out.
    sent: AtomicBool,
}

/// So many throttles in a row, at least, before calls of an operation are given up.
const THROTTLES_MIN: u32 = 3;
/// How often a call is tried again that does not see what was created a moment ago.
const SETTLE_TRIES: u32 = 12;

impl Caller {
    /// A caller for one target.
    pub fn new(
        door: Arc<Door>,
        service: ServiceKind,
        scope: &str,
        rates: Rates,
        resources: Resources,
        limits: Limits,
    ) -> Self {
        Caller {
            target: door.targets.fetch_add(1, Ordering::Relaxed),
            door,
            service,
            scope: scope.into(),
            rates: Arc::new(rates),
            resources: Arc::new(resources),
            limits,
            expiry: Expiry::default(),
            stop: None,
            trace: None,
            committed: false,
        }
    }

    /// The same, remembering the request ids of its calls.
    pub fn traced(&self) -> Self {
        Caller { trace: Some(Arc::default()), ..self.clone() }
    }

    /// The ids AWS gave the requests since [`Caller::traced`].
    pub fn request_ids(&self) -> Vec<String> {
        let trace = self.trace.as_ref();
        trace.map_or_else(Vec::new, |t| t.ids.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// True when a request went out since [`Caller::traced`], answered or not.
    pub fn has_sent(&self) -> bool {
        self.trace.as_ref().is_some_and(|t| t.sent.load(Ordering::Relaxed))
    }

    /// The same, letting nothing out once `stop` holds true either.
    pub fn until(&self, stop: watch::Receiver<bool>) -> Self {
        Caller { stop: Some(stop), ..self.clone() }
    }

    /// True once no new call is to start.
    pub fn is_stopping(&self) -> bool {
        *self.door.stop.borrow() || self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// The same for the second half of an action that must not stay half done.
    pub fn committed(&self) -> Self {
        Caller { committed: true, ..self.clone() }
    }

    /// A token that stays the same over the attempts of one call.
    pub fn client_token() -> String {
        format!("rosterd-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
    }

    /// Like [`Caller::call`], for a call on something just created: the services take a while to see it.
    pub async fn settled<O, E, Fut>(
        &self,
        fresh: bool,
        operation: &'static str,
        attempt: impl Fn() -> Fut,
    ) -> Result<O, Failure>
    where
        O: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        Fut: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
    {
        let mut waits = Waits::default();
        for _ in 0..SETTLE_TRIES {
            match self.call(operation, &attempt).await {
                Err(failure) if fresh && failure.class == Class::NotFound => {
                    debug!(operation, "not visible yet");
                    tokio::time::sleep(waits.next_wait()).await;
                }
                other => return other,
            }
        }
        self.call(operation, &attempt).await
    }

    /// A failure of this target that no answer stands behind.
    pub fn failure(&self, operation: &'static str, class: Class, message: impl Into<String>) -> Failure {
        Failure::local(self.service, operation, class, message)
    }

    /// Makes a call: as many attempts as it takes and the limits allow.
    pub async fn call<O, E, Fut>(
        &self,
        operation: &'static str,
        attempt: impl Fn() -> Fut,
    ) -> Result<O, Failure>
    where
        O: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        Fut: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
    {
        let span = info_span!("call", service = %self.service, operation, request_id = Empty);
        self.attempts(operation, attempt).instrument(span).await
    }

    async fn attempts<O, E, Fut>(
        &self,
        operation: &'static str,
        attempt: impl Fn() -> Fut,
    ) -> Result<O, Failure>
    where
        O: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        Fut: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
    {
        let door = &self.door;
        // Waiting for a turn does not count: a long queue is no failure of the call.
        let mut deadline: Option<Instant> = None;
        let mut waits = Waits::default();
        let mut uncertain = false;
        let mut number = 1;
        let gate = self.gate(operation);
        let waiter = Waiter { target: self.target, call: door.calls.fetch_add(1, Ordering::Relaxed) };
        let mut throttles = 0;
        loop {
            let queued = Instant::now();
            let turn = tokio::select! {
                biased;
                () = self.stopped() => None,
                turn = gate.pass(waiter, &door.places) => turn,
            };
            let Some((place, ticket)) = turn else {
                let when = if uncertain { "again" } else { "" };
                let message = format!("stopped before it was called {when}");
                let stopped = self.failure(operation, Class::Interrupted, message.trim_end());
                return Err(Failure { uncertain, ..stopped });
            };
            let sent = Instant::now();
            door.metrics.waited(self.service, operation, sent - queued);
            if let Some(trace) = &self.trace {
                trace.sent.store(true, Ordering::Relaxed);
            }
            let last = deadline.map_or(sent + self.limits.call_timeout, |last| last + (sent - queued));
            deadline = Some(last);
            let answer = tokio::time::timeout(self.limits.attempt_timeout, attempt()).await;
            drop(place);
            let mut failure = match answer {
                Ok(Ok(output)) => {
                    door.metrics.attempt(self.service, operation, Outcome::Ok, sent.elapsed());
                    gate.admitted();
                    self.remember(output.request_id());
                    return Ok(output);
                }
                Ok(Err(error)) => classify::failure(self.service, operation, &error),
                Err(_) => Failure {
                    uncertain: true,
                    ..self.failure(operation, Class::Transient, "no answer in time")
                },
            };
            door.metrics.attempt(self.service, operation, outcome(failure.class), sent.elapsed());
            if failure.class == Class::Denied {
                let about_groups = operation.contains("Group");
                let resource = if about_groups { &self.resources.groups } else { &self.resources.users };
                failure.resource = Some(resource.as_str().into());
            }
            uncertain |= failure.uncertain;
            failure.uncertain = uncertain;
            let (wait, out_of_time) = match failure.class {
                Class::Throttle => {
                    let refused = gate.throttled(ticket, failure.retry_after);
                    throttles += 1;
                    let out_of_time =
                        refused.count >= THROTTLES_MIN && refused.since.elapsed() >= self.limits.call_timeout;
                    // The gate holds the call back, unless it holds nothing back.
                    let wait = if gate.rate().is_finite() { Duration::ZERO } else { waits.next_wait() };
                    (wait, out_of_time)
                }
                Class::Transient => {
                    gate.admitted();
                    let wait = failure.retry_after.unwrap_or_else(|| waits.next_wait());
                    (wait, Instant::now() + wait >= last)
                }
                _ => {
                    gate.admitted();
                    self.remember(failure.request_id.as_deref());
                    return Err(failure);
                }
            };
            // A slow quota is no reason to give up.
            let out_of_attempts = failure.class != Class::Throttle && number >= self.limits.attempts;
            if failure.class != Class::Throttle || out_of_time {
                self.remember(failure.request_id.as_deref());
            }
            if out_of_attempts || out_of_time {
                let attempts = number + throttles - u32::from(failure.class == Class::Throttle);
                warn!(attempts, code = failure.code, "gave up");
                let after = crate::word::count(attempts as usize, "attempt");
                failure.message = format!("{} (after {after})", failure.message);
                return Err(failure);
            }
            debug!(attempt = number, code = failure.code, wait_ms = wait.as_millis() as u64, "trying again");
            door.metrics.retry(self.service, operation);
            tokio::select! {
                () = self.stopped() => {}
                () = tokio::time::sleep(wait) => {}
            }
            number += u32::from(failure.class != Class::Throttle);
        }
    }

    async fn stopped(&self) {
        if self.committed {
            std::future::pending::<()>().await;
        }
        let own = async {
            match &self.stop {
                Some(stop) => stopped(stop.clone()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(self.door.stop.clone()) => {}
            () = own => {}
        }
    }

    /// Where this target's calls of an operation queue, and their pace.
    pub fn pace(&self, operation: &'static str) -> Pace {
        let latency = self.door.metrics.mean_seconds(self.service);
        Pace { scope: self.scope.to_string(), rate: self.gate(operation).rate(), latency }
    }

    /// Which service it calls.
    pub fn service(&self) -> ServiceKind {
        self.service
    }

    /// Calls per second of each operation called so far; infinite where not paced.
    pub fn rates(&self) -> BTreeMap<&'static str, f64> {
        self.door.pacer.rates(&self.scope)
    }

    /// The gate of one of this target's operations.
    pub fn gate(&self, operation: &'static str) -> Arc<Gate> {
        self.door.pacer.gate(&self.scope, operation, &self.rates)
    }

    fn remember(&self, request_id: Option<&str>) {
        let Some(id) = request_id else { return };
        Span::current().record("request_id", id);
        if let Some(trace) = &self.trace {
            trace.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_string());
        }
    }
}

/// Waits until `stop` holds true.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say stop.
        std::future::pending::<()>().await;
    }
}

fn outcome(class: Class) -> Outcome {
    match class {
        Class::Throttle => Outcome::Throttled,
        Class::Transient => Outcome::Failed,
        _ => Outcome::Refused,
    }
}
