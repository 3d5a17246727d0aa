//! `cargo bench --bench pass -- 10000 100000`: CPU time and peak memory of one pass without changes, against
//! the floor: the same pages fetched and parsed by the bare SDK, as many at once.
//!
//! The sandbox runs in a process of its own, and so does each contestant, under GNU `time`; rosterd and the
//! floor take turns, and the middle of five is shown, of memory the most.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use rosterd::aws::client::http_client;
use rosterd::sandbox::generate::{ACCOUNT, DOMAIN, GROUP, PROJECT, REGION};

const RUNS: usize = 5;
/// The argument that makes this program the floor.
const FLOOR: &str = "--floor";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|a| a == FLOOR) {
        let url = arguments.get(at + 1).cloned().unwrap_or_default();
        return floor(&url);
    }
    let sizes: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    println!("| users on each of 3 targets |     | CPU, s | peak memory, MB | CPU against the floor |");
    println!("|---:|---|---:|---:|---:|");
    for size in sizes {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let Some((mut sandbox, url)) = sandbox(dir.path(), size) else { return ExitCode::FAILURE };
        let settings = dir.path().join("rosterd.toml");
        let rosterd =
            || run(&[env!("CARGO_BIN_EXE_rosterd"), "plan", "--config", &settings.to_string_lossy()]);
        let this = std::env::current_exe().expect("this program");
        let bare = || run(&[&this.to_string_lossy(), FLOOR, &url]);
        let runs: Option<Vec<(Cost, Cost)>> = (0..RUNS).map(|_| Some((rosterd()?, bare()?))).collect();
        let _ = sandbox.kill();
        let _ = sandbox.wait();
        let Some(runs) = runs else { return ExitCode::FAILURE };
        let (rosterd, bare): (Vec<Cost>, Vec<Cost>) = runs.into_iter().unzip();
        let (rosterd, bare) = (middle(rosterd), middle(bare));
        println!(
            "| {size} | rosterd plan | {:.2} | {} | {:.2} |",
            rosterd.cpu,
            rosterd.megabytes,
            rosterd.cpu / bare.cpu
        );
        println!("| | bare SDK | {:.2} | {} | 1 |", bare.cpu, bare.megabytes);
    }
    ExitCode::SUCCESS
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    megabytes: u64,
}

fn middle(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let megabytes = costs.iter().map(|c| c.megabytes).max().unwrap_or_default();
    Cost { megabytes, ..costs[costs.len() / 2] }
}

/// Starts a sandbox of so many users, and waits until it listens.
fn sandbox(dir: &Path, users: usize) -> Option<(Child, String)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
        .args(["sandbox", "--listen", "127.0.0.1:0", "--users", &users.to_string(), "--write"])
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some((child, line.trim().strip_prefix("listening on ")?.to_string()))
}

/// Runs a command under GNU `time`.
fn run(command: &[&str]) -> Option<Cost> {
    let output = Command::new("time")
        .args(["-f", "rosterd-cost %U %S %M"])
        .args(command)
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .map_err(|e| eprintln!("GNU time is needed (package `time`): {e}"))
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        eprintln!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stdout));
        return None;
    }
    let cost = text.lines().find_map(|line| line.strip_prefix("rosterd-cost "))?;
    let mut numbers = cost.split(' ').filter_map(|n| n.parse::<f64>().ok());
    let (user, system, kilobytes) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(Cost { cpu: user + system, megabytes: kilobytes as u64 / 1024 })
}

/// Fetches every page a pass fetches, and drops it.
fn floor(url: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(fetch(url)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Goes through the pages of a listing: `$page` is the request without its token.
macro_rules! pages {
    ($page:expr) => {
        async {
            let mut token = None;
            loop {
                let page = $page.set_next_token(token).send().await.map_err(|e| format!("{e:?}"))?;
                token = page.next_token;
                if token.is_none() {
                    return Ok::<(), String>(());
                }
            }
        }
    };
}

#[allow(deprecated, reason = "AWS marked every method of this client when it announced FinSpace's end")]
async fn fetch(url: &str) -> Result<(), String> {
    use aws_sdk_datazone::types::UserSearchType;

    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(REGION))
        .http_client(http_client())
        .endpoint_url(url)
        .load()
        .await;
    let datazone = aws_sdk_datazone::Client::new(&sdk);
    let quicksight = aws_sdk_quicksight::Client::new(&sdk);
    let finspace = aws_sdk_finspacedata::Client::new(&sdk);
    let profiles = |kind: UserSearchType| {
        let datazone = &datazone;
        async move {
            pages!(
                datazone
                    .search_user_profiles()
                    .domain_identifier(DOMAIN)
                    .user_type(kind.clone())
                    .max_results(50)
            )
            .await
        }
    };
    let groups = async {
        let found = finspace.list_permission_groups().max_results(100).send().await;
        let found = found.map_err(|e| format!("{e:?}"))?.permission_groups.unwrap_or_default();
        let id = found.into_iter().find_map(|g| g.permission_group_id).unwrap_or_default();
        pages!(finspace.list_users_by_permission_group().permission_group_id(&id).max_results(100)).await
    };
    let quicksight_groups = async {
        let found = quicksight.list_groups().aws_account_id(ACCOUNT).namespace("default").max_results(100);
        found.send().await.map_err(|e| format!("{e:?}"))?;
        pages!(
            quicksight
                .list_group_memberships()
                .aws_account_id(ACCOUNT)
                .namespace("default")
                .group_name(GROUP)
                .max_results(100)
        )
        .await
    };
    tokio::try_join!(
        profiles(UserSearchType::DatazoneSsoUser),
        profiles(UserSearchType::DatazoneIamUser),
        pages!(
            datazone
                .list_project_memberships()
                .domain_identifier(DOMAIN)
                .project_identifier(PROJECT)
                .max_results(50)
        ),
        pages!(quicksight.list_users().aws_account_id(ACCOUNT).namespace("default").max_results(100)),
        quicksight_groups,
        pages!(finspace.list_users().max_results(100)),
        groups,
    )?;
    Ok(())
}
