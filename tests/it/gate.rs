//! The gate: whose turn it is, what a throttle does to those who wait, and what outlives the process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rosterd::aws::pacer::lane::Prior;
use rosterd::aws::pacer::learned::Learned;
use rosterd::aws::pacer::{Pacer, Rates, Waiter};
use rosterd::sandbox::Knobs;
use tokio::sync::Semaphore;

use crate::support::*;

const SCOPE: &str = "111122223333/eu-west-1/quicksight";

fn rates(pace: f64) -> Rates {
    Rates { start: [("default".to_string(), pace)].into(), ..Rates::default() }
}

#[tokio::test(start_paused = true)]
async fn targets_that_share_a_quota_get_the_same_share() {
    let pacer = Pacer::new(Learned::default());
    let gate = pacer.gate(SCOPE, "UpdateUser", &rates(10.0));
    let places = Arc::new(Semaphore::new(64));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    // A target with many changes comes first, one with few after it.
    for (target, calls) in [(0, 0..40_u64), (1, 40..50)] {
        for call in calls {
            let (gate, places, order) = (Arc::clone(&gate), Arc::clone(&places), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _turn = gate.pass(Waiter { target, call }, &places).await.expect("a turn");
                order.lock().unwrap().push(target);
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 50, "nobody is forgotten");
    let last_of_small = order.iter().rposition(|target| *target == 1).unwrap();
    assert!(last_of_small <= 20, "ten calls wait for ten others, not for forty: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_goes_before_younger_ones_and_those_who_leave_hold_nobody_up() {
    let pacer = Pacer::new(Learned::default());
    let gate = pacer.gate(SCOPE, "UpdateUser", &rates(10.0));
    let places = Arc::new(Semaphore::new(64));
    let order = Arc::new(Mutex::new(Vec::new()));
    let (_place, ticket) = gate.pass(Waiter { target: 0, call: 1 }, &places).await.unwrap();
    let waiting = |call: u64| {
        let (gate, places, order) = (Arc::clone(&gate), Arc::clone(&places), Arc::clone(&order));
        tokio::spawn(async move {
            let _turn = gate.pass(Waiter { target: 0, call }, &places).await.expect("a turn");
            order.lock().unwrap().push(call);
        })
    };
    let (second, third, fourth) = (waiting(2), waiting(3), waiting(4));
    tokio::task::yield_now().await;
    gate.throttled(ticket, Some(Duration::from_secs(30)));
    let begun = tokio::time::Instant::now();
    // The one who is next leaves; then an older call comes back.
    second.abort();
    tokio::task::yield_now().await;
    let first = waiting(1);
    for task in [first, third, fourth] {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [1, 3, 4]);
    assert!(begun.elapsed() >= Duration::from_secs(30), "nobody goes before the service's own word");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_while_next_wakes_the_one_after() {
    let pacer = Pacer::new(Learned::default());
    let gate = pacer.gate(SCOPE, "UpdateUser", &rates(1.0));
    let places = Arc::new(Semaphore::new(1));
    let held = gate.pass(Waiter { target: 0, call: 0 }, &places).await;
    let waiting = |call: u64| {
        let (gate, places) = (Arc::clone(&gate), Arc::clone(&places));
        tokio::spawn(async move { gate.pass(Waiter { target: 0, call }, &places).await.is_some() })
    };
    let (next, after) = (waiting(1), waiting(2));
    // Long enough for its time to have come: it waits for a place.
    tokio::time::sleep(Duration::from_secs(10)).await;
    next.abort();
    tokio::task::yield_now().await;
    drop(held);
    assert!(tokio::time::timeout(Duration::from_secs(60), after).await.expect("it was woken").unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_lowest_ceiling_of_those_who_share_a_lane_holds_for_all() {
    let pacer = Pacer::new(Learned::default());
    let capped = Rates { ceiling: [("default".to_string(), 2.0)].into(), ..rates(50.0) };
    let gate = pacer.gate(SCOPE, "UpdateUser", &rates(50.0));
    pacer.gate(SCOPE, "UpdateUser", &capped);
    let places = Semaphore::new(1);
    let begun = tokio::time::Instant::now();
    for call in 0..21 {
        drop(gate.pass(Waiter { target: 0, call }, &places).await);
    }
    assert!(begun.elapsed() >= Duration::from_millis(9_500), "{:?}", begun.elapsed());
    let unlimited = Rates { unlimited: true, ..capped };
    assert!(pacer.gate("sandbox", "UpdateUser", &unlimited).rate().is_infinite());
}

#[tokio::test(start_paused = true)]
async fn a_slow_lane_holds_no_places() {
    let pacer = Pacer::new(Learned::default());
    let slow = pacer.gate(SCOPE, "RegisterUser", &rates(0.01));
    let fast = pacer.gate(SCOPE, "UpdateUser", &rates(100.0));
    let places = Arc::new(Semaphore::new(1));
    drop(slow.pass(Waiter { target: 0, call: 0 }, &places).await);
    let waits = {
        let (slow, places) = (Arc::clone(&slow), Arc::clone(&places));
        tokio::spawn(async move { slow.pass(Waiter { target: 0, call: 1 }, &places).await.is_some() })
    };
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();
    for call in 2..12 {
        drop(fast.pass(Waiter { target: 0, call }, &places).await);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(waits.await.unwrap());
}

#[test]
fn documented_rates_are_known_and_settings_go_first() {
    let pacer = Pacer::new(Learned::default());
    let rate = |operation, rates: &Rates| pacer.gate(&format!("{rates:?}"), operation, rates).rate();
    let none = Rates::default();
    let of = |operation| rate(operation, &none);
    assert!(
        of("CreateProjectMembership") < 3.0 && of("ListProjectMemberships") > of("CreateProjectMembership")
    );
    assert!(of("UpdateUser") < 10.0);
    // `default` is for what is not documented.
    assert_eq!(rate("CreateProjectMembership", &rates(100.0)), of("CreateProjectMembership"));
    let ten_times = |faster: f64, slower: f64| assert!((faster / slower - 10.0).abs() < 1e-9);
    ten_times(rate("UpdateUser", &rates(100.0)), of("UpdateUser"));
    let exact = Rates { start: [("CreateProjectMembership".to_string(), 30.0)].into(), ..Rates::default() };
    ten_times(rate("CreateProjectMembership", &exact), of("CreateProjectMembership"));
    let capped = Rates { ceiling: [("default".to_string(), 2.0)].into(), ..Rates::default() };
    assert_eq!(rate("UpdateUser", &capped), 2.0);
    let unlimited = Rates { unlimited: true, ..Rates::default() };
    assert!(rate("UpdateUser", &unlimited).is_infinite());
}

#[test]
fn what_was_learned_ages_is_bounded_and_follows_the_settings() {
    let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let after = |days: i64| then + Duration::from_secs(u64::try_from(days).unwrap() * 86_400);
    let mut learned = Learned::default();
    learned.learn(SCOPE, "UpdateUser", 40.0, 10.0, then);
    learned.learn(SCOPE, "RegisterUser", 1e9, 10.0, then);
    learned.learn(SCOPE, "DeleteUser", -1.0, 10.0, then);
    let dir = tempfile::tempdir().unwrap();
    learned.save(dir.path()).unwrap();
    let check = |operation: &str, prior: Prior, days: i64, expected: Prior| {
        let learned = Learned::load(dir.path(), after(days));
        assert_eq!(
            learned.prior(SCOPE, operation, prior, after(days)),
            expected,
            "{operation} after {days} days"
        );
    };
    let blind = Prior::Blind(10.0);
    check("UpdateUser", blind, 0, Prior::Learned { prior: 10.0, knee: 40.0 });
    check("UpdateUser", blind, 7, Prior::Learned { prior: 10.0, knee: 20.0 });
    check("UpdateUser", blind, 61, blind);
    check("UpdateUser", Prior::Named(12.0), 0, Prior::Named(12.0));
    check("UpdateUser", Prior::Unlimited, 0, Prior::Unlimited);
    check("RegisterUser", blind, 0, Prior::Learned { prior: 10.0, knee: 500.0 });
    check("DeleteUser", blind, 0, blind);
    check("CreateGroup", blind, 0, blind);
    // A clock that was set back.
    let before = "2025-12-01T00:00:00Z".parse().unwrap();
    let learned = Learned::load(dir.path(), before);
    let expected = Prior::Learned { prior: 10.0, knee: 40.0 };
    assert_eq!(learned.prior(SCOPE, "UpdateUser", blind, before), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_remembers_what_it_learned_and_a_broken_file_is_ignored() {
    let knobs = "[quotas.\"quicksight:RegisterUser\"]\nrate = 60\nburst = 5\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    let roster = |users: std::ops::Range<u32>| {
        let people = users.map(|n| format!("[users.u{n}]\nemail = \"u{n}@example.com\"\nroles = [\"r\"]\n"));
        format!("[roles.r]\nquicksight = {{ role = \"READER\" }}\n{}", people.collect::<String>())
    };
    bench.files(&bi(""), &roster(0..150));
    bench.apply().await;
    let rates = bench.read("state/rates.json");
    assert!(rates.contains("/quicksight RegisterUser\":{\"knee\":"), "{rates}");
    bench.write("state/rates.json", "{ no");
    bench.write("roster.toml", &roster(0..151));
    bench.apply().await.says("rates.json is not what rosterd wrote").says("rates are learned anew");
    assert_eq!(bench.writes()["quicksight:RegisterUser"], 151 + throttled(&bench), "nobody twice");
}

fn throttled(bench: &Bench) -> usize {
    bench.sandbox.calls().iter().filter(|c| c.status == 429 || (c.status == 400 && !c.took_effect)).count()
}

/// Calls through a door in virtual time: `admits` says whether a call that long after `begun` is let in.
async fn call(
    caller: &rosterd::aws::Caller,
    admits: impl Fn(Duration) -> bool,
    begun: tokio::time::Instant,
) -> Result<(), rosterd::aws::Failure> {
    use aws_sdk_quicksight::error::SdkError;
    use aws_sdk_quicksight::operation::describe_user::{DescribeUserError, DescribeUserOutput};
    use aws_sdk_quicksight::types::error::ThrottlingException;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::error::ErrorMetadata;

    let attempt = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if admits(begun.elapsed()) {
            return Ok(DescribeUserOutput::builder().build());
        }
        let code = ErrorMetadata::builder().code("ThrottlingException").build();
        let error = DescribeUserError::ThrottlingException(ThrottlingException::builder().meta(code).build());
        let status = 429.try_into().expect("a status");
        Err(SdkError::service_error(error, HttpResponse::new(status, Vec::new().into())))
    };
    caller.call("DescribeUser", attempt).await.map(|_| ())
}

fn door(call_timeout: u64) -> (tokio::sync::watch::Sender<bool>, rosterd::aws::Caller) {
    use rosterd::aws::call::Resources;
    use rosterd::aws::{Caller, Door, Limits};
    use rosterd::service::ServiceKind;

    let (stop, stopping) = tokio::sync::watch::channel(false);
    let limits = Limits { call_timeout: Duration::from_secs(call_timeout), ..Limits::default() };
    let door = Door::new(16, stopping, Learned::default());
    (stop, Caller::new(door, ServiceKind::QuickSight, SCOPE, rates(20.0), Resources::default(), limits))
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_kept_as_long_as_others_are_admitted() {
    let (_stop, caller) = door(60);
    let begun = tokio::time::Instant::now();
    // Nothing for forty seconds, then for ten whatever comes: never nothing for a minute.
    let admits = |at: Duration| at.as_secs() % 50 >= 40;
    let calls = (0..16).map(|_| call(&caller, admits, begun));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert!(begun.elapsed() > Duration::from_secs(90), "some waited longer than a call may take");
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_throttled_for_good_are_given_up_together() {
    let (_stop, caller) = door(60);
    let begun = tokio::time::Instant::now();
    let calls = (0..16).map(|_| call(&caller, |_| false, begun));
    for result in futures_util::future::join_all(calls).await {
        let failure = result.unwrap_err();
        assert!(failure.message.contains(" attempt"), "{failure}");
    }
    // One after the other they would take sixteen minutes.
    assert!(begun.elapsed() < Duration::from_secs(240), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_single_throttle_after_a_long_rest_is_not_the_end() {
    let (_stop, caller) = door(60);
    let begun = tokio::time::Instant::now();
    call(&caller, |_| true, begun).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let again = tokio::time::Instant::now();
    call(&caller, |at| at > again - begun + Duration::from_secs(5), begun).await.unwrap();
}

/// A reload names other rates: they hold although a call of before is still under way.
#[test]
fn rates_of_newer_settings_are_not_made_old_by_a_call_under_way() {
    let pacer = Pacer::new(Learned::default());
    let old = rates(10.0);
    let slow = pacer.gate(SCOPE, "UpdateUser", &old).rate();
    pacer.renew(Timestamp::now());
    assert_eq!(pacer.gate(SCOPE, "UpdateUser", &old).rate(), slow, "a call under way goes on as it was");
    let new = Rates { epoch: pacer.epoch(), ..rates(50.0) };
    let fast = pacer.gate(SCOPE, "UpdateUser", &new).rate();
    assert!((fast / slow - 5.0).abs() < 1e-9, "{slow} and {fast}");
    assert_eq!(pacer.gate(SCOPE, "UpdateUser", &old).rate(), fast, "and shares what there is then");
}
