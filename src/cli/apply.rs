//! `rosterd apply`: a fresh plan, or exactly a saved one.
//!
//! On a terminal the plan is shown and confirmed; elsewhere `--yes` is required. SIGINT and SIGTERM stop
//! new calls; those under way finish and the report says what was done; a second one ends at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::context::Intent;
use super::observe::{Pass, Purpose, outlook};
use super::{Exit, TargetOptions, shell};
use crate::plan::cost::Work;
use crate::plan::guard::Circumstances;
use crate::plan::saved::SavedPlan;
use crate::plan::{Change, Plan, render, saved};
use crate::reconcile::execute::Entry;
use crate::reconcile::verify::{self, Moved};
use crate::reconcile::{self, Progress, Report, Status, Times};
use crate::telemetry::audit::Audit;

#[derive(Debug, Args)]
pub struct Options {
    /// A plan saved by `rosterd plan --out`
    plan: Option<PathBuf>,
    #[command(flatten)]
    targets: TargetOptions,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Make removals beyond max_removals too, this once
    #[arg(long)]
    force_removals: bool,
}

/// Plans or reads a plan, asks, and makes the changes.
pub async fn run(config: &Path, options: Options) -> anyhow::Result<Exit> {
    let saved = options.plan.as_deref().map(read_saved).transpose()?;
    let sandbox = options.targets.stand_in.sandbox.is_some();
    if saved.as_ref().is_some_and(|s| s.sandbox != sandbox) {
        let (made, now) = if sandbox { ("AWS", "a sandbox") } else { ("a sandbox", "AWS") };
        bail!("the plan was made on {made} and would be applied to {now}; make the plan again");
    }
    let purpose = saved.as_ref().map_or(Purpose::Roster, |s| Purpose::Saved(&s.plan));
    let pass = Pass::begin(config, &options.targets, purpose, Intent::Write).await?;
    // What the roster asks for, where that is not the plan to be applied.
    let pending = saved.is_some().then(|| pass.plan(options.force_removals));
    let (plan, moved, hash) = match saved {
        None => {
            let plan = pass.plan(options.force_removals);
            let hash = saved::hash(&plan, pass.now, sandbox);
            (plan, Vec::new(), hash)
        }
        Some(saved) => {
            let force_removals = options.force_removals;
            let circumstances =
                Circumstances { clocks: &pass.connection.memory.clocks, now: pass.now, force_removals };
            let (settings, observations) = (&pass.files.settings, &pass.observations);
            let verified =
                verify::verify(&saved.plan, settings, observations, circumstances, &options.targets.targets);
            let (plan, moved) = verified.map_err(anyhow::Error::msg)?;
            (plan, moved, saved.hash)
        }
    };
    let expected = pass.connection.expected(&Work::of(&plan));
    shell::write(render::text(&plan, expected).as_bytes())?;
    show_moved(&moved);
    if plan.ready() > 0 && !options.yes {
        if !shell::is_interactive() {
            bail!("nothing was written: there is no terminal to ask on; pass --yes to apply without asking");
        }
        if !shell::confirm(&format!("Make {}?", crate::word::count(plan.ready(), "change")))? {
            bail!("nothing was written");
        }
    }
    let report = carry_out(&pass, &plan, &hash).await?;
    pass.connection.save_sandbox()?;
    let memory = reconcile::remember(
        &pass.connection.memory,
        &pass.files.desired,
        &pass.observations,
        &plan,
        pending.as_ref().unwrap_or(&plan),
        &report,
        Times { read_at: pass.now, now: Timestamp::now() },
    );
    pass.connection.remember(&memory)?;
    Ok(conclude(&plan, &moved, &report))
}

fn read_saved(path: &Path) -> anyhow::Result<SavedPlan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    SavedPlan::from_json(&text).with_context(|| format!("cannot apply {}", path.display()))
}

fn show_moved(moved: &[Moved]) {
    for Moved { change, why } in moved {
        anstream::println!("left alone, it moved since the plan was made: {change}: {why}");
    }
}

async fn carry_out(pass: &Pass, plan: &Plan, hash: &str) -> anyhow::Result<Report> {
    if plan.ready() == 0 {
        return Ok(Report::default());
    }
    let settings = &pass.files.settings;
    let connection = &pass.connection;
    let audit = Audit::open(&connection.audit_path(settings)).map_err(anyhow::Error::msg)?;
    let bar = bar(plan.ready());
    let work = Work::of(plan);
    bar.set_message(connection.expected(&work).map_or_else(String::new, left));
    let work = Mutex::new((work, Instant::now()));
    // Looked up to say how much is left, where somebody looks.
    let changes: HashMap<&str, (&str, &Change)> = plan
        .targets
        .iter()
        .filter(|_| !bar.is_hidden())
        .flat_map(|t| t.changes.iter().map(|c| (c.id.as_str(), (t.target.as_str(), c))))
        .collect();
    let tell = |progress: Progress<'_>| {
        let Progress::Ended(entry) = progress;
        bar.inc(1);
        if let Some((target, change)) = changes.get(entry.change.as_str()) {
            let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
            let (work, told) = &mut *work;
            work.ended(target, change);
            if told.elapsed() >= TELL_EVERY {
                *told = Instant::now();
                bar.set_message(connection.expected(work).map_or_else(String::new, left));
            }
        }
        if let Some(line) = line(entry) {
            bar.suspend(|| anstream::println!("{line}"));
        }
    };
    let apply = reconcile::apply(plan, hash, &connection.apis, settings.daemon.concurrency, &audit, &tell);
    pass.signals.writing();
    let report = apply.await;
    bar.finish_and_clear();
    Ok(report)
}

/// What is left is said anew this often.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What the lanes' pace makes of what is left.
fn left(time: Duration) -> String {
    format!("(about {} left)", render::span(time))
}

/// Drawn on a terminal only; elsewhere each change that needs one has its line.
fn bar(changes: usize) -> ProgressBar {
    let bar = ProgressBar::new(changes as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// What a person needs to be told of one change: failures, and notes such as an invitation.
fn line(entry: &Entry) -> Option<String> {
    let note = entry.note.as_deref();
    match entry.status {
        Status::Done => note.map(|note| format!("{}: {note}", entry.change)),
        Status::Failed => Some(format!("failed   {}: {}", entry.change, note.unwrap_or_default())),
        Status::Skipped => Some(format!("skipped  {}: {}", entry.change, note.unwrap_or_default())),
        Status::NotStarted => None,
    }
}

fn conclude(plan: &Plan, moved: &[Moved], report: &Report) -> Exit {
    let count = |status| report.count(status);
    let (done, failed) = (count(Status::Done), count(Status::Failed) + count(Status::Skipped));
    let not_started = count(Status::NotStarted);
    if !report.entries.is_empty() {
        let mut text = format!("Applied: {done} done");
        for (number, what) in [
            (count(Status::Failed), "failed"),
            (count(Status::Skipped), "skipped"),
            (not_started, "not started"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        anstream::println!("{text}.");
    }
    let mut exit = outlook(plan);
    if failed + not_started > 0 {
        exit = exit.worst(if done == 0 { Exit::Failed } else { Exit::Partly });
    }
    if !moved.is_empty() {
        exit = exit.worst(Exit::Partly);
    }
    exit
}
