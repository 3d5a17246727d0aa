//! What most commands start with: settings and roster read and resolved, the sandbox or AWS connected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::watch;

use super::shell;
use crate::aws::client::{self, Api};
use crate::aws::pacer::learned::Learned;
use crate::aws::{Door, Limits};
use crate::config::{Service, Settings};
use crate::daemon::generation::{Generation, day_of};
use crate::daemon::lock::{self, Lock};
use crate::daemon::{StandIn, sandbox_dir};
use crate::plan::cost::Work;
use crate::roster::files::Files;
use crate::roster::{self, Roster};
use crate::sandbox::{Knobs, Sandbox, World};
use crate::service::{Desired, State};
use crate::state::{Memory, write_private};

/// The world of `--sandbox` in `state_dir`.
const SANDBOX_FILE: &str = "sandbox.json";

/// The day that `expires` is compared with.
pub fn today() -> Date {
    day_of(Timestamp::now())
}

/// Reads both files; every mistake of both is in the error.
pub fn read(config: &Path) -> anyhow::Result<(Files, Roster)> {
    roster::files::read(config, today(), shell::is_styled(&anstream::stderr())).map_err(|invalid| {
        anstream::eprint!("{}", invalid.text);
        invalid.into()
    })
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
    sandbox: Option<KeptSandbox>,
    /// Held by those that write.
    _lock: Option<Lock>,
}

/// Whether a command writes: only one may at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It looks.
    Read,
    /// It writes.
    Write,
}

impl Connection {
    /// Connects every target, to AWS or to a sandbox of this process.
    pub async fn open(files: &Files, sandbox: Option<&str>, intent: Intent) -> anyhow::Result<Connection> {
        let settings = &files.settings;
        let (stop, stopping) = watch::channel(false);
        let limits: Limits = settings.daemon.limits;
        let mut memory_dir = settings.daemon.state_dir.clone();
        let sandbox = match sandbox {
            None => None,
            Some(how) => {
                memory_dir = sandbox_dir(&memory_dir);
                let (settings, desired) = (&files.settings, &files.desired);
                Some(KeptSandbox::start(settings, desired, how == "fresh", &memory_dir).await?)
            }
        };
        let lock = (intent == Intent::Write).then(|| lock::take(&memory_dir)).transpose();
        let lock = lock.map_err(anyhow::Error::msg)?;
        let learned = Learned::load(&memory_dir, Timestamp::now());
        let door = Door::new(settings.daemon.concurrency, stopping, learned);
        let url = sandbox.as_ref().map(StandIn::url);
        let http = client::http_client();
        let mut apis = BTreeMap::new();
        for target in settings.targets.values() {
            let api = client::connect(target, url.as_deref(), &http, limits, &door).await;
            apis.insert(target.name.clone(), api);
        }
        let places = settings.targets.values().map(|t| (t.name.clone(), t.place())).collect();
        let memory = Memory::load(&memory_dir).of_places(places);
        Ok(Connection { apis, door, stop, memory, memory_dir, sandbox, _lock: lock })
    }

    /// How long some work takes at the present pace.
    pub fn expected(&self, work: &Work<'_>) -> Option<Duration> {
        work.expected(|target, operation| Some(self.apis.get(target)?.caller().pace(operation)))
    }

    /// Keeps what the sandbox holds now, for the next command.
    pub fn save_sandbox(&self) -> anyhow::Result<()> {
        let Some(sandbox) = &self.sandbox else { return Ok(()) };
        sandbox.save().map_err(anyhow::Error::msg)
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

/// A sandbox of this process whose world outlives it.
pub struct KeptSandbox {
    sandbox: Sandbox,
    path: PathBuf,
    /// Passes of several targets may end at once.
    saving: Mutex<()>,
}

impl KeptSandbox {
    /// Starts it with the world as the last command left it, or over.
    pub async fn start(
        settings: &Settings,
        desired: &BTreeMap<String, Desired>,
        fresh: bool,
        dir: &Path,
    ) -> anyhow::Result<KeptSandbox> {
        let path = dir.join(SANDBOX_FILE);
        if fresh && dir.exists() {
            // One that runs on it goes on with what it holds.
            let _lock = lock::take(dir).map_err(anyhow::Error::msg)?;
            std::fs::remove_dir_all(dir)
                .with_context(|| format!("cannot start over in {}", dir.display()))?;
        }
        let mut world = match std::fs::read_to_string(&path) {
            Ok(text) => World::from_json(&text).map_err(|e| {
                anyhow::anyhow!(
                    "{} is no saved sandbox: {e}; start over with --sandbox=fresh",
                    path.display()
                )
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => World::sample(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        provide(&mut world, settings, desired);
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let sandbox =
            Sandbox::start(listen, world, Knobs::default()).await.context("cannot start the sandbox")?;
        Ok(KeptSandbox { sandbox, path, saving: Mutex::default() })
    }
}

impl StandIn for KeptSandbox {
    fn url(&self) -> String {
        self.sandbox.url()
    }

    fn provide(&self, generation: &Generation) {
        self.sandbox.change(|world| provide(world, &generation.settings, &generation.desired));
        self.sandbox.forget_calls();
    }

    fn save(&self) -> Result<(), String> {
        self.sandbox.forget_calls();
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        write_private(&self.path, &self.sandbox.world().to_json())
    }
}

/// A sandbox has every domain, namespace and environment the settings name, and the roster's projects.
fn provide(world: &mut World, settings: &Settings, desired: &BTreeMap<String, Desired>) {
    for target in settings.targets.values() {
        match (&target.service, desired.get(&target.name)) {
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
