//! `rosterd.toml` -> [`Settings`]: where to reconcile, how, and within which limits.
//!
//! Every field has its default beside it and a problem of its own when it is wrong; nothing is read from
//! the environment here. Paths are taken relative to the folder of the settings file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::aws::Limits;
use crate::input::{self, Located, Problem, Problems, Sources, Table, rules, table};
use crate::plan::guard::{OnUnlisted, Policy, RemovalCap, Rules, Scope};
use crate::service::quicksight::{IdentityType, UserNameFrom};
use crate::service::{ServiceKind, Word};

/// More targets than this are refused: each is observed and paced on its own.
const TARGETS_MAX: usize = 200;
/// The most actions and calls under way at once, over all targets.
const CONCURRENCY_MAX: u64 = 256;

/// Everything `rosterd.toml` says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `[daemon]` table.
    pub daemon: Daemon,
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
    /// Where metrics and status are served.
    pub listen: String,
    /// Learned facts whose loss is harmless.
    pub state_dir: PathBuf,
    /// Where the audit lines go.
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
        let name = rules::NAME.check(name, problems);
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
    Some(Settings { daemon: daemon?, targets: read, broken })
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
    let listen = t.string("listen", problems);
    if let Some(text) = &listen
        && text.value.parse::<std::net::SocketAddr>().is_err()
    {
        problems.push(
            Problem::at(text.place, format!("`{}` is no address and port", text.value))
                .help("for example `127.0.0.1:9464`"),
        );
    }
    let state_dir = base.join(t.string("state_dir", problems).map_or_else(|| "state".into(), |s| s.value));
    let audit =
        t.string("audit", problems).map_or_else(|| state_dir.join("audit.jsonl"), |s| base.join(s.value));
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
        listen: listen.map_or_else(|| "127.0.0.1:9464".into(), |s| s.value),
        state_dir,
        audit,
        concurrency: concurrency as usize,
        limits,
    })
}

fn read_target(name: &str, mut t: Table<'_>, problems: &mut Problems) -> Option<Target> {
    let kind = t.required("service", problems).and_then(|s| word::<ServiceKind>(&s, "service", problems));
    let region = t.required("region", problems).map(|r| rules::REGION.check(r, problems).value);
    let service = kind.and_then(|kind| read_service(kind, &mut t, problems));
    let rules = read_rules(kind, &mut t, problems);
    let access = Access {
        endpoint_url: t.string("endpoint_url", problems).map(|u| rules::URL.check(u, problems).value),
        profile: t.string("profile", problems).map(|s| s.value),
        assume_role: t.string("assume_role", problems).map(|a| rules::ROLE_ARN.check(a, problems).value),
        external_id: t.string("external_id", problems).map(|e| rules::EXTERNAL_ID.check(e, problems).value),
    };
    if access.external_id.is_some() && access.assume_role.is_none() {
        problems.push(Problem::at(t.place, "`external_id` goes with `assume_role`"));
    }
    let mut pace = BTreeMap::new();
    for (operation, value) in t.table("pace", problems).into_iter().flat_map(Table::into_named) {
        let path = format!("targets.{name}.pace.{}", operation.value);
        let known = kind.map_or(&[][..], ServiceKind::operations);
        if operation.value != "default" && kind.is_some() && !known.contains(&&*operation.value) {
            let problem = Problem::at(
                operation.place,
                format!("`{}` is no operation rosterd calls here", operation.value),
            );
            problems.push(problem.suggest(&operation.value, known.iter().copied()));
        }
        let place = value.place;
        if let Some(rate) = value.into_number(&path, problems) {
            if !(0.01..=10_000.0).contains(&rate) {
                problems.push(Problem::at(
                    place,
                    format!("`{path}` must be from 0.01 to 10000 calls per second"),
                ));
            }
            pace.insert(operation.value, rate);
        }
    }
    // An unknown service leaves its own keys unread; one clear error is enough then.
    if kind.is_some() {
        t.finish(problems);
    }
    Some(Target { name: name.to_string(), service: service?, region: region?, rules: rules?, access, pace })
}

