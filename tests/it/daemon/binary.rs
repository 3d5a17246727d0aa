//! The built binary in real time: signals, systemd's socket, the journal, the port, credentials.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rosterd::sandbox::Knobs;
use serde_json::Value;

use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "READER" }
[users.alice]
email = "alice@example.com"
roles = ["r"]
"#;

/// A running daemon, killed when dropped.
struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(mut command: Command) -> Daemon {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, into) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = into.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Daemon { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    #[track_caller]
    fn says(&self, what: &str) -> String {
        eventually(what, || self.log().contains(what).then(|| self.log()), || self.log())
    }

    /// Where it serves.
    fn url(&self) -> String {
        let log = self.says("serving http://");
        log.split("serving ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .trim_end_matches('/')
            .to_string()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&fetch(&self.url(), "/api/v1/status").1).unwrap()
    }

    #[track_caller]
    fn becomes(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let seen = || Some(self.status()).filter(&holds);
        eventually(what, seen, || format!("{:#}\n{}", self.status(), self.log()))
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    fn ends(mut self) -> (Option<i32>, String) {
        let code =
            eventually("the end", || self.child.try_wait().unwrap(), || "it does not end".into()).code();
        // What it said last may still be on its way.
        (code, self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited too long for {what}:\n{}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status code and body.
fn fetch(url: &str, path: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.split(' ').nth(1).unwrap_or("0").parse().unwrap(), body.to_string())
}

const LISTEN: &str = "listen = \"127.0.0.1:0\"\ninterval = \"24h\"\n";

async fn bench() -> Bench {
    let bench = Bench::new(empty_world()).await;
    bench.settings(LISTEN, &bi(""));
    bench.write("roster.toml", ROSTER);
    bench
}

fn run(bench: &Bench) -> Daemon {
    Daemon::start(bench.command(&["run"]))
}

fn in_step(status: &Value) -> bool {
    status["targets"].as_array().unwrap().iter().all(|t| t["state"] == "in_step")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_reloads_reconciles_and_ends_by_signals() {
    let bench = bench().await;
    let daemon = run(&bench);
    daemon.becomes("the first pass", in_step);
    assert_eq!(fetch(&daemon.url(), "/readyz"), (200, "ok\n".into()));
    // Behind its back: SIGUSR1 has it look.
    bench.sandbox.change(|world| namespace(world).users.clear());
    daemon.signal("-USR1");
    eventually(
        "alice is back",
        || qs(&bench.sandbox.world(), "alice@example.com").map(|_| ()),
        || daemon.log(),
    );
    // SIGHUP reads the files, good or bad.
    bench.write("roster.toml", "nonsense");
    daemon.signal("-HUP");
    daemon.becomes("the mistake", |s| s["configuration"]["last_reload_ok"] == false);
    daemon.says("the files on disk have");
    bench.write("roster.toml", &ROSTER.replace("READER", "AUTHOR"));
    daemon.signal("-HUP");
    daemon.becomes("the new role", |s| s["configuration"]["last_reload_ok"] == true && in_step(s));
    eventually(
        "she is an author",
        || qs(&bench.sandbox.world(), "alice@example.com").filter(|u| u.role == "AUTHOR").map(|_| ()),
        || daemon.log(),
    );
    daemon.signal("-TERM");
    let (code, log) = daemon.ends();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("alice@example.com"), "no address in the log:\n{log}");
    assert!(!bench.read("state/memory.json").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_without_warning_the_next_start_goes_on() {
    let knobs = Knobs::from_toml("latency_ms = 60").unwrap();
    let bench = Bench::with(empty_world(), knobs).await;
    bench.settings(&format!("{LISTEN}concurrency = 4"), &bi(""));
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\" }\n".to_string();
    for number in 0..80 {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    bench.write("roster.toml", &roster);
    for _ in 0..3 {
        let daemon = run(&bench);
        let before = bench.writes().values().sum::<usize>();
        let more = || (bench.writes().values().sum::<usize>() >= before + 8).then_some(());
        eventually("writes", more, || daemon.log());
        daemon.signal("-KILL");
        assert_eq!(daemon.ends().0, None, "killed");
    }
    let daemon = run(&bench);
    daemon.becomes("everybody is there", in_step);
    assert_eq!(bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len(), 80);
    let lines = bench.read("state/audit.jsonl");
    assert!(lines.lines().filter(|l| serde_json::from_str::<Value>(l).is_err()).count() <= 3, "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_start_is_said_in_one_line() {
    let bench = bench().await;
    let daemon = run(&bench);
    let port = daemon.url().rsplit(':').next().unwrap().to_string();
    // The folder is taken, for the daemon and for `apply`; looking is free.
    let pid = format!("rosterd with process id {} is at work", daemon.child.id());
    bench.run(&["run"]).await.exits(1).says(&pid);
    bench.run(&["apply", "--yes"]).await.exits(1).says(&pid);
    bench.run(&["plan"]).await.exits(0);
    // The port is taken.
    bench.settings(&format!("listen = \"127.0.0.1:{port}\"\nstate_dir = \"other\""), &bi(""));
    bench
        .run(&["run"])
        .await
        .exits(1)
        .says(&format!("cannot listen on 127.0.0.1:{port}"))
        .says("daemon.listen");
    // The folder cannot be made.
    bench.settings("listen = \"127.0.0.1:0\"\nstate_dir = \"roster.toml/state\"", &bi(""));
    bench.run(&["run"]).await.exits(1).says("cannot lock").says("daemon.state_dir");
    bench.write("roster.toml", "nonsense");
    bench.run(&["run"]).await.exits(1).says("roster.toml:1");
    assert!(!bench.path("other/memory.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn once_is_a_pass_of_every_target_and_an_exit_code() {
    let bench = bench().await;
    bench.run(&["run", "--once"]).await.exits(0).says("pass");
    assert!(qs(&bench.sandbox.world(), "alice@example.com").is_some());
    let dead = bi("endpoint_url = \"http://127.0.0.1:1\"")
        .replace("targets.bi", "targets.dead")
        .replace("1111", "2222");
    bench.settings("max_attempts = 1", &format!("{}{dead}", bi("")));
    bench.run(&["run", "--once"]).await.exits(3).says("no connection");
    bench.settings("max_attempts = 1", &dead);
    bench.run(&["run", "--once"]).await.exits(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_of_run_is_a_whole_world() {
    let dir = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    std::fs::create_dir(dir.path().join("config")).unwrap();
    std::fs::copy(format!("{root}/roster.toml"), dir.path().join("config/roster.toml")).unwrap();
    let settings = std::fs::read_to_string(format!("{root}/rosterd.toml")).unwrap();
    let settings = settings.replace("127.0.0.1:9464", "127.0.0.1:0");
    std::fs::write(dir.path().join("config/rosterd.toml"), settings).unwrap();
    let mut command = binary(dir.path());
    command.args(["run", "--sandbox=fresh"]);
    let daemon = Daemon::start(command);
    let status = daemon.becomes("all targets were read", |s| s["ready"] == true);
    assert_eq!(status["sandbox"], true);
    let (code, page) = fetch(&daemon.url(), "/");
    assert_eq!(code, 200);
    for target in ["portal", "bi", "research"] {
        assert!(page.contains(&format!(">{target}<")), "{page}");
    }
    daemon.signal("-INT");
    assert_eq!(daemon.ends().0, Some(0));
    // What it made is what the next command sees.
    let mut command = binary(dir.path());
    command.args(["apply", "--sandbox", "--yes"]);
    finish(command).await.says("Nothing to do.");
}

/// In a container the trail goes where the logs are collected; the logs go to standard error.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_can_be_standard_output() {
    let bench = bench().await;
    bench.settings("audit = \"-\"", &bi(""));
    let ran = bench.run(&["run", "--once"]).await.exits(0);
    let lines: Vec<Value> =
        ran.out.lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect();
    let outcomes: Vec<_> = lines.iter().map(|l| l["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["begun", "done"], "{}", ran.out);
    assert!(!bench.path("state/audit.jsonl").exists() && !bench.path("-").exists());
}

/// The socket of systemd, and everything that came to it.
struct Notified {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Notified {
    fn at(bench: &Bench) -> Notified {
        let socket = UnixDatagram::bind(bench.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Notified { socket, heard: Vec::new() }
    }

    fn command(&self, bench: &Bench) -> Command {
        let mut command = bench.command(&["run"]);
        command.env("NOTIFY_SOCKET", bench.path("notify"));
        command
    }

    /// What comes until nothing more does for a moment.
    fn listen(&mut self) -> usize {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        self.heard.len()
    }

    #[track_caller]
    fn hears(&mut self, what: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            self.listen();
            if let Some(message) = self.heard.iter().find(|m| m.contains(what)) {
                return message.clone();
            }
            assert!(Instant::now() < end, "no {what} in {:?}", self.heard);
        }
    }
}

/// systemd's notify-reload: <https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html>.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_readiness_reloads_and_the_end() {
    let bench = bench().await;
    let mut systemd = Notified::at(&bench);
    let daemon = Daemon::start(systemd.command(&bench));
    systemd.hears("READY=1");
    systemd.hears("STATUS=in step: bi; last pass 20");
    systemd.heard.clear();
    daemon.signal("-HUP");
    let reloading = systemd.hears("RELOADING=1");
    let stamp = reloading.lines().find_map(|l| l.strip_prefix("MONOTONIC_USEC=")).expect("a stamp");
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let seconds = stamp.parse::<f64>().unwrap() / 1e6;
    assert!((uptime - seconds).abs() < 3600.0, "{seconds} of {uptime}: the monotonic clock in microseconds");
    systemd.hears("READY=1");
    assert!(
        !systemd.heard.iter().any(|m| m.contains("WATCHDOG")),
        "nobody asked for it: {:?}",
        systemd.heard
    );
    bench.write("roster.toml", "nonsense");
    systemd.hears("STATUS=INVALID FILES, earlier ones in force");
    daemon.signal("-TERM");
    systemd.hears("STOPPING=1");
    assert_eq!(daemon.ends().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_configuration_is_never_ready() {
    let bench = bench().await;
    bench.write("roster.toml", "nonsense");
    let mut systemd = Notified::at(&bench);
    let daemon = Daemon::start(systemd.command(&bench));
    assert_eq!(daemon.ends().0, Some(1));
    systemd.listen();
    assert_eq!(systemd.heard, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_stops_feeding_the_watchdog() {
    let bench = bench().await;
    let mut systemd = Notified::at(&bench);
    let mut command = systemd.command(&bench);
    command.env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::start(command);
    systemd.hears("WATCHDOG=1");
    systemd.heard.clear();
    systemd.hears("WATCHDOG=1");
    daemon.signal("-STOP");
    eventually("silence", || (systemd.listen() == systemd.listen()).then_some(()), || "never".into());
    let before = systemd.heard.len();
    // Three times as long as systemd would wait.
    let end = Instant::now() + Duration::from_millis(1200);
    while Instant::now() < end {
        systemd.listen();
    }
    assert_eq!(systemd.heard.len(), before, "{:?}", systemd.heard);
    daemon.signal("-CONT");
    systemd.heard.clear();
    systemd.hears("WATCHDOG=1");
}

/// A disk that does not answer hangs the loop of a target; the supervisor itself is well, and tells nobody that
/// all is.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_hangs_stops_feeding_the_watchdog() {
    let bench = Bench::with(empty_world(), Knobs::from_toml("latency_ms = 300").unwrap()).await;
    bench.settings(
        &format!("{LISTEN}pass_timeout = \"3s\"\ncall_timeout = \"1s\"\nattempt_timeout = \"1s\""),
        &bi(""),
    );
    bench.write("roster.toml", ROSTER);
    let mut systemd = Notified::at(&bench);
    let mut command = systemd.command(&bench);
    command.env("WATCHDOG_USEC", "1000000");
    let daemon = Daemon::start(command);
    // Whoever opens a pipe for writing waits until somebody reads it.
    let pipe = bench.path(&format!("state/memory.json.{}.tmp", daemon.child.id()));
    let made = || Command::new("mkfifo").arg(&pipe).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    eventually("the pipe", || made().then_some(()), || daemon.log());
    systemd.hears("WATCHDOG=1");
    // Its socket is emptied meanwhile: systemd does not let its clients wait.
    let said = |systemd: &mut Notified| {
        systemd.listen();
        daemon.log().contains("`bi` has not been heard from for too long; the watchdog is not fed")
    };
    eventually("the supervisor notices", || said(&mut systemd).then_some(()), || daemon.log());
    systemd.listen();
    systemd.heard.clear();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        systemd.listen();
    }
    assert!(!systemd.heard.iter().any(|m| m.contains("WATCHDOG")), "{:?}", systemd.heard);
    let (code, text) = fetch(&daemon.url(), "/livez");
    assert_eq!((code, text.as_str()), (503, "`bi` has not been heard from for too long\n"));
    // The disk answers again, and all goes on.
    let _ = std::fs::read(&pipe);
    systemd.hears("WATCHDOG=1");
    daemon.signal("-TERM");
    assert_eq!(daemon.ends().0, Some(0));
}

/// In the journal lines carry a priority and no time; elsewhere a time.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_gets_no_second_time_stamp() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = bench().await;
    for is_journal in [true, false] {
        let path = bench.path("stderr");
        let file = std::fs::File::create(&path).unwrap();
        let meta = file.metadata().unwrap();
        let mut command = bench.command(&["run", "--once"]);
        let stream = if is_journal { format!("{}:{}", meta.dev(), meta.ino()) } else { "1:1".into() };
        command.env("JOURNAL_STREAM", stream).stdout(Stdio::null()).stderr(file);
        let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
        assert!(status.success());
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().find(|l| l.contains("outcome=\"ok\"")).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(line.starts_with("<6>"), is_journal, "{line}");
        assert_eq!(line.contains("Z  INFO"), !is_journal, "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}

/// Lesson 14: rotated credentials are read again; secrets are never logged.
#[tokio::test(flavor = "multi_thread")]
async fn lesson_14_credentials_that_come_later_are_taken_and_never_logged() {
    let bench = bench().await;
    bench.settings("listen = \"127.0.0.1:0\"\ninterval = \"1s\"", &bi(""));
    let mut command = bench.command(&["run", "--log", "trace"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_SHARED_CREDENTIALS_FILE", bench.path("credentials"))
        .env("AWS_CONFIG_FILE", bench.path("config"));
    let daemon = Daemon::start(command);
    let status = daemon.becomes("it fails", |s| s["targets"][0]["state"] == "failing");
    let error = status["targets"][0]["error"].as_str().unwrap();
    assert!(error.contains("no credentials found") && error.contains("renew the credentials"), "{error}");
    let (id, secret, token) = ("AKIAROTATED", "wJalrXUtnFEMIsecret", "FwoGZXIvYXdzEsession");
    bench.write(
        "credentials",
        &format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"),
    );
    daemon.becomes("it goes on", in_step);
    daemon.signal("-TERM");
    let (code, log) = daemon.ends();
    assert_eq!(code, Some(0));
    assert!(!log.contains(secret), "the secret is in the log");
    assert!(!log.contains(token), "the session token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_one_line_a_pass_with_the_ids_of_what_failed() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "AUTHOR_PRO");
    let refuse =
        "[[faults]]\non = \"quicksight:RegisterUser\"\nfault = { error = \"AccessDeniedException\" }\n";
    let bench = Bench::with(world, Knobs::from_toml(refuse).unwrap()).await;
    bench.settings(LISTEN, &bi(""));
    let more = "[users.bob]\nemail = \"bob@example.com\"\nroles = [\"r\"]\n";
    bench.write("roster.toml", &format!("{ROSTER}{more}").replace("READER", "AUTHOR_PRO"));
    let mut command = bench.command(&["run", "--once", "--log-format", "json"]);
    command.stdout(Stdio::null());
    let ran = finish(command).await;
    let lines: Vec<Value> = ran.err.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let failed: Vec<&Value> =
        lines.iter().filter(|l| l["level"] == "WARN" && l["change"].is_string()).collect();
    assert_eq!(failed.len(), 1, "{}", ran.err);
    let failed = failed[0];
    assert_eq!((&failed["user"], &failed["change"]), (&"bob".into(), &"create_user".into()));
    assert_eq!(failed["code"], "AccessDeniedException");
    assert!(failed["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{failed}");
    assert_eq!(failed["span"]["target_name"], "bi", "{failed}");
    assert!(failed["message"].as_str().unwrap().contains("allow `quicksight:RegisterUser`"), "{failed}");
    assert_eq!(lines.iter().filter(|l| l["outcome"].is_string()).count(), 1, "one line a pass: {}", ran.err);
    assert!(!ran.err.contains('@'), "{}", ran.err);
}

/// What only calls to something else than a sandbox of the process have: credentials that end, and a pace.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_credentials_and_the_pace_are_metrics() {
    let bench = bench().await;
    let process = r#"{"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}"#;
    bench.write("process.json", process);
    bench.write(
        "config",
        &format!("[default]\ncredential_process = cat {}\n", bench.path("process.json").display()),
    );
    let mut command = bench.command(&["run"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_SHARED_CREDENTIALS_FILE", bench.path("nothing"))
        .env("AWS_CONFIG_FILE", bench.path("config"));
    let daemon = Daemon::start(command);
    let status = daemon.becomes("the first pass", in_step);
    assert_eq!(status["targets"][0]["credentials_expire"], "2099-01-01T00:00:00Z");
    let metrics = fetch(&daemon.url(), "/metrics").1;
    for series in [
        "rosterd_credentials_expiry_timestamp_seconds{target=\"bi\"} 4070908800",
        "rosterd_pacer_rate_calls_per_second{operation=\"ListUsers\",target=\"bi\"} ",
    ] {
        assert!(metrics.lines().any(|l| l.starts_with(series)), "no {series} in\n{metrics}");
    }
}
