//! SDK clients for a target: credentials, endpoint, time limits; SDK retries off.
//!
//! The endpoint is, in this order: the sandbox, `endpoint_url` of the target, the SDK's own settings
//! (`AWS_ENDPOINT_URL_QUICKSIGHT` and the like), AWS.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use jiff::Timestamp;
use tokio::sync::watch;

use super::call::{Caller, Door, Expiry, Limits, Resources};
use super::pacer::Rates;
use crate::config::{Service, Target};

/// The time a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The clients of one target.
#[derive(Debug, Clone)]
pub enum Api {
    /// A DataZone domain.
    DataZone(DataZone),
    /// A QuickSight namespace.
    QuickSight(QuickSight),
    /// A FinSpace environment.
    FinSpace(FinSpace),
}

/// A DataZone domain.
#[derive(Debug, Clone)]
pub struct DataZone {
    /// The SDK's client.
    pub client: aws_sdk_datazone::Client,
    /// The door.
    pub caller: Caller,
    /// `dzd_…`
    pub domain_id: String,
}

/// A QuickSight namespace.
#[derive(Debug, Clone)]
pub struct QuickSight {
    /// The SDK's client.
    pub client: aws_sdk_quicksight::Client,
    /// The door.
    pub caller: Caller,
    /// The twelve digits.
    pub account_id: String,
    /// The namespace.
    pub namespace: String,
}

/// A FinSpace environment.
#[derive(Debug, Clone)]
pub struct FinSpace {
    /// The SDK's client.
    pub client: aws_sdk_finspacedata::Client,
    /// The door.
    pub caller: Caller,
}

impl Api {
    /// Its way through the door.
    pub fn caller(&self) -> &Caller {
        match self {
            Api::DataZone(a) => &a.caller,
            Api::QuickSight(a) => &a.caller,
            Api::FinSpace(a) => &a.caller,
        }
    }

    /// The same clients through another caller.
    fn with(&self, caller: Caller) -> Api {
        let mut api = self.clone();
        match &mut api {
            Api::DataZone(a) => a.caller = caller,
            Api::QuickSight(a) => a.caller = caller,
            Api::FinSpace(a) => a.caller = caller,
        }
        api
    }

    /// The same clients, remembering the request ids of their calls.
    pub fn traced(&self) -> Api {
        self.with(self.caller().traced())
    }

    /// The same clients, letting nothing out once `stop` holds true.
    pub fn until(&self, stop: watch::Receiver<bool>) -> Api {
        self.with(self.caller().until(stop))
    }

    /// The ids AWS gave the requests since [`Api::traced`].
    pub fn request_ids(&self) -> Vec<String> {
        self.caller().request_ids()
    }
}

/// One HTTP client for all targets: its connections are pooled.
pub fn http_client() -> SharedHttpClient {
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    aws_smithy_http_client::Builder::new().tls_provider(provider).build_https()
}

/// Builds the clients of a target. `sandbox` is the address of a sandbox to use instead of AWS.
pub async fn connect(
    target: &Target,
    sandbox: Option<&str>,
    http: &SharedHttpClient,
    limits: Limits,
    door: &Arc<Door>,
) -> Api {
    let sdk = sdk_config(target, sandbox, http, limits).await;
    let (sdk, expiry) = watched(sdk);
    let endpoint = sandbox.map(str::to_string).or_else(|| target.access.endpoint_url.clone());
    let rates = Rates {
        start: target.pace.clone(),
        ceiling: target.max_pace.clone(),
        unlimited: sandbox.is_some(),
        epoch: door.pacer.epoch(),
    };
    let account = match &target.service {
        Service::QuickSight { account_id, .. } => account_id.clone(),
        // The account is not in the settings; the credentials decide it.
        _ => format!("{:?}/{:?}", target.access.profile, target.access.assume_role),
    };
    let scope = format!("{account}/{}/{}", target.region, target.kind());
    let mut caller = Caller::new(Arc::clone(door), target.kind(), &scope, rates, resources(target), limits);
    caller.expiry = expiry;
    match &target.service {
        Service::DataZone { domain_id } => {
            let mut config = aws_sdk_datazone::config::Builder::from(&sdk);
            if let Some(url) = endpoint {
                config = config.endpoint_url(url);
            }
            let client = aws_sdk_datazone::Client::from_conf(config.build());
            Api::DataZone(DataZone { client, caller, domain_id: domain_id.clone() })
        }
        Service::QuickSight { account_id, namespace, .. } => {
            let mut config = aws_sdk_quicksight::config::Builder::from(&sdk);
            if let Some(url) = endpoint {
                config = config.endpoint_url(url);
            }
            let client = aws_sdk_quicksight::Client::from_conf(config.build());
            let (account_id, namespace) = (account_id.clone(), namespace.clone());
            Api::QuickSight(QuickSight { client, caller, account_id, namespace })
        }
        Service::FinSpace => {
            let mut config = aws_sdk_finspacedata::config::Builder::from(&sdk);
            if let Some(url) = endpoint {
                config = config.endpoint_url(url);
            }
            let client = aws_sdk_finspacedata::Client::from_conf(config.build());
            Api::FinSpace(FinSpace { client, caller })
        }
    }
}

fn resources(target: &Target) -> Resources {
    let region = &target.region;
    let (users, groups) = match &target.service {
        Service::DataZone { domain_id } => {
            let domain = format!("arn:aws:datazone:{region}:*:domain/{domain_id}");
            (domain.clone(), domain)
        }
        Service::QuickSight { account_id, namespace, .. } => {
            let arn = |kind: &str| format!("arn:aws:quicksight:{region}:{account_id}:{kind}/{namespace}/*");
            (arn("user"), arn("group"))
        }
        Service::FinSpace => ("*".to_string(), "*".to_string()),
    };
    Resources { users, groups }
}

/// Notes when the credentials expire that calls are signed with.
#[derive(Debug)]
struct Watched {
    provider: SharedCredentialsProvider,
    expiry: Expiry,
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.provider.provide_credentials().await?;
            let expiry = credentials.expiry().and_then(|at| Timestamp::try_from(at).ok());
            *self.expiry.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
            Ok(credentials)
        })
    }
}

fn watched(sdk: SdkConfig) -> (SdkConfig, Expiry) {
    let expiry = Expiry::default();
    let Some(provider) = sdk.credentials_provider() else { return (sdk, expiry) };
    let watched = SharedCredentialsProvider::new(Watched { provider, expiry: Arc::clone(&expiry) });
    (sdk.into_builder().credentials_provider(watched).build(), expiry)
}

async fn sdk_config(
    target: &Target,
    sandbox: Option<&str>,
    http: &SharedHttpClient,
    limits: Limits,
) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(limits.attempt_timeout))
        .operation_attempt_timeout(limits.attempt_timeout)
        .operation_timeout(limits.attempt_timeout)
        .build();
    // Pinned: a newer behaviour version brings a retry scheme of its own.
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .region(Region::new(target.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if sandbox.is_some() {
        let credentials = Credentials::new("AKIASANDBOX", "sandbox", None, None, "rosterd sandbox");
        return loader.credentials_provider(credentials).load().await;
    }
    if let Some(profile) = &target.access.profile {
        loader = loader.profile_name(profile);
    }
    let base = loader.load().await;
    let Some(role) = &target.access.assume_role else { return base };
    let mut assume =
        aws_config::sts::AssumeRoleProvider::builder(role).session_name("rosterd").configure(&base);
    if let Some(external_id) = &target.access.external_id {
        assume = assume.external_id(external_id);
    }
    let provider = assume.build().await;
    base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}
