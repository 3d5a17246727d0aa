//! `rosterd.toml` -> [`Settings`]: where to reconcile, how, and within which limits.
//!
//! Every field has its default beside it and a problem of its own when it is wrong; nothing is read from
//! the environment here. Paths are taken relative to the folder of the settings file.

mod rules;
mod target;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::target::read_target;
use self::values::{address, share, span, whole};
use crate::aws::Limits;
use crate::input::{self, Problem, Problems, Sources, Table, table};
use crate::plan::guard::Rules;
use crate::service::ServiceKind;
use crate::service::quicksight::{IdentityType, UserNameFrom};

pub use self::values::word;

/// More targets than this are refused: each is observed and paced on its own.
const TARGETS_MAX: usize = 200;
/// Prometheus' list of exporters does not give this port to anybody else.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));
/// Long enough for ten thousand creates at three a second.
const PASS_TIMEOUT: Duration = Duration::from_secs(3600);
/// More than an attempt takes, less than Kubernetes waits before it kills (30 s).
const SHUTDOWN_GRACE: Duration = Duration::from_secs(25);
/// The most actions and calls under way at once, over all targets.
const CONCURRENCY_MAX: u64 = 256;

/// Everything `rosterd.toml` says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `[daemon]` table.
    pub daemon: Daemon,
    /// `status_page.show_people`: names and addresses are shown over HTTP.
    pub show_people: bool,
    /// The targets in the order of their names.
    pub targets: BTreeMap<String, Target>,
    /// Targets that could not be read: the roster may name them all the same.
    pub broken: BTreeSet<String>,
}

/// The `[daemon]` table.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// A roster file, or a folder of `*.toml` merged.
    pub roster: PathBuf,
    /// From the start of one pass to the start of the next.
    pub interval: Duration,
    /// How far a start may move, as a share of the interval.
    pub jitter: f64,
    /// The longest a pass of one target may take; the next one goes on.
    pub pass_timeout: Duration,
    /// How long calls under way may take to end when rosterd is told to stop.
    pub shutdown_grace: Duration,
    /// Where metrics and status are served.
    pub listen: SocketAddr,
    /// The bearer token of `POST /-/reload` and `/-/reconcile`; without it both are off.
    pub control_token_file: Option<PathBuf>,
    /// Learned facts whose loss is harmless.
    pub state_dir: PathBuf,
    /// Where the audit lines go; `-` is standard output.
    pub audit: PathBuf,
    /// Calls under way at once, over all targets.
    pub concurrency: usize,
    /// Bounds on each AWS call.
    pub limits: Limits,
}

/// One place to reconcile.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the settings.
    pub name: String,
    /// Which service, and what only that service needs.
    pub service: Service,
    /// The Region of its API; for QuickSight the identity Region.
    pub region: String,
    /// What rosterd may do to it.
    pub rules: Rules,
    /// How rosterd gets in.
    pub access: Access,
    /// Calls per second by operation name (`default` for the rest), instead of the built-in rates.
    pub pace: BTreeMap<String, f64>,
    /// Calls per second by operation that are never exceeded.
    pub max_pace: BTreeMap<String, f64>,
}

/// Settings that only one of the services has.
#[derive(Debug, Clone)]
pub enum Service {
    /// A DataZone domain.
    DataZone {
        /// `dzd_…`
        domain_id: String,
    },
    /// A QuickSight account and namespace.
    QuickSight {
        /// The twelve digits.
        account_id: String,
        /// `default` unless the account has others.
        namespace: String,
        /// How users without an `iam_arn` sign in.
        identity_type: IdentityType,
        /// What their user name is made from.
        user_name_from: UserNameFrom,
    },
    /// The FinSpace environment of the account and Region.
    FinSpace,
}

/// How the calls of a target are signed and where they go.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Another address than AWS's own.
    pub endpoint_url: Option<String>,
    /// A profile of the shared AWS configuration files.
    pub profile: Option<String>,
    /// A role to assume first.
    pub assume_role: Option<String>,
    /// The external id its trust policy asks for.
    pub external_id: Option<String>,
}

impl Target {
    /// Which service it is.
    pub fn kind(&self) -> ServiceKind {
        match self.service {
            Service::DataZone { .. } => ServiceKind::DataZone,
            Service::QuickSight { .. } => ServiceKind::QuickSight,
            Service::FinSpace => ServiceKind::FinSpace,
        }
    }

    /// The place itself, so that a saved plan is not applied to another.
    pub fn place(&self) -> String {
        match &self.service {
            Service::DataZone { domain_id, .. } => format!("datazone {domain_id} {}", self.region),
            Service::QuickSight { account_id, namespace, .. } => {
                format!("quicksight {account_id}/{namespace} {}", self.region)
            }
            // The environment is that of the account, which the credentials decide.
            Service::FinSpace => {
                let Access { profile, assume_role, .. } = &self.access;
                let by = assume_role.as_ref().or(profile.as_ref());
                by.map_or_else(
                    || format!("finspace {}", self.region),
                    |by| format!("finspace {} as {by}", self.region),
                )
            }
        }
    }
}

