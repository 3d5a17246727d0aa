//! HTTP: health, metrics, status, plan, the status page, and two orders behind a token.
//!
//! One request a connection, so that bounds are simple: so many connections at once, so long each, so many
//! headers and bytes. Nothing here waits for AWS. Names of people are left out in [`crate::daemon::view`].

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::metrics::scrape;
use super::page;
use crate::aside::aside;
use crate::daemon::{Order, Shared};

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Of those, so many may be sent the page or the plan, which can be large.
const LARGE_MAX: usize = 4;
/// The time one connection may take, its request and its answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);
/// The time the head of a request may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Changes of one target on the status page; `/api/v1/plan` has more.
const PAGE_CHANGES_MAX: usize = 200;
/// A shorter token could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Serves until `listener` is dropped with the task this runs in.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let router = router(shared, is_local);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let large = Arc::new(Semaphore::new(LARGE_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, large) = (router.clone(), Arc::clone(&large));
                tokio::spawn(async move {
                    if tokio::time::timeout(CONNECTION_TIME_MAX, answer(stream, router, large)).await.is_err()
                    {
                        debug!("a connection took too long");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, say: those in use will come back.
                warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router, large: Arc<Semaphore>) {
    // Held until the connection ends: so long a large answer is in memory.
    let held = Mutex::new(None);
    let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        let is_large = matches!(request.uri().path(), "/" | "/api/v1/plan");
        let place = is_large.then(|| Arc::clone(&large).try_acquire_owned());
        let is_too_much = matches!(place, Some(Err(_)));
        *held.lock().unwrap_or_else(PoisonError::into_inner) = place.and_then(Result::ok);
        async move {
            if is_too_much {
                let text = "too many are being sent this just now; try again\n";
                let retry = [(header::RETRY_AFTER, "1")];
                return Ok((StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response());
            }
            router.oneshot(request.map(Body::new)).await
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!("a connection ended: {error}");
    }
}

/// Every route. `is_local`: only names of this machine are answered to, so that no web page can have a browser
/// read what is here under a name of its own.
pub fn router(shared: Arc<Shared>, is_local: bool) -> Router {
    let routes = Router::new()
        .route("/", get(status_page))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(|State(shared): Shares| async move { Json(shared.status()) }))
        .route(
            "/api/v1/plan",
            get(|State(shared): Shares| async move { Json(aside(|| shared.plans(usize::MAX))) }),
        )
        .route("/-/reload", post(reload))
        .route("/-/reconcile", post(reconcile))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "not here; see / /livez /readyz /metrics /api/v1/status /api/v1/plan\n")
        })
        .with_state(shared);
    let routes = if is_local { routes.layer(axum::middleware::from_fn(only_local)) } else { routes };
    routes.layer(axum::middleware::map_response(common_headers))
}

async fn only_local(request: Request<Body>, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // An IPv6 address stands in brackets, and has colons of its own.
    let name = host.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    });
    let is_address = |name: &str| name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    match name {
        Some(name) if !is_address(name) && !name.eq_ignore_ascii_case("localhost") => {
            let text = "this address answers to `localhost` and IP addresses only\n";
            (StatusCode::MISDIRECTED_REQUEST, text).into_response()
        }
        _ => next.run(request).await,
    }
}

type Shares = State<Arc<Shared>>;

async fn common_headers(mut response: Response) -> Result<Response, Infallible> {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    Ok(response)
}

async fn status_page(State(shared): Shares) -> Response {
    let html = aside(|| page::page(&shared.status(), &shared.plans(PAGE_CHANGES_MAX)));
    let policy = page::content_security_policy();
    ([(header::CONTENT_SECURITY_POLICY, policy)], axum::response::Html(html)).into_response()
}

async fn livez(State(shared): Shares) -> Response {
    match shared.heart.late(tokio::time::Instant::now()) {
        None => "ok\n".into_response(),
        Some(part) => {
            let text = format!("`{part}` has not been heard from for too long\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn readyz(State(shared): Shares) -> Response {
    let status = shared.status();
    if status.ready {
        return "ok\n".into_response();
    }
    let text: String = status.not_ready.iter().map(|line| format!("{line}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(shared): Shares) -> Response {
    let text = scrape::scrape(&shared.door.metrics, &shared.status());
    ([(header::CONTENT_TYPE, scrape::CONTENT_TYPE)], text).into_response()
}

async fn reload(State(shared): Shares, headers: HeaderMap) -> Response {
    if let Err(refusal) = authorised(&shared, &headers) {
        return *refusal;
    }
    info!("a reload was asked for over HTTP");
    let (answer, answered) = oneshot::channel();
    if shared.orders.send(Order::Reload(Some(answer))).await.is_err() {
        return busy();
    }
    match answered.await {
        Ok(Ok(())) => "the files on disk are in force\n".into_response(),
        Ok(Err(text)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{text}\n")).into_response(),
        Err(_) => busy(),
    }
}

/// Which passes are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    target: Option<String>,
    #[serde(default)]
    force_removals: bool,
}

async fn reconcile(
    State(shared): Shares,
    headers: HeaderMap,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
) -> Response {
    if let Err(refusal) = authorised(&shared, &headers) {
        return *refusal;
    }
    let Which { target, force_removals } = match which {
        Ok(Query(which)) => which,
        Err(rejection) => return (StatusCode::BAD_REQUEST, format!("{rejection}\n")).into_response(),
    };
    if let Some(name) = target.as_ref().filter(|n| !shared.generation().settings.targets.contains_key(*n)) {
        return (StatusCode::NOT_FOUND, format!("no target `{name}`\n")).into_response();
    }
    if force_removals && target.is_none() {
        let text = "force_removals goes with one target: ?target=NAME&force_removals=true\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    info!(target_name = target, force_removals, "a pass was asked for over HTTP");
    if shared.orders.send(Order::Reconcile { target, force_removals }).await.is_err() {
        return busy();
    }
    (StatusCode::ACCEPTED, "a pass begins\n").into_response()
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "rosterd is ending\n").into_response()
}

/// Compares the bearer token with the one in `control_token_file`, which is read each time: it may be rotated.
fn authorised(shared: &Shared, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let refuse = |status: StatusCode, text: String| Err(Box::new((status, text).into_response()));
    let generation = shared.generation();
    let Some(path) = &generation.settings.daemon.control_token_file else {
        return refuse(StatusCode::FORBIDDEN, "off: set `daemon.control_token_file` to allow this\n".into());
    };
    let token = match aside(|| std::fs::read_to_string(path)) {
        Ok(token) => token,
        Err(error) => {
            warn!("cannot read {}: {error}", path.display());
            return refuse(StatusCode::FORBIDDEN, "the token file cannot be read; see the log\n".into());
        }
    };
    let token = token.trim();
    if token.len() < TOKEN_CHARS_MIN {
        warn!("the token in {} has less than {TOKEN_CHARS_MIN} characters", path.display());
        return refuse(StatusCode::FORBIDDEN, "the token is too short; see the log\n".into());
    }
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Digests of the same length: how long the comparison takes says nothing of the token.
    if Sha256::digest(sent.trim()) == Sha256::digest(token) {
        return Ok(());
    }
    let mut response = (StatusCode::UNAUTHORIZED, "a bearer token is needed\n").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(Box::new(response))
}
