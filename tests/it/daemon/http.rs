//! What the daemon serves: health, status, plan, page, the orders behind a token, and its bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use rosterd::daemon::status::TargetState;
use rosterd::telemetry::http::{router, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::virtually::{Field, Running, Way};
use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "READER", groups = ["g"] }
finspace = { type = "APP_USER" }
[users.alice]
email = "alice.moreau@example.com"
first_name = "Alicia"
last_name = "Moreau"
roles = ["r"]
[users.bob]
email = "bob@example.com"
first_name = "Bob"
last_name = "Baker"
roles = ["r"]
"#;

/// Bob cannot be lowered, somebody unlisted is held back, FinSpace is dead.
async fn started(extra: &str) -> (Field, Running) {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "bob@example.com", "AUTHOR");
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    let field = Field::new(world);
    let targets = format!("{}{}", bi(&format!("{}\nprotected = [\"gone@*\"]", sync("delete"))), research(""));
    field.settings("max_attempts = 1\ncontrol_token_file = \"token\"", &format!("{targets}\n{extra}"));
    field.write("roster.toml", ROSTER);
    field.way("finspace", Way::Dead);
    let running = field.start();
    running.until("the first passes", |r| r.passes("bi") > 0 && r.passes("research") > 0).await;
    (field, running)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn ask(running: &Running, method: &str, path: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let router = router(std::sync::Arc::clone(&running.shared), false);
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

async fn get(running: &Running, path: &str) -> Answer {
    ask(running, "GET", path, None).await
}

#[tokio::test(start_paused = true)]
async fn readiness_says_which_target_is_not_in_force_and_liveness_does_not_care() {
    let (field, running) = started("").await;
    let ready = get(&running, "/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text.starts_with("research: failing (1 pass in a row): FinSpace"), "{}", ready.text);
    assert_eq!(ready.text.lines().count(), 1, "{}", ready.text);
    assert_eq!(get(&running, "/livez").await.status, StatusCode::OK, "AWS is no part of liveness");
    field.way("finspace", Way::Open);
    running.until("it is ready", |r| r.status().ready).await;
    let ready = get(&running, "/readyz").await;
    assert_eq!((ready.status, ready.text.as_str()), (StatusCode::OK, "ok\n"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn before_the_first_observation_it_is_not_ready() {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    field.way("quicksight", Way::Silent);
    let running = field.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ready = get(&running, "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text.as_str()), (503, "bi: not observed yet\n"));
    running.stop().await;
}

/// What is not heard from shows in `/livez`, and so in a restart by Kubernetes or systemd.
#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_not_alive() {
    let (_field, running) = started("").await;
    running.shared.heart.beat("bi", tokio::time::Instant::now());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let live = get(&running, "/livez").await;
    assert_eq!(live.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(live.text.contains("`bi` has not been heard from"), "{}", live.text);
    assert!(get(&running, "/").await.text.contains("role=\"alert\""));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn status_and_plan_are_what_the_pages_say() {
    let (_field, running) = started("").await;
    let status: Value = serde_json::from_str(&get(&running, "/api/v1/status").await.text).unwrap();
    assert_eq!(status["format_version"], 1);
    let bi = &status["targets"][0];
    assert_eq!((&bi["name"], &bi["state"]), (&"bi".into(), &"drifted".into()));
    assert_eq!(bi["blocked"], 1);
    assert_eq!(bi["held_by"]["protected"], 1);
    assert_eq!(bi["drift_by_kind"]["update_user"], 1);
    assert_eq!(status["targets"][1]["state"], "failing");
    assert_eq!(status["errors"][0]["target"], "research");
    let plan: Value = serde_json::from_str(&get(&running, "/api/v1/plan").await.text).unwrap();
    let changes = plan["targets"][0]["changes"].as_array().unwrap();
    let of = |who: &str, kind: &str| {
        changes.iter().find(|c| c["who"] == who && c["kind"] == kind).unwrap_or_else(|| panic!("{plan:#}"))
    };
    assert_eq!(of("alice", "create_user")["state"], "made");
    assert_eq!(of("alice", "create_user")["roles"], serde_json::json!(["r"]));
    assert_eq!(of("bob", "update_user")["state"], "blocked");
    let unlisted = changes.iter().find(|c| c["kind"] == "delete_user").unwrap();
    assert_eq!((&unlisted["state"], &unlisted["held_by"]), (&"held".into(), &"protected".into()));
    assert!(unlisted["who"].as_str().unwrap().starts_with("unlisted "), "{unlisted}");
    running.stop().await;
}

/// Names and addresses stay inside unless somebody says otherwise.
#[tokio::test(start_paused = true)]
async fn people_are_shown_only_where_the_settings_say_so() {
    let personal = ["alice.moreau", "example.com", "Alicia", "Moreau", "Baker", "gone"];
    let (_field, running) = started("").await;
    for path in ["/", "/api/v1/status", "/api/v1/plan", "/metrics", "/readyz"] {
        let text = get(&running, path).await.text;
        for name in personal {
            assert!(!text.contains(name), "{name} in {path}:\n{text}");
        }
    }
    running.stop().await;
    let (_field, running) = started("[status_page]\nshow_people = true").await;
    for path in ["/", "/api/v1/plan"] {
        let text = get(&running, path).await.text;
        assert!(
            text.contains("alice.moreau@example.com") && text.contains("gone@example.com"),
            "{path}:\n{text}"
        );
    }
    assert!(!get(&running, "/metrics").await.text.contains('@'), "invariant 10");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_its_headers_and_unknown_paths_say_what_there_is() {
    let (_field, running) = started("").await;
    for path in ["/", "/livez", "/readyz", "/metrics", "/api/v1/status", "/api/v1/plan", "/nothing"] {
        let answer = get(&running, path).await;
        for (header, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.headers[header], value, "{path}");
        }
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
    }
    let nothing = get(&running, "/nothing").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    assert!(nothing.text.contains("/api/v1/plan"));
    assert_eq!(ask(&running, "POST", "/metrics", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&running, "GET", "/-/reload", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn orders_need_the_token_of_the_file() {
    let (field, running) = started("").await;
    let token = "correct-horse-battery";
    let no_file = ask(&running, "POST", "/-/reconcile", Some(token)).await;
    assert_eq!(no_file.status, StatusCode::FORBIDDEN, "{}", no_file.text);
    field.write("token", "short\n");
    assert_eq!(ask(&running, "POST", "/-/reconcile", Some("short")).await.status, StatusCode::FORBIDDEN);
    field.write("token", "");
    assert_eq!(ask(&running, "POST", "/-/reconcile", Some("")).await.status, StatusCode::FORBIDDEN);
    field.write("token", &format!("{token}\n"));
    for wrong in [None, Some(""), Some("correct-horse"), Some("correct-horse-battery-staple")] {
        for path in ["/-/reconcile", "/-/reload"] {
            let answer = ask(&running, "POST", path, wrong).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let before = running.passes("bi");
    let begun = tokio::time::Instant::now();
    assert_eq!(
        ask(&running, "POST", "/-/reconcile?target=bi", Some(token)).await.status,
        StatusCode::ACCEPTED
    );
    running.until("the pass", |r| r.passes("bi") > before).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    for (path, status) in [
        ("/-/reconcile?target=nobody", StatusCode::NOT_FOUND),
        ("/-/reconcile?force_removals=true", StatusCode::BAD_REQUEST),
        ("/-/reconcile?forse=true", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(&running, "POST", path, Some(token)).await.status, status, "{path}");
    }
    field.write("roster.toml", &ROSTER.replace("\"r\"", "\"x\""));
    let refused = ask(&running, "POST", "/-/reload", Some(token)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("unknown role `x`"), "{}", refused.text);
    field.write("roster.toml", ROSTER);
    let taken = ask(&running, "POST", "/-/reload", Some(token)).await;
    assert_eq!((taken.status.as_u16(), taken.text.as_str()), (200, "the files on disk are in force\n"));
    assert_eq!(running.target("bi").state, TargetState::Drifted);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_token_file_in_the_settings_orders_are_off() {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    for path in ["/-/reload", "/-/reconcile"] {
        let answer = ask(&running, "POST", path, Some("anything-at-all-here")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.text.contains("daemon.control_token_file"), "{}", answer.text);
    }
    running.stop().await;
}

/// Every member of both documents is described.
#[tokio::test(start_paused = true)]
async fn the_documented_schema_is_the_one_served() {
    fn keys(value: &Value, under: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    // Their keys are kinds and rules, which are described as such.
                    if !matches!(under, "drift_by_kind" | "held_by") {
                        found.insert(key.clone());
                    }
                    keys(value, key, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, under, found)),
            _ => {}
        }
    }
    let (_field, running) = started("").await;
    let mut found = BTreeSet::new();
    for path in ["/api/v1/status", "/api/v1/plan"] {
        keys(&serde_json::from_str(&get(&running, path).await.text).unwrap(), "", &mut found);
    }
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md")).unwrap();
    let missing: Vec<_> = found.iter().filter(|key| !docs.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "not in docs/http.md: {missing:?}");
    running.stop().await;
}

// From here on over real connections, in real time.

async fn listening() -> (Field, Running, std::net::SocketAddr) {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, std::sync::Arc::clone(&running.shared)));
    (field, running, address)
}

async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has had enough may close before all is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_are_bounded_and_one_connection_is_one_request() {
    let (_field, running, address) = listening().await;
    let ok = exchange(
        address,
        b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )
    .await;
    assert_eq!(ok.matches("HTTP/1.1 200").count(), 1, "{ok}");
    assert!(ok.contains("connection: close"), "{ok}");
    let long = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024));
    let refused = exchange(address, long.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "x-many: x\r\n".repeat(200));
    let refused = exchange(address, many.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let head = exchange(address, b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.trim_end().ends_with("GMT"), "{head}");
    running.stop().await;
}

/// A web page can have a browser ask under a name of its own that leads here.
#[tokio::test]
async fn on_the_loopback_interface_other_names_are_not_answered_to() {
    let (_field, running, address) = listening().await;
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:9464", 200),
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("[::1]", 200),
        ("rebound.example.com", 421),
        ("rebound.example.com:9464", 421),
        ("localhost.example.com", 421),
    ] {
        let request = format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = exchange(address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
    running.stop().await;
}

/// Readers that stop reading hold few large answers in memory, and no probe up.
#[tokio::test]
async fn large_answers_are_few_at_a_time() {
    let (_field, running, address) = listening().await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        slow.push(stream);
    }
    for stream in &mut slow {
        stream.write_all(b"\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
    }
    // Small answers are sent at once, and their connections end; what counts is that a place is given back.
    drop(slow);
    let ok = exchange(address, b"GET /api/v1/plan HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(ok.starts_with("HTTP/1.1 200"), "{ok}");
    running.stop().await;
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let (_field, running, address) = listening().await;
    // As many as there are places, less one.
    let mut silent = Vec::new();
    for _ in 0..63 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let ok = exchange(address, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(ok.starts_with("HTTP/1.1 200"), "{ok}");
    // One more takes the last place; the next waits until the first are sent away.
    silent.push(TcpStream::connect(address).await.unwrap());
    let ask = exchange(address, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut ask = std::pin::pin!(ask);
    let at_once = tokio::time::timeout(Duration::from_secs(1), &mut ask).await;
    assert!(at_once.is_err(), "there is no place: {at_once:?}");
    let ok = tokio::time::timeout(Duration::from_secs(30), ask).await;
    assert!(ok.expect("silent connections end").starts_with("HTTP/1.1 200"));
    running.stop().await;
}
