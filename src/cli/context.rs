//! What most commands start with: settings and roster read and resolved, the sandbox or AWS connected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::shell;
use crate::aws::client::{self, Api};
use crate::aws::pacer::learned::Learned;
use crate::aws::{Door, Limits};
use crate::config::{self, Service, Settings};
use crate::input::{Problems, Sources};
use crate::plan::cost::Work;
use crate::roster::{self, Roster};
use crate::sandbox::{Knobs, Sandbox, World};
use crate::service::{Desired, State};
use crate::state::{Memory, write_private};

/// The world of `--sandbox` in `state_dir`.
const SANDBOX_FILE: &str = "sandbox.json";
/// With `--sandbox`, rosterd remembers in a folder of its own.
const SANDBOX_MEMORY: &str = "sandbox";

/// The settings, and what the roster wants of each target.
#[derive(Debug)]
pub struct Files {
    /// The settings.
    pub settings: Settings,
    /// Folded, by target.
    pub desired: BTreeMap<String, Desired>,
    /// Warnings as text.
    pub warnings: String,
}

/// The day that `expires` is compared with: UTC, so that it is the same everywhere.
pub fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Reads both files; every mistake of both is in the error.
pub fn read(config: &Path) -> anyhow::Result<(Files, Roster)> {
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let settings = config::load(config, &mut sources, &mut problems);
    let roster = settings.as_ref().map(|s| roster::load(s, &mut sources, &mut problems));
    let desired = match (&settings, &roster) {
        (Some(settings), Some(roster)) => roster::resolve(roster, settings, today(), &mut problems),
        _ => BTreeMap::new(),
    };
    let text = problems.render(&sources, shell::is_styled(&anstream::stderr()));
    match (settings, roster) {
        (Some(settings), Some(roster)) if !problems.has_errors() => {
            Ok((Files { settings, desired, warnings: text }, roster))
        }
        _ => {
            anstream::eprint!("{text}");
            let errors = crate::word::count(problems.counts().0, "error");
            let unread = if problems.counts().1 > 0 { "; warnings above do not stop rosterd" } else { "" };
            bail!("{errors} in the settings and the roster{unread}; nothing was read from or written to AWS")
        }
    }
}

/// Keeps only the targets that were asked for.
pub fn keep_targets(files: &mut Files, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        if !files.settings.targets.contains_key(name) {
            let known: Vec<&str> = files.settings.targets.keys().map(String::as_str).collect();
            let near = crate::input::nearest(name, known.iter().copied());
            let hint = near.map_or_else(
                || format!("the settings have: {}", known.join(", ")),
                |n| format!("did you mean `{n}`?"),
            );
            bail!("no target `{name}`; {hint}");
        }
    }
    if !names.is_empty() {
        files.settings.targets.retain(|name, _| names.contains(name));
        files.desired.retain(|name, _| names.contains(name));
    }
    Ok(())
}

/// Clients, the door, and the sandbox behind them if there is one.
#[derive(Debug)]
pub struct Connection {
    /// By target.
    pub apis: BTreeMap<String, Api>,
    /// What all calls go through.
    pub door: Arc<Door>,
    /// Says stop to the door.
    pub stop: watch::Sender<bool>,
    /// What earlier passes remembered.
    pub memory: Memory,
    memory_dir: PathBuf,
    sandbox: Option<(Sandbox, PathBuf)>,
}

