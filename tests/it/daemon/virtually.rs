//! A daemon in virtual time: the sandbox answers within the process, tokio's clock stands still while nobody
//! waits, and the wall clock is the test's to set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::{SignedDuration, Timestamp};
use rosterd::daemon::status::{Status, TargetStatus};
use rosterd::daemon::{self, Daemon, Ended, Options, Order, Shared, StandIn, StartError};
use rosterd::sandbox::{Knobs, Sandbox, World};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::within::Within;

/// What the way to a service does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It takes it there.
    Open,
    /// No connection.
    Dead,
    /// Never an answer.
    Silent,
    /// An answer that is no answer.
    Garbage,
    /// The credentials are those of nobody.
    Expired,
    /// The client itself breaks.
    Panics,
}

/// The way to each service, by the service of the signature's scope.
#[derive(Debug, Clone)]
struct Ways {
    sandbox: Within,
    ways: Arc<Mutex<BTreeMap<&'static str, Way>>>,
}

impl HttpClient for Ways {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Ways {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let scope = request.headers().get("authorization").unwrap_or_default();
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let way =
            ways.iter().find(|(service, _)| scope.contains(&format!("/{service}"))).map(|(_, way)| *way);
        drop(ways);
        let answer = |status: u16, body: &'static str| {
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status).unwrap();
            Ok(aws_smithy_runtime_api::http::Response::new(status, SdkBody::from(body)))
        };
        match way.unwrap_or(Way::Open) {
            Way::Open => self.sandbox.call(request),
            Way::Dead => HttpConnectorFuture::ready(Err(ConnectorError::io("connection refused".into()))),
            Way::Silent => HttpConnectorFuture::new(std::future::pending()),
            Way::Garbage => HttpConnectorFuture::ready(answer(200, "<html>welcome to the proxy</html>")),
            Way::Expired => HttpConnectorFuture::ready(answer(
                403,
                r#"{"__type":"ExpiredTokenException","message":"The security token has expired"}"#,
            )),
            Way::Panics => panic!("the client breaks"),
        }
    }
}

struct NoSockets;