/// Reads the settings as far as they can be read: what is wrong goes to `problems`. `None` when not even
/// the roster is known.
pub fn load(path: &Path, sources: &mut Sources, problems: &mut Problems) -> Option<Settings> {
    let file = match sources.read(path) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let base = path.parent().unwrap_or(Path::new(""));
    parse(base, sources, file, problems)
}

/// Reads the settings from a text already in `sources`.
pub fn parse(base: &Path, sources: &Sources, file: u32, problems: &mut Problems) -> Option<Settings> {
    let before = problems.counts().0;
    let mut root = table::parse(sources, file, problems)?;
    let daemon = root.table("daemon", problems);
    let show_people = root.table("status_page", problems).is_some_and(|mut page| {
        let shown = page.boolean("show_people", problems).unwrap_or(false);
        page.finish(problems);
        shown
    });
    let targets = root.table("targets", problems);
    let end = root.place;
    root.finish(problems);
    let daemon = if let Some(table) = daemon {
        read_daemon(table, base, problems)
    } else {
        let problem = Problem::at(end, "the table `[daemon]` is missing");
        problems.push(problem.help("start with `[daemon]` and `roster = \"roster.toml\"`"));
        None
    };
    let mut read: BTreeMap<String, Target> = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for (name, value) in targets.into_iter().flat_map(Table::into_named) {
        let name = input::rules::NAME.check(name, problems);
        let table = value.into_table(format!("targets.{}", name.value), problems);
        match table.and_then(|table| read_target(&name.value, table, problems)) {
            Some(target) => {
                check_place(&read, &target, name.place, problems);
                read.insert(name.value, target);
            }
            None => _ = broken.insert(name.value),
        }
    }
    if read.is_empty() && problems.counts().0 == before {
        problems.push(
            Problem::at(end, "no target is configured")
                .help("add a table such as `[targets.bi]` with `service = \"quicksight\"`"),
        );
    }
    for target in read.values().filter(|t| t.kind() == ServiceKind::FinSpace) {
        let message = format!(
            "target `{}`: AWS ended Amazon FinSpace on 2026-10-07; its API may no longer answer",
            target.name
        );
        problems.push(
            Problem::anywhere(message).help("a target that does not answer holds no other back").warning(),
        );
    }
    if read.len() > TARGETS_MAX {
        problems.push(Problem::at(
            end,
            format!("{} targets are more than the limit of {TARGETS_MAX}", read.len()),
        ));
    }
    Some(Settings { daemon: daemon?, show_people, targets: read, broken })
}

/// Two targets of one place would undo each other's work for ever.
fn check_place(
    read: &BTreeMap<String, Target>,
    target: &Target,
    place: input::Place,
    problems: &mut Problems,
) {
    if let Some(twin) = read.values().find(|t| t.place() == target.place()) {
        let message =
            format!("targets `{}` and `{}` are the same place: {}", twin.name, target.name, target.place());
        problems.push(
            Problem::at(place, message).help("merge the two; roles can differ by user, not by target name"),
        );
    }
}

fn read_daemon(mut t: Table<'_>, base: &Path, problems: &mut Problems) -> Option<Daemon> {
    let roster = t.required("roster", problems);
    let interval = span(&mut t, "interval", "1s", "168h", problems).unwrap_or(Duration::from_secs(300));
    let jitter = t.string("jitter", problems).map_or(0.1, |text| share(&text, problems));
    let listen = t.string("listen", problems).and_then(|text| address(&text, problems));
    let control_token_file = t.string("control_token_file", problems).map(|s| base.join(s.value));
    let pass_timeout = span(&mut t, "pass_timeout", "1s", "168h", problems).unwrap_or(PASS_TIMEOUT);
    let shutdown_grace = span(&mut t, "shutdown_grace", "1s", "1h", problems).unwrap_or(SHUTDOWN_GRACE);
    let state_dir = base.join(t.string("state_dir", problems).map_or_else(|| "state".into(), |s| s.value));
    let audit = t.string("audit", problems).map_or_else(
        || state_dir.join("audit.jsonl"),
        |s| if s.value == "-" { PathBuf::from("-") } else { base.join(s.value) },
    );
    let concurrency = whole(&mut t, "concurrency", 1..=CONCURRENCY_MAX, problems).unwrap_or(16);
    let default = Limits::default();
    let attempts = whole(&mut t, "max_attempts", 1..=100, problems).map(|n| n as u32);
    let limits = Limits {
        attempts: attempts.unwrap_or(default.attempts),
        attempt_timeout: span(&mut t, "attempt_timeout", "100ms", "10m", problems)
            .unwrap_or(default.attempt_timeout),
        call_timeout: span(&mut t, "call_timeout", "100ms", "1h", problems).unwrap_or(default.call_timeout),
    };
    t.finish(problems);
    Some(Daemon {
        roster: base.join(roster?.value),
        interval,
        jitter,
        pass_timeout,
        shutdown_grace,
        listen: listen.unwrap_or(LISTEN),
        control_token_file,
        state_dir,
        audit,
        concurrency: concurrency as usize,
        limits,
    })
}
