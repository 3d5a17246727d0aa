//! The first half of `plan`, `apply` and `explain`: connect, read, compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::TargetOptions;
use super::context::{self, Connection, Intent};
use super::exit::Exit;
use crate::plan::{Plan, Subject};
use crate::reconcile::{self, Observations};
use crate::roster::Roster;
use crate::roster::files::Files;

/// What a pass is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'p> {
    /// To bring the targets in step with the roster.
    Roster,
    /// To explain somebody.
    Somebody,
    /// To apply a saved plan.
    Saved(&'p Plan),
}

/// A pass up to its plan.
pub struct Pass {
    /// Settings, and what the roster wants.
    pub files: Files,
    /// The roster as written, where somebody is to be explained.
    pub roster: Option<Roster>,
    /// The way to the targets.
    pub connection: Connection,
    /// What they hold.
    pub observations: Observations,
    /// When they were read.
    pub now: Timestamp,
    /// What an interrupt does just now.
    pub signals: Signals,
}

impl Pass {
    /// Reads files and targets.
    pub async fn begin(
        config: &std::path::Path,
        options: &TargetOptions,
        purpose: Purpose<'_>,
        intent: Intent,
    ) -> anyhow::Result<Pass> {
        let (mut files, roster) = context::read(config)?;
        context::keep_targets(&mut files, &options.targets)?;
        let saved = match purpose {
            Purpose::Saved(plan) => Some(plan),
            Purpose::Roster | Purpose::Somebody => None,
        };
        for change in saved.into_iter().flat_map(Plan::changes) {
            let (target, _) = change.id.split_once('/').unwrap_or_default();
            if let (Some(desired), Subject::Member { container, .. } | Subject::Group { name: container }) =
                (files.desired.get_mut(target), &change.subject)
            {
                desired.also_read(container);
            }
        }
        // What it wants of each target is in `desired`, and of a large one it is most of the memory.
        let roster = matches!(purpose, Purpose::Somebody).then_some(roster);
        let connection = Connection::open(&files, options.stand_in.sandbox.as_deref(), intent).await?;
        let signals = Signals::listen(connection.stop.clone());
        let now = Timestamp::now();
        let spinner = spinner("reading the targets");
        let readings = match purpose {
            Purpose::Roster => reconcile::readings(&files.settings, &files.desired, &connection.memory, now),
            // A saved plan may name who is not on the roster now; a person wants to see everything.
            Purpose::Somebody | Purpose::Saved(_) => BTreeMap::new(),
        };
        let observations = reconcile::observe(
            &files.settings,
            &connection.apis,
            &files.desired,
            &readings,
            &connection.memory,
        )
        .await;
        spinner.finish_and_clear();
        Ok(Pass { files, roster, connection, observations, now, signals })
    }

    /// Compares and guards.
    pub fn plan(&self, force_removals: bool) -> Plan {
        let Pass { files, connection, observations, now, roster: _, signals: _ } = self;
        reconcile::plan(
            &files.settings,
            &files.desired,
            observations,
            &connection.memory,
            *now,
            force_removals,
        )
    }
}

/// How a plan alone ends: what could not be read, what a guard holds back.
pub fn outlook(plan: &Plan) -> Exit {
    unread(plan).worst(if plan.is_held_by_guard() { Exit::Held } else { Exit::Done })
}

/// How reading went: all targets, some, none.
pub fn unread(plan: &Plan) -> Exit {
    match (plan.unobserved.is_empty(), plan.targets.is_empty()) {
        (true, _) => Exit::Done,
        (false, false) => Exit::Partly,
        (false, true) => Exit::Failed,
    }
}

/// What SIGINT and SIGTERM do from the start of a pass to its end: before the first write they end the
/// process, for nothing is half done; after it they stop new calls, and a second one ends the process.
pub struct Signals {
    writing: Arc<AtomicBool>,
}

impl Signals {
    fn listen(stop: watch::Sender<bool>) -> Signals {
        let writing = Arc::new(AtomicBool::new(false));
        let is_writing = Arc::clone(&writing);
        tokio::spawn(async move {
            let mut streams = streams();
            let signal = next_signal(&mut streams).await;
            if !is_writing.load(Ordering::SeqCst) {
                anstream::eprintln!("{signal}: nothing was written");
                std::process::exit(1);
            }
            anstream::eprintln!("{signal}: finishing the calls under way, starting no new one");
            stop.send_replace(true);
            let signal = next_signal(&mut streams).await;
            anstream::eprintln!(
                "{signal} again: calls under way were cut off; `rosterd plan` shows where things stand"
            );
            std::process::exit(1);
        });
        Signals { writing }
    }

    /// From here on calls change something.
    pub fn writing(&self) {
        self.writing.store(true, Ordering::SeqCst);
    }
}

type Streams = (Option<Signal>, Option<Signal>);

fn streams() -> Streams {
    (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok())
}

async fn next_signal((interrupt, terminate): &mut Streams) -> &'static str {
    async fn one(stream: &mut Option<Signal>) {
        match stream {
            Some(stream) => _ = stream.recv().await,
            None => std::future::pending().await,
        }
    }
    tokio::select! {
        () = one(interrupt) => "interrupted",
        () = one(terminate) => "terminated",
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn interrupted() {
    next_signal(&mut streams()).await;
}

fn spinner(what: &'static str) -> ProgressBar {
    // Drawn on a terminal only.
    let spinner = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
