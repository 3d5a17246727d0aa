//! Five ways to make a number of calls.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_quicksight::Client;
use aws_sdk_quicksight::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_quicksight::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_async::rt::sleep::TokioSleep;
use rosterd::aws::call::Resources;
use rosterd::aws::pacer::Rates;
use rosterd::aws::pacer::learned::Learned;
use rosterd::aws::{Caller, Door, Limits};
use rosterd::service::ServiceKind;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rows::Row;
use crate::server::TokioTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    Standard,
    Adaptive,
    Below,
    Above,
    Rosterd,
}

/// Runs so far.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// The operations in turn; the first alone unless a row wants more.
pub const OPERATIONS: [&str; 3] = ["DescribeUser", "ListGroups", "ListUsers"];

impl Contestant {
    pub const ALL: [Contestant; 5] = [
        Contestant::Standard,
        Contestant::Adaptive,
        Contestant::Below,
        Contestant::Above,
        Contestant::Rosterd,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Contestant::Standard => "SDK standard",
            Contestant::Adaptive => "SDK adaptive",
            Contestant::Below => "fixed at 0.97",
            Contestant::Above => "fixed at 1.1",
            Contestant::Rosterd => "rosterd",
        }
    }

    /// True for the SDK's own modes.
    pub fn is_sdk(self) -> bool {
        matches!(self, Contestant::Standard | Contestant::Adaptive)
    }

    /// Makes the calls of a row; `None` when one could not be made.
    pub async fn run(self, row: &Row, http: SharedHttpClient, url: &str) -> Option<()> {
        match self {
            Contestant::Standard => sdk(row, client(http, url, RetryConfig::standard())).await,
            Contestant::Adaptive => sdk(row, client(http, url, RetryConfig::adaptive())).await,
            Contestant::Below => fixed(row, client(http, url, RetryConfig::disabled()), 0.97).await,
            Contestant::Above => fixed(row, client(http, url, RetryConfig::disabled()), 1.1).await,
            Contestant::Rosterd => return door(row, client(http, url, RetryConfig::disabled())).await,
        }
        Some(())
    }
}

fn client(http: SharedHttpClient, url: &str, retries: RetryConfig) -> Client {
    let config = aws_sdk_quicksight::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "bench"))
        .endpoint_url(url)
        .http_client(http)
        .sleep_impl(TokioSleep::new())
        .time_source(TokioTime::new())
        // What one run learned of its quota is not for the next one.
        .retry_partition(RetryPartition::new(format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))))
        .retry_config(retries);
    Client::from_conf(config.build())
}

/// One call; true when it went well.
async fn call(client: &Client, number: usize) -> bool {
    let account = crate::rows::ACCOUNT;
    match OPERATIONS[number] {
        "DescribeUser" => {
            let request = client.describe_user().aws_account_id(account).namespace("default");
            request.user_name("alice").send().await.is_ok()
        }
        "ListGroups" => {
            client.list_groups().aws_account_id(account).namespace("default").send().await.is_ok()
        }
        _ => client.list_users().aws_account_id(account).namespace("default").send().await.is_ok(),
    }
}

/// Workers that take the next call, and take it again when it failed.
async fn workers<F>(row: &Row, attempt: impl Fn(usize) -> F + Clone + Send + 'static)
where
    F: Future<Output = bool> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let (calls, operations) = (row.calls, row.operations);
    for _ in 0..row.workers() {
        let (next, attempt) = (Arc::clone(&next), attempt.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return;
                }
                while !attempt(number % operations).await {}
            }
        });
    }
    tasks.join_all().await;
}

async fn sdk(row: &Row, client: Client) {
    workers(row, move |number| {
        let client = client.clone();
        async move { call(&client, number).await }
    })
    .await;
}

async fn fixed(row: &Row, client: Client, factor: f64) {
    let slot = Duration::from_secs_f64(1.0 / (row.quota.rate * factor));
    let next = Arc::new(Mutex::new(Instant::now()));
    workers(row, move |number| {
        let (client, next) = (client.clone(), Arc::clone(&next));
        async move {
            let due = {
                let mut next = next.lock().await;
                // What a late timer costs is made up for.
                let due = (*next).max(Instant::now() - Duration::from_millis(10));
                *next = due + slot;
                due
            };
            tokio::time::sleep_until(due).await;
            call(&client, number).await
        }
    })
    .await;
}

async fn door(row: &Row, client: Client) -> Option<()> {
    let (_stop, stopping) = watch::channel(false);
    let door = Door::new(row.workers(), stopping, Learned::default());
    let start = row.prior.map(|prior| ("default".to_string(), prior)).into_iter().collect();
    let rates = Rates { start, ..Rates::default() };
    let caller =
        Caller::new(door, ServiceKind::QuickSight, "bench", rates, Resources::default(), Limits::default());
    let account = crate::rows::ACCOUNT;
    // The door tries again by itself; what it gives up counts.
    let lost = Arc::new(AtomicUsize::new(0));
    let given_up = Arc::clone(&lost);
    workers(row, move |number| {
        let (client, caller, lost) = (client.clone(), caller.clone(), Arc::clone(&lost));
        async move {
            let is_made = match OPERATIONS[number] {
                "DescribeUser" => {
                    let request = client.describe_user().aws_account_id(account).namespace("default");
                    let request = request.user_name("alice");
                    caller.call("DescribeUser", || request.clone().send()).await.is_ok()
                }
                "ListGroups" => {
                    let request = client.list_groups().aws_account_id(account).namespace("default");
                    caller.call("ListGroups", || request.clone().send()).await.is_ok()
                }
                _ => {
                    let request = client.list_users().aws_account_id(account).namespace("default");
                    caller.call("ListUsers", || request.clone().send()).await.is_ok()
                }
            };
            lost.fetch_add(usize::from(!is_made), Ordering::Relaxed);
            true
        }
    })
    .await;
    (given_up.load(Ordering::Relaxed) == 0).then_some(())
}
