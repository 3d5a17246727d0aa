//! What keeps names out of logs and pages.

use rosterd::plan::{Change, Kind, Subject};
use rosterd::service::{Action, quicksight};
use rosterd::telemetry::people::{hide_addresses, hide_principal, stand_in};

#[track_caller]
fn check(text: &str, hidden: &str) {
    assert_eq!(hide_addresses(text), hidden);
}

#[test]
fn addresses_and_those_whom_arns_name_are_hidden() {
    check("User alice@example.com: no", "User (hidden): no");
    check("no such user (alice%40example.com)", "no such user ((hidden))");
    check(
        "User: arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0a1b/alice.moreau is not authorized",
        "User: arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0a1b/(hidden) is not authorized",
    );
    check(
        "on resource: arn:aws:quicksight:us-east-1:111122223333:user/default/bob.baker because",
        "on resource: arn:aws:quicksight:us-east-1:111122223333:user/default/(hidden) because",
    );
    check("arn:aws:iam::111122223333:user/team/carol", "arn:aws:iam::111122223333:user/team/(hidden)");
    check(
        "arn:aws:sts::111122223333:federated-user/carol",
        "arn:aws:sts::111122223333:federated-user/(hidden)",
    );
    for kind in ["group", "user"] {
        let advice =
            format!("allow `quicksight:X` on `arn:aws:quicksight:us-east-1:111122223333:{kind}/default/*`");
        check(&advice, &advice);
    }
}

fn change() -> Change {
    let action = Action::QuickSight(quicksight::Action::DeleteUser { user_name: "JSmith".into() });
    Change::new("bi", Kind::DeleteUser, Subject::user("JSmith"), action).named("js@example.com").field(
        "last_name",
        Some("Smith-Jones".into()),
        None,
    )
}

#[test]
fn whoever_a_change_is_about_is_hidden_in_whatever_case() {
    let change = change();
    for text in ["JSmith", "jsmith", "\"JSMITH\"", "JS@EXAMPLE.COM", "smith-jones"] {
        let hidden = hide_principal(&change, &format!("user {text} is unknown"));
        assert!(hidden.contains("(hidden)") && !hidden.to_lowercase().contains("smith"), "{text}: {hidden}");
    }
    assert_eq!(hide_principal(&change, "the locksmith"), "the locksmith", "whole words alone");
    assert_eq!(hide_principal(&change, "a\nforged line\u{1b}[2J"), "a forged line [2J");
}

#[test]
fn stand_ins_name_nobody() {
    let mut change = change();
    let number = stand_in(&change);
    assert!(number.starts_with("unlisted ") && number == stand_in(&change), "{number}");
    change.user = Some("j.smith".into());
    assert_eq!(stand_in(&change), "j.smith", "an id is an id");
    change.user = Some("js@example.com".into());
    assert!(stand_in(&change).starts_with("user ") && !stand_in(&change).contains('@'));
}