fn read_service(kind: ServiceKind, t: &mut Table<'_>, problems: &mut Problems) -> Option<Service> {
    Some(match kind {
        ServiceKind::DataZone => {
            let domain_id =
                t.required("domain_id", problems).map(|d| rules::DATAZONE_DOMAIN.check(d, problems).value);
            Service::DataZone { domain_id: domain_id? }
        }
        ServiceKind::QuickSight => {
            let account_id =
                t.required("account_id", problems).map(|a| rules::ACCOUNT_ID.check(a, problems).value);
            let namespace =
                t.string("namespace", problems).map(|n| rules::QUICKSIGHT_NAMESPACE.check(n, problems).value);
            let identity_type =
                t.string("identity_type", problems).and_then(|s| word(&s, "identity_type", problems));
            let user_name_from =
                t.string("user_name_from", problems).and_then(|s| word(&s, "user_name_from", problems));
            Service::QuickSight {
                account_id: account_id?,
                namespace: namespace.unwrap_or_else(|| "default".into()),
                identity_type: identity_type.unwrap_or(IdentityType::QuickSight),
                user_name_from: user_name_from.unwrap_or(UserNameFrom::Email),
            }
        }
        ServiceKind::FinSpace => Service::FinSpace,
    })
}

fn read_rules(kind: Option<ServiceKind>, t: &mut Table<'_>, problems: &mut Problems) -> Option<Rules> {
    let (name, place) = (t.name.clone(), t.place);
    let policy = t.required("policy", problems).and_then(|s| word::<Policy>(&s, "policy", problems));
    let on_unlisted = t.string("on_unlisted", problems).and_then(|s| {
        let wish = word::<OnUnlisted>(&s, "on_unlisted", problems)?;
        let right = kind.is_none_or(|k| wish == OnUnlisted::Report || wish == OnUnlisted::removal_of(k));
        if !right && let Some(kind) = kind {
            let can = OnUnlisted::removal_of(kind).word();
            problems.push(
                Problem::at(s.place, format!("{} cannot {} a principal", kind.title(), wish.word()))
                    .help(format!("use `{can}` or `report`")),
            );
        }
        Some(wish)
    });
    let scope = t.table("scope", problems);
    let mut owns_something = false;
    let scope = scope.map_or_else(Scope::default, |mut s| {
        let include = globs(&mut s, "include", problems);
        let exclude = globs(&mut s, "exclude", problems);
        owns_something = include.as_ref().is_some_and(|i| !i.is_empty());
        s.finish(problems);
        Scope::new(include, exclude.unwrap_or_default())
    });
    let protected = globs(t, "protected", problems).unwrap_or_default();
    let cap = t.table("max_removals", problems).map_or_else(RemovalCap::default, |c| read_cap(c, problems));
    let removal_grace = duration(t, "removal_grace", problems).unwrap_or_default();
    if policy == Some(Policy::Sync) && on_unlisted.is_none() {
        problems.push(
            Problem::at(place, format!("`{name}` has policy `sync` and no `on_unlisted`"))
                .help("say what happens to a principal the roster does not list: `delete` (QuickSight), `disable` (DataZone, FinSpace) or `report`"),
        );
    }
    if policy == Some(Policy::Sync)
        && matches!(on_unlisted, Some(w) if w != OnUnlisted::Report)
        && !owns_something
    {
        problems.push(
            Problem::at(
                place,
                format!("`{name}` removes unlisted principals and does not say which are rosterd's"),
            )
            .help("add `scope = { include = [\"*@example.com\"] }`; `include = [\"*\"]` claims them all"),
        );
    }
    Some(Rules {
        policy: policy?,
        on_unlisted: on_unlisted.unwrap_or(OnUnlisted::Report),
        scope,
        protected: Scope::new(Some(protected), Vec::new()),
        cap,
        removal_grace,
    })
}

