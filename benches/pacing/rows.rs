//! The rows: quotas, what is known of them, what happens to them; and how a row is run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_quicksight::config::SharedHttpClient;
use rosterd::aws::client::http_client;
use rosterd::sandbox::knobs::{Knobs, Quota};
use rosterd::sandbox::{Sandbox, World};
use tokio::time::Instant;

use crate::contestants::Contestant;
use crate::server::Within;

pub const ACCOUNT: &str = "111122223333";
/// There and back.
const LATENCY: Duration = Duration::from_millis(120);
/// Nothing takes longer than this many times the ideal.
const PATIENCE: f64 = 5.0;
/// Rows in virtual time are run so often, and the median is shown; the SDK's modes only once, they take long.
const RUNS: u64 = 3;

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub quota: Quota,
    /// What rosterd is told of it, in calls per second.
    pub prior: Option<f64>,
    pub calls: usize,
    /// How many operations the calls are of; more than one share the quota.
    pub operations: usize,
    change: Option<Change>,
}

/// The quota becomes another one; figures count from a while after that.
#[derive(Debug, Clone, Copy)]
struct Change {
    factor: f64,
    at: Duration,
    settle: Duration,
}

/// What came of a row.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub used: f64,
    pub throttled: f64,
    pub time_to_ideal: f64,
}

fn row(name: impl Into<String>, quota: Quota, prior: Option<f64>) -> Row {
    Row { name: name.into(), quota, prior, calls: 2000, operations: 1, change: None }
}

/// The rows of the long table.
pub fn virtual_time() -> Vec<Row> {
    let mut rows = Vec::new();
    for rate in [3.0, 8.0, 20.0, 50.0, 200.0] {
        let quota = Quota::bucket(rate, rate);
        for (name, prior) in [
            ("prior exact", Some(rate)),
            ("prior 0.5 x", Some(rate / 2.0)),
            ("prior 2 x", Some(rate * 2.0)),
            ("blind", None),
        ] {
            rows.push(row(format!("R = {rate}, {name}"), quota, prior));
        }
    }
    for rate in [3.0, 20.0, 50.0] {
        let quota = Quota::bucket(rate, rate);
        let at = Duration::from_secs_f64(1000.0 / rate);
        let change = |factor, settle| Some(Change { factor, at, settle: Duration::from_secs(settle) });
        let halved = row(format!("R = {rate}, halved, after 10 s"), quota, Some(rate));
        rows.push(Row { change: change(0.5, 10), ..halved });
        let doubled = row(format!("R = {rate}, doubled, after 60 s"), quota, Some(rate));
        rows.push(Row { change: change(2.0, 60), calls: 4000 + (120.0 * rate) as usize, ..doubled });
    }
    for rate in [3.0, 8.0, 20.0, 50.0] {
        let quota = Quota { competitor: 0.3 * rate, ..Quota::bucket(rate, rate) };
        rows.push(row(format!("R = {rate}, 30 % taken by others"), quota, Some(rate)));
    }
    for rate in [3.0, 8.0, 20.0, 50.0] {
        rows.push(row(format!("R = {rate}, burst of 1"), Quota::bucket(rate, 1.0), Some(rate)));
    }
    for rate in [3.0, 8.0, 20.0, 50.0] {
        rows.push(row(format!("R = {rate}, fixed windows of 1 s"), Quota::window(rate), Some(rate)));
    }
    for rate in [8.0, 20.0] {
        let one = row(format!("R = {rate}, one for 3 operations"), Quota::bucket(rate, rate), Some(rate));
        rows.push(Row { operations: 3, ..one });
    }
    rows
}

/// The rows of the short table.
pub fn http() -> Vec<Row> {
    let mut rows = Vec::new();
    for (rate, calls) in [(20.0, 1000), (50.0, 2000), (200.0, 2000)] {
        for (name, prior) in [("prior exact", Some(rate)), ("prior 2 x", Some(rate * 2.0)), ("blind", None)] {
            let quota = Quota::bucket(rate, rate);
            rows.push(Row { calls, ..row(format!("R = {rate}, {name}"), quota, prior) });
        }
    }
    rows.push(Row { calls: 1000, ..row("R = 20, burst of 1", Quota::bucket(20.0, 1.0), Some(20.0)) });
    rows
}

impl Row {
    /// Sixteen, or what keeps twice the quota busy.
    pub fn workers(&self) -> usize {
        16.max((self.quota.rate * 2.0 * 2.0 * LATENCY.as_secs_f64()) as usize)
    }