impl Connection {
    /// Connects every target, to AWS or to a sandbox of this process.
    pub async fn open(files: &Files, sandbox: Option<&str>) -> anyhow::Result<Connection> {
        let settings = &files.settings;
        let (stop, stopping) = watch::channel(false);
        let limits: Limits = settings.daemon.limits;
        let mut memory_dir = settings.daemon.state_dir.clone();
        let sandbox = match sandbox {
            None => None,
            Some(how) => {
                memory_dir = memory_dir.join(SANDBOX_MEMORY);
                Some(start_sandbox(files, how == "fresh", &memory_dir).await?)
            }
        };
        let learned = Learned::load(&memory_dir, Timestamp::now());
        let door = Door::new(limits, settings.daemon.concurrency, stopping, learned);
        let url = sandbox.as_ref().map(|(sandbox, _)| sandbox.url());
        let http = client::http_client();
        let mut apis = BTreeMap::new();
        for target in settings.targets.values() {
            let api = client::connect(target, url.as_deref(), &http, limits, &door).await;
            apis.insert(target.name.clone(), api);
        }
        let places = settings.targets.values().map(|t| (t.name.clone(), t.place())).collect();
        let memory = Memory::load(&memory_dir).of_places(places);
        Ok(Connection { apis, door, stop, memory, memory_dir, sandbox })
    }

    /// How long some work takes at the present pace.
    pub fn expected(&self, work: &Work<'_>) -> Option<Duration> {
        work.expected(|target, operation| Some(self.apis.get(target)?.caller().pace(operation)))
    }

    /// Keeps what the sandbox holds now, for the next command.
    pub fn save_sandbox(&self) -> anyhow::Result<()> {
        let Some((sandbox, path)) = &self.sandbox else { return Ok(()) };
        write_private(path, &sandbox.world().to_json()).map_err(anyhow::Error::msg)
    }

    /// Remembers for the next pass.
    pub fn remember(&self, memory: &Memory) -> anyhow::Result<()> {
        memory.save(&self.memory_dir).map_err(anyhow::Error::msg)?;
        let learned = self.door.pacer.learned(Timestamp::now());
        if learned.is_empty() {
            return Ok(());
        }
        learned.save(&self.memory_dir).map_err(anyhow::Error::msg)
    }

    /// Where audit lines go: a sandbox has a trail of its own.
    pub fn audit_path(&self, settings: &Settings) -> PathBuf {
        match &self.sandbox {
            Some(_) => self.memory_dir.join("audit.jsonl"),
            None => settings.daemon.audit.clone(),
        }
    }
}

async fn start_sandbox(files: &Files, fresh: bool, memory_dir: &Path) -> anyhow::Result<(Sandbox, PathBuf)> {
    let path = memory_dir.join(SANDBOX_FILE);
    if fresh && memory_dir.exists() {
        std::fs::remove_dir_all(memory_dir)
            .with_context(|| format!("cannot start over in {}", memory_dir.display()))?;
    }
    let mut world = match std::fs::read_to_string(&path) {
        Ok(text) => World::from_json(&text).map_err(|e| {
            anyhow::anyhow!("{} is no saved sandbox: {e}; start over with --sandbox=fresh", path.display())
        })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => World::sample(),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    provide(&mut world, files);
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let sandbox =
        Sandbox::start(listen, world, Knobs::default()).await.context("cannot start the sandbox")?;
    Ok((sandbox, path))
}

/// A sandbox has every domain, namespace and environment the settings name, and the roster's projects.
fn provide(world: &mut World, files: &Files) {
    for target in files.settings.targets.values() {
        match (&target.service, files.desired.get(&target.name)) {
            (Service::DataZone { domain_id }, Some(Desired::DataZone(desired))) => {
                let projects = desired.projects.iter().map(String::as_str);
                world.ensure_domain(domain_id, &target.region, projects);
            }
            (Service::QuickSight { account_id, namespace, .. }, _) => {
                world.ensure_namespace(account_id, namespace, &target.region);
            }
            (Service::FinSpace, _) => world.ensure_environment(&target.region),
            (Service::DataZone { domain_id }, _) => world.ensure_domain(domain_id, &target.region, []),
        }
    }
    world.index();
}

/// One word for a user's state, with the day where `expires` made it so.
pub fn state_text(user: &roster::schema::User) -> String {
    let state = roster::resolve::state_on(user, today());
    match (state, user.expires) {
        (State::Absent, Some(day)) if user.state != State::Absent => format!("absent (expired on {day})"),
        (state, Some(day)) => format!("{state} until {day}"),
        (state, None) => state.to_string(),
    }
}
