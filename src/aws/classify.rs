//! What a failed attempt means: one table of error codes, and what to tell a person.
//!
//! The SDK's own classification is not used: it takes QuickSight's and FinSpace's hard quotas
//! (`LimitExceededException`) for throttles and does not see DataZone's throttles at all.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::service::ServiceKind;
use crate::words;

words! {
    /// What a failure means for the call that met it.
    Class {
        /// Too fast: slow down, try again.
        Throttle = "throttle",
        /// The service or the way to it failed: try again.
        Transient = "transient",
        /// Somebody else changes the same thing: read again, then decide.
        Conflict = "conflict",
        /// It is there already: read it, and adopt it if it fits.
        Exists = "exists",
        /// It is not there.
        NotFound = "not_found",
        /// A hard quota of the account.
        Quota = "quota",
        /// The caller may not.
        Denied = "denied",
        /// The caller is nobody: no, expired or wrong credentials.
        Credentials = "credentials",
        /// The request is not acceptable.
        Invalid = "invalid",
        /// rosterd was told to stop before the call could be made.
        Interrupted = "interrupted",
    }
}

/// Every code the pages of the three services list, those common to all of AWS, and what they mean.
pub const CODES: &[(&str, Class)] = &[
    ("ThrottlingException", Class::Throttle),
    ("Throttling", Class::Throttle),
    ("ThrottledException", Class::Throttle),
    ("TooManyRequestsException", Class::Throttle),
    ("RequestLimitExceeded", Class::Throttle),
    ("RequestThrottled", Class::Throttle),
    ("SlowDown", Class::Throttle),
    ("InternalServerException", Class::Transient),
    ("InternalFailureException", Class::Transient),
    ("InternalFailure", Class::Transient),
    ("ResourceUnavailableException", Class::Transient),
    ("ServiceUnavailable", Class::Transient),
    ("ServiceUnavailableException", Class::Transient),
    ("ConcurrentUpdatingException", Class::Transient),
    ("RequestTimeout", Class::Transient),
    ("RequestTimeoutException", Class::Transient),
    ("ConflictException", Class::Conflict),
    ("ResourceExistsException", Class::Exists),
    ("ResourceNotFoundException", Class::NotFound),
    ("LimitExceededException", Class::Quota),
    ("ServiceQuotaExceededException", Class::Quota),
    ("AccessDeniedException", Class::Denied),
    ("AccessDenied", Class::Denied),
    ("UnauthorizedException", Class::Denied),
    ("ExpiredTokenException", Class::Credentials),
    ("ExpiredToken", Class::Credentials),
    ("RequestExpired", Class::Credentials),
    ("UnrecognizedClientException", Class::Credentials),
    ("InvalidClientTokenId", Class::Credentials),
    ("InvalidSignatureException", Class::Credentials),
    ("SignatureDoesNotMatch", Class::Credentials),
    ("IncompleteSignature", Class::Credentials),
    ("MissingAuthenticationToken", Class::Credentials),
    ("MissingAuthenticationTokenException", Class::Credentials),
    ("NotAuthorized", Class::Denied),
    ("OptInRequired", Class::Denied),
    ("ValidationException", Class::Invalid),
    ("ValidationError", Class::Invalid),
    ("InvalidParameterValueException", Class::Invalid),
    ("InvalidNextTokenException", Class::Invalid),
    ("PreconditionNotMetException", Class::Invalid),
];

/// Identity Center refuses two profile creations at once in these words; trying again helps.
const IDENTITY_CENTER_BUSY: &str = "conflicting operation in process";

/// What an attempt, or a call after its last attempt, failed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which service.
    pub service: ServiceKind,
    /// Which operation.
    pub operation: &'static str,
    /// What it means.
    pub class: Class,
    /// The code as sent, where there was an answer.
    pub code: Option<String>,
    /// The text as sent, or what went wrong on the way.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// AWS's id of the request.
    pub request_id: Option<Box<str>>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// True when a write may have taken effect all the same.
    pub uncertain: bool,
    /// The ARN an IAM policy would name, where the failure is about permission.
    pub resource: Option<Box<str>>,
}

