//! Changes that do not converge back off and are reported; others go on.

use std::time::Duration;

use rosterd::daemon::Order;
use rosterd::daemon::status::{PassOutcome, TargetState};
use rosterd::sandbox::Knobs;

use super::virtually::Field;
use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "AUTHOR" }
[users.alice]
email = "alice@example.com"
roles = ["r"]
[users.bob]
email = "bob@example.com"
roles = ["r"]
"#;

fn lower(field: &Field) {
    field.sandbox.change(|world| {
        let user = namespace(world).users.values_mut().find(|u| u.user_name == "alice@example.com");
        user.expect("alice is there").role = "READER".into();
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_again_and_again_is_made_less_and_less_often() {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    running.until("both are there", |r| r.status().ready).await;
    // Something else lowers her role before every pass.
    for _ in 0..60 {
        lower(&field);
        running.another_pass("bi").await;
    }
    let made = field.count("quicksight:UpdateUser");
    assert!((4..=9).contains(&made), "in 60 passes: {made}");
    let target = running.target("bi");
    assert_eq!((target.not_converging, target.held, target.state), (1, 1, TargetState::Drifted));
    let plan = running.shared.plans(10);
    let reason = plan.targets[0].changes[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("was made, and the target still differs"), "{reason}");
    assert_eq!(target.last_pass.unwrap().outcome, PassOutcome::Ok, "it makes no pass fail");

    // Somebody who found the cause asks for a pass, and it is made at once.
    running.order(Order::Reconcile { target: None, force_removals: false }).await;
    running.until("it converges", |r| r.target("bi").drift == 0).await;
    assert_eq!(field.count("quicksight:UpdateUser"), made + 1);
    running.another_pass("bi").await;
    assert_eq!(running.target("bi").not_converging, 0, "and is forgotten");
    running.stop().await;
}

/// Lesson 9: one bad object must not block the rest, nor make every pass fail for ever.
#[tokio::test(start_paused = true)]
async fn lesson_9_what_fails_again_and_again_backs_off_and_the_rest_goes_on() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    let refuse = "[[faults]]\non = \"quicksight:UpdateUser\"\nfault = { error = \"InvalidParameterValueException\" }\n";
    let field = Field::with(world, Knobs::from_toml(refuse).unwrap());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    running.another_pass("bi").await;
    assert_eq!(running.target("bi").last_pass.unwrap().outcome, PassOutcome::Partial);
    assert_eq!(running.target("bi").consecutive_failures, 0, "the target was read and bob was made");
    assert!(qs(&field.sandbox.world(), "bob@example.com").is_some());
    let note = running.status().errors.into_iter().next().expect("a note");
    assert!(note.message.starts_with("update_user of alice failed"), "{note:?}");
    assert!(!format!("{note:?}").contains('@'), "no address: {note:?}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let tried = field.count("quicksight:UpdateUser");
    assert!((4..=9).contains(&tried), "in an hour of passes: {tried}");
    let target = running.target("bi");
    assert_eq!((target.not_converging, target.last_pass.unwrap().outcome), (1, PassOutcome::Ok));
    assert!(target.last_success.is_some());
    running.stop().await;
}

/// What needs a change that is held back waits with it, and makes no pass fail.
#[tokio::test(start_paused = true)]
async fn what_follows_a_change_that_is_held_back_is_held_back_too() {
    let refuse = "[[faults]]\non = \"quicksight:RegisterUser\"\nfault = { error = \"InvalidParameterValueException\" }\n";
    let field = Field::with(empty_world(), Knobs::from_toml(refuse).unwrap());
    field.settings("", &bi(""));
    field.write("roster.toml", &ROSTER.replace("role = \"AUTHOR\"", "role = \"AUTHOR\", groups = [\"g\"]"));
    let running = field.start();
    running.until("it is held back", |r| r.target("bi").not_converging == 2).await;
    let target = running.target("bi");
    assert_eq!((target.pending, target.held), (0, 4), "two users and their memberships");
    assert_eq!(target.last_pass.unwrap().outcome, PassOutcome::Ok);
    running.stop().await;
}

/// An outage is not the fault of what could not be made meanwhile.
#[tokio::test(start_paused = true)]
async fn after_an_outage_everything_is_tried_at_once() {
    let mut world = empty_world();
    qs_user(&mut world, "p9", "gone@example.com", "READER");
    let outage = "[[faults]]\non = \"quicksight:DeleteUser\"\nfault = { error = \"InternalFailureException\" }\ncount = 30\n";
    let field = Field::with(world, Knobs::from_toml(outage).unwrap());
    field.settings("max_attempts = 1", &bi(&sync("delete")));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    running.until("the outage is over", |_| field.count("quicksight:DeleteUser") >= 30).await;
    assert!(running.passes("bi") <= 31, "tried at each pass: {}", running.passes("bi"));
    running.another_pass("bi").await;
    assert!(qs(&field.sandbox.world(), "gone@example.com").is_none());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_is_no_failure_to_converge() {
    let field = Field::with(empty_world(), Knobs::from_toml("lag = 2").unwrap());
    field.settings("", &bi(""));
    field.write("roster.toml", ROSTER);
    let running = field.start();
    for _ in 0..6 {
        running.another_pass("bi").await;
        assert_eq!(running.target("bi").not_converging, 0);
    }
    running.until("both are there", |r| r.target("bi").state == TargetState::InStep).await;
    running.stop().await;
}
