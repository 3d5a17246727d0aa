//! The supervisor: starts the loops of the targets, takes orders, looks at the files, feeds the watchdog, and
//! brings everything to an end.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use super::generation::{Generation, Read, day_of};
use super::reloading::{Answer, READING_MAX};
use super::status::{PassOutcome, TargetState};
use super::target::{Bell, Loop};
use super::watch::{Fingerprint, Watch};
use super::{Daemon, Order, Shared, systemd};

/// How often files, day and watchdog are looked after.
const TICK: Duration = Duration::from_secs(3);
/// However short systemd's patience is.
const TICK_MIN: Duration = Duration::from_millis(100);
/// What does not even end when it is cut off waits for a disk.
const CUT_OFF_TIME: Duration = Duration::from_secs(2);
/// The supervisor's part in the heart.
const PART: &str = "(supervisor)";
/// A loop that breaks at once does not become a loop of breaking.
const PAUSE_AFTER_BREAK: Duration = Duration::from_secs(60);
/// `systemctl status` shows one line.
const STATUS_CHARS_MAX: usize = 300;

/// How the daemon ended.
#[derive(Debug)]
pub struct Ended {
    /// How the last pass of each target ended.
    pub outcomes: BTreeMap<String, Option<PassOutcome>>,
    /// Calls under way were cut off because the grace was over.
    pub cut_off: bool,
}

/// A loop that runs.
pub struct Running {
    name: String,
    place: String,
    bell: Arc<Bell>,
}

/// Starts, asks, looks after and ends the loops.
pub struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) loops: JoinSet<Option<PassOutcome>>,
    /// The loops that run, by the id of their task.
    pub(super) running: HashMap<Id, Running>,
    /// After a loop broke, none is started before.
    pub(super) paused_until: Instant,
    pub(super) outcomes: BTreeMap<String, Option<PassOutcome>>,
    pub(super) watch: Watch,
    /// The roster that is watched: that of the files on disk, valid or not.
    pub(super) roster: Option<PathBuf>,
    /// Audit lines being written that could not be.
    pub(super) flushing: Option<JoinHandle<()>>,
    /// Files being looked at.
    pub(super) looking: Option<JoinHandle<Fingerprint>>,
    /// Files being read, since when, and who wants to know.
    pub(super) reading: Option<JoinHandle<Option<Read>>>,
    pub(super) reading_since: Instant,
    pub(super) answers: Vec<Answer>,
    /// Who asked while they were being read: they are read once more.
    pub(super) read_again: Option<Vec<Answer>>,
    pub(super) first: Arc<Generation>,
    pub(super) said: String,
    /// The day on which the roster in force is not valid any more.
    pub(super) refused_day: Option<jiff::civil::Date>,
    /// What was not heard from at the last tick.
    pub(super) late: Option<String>,
}

/// Runs until it is told to stop, or with `once` until every target had its pass.
pub async fn supervise(daemon: Daemon) -> Ended {
    let Daemon { shared, mut orders, read } = daemon;
    let first = shared.generation();
    let mut supervisor = Supervisor {
        shared,
        loops: JoinSet::new(),
        running: HashMap::new(),
        paused_until: Instant::now(),
        outcomes: BTreeMap::new(),
        watch: Watch::new(read),
        roster: Some(first.settings.daemon.roster.clone()),
        flushing: None,
        looking: None,
        reading: None,
        reading_since: Instant::now(),
        answers: Vec::new(),
        read_again: None,
        first,
        said: String::new(),
        refused_day: None,
        late: None,
    };
    supervisor.start_loops();
    if !supervisor.shared.once {
        systemd::ready("starting");
    }
    let stopped_by = supervisor.until_stopped(&mut orders).await;
    supervisor.end(stopped_by, &mut orders).await
}

/// Waits for what is done aside, for ever where nothing is.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