fn read_cap(mut t: Table<'_>, problems: &mut Problems) -> RemovalCap {
    let default = RemovalCap::default();
    let path = t.path("percent");
    let percent = t.take("percent").and_then(|v| v.into_number(&path, problems)).unwrap_or(default.percent);
    let count = whole(&mut t, "count", 0..=1_000_000, problems).map_or(default.count, |n| n as usize);
    let min_population = whole(&mut t, "min_population", 0..=1_000_000, problems)
        .map_or(default.min_population, |n| n as usize);
    if percent > 100.0 {
        problems.push(Problem::at(t.place, format!("`{path}` is more than 100")));
    }
    t.finish(problems);
    RemovalCap { percent, count, min_population }
}

/// A whole number within a range.
fn whole(
    t: &mut Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    problems: &mut Problems,
) -> Option<u64> {
    let path = t.path(key);
    let value = t.take(key)?;
    let place = value.place;
    let number = value.into_count(&path, problems)?;
    if !range.contains(&number) {
        let message = format!("`{path}` must be from {} to {}", range.start(), range.end());
        problems.push(Problem::at(place, message));
    }
    Some(number)
}

/// A length of time within a range.
fn span(
    t: &mut Table<'_>,
    key: &'static str,
    least: &str,
    most: &str,
    problems: &mut Problems,
) -> Option<Duration> {
    let place = t.place_of(key);
    let found = duration(t, key, problems)?;
    let bound = |text: &str| parse_duration(text).unwrap_or_default();
    if !(bound(least)..=bound(most)).contains(&found) {
        problems.push(Problem::at(place, format!("`{}` must be from {least} to {most}", t.path(key))));
    }
    Some(found)
}

fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok())
}

fn globs(t: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<Vec<globset::Glob>> {
    let path = t.path(key);
    let texts = t.take(key)?.into_strings(&path, problems)?;
    Some(texts.into_iter().filter_map(|text| glob(&text, problems)).collect())
}

fn glob(text: &Located<String>, problems: &mut Problems) -> Option<globset::Glob> {
    let built = globset::GlobBuilder::new(&text.value).case_insensitive(true).build();
    built
        .map_err(|e| {
            problems.push(
                Problem::at(text.place, format!("`{}` is no valid pattern: {}", text.value, e.kind()))
                    .help("`*` stands for any text, `?` for one character"),
            )
        })
        .ok()
}

fn duration(t: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<Duration> {
    let text = t.string(key, problems)?;
    let parsed = parse_duration(&text.value);
    if parsed.is_none() {
        problems.push(
            Problem::at(text.place, format!("`{}` is no length of time", text.value))
                .help("write it like `90s`, `5m`, `24h` or `1h 30m`"),
        );
    }
    parsed
}

fn share(text: &Located<String>, problems: &mut Problems) -> f64 {
    let parsed = text
        .value
        .strip_suffix('%')
        .and_then(|n| n.trim().parse::<f64>().ok())
        .filter(|n| (0.0..=50.0).contains(n));
    if parsed.is_none() {
        problems.push(
            Problem::at(text.place, format!("`{}` is no share from 0% to 50%", text.value))
                .help("write it like `10%`"),
        );
    }
    parsed.unwrap_or(0.0) / 100.0
}

/// One of a closed set of words, or a problem that lists them.
pub fn word<W: Word>(text: &Located<String>, what: &str, problems: &mut Problems) -> Option<W> {
    let found = W::ALL.iter().copied().find(|w| w.word() == text.value);
    if found.is_none() {
        let words: Vec<&str> = W::ALL.iter().map(|w| w.word()).collect();
        let near = input::nearest(&text.value, words.iter().copied());
        let help = near
            .map_or_else(|| format!("use one of: {}", words.join(", ")), |n| format!("did you mean `{n}`?"));
        problems.push(Problem::at(text.place, format!("`{}` is no valid {what}", text.value)).help(help));
    }
    found
}
