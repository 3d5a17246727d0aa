//! The door: what each error means, how long to wait, when to give up.

use std::time::Duration;

use rosterd::aws::classify::{CODES, class_of, retry_after};
use rosterd::aws::retry::Waits;
use rosterd::aws::{Class, Failure};
use rosterd::sandbox::Knobs;
use rosterd::service::ServiceKind;

use crate::support::*;

/// Every code the pages of the operations list, and the statuses they come with.
#[test]
fn every_modelled_error_code_has_its_class() {
    for (code, class) in [
        ("InternalServerException", Class::Transient),
        ("InternalFailureException", Class::Transient),
        ("ResourceUnavailableException", Class::Transient),
        ("ConcurrentUpdatingException", Class::Transient),
        ("ThrottlingException", Class::Throttle),
        ("SlowDown", Class::Throttle),
        ("ConflictException", Class::Conflict),
        ("ResourceExistsException", Class::Exists),
        ("ResourceNotFoundException", Class::NotFound),
        ("AccessDeniedException", Class::Denied),
        ("UnauthorizedException", Class::Denied),
        ("LimitExceededException", Class::Quota),
        ("ServiceQuotaExceededException", Class::Quota),
        ("ValidationException", Class::Invalid),
        ("InvalidParameterValueException", Class::Invalid),
        ("InvalidNextTokenException", Class::Invalid),
        ("PreconditionNotMetException", Class::Invalid),
        ("ExpiredTokenException", Class::Credentials),
        ("UnrecognizedClientException", Class::Credentials),
        ("InvalidSignatureException", Class::Credentials),
    ] {
        // The status a code comes with never changes what it means.
        for status in [400, 401, 409, 429, 500, 503] {
            assert_eq!(class_of(Some(code), "", Some(status)), class, "{code} with {status}");
        }
    }
}

#[test]
fn codes_are_listed_once() {
    let mut codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count);
}

#[test]
fn without_a_known_code_the_status_decides() {
    for (status, class) in [
        (429, Class::Throttle),
        (500, Class::Transient),
        (502, Class::Transient),
        (503, Class::Transient),
        (504, Class::Transient),
        (408, Class::Transient),
        (401, Class::Denied),
        (403, Class::Denied),
        (404, Class::NotFound),
        (409, Class::Conflict),
        (400, Class::Invalid),
    ] {
        for code in [None, Some("SomethingNewException")] {
            assert_eq!(class_of(code, "", Some(status)), class, "{status}");
        }
    }
    let busy = "There is a conflicting operation in process, try again";
    assert_eq!(class_of(Some("ValidationException"), busy, Some(400)), Class::Transient);
}

#[test]
fn retry_after_is_read_and_bounded() {
    let check = |seconds, millis, expected| assert_eq!(retry_after(seconds, millis), expected);
    check(Some("2"), None, Some(Duration::from_secs(2)));
    check(None, Some("1500"), Some(Duration::from_millis(1500)));
    check(Some(" 3 "), Some("9"), Some(Duration::from_secs(3)));
    check(Some("soon"), None, None);
    check(Some("18446744073709551615"), None, Some(Duration::from_secs(300)));
    check(None, None, None);
}

#[test]
fn waits_grow_with_full_jitter_and_stay_bounded() {
    let mut longest = Duration::ZERO;
    let mut below_half = 0;
    for _ in 0..200 {
        let mut waits = Waits::default();
        let first = waits.next_wait();
        assert!(first <= Duration::from_millis(200));
        below_half += u32::from(first < Duration::from_millis(100));
        longest = (0..20).map(|_| waits.next_wait()).fold(longest, Duration::max);
    }
    assert!((50..150).contains(&below_half), "spread from nothing to twice the middle: {below_half}");
    assert!(longest > Duration::from_secs(5) && longest <= Duration::from_secs(20), "{longest:?}");
}

#[test]
fn every_class_comes_with_advice() {
    use rosterd::word::Word as _;
    for class in Class::ALL {
        for service in ServiceKind::ALL {
            let failure = Failure::local(*service, "ListUsers", *class, "what was said");
            assert!(failure.to_string().len() > "QuickSight ListUsers: what was said; ".len(), "{failure}");
        }
    }
    let denied = Failure::local(ServiceKind::FinSpace, "ListUsers", Class::Denied, "no");
    assert_eq!(
        denied.to_string(),
        "FinSpace ListUsers: no; allow `finspace-api:ListUsers` on this target to the principal that rosterd runs as"
    );
}

const ONE: &str =
    "[roles.r]\nquicksight = { role = \"READER\" }\n[users.a]\nemail = \"a@example.com\"\nroles = [\"r\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded() {
    let knobs = "[[faults]]\non = \"quicksight:ListUsers\"\nfault = \"server_error\"\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("max_attempts = 3", &bi(""));
    bench.write("roster.toml", ONE);
    bench.run(&["plan"]).await.exits(1).says("(after 3 attempts)");
    assert_eq!(bench.sandbox.counts()["quicksight:ListUsers"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_call_is_bounded_even_when_every_attempt_is_throttled() {
    let knobs = "[[faults]]\non = \"quicksight:ListUsers\"\nfault = \"throttle\"\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("call_timeout = \"500ms\"", &bi(""));
    bench.write("roster.toml", ONE);
    bench.run(&["plan"]).await.exits(1).says("ThrottlingException").says("others use up this quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_hangs_is_cut_off() {
    let knobs = "[[faults]]\non = \"quicksight:ListUsers\"\nfault = \"hang\"\ncount = 1\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("attempt_timeout = \"300ms\"", &bi(""));
    bench.write("roster.toml", ONE);
    bench.run(&["plan"]).await.exits(0).says("1 to create");
}