impl StandIn for NoSockets {
    fn url(&self) -> String {
        "http://sandbox".into()
    }
    fn provide(&self, _: &daemon::generation::Generation) {}
    fn save(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Files, a sandbox and a clock, for one daemon after the other.
pub struct Field {
    pub dir: TempDir,
    pub sandbox: Arc<Sandbox>,
    ways: Ways,
    /// Seconds the wall clock is ahead.
    ahead: Arc<AtomicI64>,
    start: Instant,
}

/// A running daemon.
pub struct Running {
    pub shared: Arc<Shared>,
    task: JoinHandle<Ended>,
}

/// Noon of a day on which nothing in the tests expires.
pub const NOON: &str = "2027-01-10T12:00:00Z";

impl Field {
    pub fn new(world: World) -> Field {
        Field::with(world, Knobs::default())
    }

    pub fn with(mut world: World, knobs: Knobs) -> Field {
        world.index();
        let sandbox = Arc::new(Sandbox::within(world, knobs));
        let ways = Ways { sandbox: Within(Arc::clone(&sandbox)), ways: Arc::default() };
        let dir = tempfile::tempdir().expect("a temporary folder");
        Field { dir, sandbox, ways, ahead: Arc::default(), start: Instant::now() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the temporary folder is writable");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Settings with an interval of a minute and no jitter.
    pub fn settings(&self, daemon: &str, targets: &str) {
        self.write("rosterd.toml", &self.settings_text(daemon, targets));
    }

    pub fn settings_text(&self, daemon: &str, targets: &str) -> String {
        let interval = if daemon.contains("interval") { "" } else { "interval = \"1m\"\n" };
        let targets = targets.replace("ENDPOINT", "http://sandbox");
        let start = "[daemon]\nroster = \"roster.toml\"\njitter = \"0%\"\n";
        format!("{start}{interval}{daemon}\n{targets}")
    }

    pub fn way(&self, service: &'static str, way: Way) {
        self.ways.ways.lock().unwrap().insert(service, way);
    }

    /// Sets the wall clock ahead, or back.
    pub fn jump(&self, by: SignedDuration) {
        self.ahead.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub fn prepare(&self) -> Result<Daemon, StartError> {
        self.prepare_with(daemon::SLACK, self.http(), false)
    }

    pub fn prepare_with(
        &self,
        slack: Duration,
        http: SharedHttpClient,
        once: bool,
    ) -> Result<Daemon, StartError> {
        let (start, ahead) = (self.start, Arc::clone(&self.ahead));
        let noon: Timestamp = NOON.parse().unwrap();
        let wall = move || {
            let passed = SignedDuration::try_from(start.elapsed()).unwrap();
            noon + passed + SignedDuration::from_secs(ahead.load(Ordering::SeqCst))
        };
        daemon::prepare(Options {
            config: self.path("rosterd.toml"),
            once,
            stand_in: Some((Box::new(NoSockets), self.path("state"))),
            http,
            wall: Box::new(wall),
            slack,
        })
    }

    pub fn http(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.ways.clone())
    }

    pub fn start(&self) -> Running {
        Running::of(self.prepare().expect("valid files"))
    }

    /// Writes of the sandbox so far, by operation.
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut counts = self.sandbox.counts();
        counts.retain(|operation, _| !crate::support::is_read(operation));
        counts
    }

    pub fn count(&self, operation: &str) -> usize {
        self.sandbox.counts().get(operation).copied().unwrap_or_default()
    }

    /// Lines of the audit trail with an outcome.
    pub fn audited(&self, outcome: &str) -> Vec<serde_json::Value> {
        let lines = self.read("state/audit.jsonl");
        let lines =
            lines.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a whole line"));
        lines.filter(|line| line["outcome"] == outcome).collect()
    }
}

impl Running {
    pub fn of(daemon: Daemon) -> Running {
        let shared = Arc::clone(&daemon.shared);
        Running { shared, task: tokio::spawn(daemon::supervise(daemon)) }
    }

    pub fn status(&self) -> Status {
        self.shared.status()
    }

    pub fn target(&self, name: &str) -> TargetStatus {
        let status = self.status();
        let known: Vec<_> = status.targets.iter().map(|t| t.name.clone()).collect();
        status
            .targets
            .into_iter()
            .find(|t| t.name == name)
            .unwrap_or_else(|| panic!("no {name} in {known:?}"))
    }

    /// Passes of a target so far, whatever their outcome.
    pub fn passes(&self, target: &str) -> u64 {
        passes(&self.shared, target)
    }

    /// Lets time pass until something holds; a day is enough for anything.
    pub async fn until(&self, what: &str, holds: impl Fn(&Running) -> bool) {
        let end = Instant::now() + Duration::from_secs(26 * 3600);
        while !holds(self) {
            assert!(!self.task.is_finished(), "rosterd ended while waiting for {what}");
            assert!(
                Instant::now() < end,
                "waited too long for {what}: {:#?}",
                (self.status().targets, self.status().errors)
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Lets one more pass of a target end, and then some.
    pub async fn another_pass(&self, target: &str) {
        let before = self.passes(target);
        self.until("another pass", |r| r.passes(target) > before).await;
    }

    pub async fn order(&self, order: Order) {
        self.shared.orders.send(order).await.expect("the supervisor listens");
    }

    pub async fn stop(self) -> Ended {
        self.order(Order::Stop("SIGTERM")).await;
        self.task.await.expect("the supervisor does not panic")
    }

    pub async fn ends(self) -> Ended {
        self.task.await.expect("the supervisor does not panic")
    }

    /// As `kill -9` would: nothing is finished, nothing is saved.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // What is left of it holds the lock until it is gone.
        while Arc::strong_count(&self.shared) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

pub fn passes(shared: &Shared, target: &str) -> u64 {
    let text = rosterd::telemetry::metrics::scrape::scrape(&shared.door.metrics, &shared.status());
    let of_target = format!("target=\"{target}\"");
    let lines = text.lines().filter(|l| l.starts_with("rosterd_passes_total{") && l.contains(&of_target));
    lines.map(|l| l.rsplit(' ').next().unwrap_or("0").parse::<f64>().unwrap_or(0.0) as u64).sum()
}
