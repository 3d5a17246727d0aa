//! The supervisor: starts the loops of the targets, takes orders, looks at the files, feeds the watchdog, and
//! brings everything to an end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use super::generation::{Generation, day_of};
use super::status::{ErrorNote, PassOutcome, TargetState};
use super::target::{Bell, Loop};
use super::watch::{Fingerprint, Watch};
use super::{Daemon, Order, Shared, systemd};
use crate::roster::files::Invalid;
use crate::telemetry::people;

/// How often files, day and watchdog are looked after.
const TICK: Duration = Duration::from_secs(2);
/// The supervisor's part in the heart.
const PART: &str = "supervisor";
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

struct Supervisor {
    shared: Arc<Shared>,
    once: bool,
    loops: JoinSet<(String, Option<PassOutcome>)>,
    bells: BTreeMap<String, Arc<Bell>>,
    outcomes: BTreeMap<String, Option<PassOutcome>>,
    watch: Watch,
    /// The roster that is watched: that of the files on disk, valid or not.
    roster: PathBuf,
    first: Arc<Generation>,
    said: String,
    /// What was not heard from at the last tick.
    late: Option<String>,
}

/// Runs until it is told to stop, or with `once` until every target had its pass.
pub async fn supervise(daemon: Daemon) -> Ended {
    let Daemon { shared, mut orders, read, once } = daemon;
    let first = shared.generation();
    let mut supervisor = Supervisor {
        shared,
        once,
        loops: JoinSet::new(),
        bells: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        watch: Watch::new(read),
        roster: first.settings.daemon.roster.clone(),
        first,
        said: String::new(),
        late: None,
    };
    supervisor.start_loops();
    if !once {
        systemd::ready("starting");
    }
    let stopped_by = supervisor.until_stopped(&mut orders).await;
    supervisor.end(stopped_by, &mut orders).await
}

