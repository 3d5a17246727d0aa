//! HTTP: one listener for all three services, told apart by path. Each connection is served by hyper, so
//! that a fault can end it without an answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, on};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::fault::{Fault, Schedule};
use super::knobs::{Bucket, Knobs, Quota};
use super::model::{Operation, Refusal};
use super::world::World;
use super::{datazone, finspace, quicksight};

/// How long a call that hangs hangs.
const HANG: Duration = Duration::from_secs(60);
/// The largest body any of the operations has is far smaller.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// One call as it ended: the sandbox's own record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// `service:Operation`.
    pub operation: String,
    /// What the caller was told; 0 when the connection was cut.
    pub status: u16,
    /// True when it changed or read the world.
    pub took_effect: bool,
}

/// A running sandbox; what listens ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    router: Router,
    listening: Option<(SocketAddr, tokio::task::JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    latency: Duration,
    jitter: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    schedule: Schedule,
    buckets: BTreeMap<String, Bucket>,
    /// Of how long calls travel.
    chance: fastrand::Rng,
    calls: Vec<Call>,
    requests: u64,
    /// Calls under way by operation, and the most there were at once.
    under_way: BTreeMap<String, (usize, usize)>,
}

impl Sandbox {
    /// Listens on an address of this machine (port 0 for any) and serves until dropped.
    pub async fn start(listen: SocketAddr, world: World, knobs: Knobs) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let mut sandbox = Sandbox::within(world, knobs);
        let task = tokio::spawn(serve(listener, sandbox.router.clone()));
        sandbox.listening = Some((address, task));
        Ok(sandbox)
    }

    /// Listens nowhere and is asked through [`Sandbox::answer`]; its clock is tokio's, also when that stands.
    pub fn within(mut world: World, knobs: Knobs) -> Sandbox {
        if knobs.lag > 0 {
            world.lag = knobs.lag;
        }
        let buckets = knobs
            .quotas
            .iter()
            .map(|(name, quota)| (name.clone(), Bucket::new(*quota, knobs.seed)))
            .collect();
        let inner = Inner {
            world,
            schedule: Schedule::new(knobs.faults, knobs.seed),
            buckets,
            chance: fastrand::Rng::with_seed(knobs.seed),
            calls: Vec::new(),
            requests: 0,
            under_way: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            started: Instant::now(),
            latency: Duration::from_millis(knobs.latency_ms),
            jitter: Duration::from_millis(knobs.jitter_ms),
            inner: Mutex::new(inner),
        });
        let router = router(Arc::clone(&shared));
        Sandbox { shared, router, listening: None }
    }

    /// Answers a request, or ends the connection as a fault may want it.
    pub async fn answer(&self, request: axum::http::Request<Body>) -> io::Result<Response> {
        answer_with(self.router.clone(), request).await
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        let address = self.listening.as_ref().map(|(address, _)| address.to_string());
        format!("http://{}", address.as_deref().unwrap_or("sandbox"))
    }

    /// A quota is another one from now on.
    pub fn set_quota(&self, name: &str, quota: Quota) {
        let now = self.shared.started.elapsed().as_secs_f64();
        let mut inner = self.shared.lock();
        inner.buckets.get_mut(name).expect("a quota this sandbox was started with").set(quota, now);
    }

    /// A copy of the world as it is.
    pub fn world(&self) -> World {
        self.shared.lock().world.clone()
    }

    /// Changes the world behind the services' backs.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        let mut inner = self.shared.lock();
        change(&mut inner.world);
        inner.world.index();
    }

    /// Every call so far, in the order they ended.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// Calls so far by operation.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.shared.lock().calls {
            *counts.entry(call.operation.clone()).or_default() += 1;
        }
        counts
    }

    /// The most calls of an operation that were under way at once.
    pub fn peak(&self, operation: &str) -> usize {
        self.shared.lock().under_way.get(operation).map_or(0, |(_, most)| *most)
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.shared.lock().calls.clear();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.listening {
            task.abort();
        }
    }
}