    fn buckets(&self) -> BTreeMap<String, Quota> {
        let name = if self.operations > 1 { "quicksight:*" } else { "quicksight:DescribeUser" };
        [(name.to_string(), self.quota)].into()
    }

    fn knobs(&self, seed: u64) -> Knobs {
        let latency_ms = LATENCY.as_millis() as u64;
        Knobs { quotas: self.buckets(), latency_ms, jitter_ms: 1, seed, ..Knobs::default() }
    }

    /// Calls per second that are there to be used at the end.
    fn admitted(&self) -> f64 {
        let rate = self.change.map_or(self.quota.rate, |change| self.quota.rate * change.factor);
        rate - self.quota.competitor
    }

    /// The shortest time, in seconds.
    fn ideal(&self) -> f64 {
        let rate = self.quota.rate - self.quota.competitor;
        let left = self.calls as f64 - self.quota.burst;
        let before = self.change.map_or(f64::INFINITY, |change| change.at.as_secs_f64());
        if left <= rate * before { left / rate } else { before + (left - rate * before) / self.admitted() }
    }

    /// Makes the calls, and watches.
    async fn run(
        &self,
        contestant: Contestant,
        sandbox: Arc<Sandbox>,
        http: SharedHttpClient,
    ) -> Option<Figures> {
        let begin = Instant::now();
        let counted = async {
            let Some(change) = self.change else { return begin };
            tokio::time::sleep(change.at).await;
            for (name, quota) in self.buckets() {
                let rate = quota.rate * change.factor;
                sandbox.set_quota(&name, Quota { rate, burst: quota.burst * change.factor, ..quota });
            }
            tokio::time::sleep(change.settle).await;
            sandbox.forget_calls();
            Instant::now()
        };
        let url = sandbox.url();
        let calls = async {
            let limit = Duration::from_secs_f64(self.ideal() * PATIENCE);
            tokio::time::timeout(limit, contestant.run(self, http, &url)).await.ok().flatten()?;
            Some(Instant::now())
        };
        let (counted, end) = tokio::join!(counted, calls);
        let end = end?;
        let calls = sandbox.calls();
        let admitted = calls.iter().filter(|call| call.took_effect).count() as f64;
        let throttled = calls.len() as f64 - admitted;
        let seconds = |from: Instant| (end - from).saturating_sub(LATENCY).as_secs_f64();
        Some(Figures {
            used: admitted / (self.admitted() * seconds(counted)),
            throttled: throttled / (admitted + throttled),
            time_to_ideal: seconds(begin) / self.ideal(),
        })
    }
}

fn world() -> World {
    let mut world = World::default();
    world.ensure_namespace(ACCOUNT, "default", "us-east-1");
    let user = rosterd::sandbox::world::QuickSightUser {
        user_name: "alice".into(),
        email: "alice@example.com".into(),
        role: "READER".into(),
        ..Default::default()
    };
    let account = world.accounts.get_mut(ACCOUNT).expect("just made");
    account.namespaces.get_mut("default").expect("just made").users.insert("p1".into(), user);
    world.index();
    world
}

/// One contestant in virtual time: the median, by what was used.
pub fn run_virtual(row: &Row, contestant: Contestant) -> Option<Figures> {
    let count = if contestant.is_sdk() { 1 } else { RUNS };
    let mut runs = (1..=count).map(|seed| run_seeded(row, contestant, seed)).collect::<Option<Vec<_>>>()?;
    runs.sort_by(|a, b| a.used.total_cmp(&b.used));
    runs.get(runs.len() / 2).copied()
}

fn run_seeded(row: &Row, contestant: Contestant, seed: u64) -> Option<Figures> {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let sandbox = Arc::new(Sandbox::within(world(), row.knobs(seed)));
        let http = SharedHttpClient::new(Within(Arc::clone(&sandbox)));
        row.run(contestant, sandbox, http).await
    })
}

/// All contestants at once in real time, each with a sandbox of its own.
pub fn run_http(row: &Row) -> Vec<(Contestant, Figures)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let runs = Contestant::ALL.map(|contestant| async move {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let sandbox = Sandbox::start(listen, world(), row.knobs(1)).await.ok()?;
            Some((contestant, row.run(contestant, Arc::new(sandbox), http_client()).await?))
        });
        futures_util::future::join_all(runs).await.into_iter().flatten().collect()
    })
}
