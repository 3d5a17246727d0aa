//! The first half of `plan`, `apply` and `explain`: connect, read, compare.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::TargetOptions;
use super::context::{self, Connection, Files};
use super::exit::Exit;
use crate::plan::Plan;
use crate::reconcile::{self, Observations};

/// A pass up to its plan.
pub struct Pass {
    /// Settings and roster.
    pub files: Files,
    /// The way to the targets.
    pub connection: Connection,
    /// What they hold.
    pub observations: Observations,
    /// When they were read.
    pub now: Timestamp,
}

impl Pass {
    /// Reads files and targets.
    pub async fn begin(config: &std::path::Path, options: &TargetOptions) -> anyhow::Result<Pass> {
        let mut files = context::read(config)?;
        context::keep_targets(&mut files, &options.targets)?;
        let connection = Connection::open(&files, options.sandbox.as_deref()).await?;
        let now = Timestamp::now();
        let spinner = spinner("reading the targets");
        let observations = tokio::select! {
            observations = reconcile::observe(&connection.apis, &files.desired) => observations,
            signal = interrupted() => {
                spinner.finish_and_clear();
                anyhow::bail!("{signal} while reading the targets; nothing was written");
            }
        };
        spinner.finish_and_clear();
        Ok(Pass { files, connection, observations, now })
    }

    /// Compares and guards.
    pub fn plan(&self, force_removals: bool) -> Plan {
        let Pass { files, connection, observations, now } = self;
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
    let unread = match (plan.unobserved.is_empty(), plan.targets.is_empty()) {
        (true, _) => Exit::Done,
        (false, false) => Exit::Partly,
        (false, true) => Exit::Failed,
    };
    unread.worst(if plan.is_held_by_guard() { Exit::Held } else { Exit::Done })
}

/// Waits for SIGINT or SIGTERM.
pub async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return "interrupted";
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "interrupted",
        _ = terminate.recv() => "terminated",
    }
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