impl Shared {
    /// One way of a call: half of the latency, and what chance adds.
    async fn travel(&self) {
        let way = self.latency / 2 + self.jitter.mul_f64(self.lock().chance.f64());
        if !way.is_zero() {
            tokio::time::sleep(way).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a call while it is under way, also when its connection is dropped.
struct UnderWay<'s>(&'s Shared, String);

impl<'s> UnderWay<'s> {
    fn begin(shared: &'s Shared, operation: String) -> Self {
        let mut inner = shared.lock();
        let (now, most) = inner.under_way.entry(operation.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        UnderWay(shared, operation)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some((now, _)) = self.0.lock().under_way.get_mut(&self.1) {
            *now -= 1;
        }
    }
}

/// Marks an answer that is not to be sent: the connection ends instead.
#[derive(Debug, Clone, Copy)]
struct Cut;

async fn serve(listener: TcpListener, router: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, say: those in use will come back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    answer_with(router.clone(), request.map(Body::new))
                });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer_with(router: Router, request: axum::http::Request<Body>) -> io::Result<Response> {
    let response: Response = router.oneshot(request).await.unwrap_or_else(|e: Infallible| match e {});
    if response.extensions().get::<Cut>().is_some() {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset));
    }
    Ok(response)
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for operations in [datazone::OPERATIONS, quicksight::OPERATIONS, finspace::OPERATIONS] {
        for operation in operations {
            let method = Method::from_bytes(operation.method.as_bytes()).unwrap_or_default();
            let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
            let handler = move |State(shared): State<Arc<Shared>>,
                                path: Result<RawPathParams, RawPathParamsRejection>,
                                Query(query): Query<Vec<(String, String)>>,
                                headers: HeaderMap,
                                body: Bytes| async move {
                let Ok(path) = path else {
                    let message = "the path is not UTF-8 once decoded";
                    return refusal(&Refusal::invalid(operation.service, message), 0);
                };
                let path = path.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>();
                answer(&shared, operation, &path, &query, &headers, &body).await
            };
            router = router.route(operation.path, on(filter, handler));
        }
    }
    router
        .route(
            "/_sandbox/calls",
            get(|State(shared): State<Arc<Shared>>| async move { axum::Json(shared.lock().calls.clone()) }),
        )
        .route(
            "/_sandbox/world",
            get(|State(shared): State<Arc<Shared>>| async move { axum::Json(shared.lock().world.clone()) }),
        )
        .fallback(unknown_operation)
        .method_not_allowed_fallback(unknown_operation)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

async fn unknown_operation() -> Response {
    let (code, message) = ("UnknownOperationException".into(), "no such operation".into());
    refusal(&Refusal { status: 404, code, message }, 0)
}

async fn answer(
    shared: &Shared,
    operation: &'static Operation,
    path: &[(String, String)],
    query: &[(String, String)],
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let _under_way = UnderWay::begin(shared, format!("{}:{}", operation.service, operation.name));
    shared.travel().await;
    let (response, fault) = {
        let mut inner = shared.lock();
        inner.requests += 1;
        let number = inner.requests;
        let name = format!("{}:{}", operation.service, operation.name);
        let under_way = inner.under_way.get(&name).map_or(1, |(now, _)| *now);
        let fault = inner.schedule.strike(operation.service, operation.name);
        let now = shared.started.elapsed().as_secs_f64();
        let result = match early(&mut inner, operation, fault.as_ref(), now) {
            Some(refusal) => Err(refusal),
            None => region(operation, headers)
                .and_then(|region| operation.check(path, query, body, &region, under_way))
                .and_then(|request| (operation.run)(&mut inner.world, &request)),
        };
        let took_effect = result.is_ok();
        let response = match (&result, &fault) {
            (Ok(_), Some(Fault::ResetAfter)) => Err(Cut),
            (Err(_), Some(Fault::ResetBefore)) => Err(Cut),
            (Ok(value), Some(Fault::Malformed)) => Ok(malformed(operation, value, number)),
            (Ok(value), _) => Ok(success(operation, value, number)),
            (Err(no), Some(Fault::BareThrottle)) => {
                let mut response = refusal(no, number);
                response.headers_mut().remove("x-amzn-errortype");
                response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
                Ok(response)
            }
            (Err(no), Some(Fault::Unavailable)) => {
                Ok((StatusCode::from_u16(no.status).unwrap_or_default(), "<html>busy</html>").into_response())
            }
            (Err(no), _) => Ok(refusal(no, number)),
        };
        let status = response.as_ref().map_or(0, |r: &Response| r.status().as_u16());
        inner.calls.push(Call { operation: name, status, took_effect });
        (response, fault)
    };
    if fault == Some(Fault::Hang) {
        tokio::time::sleep(HANG).await;
    }
    shared.travel().await;
    response.unwrap_or_else(|cut| {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(cut);
        response
    })
}

/// What stops a call before it takes effect: a fault, or a quota that is used up.
fn early(inner: &mut Inner, operation: &Operation, fault: Option<&Fault>, now: f64) -> Option<Refusal> {
    let service = operation.service;
    let internal =
        if service == "quicksight" { "InternalFailureException" } else { "InternalServerException" };
    let throttle = || Refusal::new(service, "ThrottlingException", "Rate exceeded");
    match fault {
        Some(Fault::Throttle | Fault::BareThrottle) => return Some(throttle()),
        Some(Fault::ServerError) => return Some(Refusal::new(service, internal, "internal error")),
        Some(Fault::Unavailable) => {
            return Some(Refusal { status: 503, code: String::new(), message: "busy".into() });
        }
        Some(Fault::ResetBefore) => return Some(Refusal::new(service, internal, "cut")),
        Some(Fault::Error(code)) => return Some(Refusal::new(service, code, "as the fault schedule says")),
        Some(Fault::ResetAfter | Fault::Hang | Fault::Malformed) | None => {}
    }
    for name in [format!("{service}:{}", operation.name), format!("{service}:*")] {
        if inner.buckets.get_mut(&name).is_some_and(|bucket| !bucket.take(now)) {
            return Some(throttle());
        }
    }
    None
}

/// The Region of the signature's scope; the signature itself is not checked, for there is no secret.
fn region(operation: &Operation, headers: &HeaderMap) -> Result<String, Refusal> {
    let refuse = |code: &str, message: &str| Err(Refusal::new(operation.service, code, message));
    let Some(authorization) = headers.get("authorization").and_then(|h| h.to_str().ok()) else {
        return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    let scope = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .and_then(|rest| rest.split([',', ' ']).find_map(|part| part.strip_prefix("Credential=")))
        .map(|credential| credential.split('/').collect::<Vec<_>>());
    let Some([_, date, region, service, "aws4_request"]) = scope.as_deref() else {
        return refuse(
            "InvalidSignatureException",
            "the credential scope is not KEY/DATE/REGION/SERVICE/aws4_request",
        );
    };
    let expected = if operation.service == "finspace" { "finspace-api" } else { operation.service };
    if *service != expected {
        return refuse(
            "InvalidSignatureException",
            &format!("Credential should be scoped to correct service: '{expected}'."),
        );
    }
    let signed = authorization.contains("SignedHeaders=") && authorization.contains("Signature=");
    if date.len() != 8 || !signed || !headers.contains_key("x-amz-date") {
        return refuse("InvalidSignatureException", "the signature is not complete");
    }
    Ok((*region).to_string())
}

fn request_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn with_headers(mut response: Response, number: u64, code: Option<&str>) -> Response {
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert("x-amzn-requestid", &request_id(number));
    if let Some(code) = code {
        insert("x-amzn-errortype", code);
    }
    response
}

fn success(operation: &Operation, value: &Value, number: u64) -> Response {
    let status = StatusCode::from_u16(operation.status).unwrap_or_default();
    let mut value = value.clone();
    if let Value::Object(members) = &mut value {
        members.retain(|_, v| !v.is_null());
        if operation.service == "quicksight" {
            // The status travels as the HTTP status.
            members.remove("Status");
            members.insert("RequestId".into(), Value::String(request_id(number)));
        }
        members.remove("statusCode");
    }
    let body = if value.is_null() { String::new() } else { value.to_string() };
    with_headers((status, body).into_response(), number, None)
}

fn malformed(operation: &Operation, value: &Value, number: u64) -> Response {
    let text = value.to_string();
    let half: String = text.chars().take(text.chars().count() / 2 + 1).collect();
    let status = StatusCode::from_u16(operation.status).unwrap_or_default();
    with_headers((status, format!("{half}\u{1}")).into_response(), number, None)
}

fn refusal(refusal: &Refusal, number: u64) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::json!({ "message": refusal.message }).to_string();
    with_headers((status, body).into_response(), number, Some(&refusal.code))
}