impl Failure {
    /// A failure that no answer of the service stands behind.
    pub fn local(
        service: ServiceKind,
        operation: &'static str,
        class: Class,
        message: impl Into<String>,
    ) -> Self {
        Failure {
            service,
            operation,
            class,
            code: None,
            message: message.into(),
            status: None,
            request_id: None,
            retry_after: None,
            uncertain: false,
            resource: None,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        let action = format!("{}:{}", self.service.iam_prefix(), self.operation);
        if let Some(region) = identity_region(&self.message) {
            return format!(
                "set `region = \"{region}\"` for this target: calls about users go to the account's identity Region"
            );
        }
        match self.class {
            Class::Throttle => "nothing was admitted for as long as `call_timeout`: others use up this quota; wait, or ask AWS for a higher one".into(),
            Class::Transient if self.status.is_none() => {
                "check the Region, the endpoint_url and that the network lets rosterd out".into()
            }
            Class::Transient => "the service is having trouble; the next pass tries again".into(),
            Class::Conflict => "somebody else changes the same thing; the next pass looks again".into(),
            Class::Exists => "it was made meanwhile; the next pass looks again".into(),
            Class::NotFound => match self.service {
                ServiceKind::DataZone => "check `domain_id` and `region`, and that the project still exists".into(),
                ServiceKind::QuickSight => "check `account_id`, `namespace` and `region`".into(),
                ServiceKind::FinSpace => {
                    "check `region`, and that the account still has a FinSpace environment there".into()
                }
            },
            Class::Quota => "a hard quota of the account is reached; ask AWS to raise it or remove what is unused".into(),
            Class::Denied => {
                let resource = self.resource.as_ref().map_or("this target".into(), |arn| format!("`{arn}`"));
                format!("allow `{action}` on {resource} to the principal that rosterd runs as")
            }
            Class::Credentials => {
                "renew the credentials: `aws sso login`, a new session token, or the role of the instance or pod".into()
            }
            Class::Invalid => match self.code.as_deref() {
                Some("InvalidNextTokenException") => "the listing changed under way; run it again".into(),
                Some("PreconditionNotMetException") => {
                    "the account is not ready for this: check its edition, its identity type and its subscription".into()
                }
                _ => "correct the value the message names".into(),
            },
            Class::Interrupted => "run it again to finish".into(),
        }
    }
}

impl Failure {
    /// What went wrong, without the advice.
    pub fn what(&self) -> String {
        let call = format!("{} {}", self.service.title(), self.operation);
        match (&self.code, self.status) {
            (Some(code), _) => format!("{call} answered {code}: {}", self.message),
            (None, Some(status)) => format!("{call} answered {status}: {}", self.message),
            (None, None) => format!("{call}: {}", self.message),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what(), self.advice())
    }
}

impl Error for Failure {}

/// What an error code means, `message` and status included.
pub fn class_of(code: Option<&str>, message: &str, status: Option<u16>) -> Class {
    if message.contains(IDENTITY_CENTER_BUSY) {
        return Class::Transient;
    }
    let known = code.and_then(|code| CODES.iter().find(|(c, _)| *c == code)).map(|(_, class)| *class);
    known.unwrap_or(match status {
        Some(429) => Class::Throttle,
        Some(408 | 500..=599) => Class::Transient,
        Some(401 | 403) => Class::Denied,
        Some(404) => Class::NotFound,
        Some(409) => Class::Conflict,
        _ => Class::Invalid,
    })
}

/// Turns what the SDK reports into a [`Failure`].
pub fn failure<E>(service: ServiceKind, operation: &'static str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let raw = error.raw_response();
    let status = raw.map(|r| r.status().as_u16());
    let header = |name: &str| raw.and_then(|r| r.headers().get(name)).map(str::to_string);
    let local = |class, message: String| Failure::local(service, operation, class, message);
    let mut failure = match error {
        // A body that cannot be parsed comes as an error without a code beneath a status of success.
        SdkError::ServiceError(_) if status.is_some_and(|s| s < 300) => {
            local(Class::Transient, format!("the answer cannot be read ({})", innermost(error)))
        }
        SdkError::ServiceError(e) => {
            let code = e.err().code().map(str::to_string);
            let message = e.err().message().unwrap_or("no message").to_string();
            let class = class_of(code.as_deref(), &message, status);
            Failure { code, ..local(class, message) }
        }
        SdkError::ResponseError(_) => {
            local(Class::Transient, format!("the answer cannot be read ({})", innermost(error)))
        }
        SdkError::TimeoutError(_) => local(Class::Transient, "no answer in time".into()),
        other => match credentials_error(other) {
            Some(message) => local(Class::Credentials, message),
            None if matches!(other, SdkError::ConstructionFailure(_)) => {
                local(Class::Invalid, innermost(other))
            }
            None => local(Class::Transient, format!("no connection ({})", innermost(other))),
        },
    };
    failure.uncertain = match error {
        SdkError::ServiceError(_) => status.is_some_and(|s| !(300..500).contains(&s)),
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    };
    failure.status = status;
    failure.request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id")).map(String::into);
    failure.retry_after =
        retry_after(header("retry-after").as_deref(), header("x-amz-retry-after").as_deref());
    failure
}

/// No service is believed when it asks for a longer wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// `Retry-After` in seconds, or AWS's own header in milliseconds.
pub fn retry_after(seconds: Option<&str>, millis: Option<&str>) -> Option<Duration> {
    let seconds = seconds.and_then(|s| s.trim().parse().ok()).map(Duration::from_secs);
    let asked = seconds.or_else(|| millis.and_then(|m| m.trim().parse().ok()).map(Duration::from_millis));
    asked.map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// The Region in "…your identity region is X".
fn identity_region(message: &str) -> Option<&str> {
    let at = message.find("identity region is ")? + "identity region is ".len();
    message[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().filter(|r| !r.is_empty())
}

fn sources<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e: &&'e (dyn Error + 'static)| e.source())
}

fn innermost<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    sources(error).last().map_or_else(String::new, ToString::to_string)
}

fn credentials_error<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let found = sources(error).find_map(|e| e.downcast_ref::<CredentialsError>())?;
    Some(match found {
        CredentialsError::CredentialsNotLoaded(_) => {
            "no credentials found in the environment, the shared configuration files, a web identity, a container or the instance".into()
        }
        other => {
            let why = sources(other).last().map_or_else(String::new, ToString::to_string);
            format!("the credentials could not be loaded ({why})")
        }
    })
}