impl Supervisor {
    async fn until_stopped(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<&'static str> {
        let mut tick =
            tokio::time::interval(systemd::watchdog().map_or(TICK, |within| within.clamp(TICK_MIN, TICK)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.shared.heart.beat(PART, Instant::now() + TICK);
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Stop(signal)) => return Some(signal),
                    Some(Order::Reload(answer)) => self.reload(answer),
                    Some(Order::Reconcile { target, force_removals }) => {
                        self.ring(target.as_deref(), force_removals);
                    }
                    None => return None,
                },
                Some(ended) = self.loops.join_next_with_id() => {
                    self.reap(ended);
                    if self.shared.once && self.loops.is_empty() {
                        return None;
                    }
                }
                read = finished(&mut self.reading) => self.reloaded(read),
                look = finished(&mut self.looking) => self.looked(look),
                _ = tick.tick() => self.tick(),
            }
        }
    }

    /// Starts a loop for each target that has none. One whose place another loop is still busy with waits: two
    /// at one place would be two writers.
    pub(super) fn start_loops(&mut self) {
        if Instant::now() < self.paused_until {
            return;
        }
        let generation = self.shared.generation();
        for target in generation.settings.targets.values() {
            let (name, place) = (&target.name, target.place());
            if self.running.values().any(|r| r.name == *name || r.place == place) {
                continue;
            }
            self.shared.door.metrics.expect(name);
            let bell = Arc::new(Bell::default());
            let of = Loop {
                shared: Arc::clone(&self.shared),
                name: name.clone(),
                place: place.clone(),
                generations: self.shared.generation.subscribe(),
                bell: Arc::clone(&bell),
            };
            let id = self.loops.spawn(of.run()).id();
            self.outcomes.insert(name.clone(), None);
            self.running.insert(id, Running { name: name.clone(), place, bell });
        }
    }

    /// A loop has ended: its target was taken out of the settings or is elsewhere, and may be back already.
    fn reap(&mut self, ended: Result<(Id, Option<PassOutcome>), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(Running { name, .. }) = self.running.remove(&id) else { return };
        match ended {
            Ok((_, outcome)) => _ = self.outcomes.insert(name, outcome),
            Err(error) => {
                error!("the loop of `{name}` broke: {error}; it is started again in a while");
                self.shared.heart.rest(&name);
                self.paused_until = Instant::now() + PAUSE_AFTER_BREAK;
            }
        }
        if !self.shared.once {
            self.start_loops();
        }
    }

    fn ring(&self, target: Option<&str>, force_removals: bool) {
        let digest = force_removals.then(|| self.shared.generation().digest.clone());
        let mut rung = self.running.values().filter(|r| target.is_none_or(|t| t == r.name)).peekable();
        if rung.peek().is_none() {
            warn!("the pass that was asked for does not begin: its target's loop is being started");
        }
        rung.for_each(|running| running.bell.ring(digest.clone()));
    }

    fn tick(&mut self) {
        let shared = Arc::clone(&self.shared);
        let today = day_of(shared.now());
        if !self.shared.once {
            if self.looking.is_none() && self.reading.is_none() {
                let (config, roster) = (shared.config.clone(), self.roster.clone());
                let look = move || Fingerprint::of(&config, roster.as_deref());
                self.looking = Some(tokio::task::spawn_blocking(look));
            }
            let generation = shared.generation();
            let is_another = today != generation.day && self.refused_day != Some(today);
            // Files that are being read are read for the day it is; if their disk answers.
            let is_read = self.reading.is_some() && self.reading_since.elapsed() < READING_MAX;
            if is_another && !is_read && !shared.is_behind() {
                self.another_day(&generation, today);
            }
            shared.is_sure_of(today);
            self.start_loops();
        }
        let is_flushing = self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished());
        if shared.audit.pending() > 0 && !is_flushing {
            // There may be room again.
            let shared = Arc::clone(&shared);
            self.flushing = Some(tokio::task::spawn_blocking(move || _ = shared.audit.ready()));
        }
        shared.board().sample((shared.wall)(), shared.door.metrics.totals());
        let late = shared.heart.late(Instant::now());
        match &late {
            None => systemd::alive(),
            Some(part) if late != self.late => {
                error!("`{part}` has not been heard from for too long; the watchdog is not fed");
            }
            Some(_) => {}
        }
        self.late = late;
        if !self.shared.once {
            self.say();
        }
    }

    /// One line for `systemctl status`, when it has changed.
    fn say(&mut self) {
        let status = self.shared.status();
        let mut line = String::new();
        if !status.configuration.last_reload_ok {
            line.push_str("INVALID FILES, earlier ones in force; ");
        }
        let of_state = |state: TargetState| status.targets.iter().filter(move |t| t.state == state);
        for (state, what) in [
            (TargetState::Failing, "failing"),
            (TargetState::Held, "removals held back"),
            (TargetState::Drifted, "drifted"),
            (TargetState::Starting, "starting"),
            (TargetState::InStep, "in step"),
        ] {
            let names: Vec<&str> = of_state(state).map(|t| t.name.as_str()).collect();
            if !names.is_empty() {
                line.push_str(&format!("{what}: {}; ", names.join(", ")));
            }
        }
        let last = status.targets.iter().filter_map(|t| t.last_pass.as_ref().map(|p| p.started)).max();
        if let Some(last) = last {
            line.push_str(&format!("last pass {last:.0}"));
        }
        let line: String = line.chars().take(STATUS_CHARS_MAX).collect();
        if line != self.said {
            systemd::status(&line);
            self.said = line;
        }
    }

    /// No new call starts; those under way have `shutdown_grace` to end.
    async fn end(mut self, signal: Option<&'static str>, orders: &mut mpsc::Receiver<Order>) -> Ended {
        let shared = Arc::clone(&self.shared);
        let grace = shared.generation().settings.daemon.shutdown_grace;
        if let Some(signal) = signal {
            systemd::stopping();
            let within = SignedDuration::try_from(grace).unwrap_or_default();
            info!("{signal}: no new call starts, those under way have {within:#} to end");
        }
        shared.heart.rest(PART);
        shared.stop.send_replace(true);
        let until = tokio::time::sleep(grace);
        let mut until = std::pin::pin!(until);
        let mut tick = tokio::time::interval(TICK);
        let mut cut_off = false;
        while !self.loops.is_empty() {
            tokio::select! {
                Some(ended) = self.loops.join_next_with_id() => {
                    if let Ok((id, outcome)) = ended
                        && let Some(Running { name, .. }) = self.running.remove(&id)
                    {
                        self.outcomes.insert(name, outcome);
                    }
                    continue;
                }
                () = &mut until => {}
                order = orders.recv() => if !matches!(order, Some(Order::Stop(_))) { continue },
                // Whoever waits for the end is told that there is one.
                _ = tick.tick() => {
                    if shared.heart.late(Instant::now()).is_none() {
                        systemd::alive();
                    }
                    continue;
                }
            }
            cut_off = true;
            warn!("calls under way are cut off; the audit trail names them, and the next pass looks");
            if tokio::time::timeout(CUT_OFF_TIME, self.loops.shutdown()).await.is_err() {
                warn!("a target's loop waits for a disk and is left behind");
                break;
            }
        }
        let saving = {
            let shared = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || {
                shared.store().save(&shared.door);
                shared.passed();
            })
        };
        if tokio::time::timeout(CUT_OFF_TIME, saving).await.is_err() {
            warn!("what passes remember is not saved: its disk does not answer");
        }
        if signal.is_some() {
            info!("ended");
        }
        Ended { outcomes: self.outcomes, cut_off }
    }
}
