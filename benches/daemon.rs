//! `cargo bench --bench daemon`: what the daemon costs while nothing happens, over a day, and when scraped.
//!
//! * `soak`: a week of passes in virtual time, three targets of 1,000 users, without and with an edit of the
//!   roster every hour; resident memory now and then.
//! * `idle`: the built binary between two passes: resident memory, and how often it wakes up in a minute.
//! * `metrics`: the built binary with 50 targets: how long a scrape takes over HTTP, of 500.
//!
//! `cargo bench --bench daemon -- idle` runs one of them.
#![allow(dead_code, clippy::unwrap_used, reason = "what the tests share")]

#[path = "../tests/it/support.rs"]
mod support;
#[path = "../tests/it/daemon/virtually.rs"]
mod virtually;
#[path = "../tests/it/within.rs"]
mod within;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rosterd::sandbox::generate;

/// The one of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: usize = 1_000;

fn main() {
    // A soak has a process of its own.
    if let Some(kind) = std::env::args().find_map(|a| a.strip_prefix("--soak=").map(String::from)) {
        return soak(kind == "edited");
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|w| w == what);
    if wants("soak") {
        for kind in ["quiet", "edited"] {
            let this = std::env::current_exe().expect("this program");
            let status = Command::new(this).arg(format!("--soak={kind}")).status();
            assert!(status.is_ok_and(|status| status.success()), "the {kind} soak");
        }
    }
    if wants("idle") {
        idle();
    }
    if wants("metrics") {
        metrics();
    }
}

fn soak(is_edited: bool) {
    let files = if is_edited { "an edit of the roster every hour" } else { "the files as they are" };
    println!("\na week of passes, {USERS} users on each of 3 targets, {files}\n");
    println!("| hour | passes | resident memory, MB |\n|---:|---:|---:|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let field = virtually::Field::new(generate::world(USERS));
        let settings = generate::settings("http://sandbox");
        let settings = settings.replace("[daemon]\n", "[daemon]\njitter = \"10%\"\ninterval = \"5m\"\n");
        field.write("rosterd.toml", &settings);
        let roster = generate::roster(USERS);
        field.write("roster.toml", &roster);
        let running = field.start();
        for hour in 1..=24 * 7 {
            if is_edited {
                field.write("roster.toml", &format!("{roster}\n# edited in hour {hour}\n"));
            }
            tokio::time::sleep(Duration::from_secs(3600)).await;
            field.sandbox.forget_calls();
            if [1, 12, 24, 48, 72, 120, 168].contains(&hour) {
                let passes: u64 = running
                    .status()
                    .targets
                    .iter()
                    .map(|t| virtually::passes(&running.shared, &t.name))
                    .sum();
                println!("| {hour} | {passes} | {:.1} |", resident("self"));
            }
        }
        running.stop().await;
    });
}

fn idle() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let binary = env!("CARGO_BIN_EXE_rosterd");
    let users = USERS.to_string();
    let folder = dir.path().to_string_lossy().into_owned();
    let mut sandbox = Process::start(&[binary, "sandbox", "--users", &users, "--write", &folder], dir.path());
    sandbox.line("listening on");
    let path = dir.path().join("rosterd.toml");
    let settings = std::fs::read_to_string(&path).expect("the sandbox wrote it");
    let daemon = "[daemon]\ninterval = \"24h\"\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&path, settings.replace("[daemon]\n", daemon)).expect("a writable folder");
    let mut rosterd = Process::start(&[binary, "run", "--config", "rosterd.toml"], dir.path());
    let url = rosterd.url();
    rosterd.until_ready(&url);
    std::thread::sleep(Duration::from_secs(10));
    let before = rosterd.switches();
    std::thread::sleep(Duration::from_secs(60));
    let wakeups = rosterd.switches() - before;
    println!("\nidle, {USERS} users on each of 3 targets\n");
    println!("| resident memory, MB | wake-ups in a minute, all threads |\n|---:|---:|");
    println!("| {:.1} | {wakeups} |", resident(&rosterd.child.id().to_string()));
}

fn metrics() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut settings = "[daemon]\nroster = \"roster.toml\"\nlisten = \"127.0.0.1:0\"\n".to_string();
    for number in 0..50 {
        settings.push_str(&format!(
            "[targets.t{number}]\nservice = \"quicksight\"\nregion = \"us-east-1\"\naccount_id = \"123456789012\"\n\
             namespace = \"n{number}\"\npolicy = \"upsert-only\"\n"
        ));
    }
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\", groups = [\"g\"] }\n".to_string();
    for number in 0..20 {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    std::fs::write(dir.path().join("rosterd.toml"), settings).expect("a writable folder");
    std::fs::write(dir.path().join("roster.toml"), roster).expect("a writable folder");
    let binary = env!("CARGO_BIN_EXE_rosterd");
    let mut rosterd = Process::start(&[binary, "run", "--sandbox", "--config", "rosterd.toml"], dir.path());
    let url = rosterd.url();
    rosterd.until_ready(&url);
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            let text = get(&url, "/metrics").expect("it answers");
            assert!(text.contains("target=\"t49\""));
            begun.elapsed()
        })
        .collect();
    times.sort();
    let kilobytes = get(&url, "/metrics").map_or(0, |t| t.len() / 1000);
    println!("\na scrape of 50 targets, {kilobytes} kB, of 500\n");
    println!("| median, ms | 99 of 100, ms |\n|---:|---:|");
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    println!("| {:.2} | {:.2} |", ms(250), ms(494));
}

/// Resident memory of a process, in megabytes.
fn resident(pid: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    kib * 1024.0 / 1e6
}

/// A process of ours, and what it says.
struct Process {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Process {
    fn start(arguments: &[&str], dir: &Path) -> Process {
        let mut command = Command::new(arguments[0]);
        command.args(&arguments[1..]).current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "y");
        let mut child = command.spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let err = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let is_daemon = arguments.contains(&"run");
        let lines: Box<dyn Iterator<Item = String>> =
            if is_daemon { Box::new(err.map_while(Result::ok)) } else { Box::new(out.map_while(Result::ok)) };
        Process { child, lines }
    }

    fn line(&mut self, with: &str) -> String {
        self.lines.find(|line| line.contains(with)).unwrap_or_else(|| panic!("it never said `{with}`"))
    }

    fn url(&mut self) -> String {
        let line = self.line("serving http://");
        line.rsplit("http://").next().unwrap_or_default().trim_end_matches('/').to_string()
    }

    fn until_ready(&self, url: &str) {
        let end = Instant::now() + Duration::from_secs(120);
        while !get(url, "/readyz").is_some_and(|text| text.contains("200 OK")) {
            assert!(Instant::now() < end, "never ready: {:?}", get(url, "/readyz"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How often its threads went to sleep so far: once for each time one woke up.
    fn switches(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let of = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).map(str::to_string);
            line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default()
        };
        tasks.into_iter().flatten().flatten().map(of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