impl Supervisor {
    async fn until_stopped(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<&'static str> {
        let mut tick = tokio::time::interval(systemd::watchdog().map_or(TICK, |within| TICK.min(within)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.shared.heart.beat(PART, Instant::now() + TICK);
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Stop(signal)) => return Some(signal),
                    Some(Order::Reload(answer)) => self.reload(answer).await,
                    Some(Order::Reconcile { target, force_removals }) => {
                        self.ring(target.as_deref(), force_removals);
                    }
                    None => return None,
                },
                Some(ended) = self.loops.join_next() => {
                    self.reap(ended);
                    if self.once && self.loops.is_empty() {
                        return None;
                    }
                }
                _ = tick.tick() => self.tick().await,
            }
        }
    }

    fn start_loops(&mut self) {
        let generation = self.shared.generation();
        for name in generation.settings.targets.keys() {
            if !self.bells.contains_key(name) {
                let bell = Arc::new(Bell::default());
                self.bells.insert(name.clone(), Arc::clone(&bell));
                let mut generations = self.shared.generation.subscribe();
                generations.mark_unchanged();
                let (shared, once) = (Arc::clone(&self.shared), self.once);
                let of = Loop { shared, name: name.clone(), generations, bell, once };
                let name = name.clone();
                self.loops.spawn(async move { (name, of.run().await) });
            }
        }
    }

    /// A loop has ended: its target was taken out of the settings, and may be back already.
    fn reap(&mut self, ended: Result<(String, Option<PassOutcome>), tokio::task::JoinError>) {
        match ended {
            Ok((name, outcome)) => {
                self.bells.remove(&name);
                self.outcomes.insert(name, outcome);
            }
            Err(error) => {
                error!("a target's loop broke: {error}; all that are missing are started again");
                self.bells.retain(|_, bell| Arc::strong_count(bell) > 1);
            }
        }
        if !self.once {
            self.start_loops();
        }
    }

    fn ring(&self, target: Option<&str>, force_removals: bool) {
        for (_, bell) in self.bells.iter().filter(|(name, _)| target.is_none_or(|t| t == name.as_str())) {
            bell.ring(force_removals);
        }
    }

    async fn tick(&mut self) {
        let shared = Arc::clone(&self.shared);
        let generation = shared.generation();
        if !self.once && self.watch.look(self.fingerprint()) {
            self.reload(None).await;
        }
        let today = day_of(shared.now());
        if today != generation.day {
            self.another_day(&generation, today);
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
        if !self.once {
            self.say();
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.shared.config, Some(&self.roster))
    }

    /// `expires` counts from the beginning of a day.
    fn another_day(&mut self, generation: &Generation, today: jiff::civil::Date) {
        match generation.on(today) {
            Ok(next) => self.take_over(next),
            Err(problem) => {
                let message = format!("on {today} the roster is not valid any more: {problem}");
                self.refuse(message, String::new());
            }
        }
    }

    async fn reload(&mut self, answer: Option<oneshot::Sender<Result<(), String>>>) {
        let shared = Arc::clone(&self.shared);
        systemd::reloading();
        let before = shared.generation();
        // Taken first: what changes while the files are read is noticed at the next look.
        self.watch = Watch::new(self.fingerprint());
        let (config, number, now) = (shared.config.clone(), before.number + 1, shared.now());
        let loaded = (shared.wall)();
        let read = tokio::task::spawn_blocking(move || Generation::read(&config, number, now, loaded)).await;
        let roster = match &read {
            Ok(Ok(generation)) => Some(generation.settings.daemon.roster.clone()),
            Ok(Err(invalid)) => invalid.roster.clone(),
            Err(_) => None,
        };
        if let Some(roster) = roster.filter(|roster| *roster != self.roster) {
            // Another roster: it is looked at from here on, and read once more.
            self.roster = roster;
            self.watch = Watch::new(Fingerprint::default());
        }
        let result = match read {
            Ok(Ok(generation)) => {
                if !generation.warnings.is_empty() && generation.warnings != before.warnings {
                    warn!("{}", people::hide_addresses(&generation.warnings));
                }
                if generation.digest == before.digest && generation.day == before.day {
                    self.unchanged(&before);
                } else {
                    self.take_over(generation);
                }
                Ok(())
            }
            Ok(Err(Invalid { brief, errors, .. })) => {
                let what = crate::word::count(errors, "error");
                let message = format!("the files on disk have {what}; the last good ones stay in force");
                let brief = people::hide_addresses(&brief);
                self.refuse(message, brief.clone());
                Err(brief)
            }
            Err(panicked) => {
                let message = format!("the files could not be read: {panicked}");
                self.refuse(message.clone(), String::new());
                Err(message)
            }
        };
        systemd::ready(&self.said);
        if let Some(answer) = answer {
            let _ = answer.send(result);
        }
    }

    fn unchanged(&self, generation: &Generation) {
        info!(hash = generation.digest, "the files on disk are those in force");
        let needs_restart = generation.needs_restart(&self.first.settings);
        self.shared.board().take_over(generation, needs_restart);
    }

    fn take_over(&mut self, generation: Generation) {
        let shared = &self.shared;
        let before = shared.generation();
        let needs_restart = generation.needs_restart(&self.first.settings);
        if !needs_restart.is_empty() {
            warn!("{} changed and holds from the next start on", needs_restart.join(", "));
        }
        if generation.settings_digest != before.settings_digest {
            shared.door.pacer.renew(shared.now());
        }
        if let Some(stand_in) = &shared.stand_in {
            stand_in.provide(&generation);
        }
        shared.store().move_to(generation.places());
        shared.board().take_over(&generation, needs_restart);
        let (hash, users) = (generation.digest.clone(), generation.roster.users.len());
        let (targets, day) = (generation.settings.targets.len(), generation.day);
        shared.generation.send_replace(Arc::new(generation));
        info!(hash, users, targets, %day, "roster and settings are in force");
        self.start_loops();
    }

    fn refuse(&self, message: String, text: String) {
        let shared = &self.shared;
        error!("{message}{}{text}", if text.is_empty() { "" } else { "\n" });
        let advice =
            "correct the files: `rosterd check` shows the same; they are read again when they change";
        let note = ErrorNote {
            at: (shared.wall)(),
            count: 1,
            target: None,
            message: message.clone(),
            advice: advice.into(),
        };
        let mut board = shared.board();
        board.refuse(if text.is_empty() { message } else { text });
        board.note(note);
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
        shared.stop.send_replace(true);
        let until = tokio::time::sleep(grace);
        let mut until = std::pin::pin!(until);
        let mut tick = tokio::time::interval(TICK);
        let mut cut_off = false;
        while !self.loops.is_empty() {
            tokio::select! {
                Some(ended) = self.loops.join_next() => {
                    if let Ok((name, outcome)) = ended {
                        self.outcomes.insert(name, outcome);
                    }
                    continue;
                }
                () = &mut until => {}
                order = orders.recv() => if !matches!(order, Some(Order::Stop(_))) { continue },
                // Whoever waits for the end is told that there is one.
                _ = tick.tick() => {
                    systemd::alive();
                    continue;
                }
            }
            cut_off = true;
            warn!("calls under way are cut off; the audit trail names them, and the next pass looks");
            self.loops.shutdown().await;
        }
        shared.store().save(&shared.door);
        if let Some(Err(error)) = shared.stand_in.as_ref().map(|s| s.save()) {
            warn!("the sandbox is not saved: {error}");
        }
        Ended { outcomes: self.outcomes, cut_off }
    }
}
