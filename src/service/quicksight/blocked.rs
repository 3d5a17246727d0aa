//! What QuickSight refuses or rosterd will not risk: each a change that is shown with its reason and the
//! ways out, and never tried. Pure.

use super::diff::{Update, subject};
use super::{Action, DesiredUser, IdentityType, User};
use crate::plan::{Change, Kind, Removal, Subject};
use crate::service::Action as AnyAction;
use crate::service::former;

/// Groups and deletes of an account that signs in through Identity Center are refused by this API.
pub fn refused_by_identity_center(change: Change) -> Change {
    match change.kind {
        Kind::CreateGroup | Kind::AddMember | Kind::RemoveMember | Kind::DeleteUser if change.is_ready() => {
            change.blocked(
                "the account signs in through IAM Identity Center, which keeps groups and deletes to itself",
                &[
                    "make the change in Identity Center",
                    "leave `groups` out of the roles for this target, or set on_unlisted = \"report\"",
                ],
            )
        }
        _ => change,
    }
}

/// A role that would be lowered to reading.
pub fn lowered(target: &str, user: &DesiredUser, have: &User, role: super::Role, roles: &[String]) -> Change {
    let mut update = Update::of(have);
    update.role = role;
    let action = update.action(have);
    let mut change =
        Change::new(target, Kind::UpdateUser, subject(user, have), AnyAction::QuickSight(action))
            .named(&have.email)
            .field("role", Some(have.role.to_string()), Some(role.to_string()))
            .caused_by(&user.user, roles)
            .blocked(
                format!("QuickSight refuses to lower {} to {role} in place", have.role),
                &[
                    "lower the role in the QuickSight console, where the user's assets can be transferred",
                    "transfer the assets, set state = \"absent\" for one pass, then list the user again",
                    "leave the role as it is and restrict it with custom_permissions",
                ],
            );
    change.id.push_str(":role");
    change
}

/// A user who signs in another way than the roster says.
pub fn other_identity(target: &str, user: &DesiredUser, have: &User) -> Change {
    let (old, new) = (have.identity_type, user.identity.identity_type());
    let action = AnyAction::QuickSight(Update::of(have).action(have));
    Change::new(target, Kind::UpdateUser, subject(user, have), action)
        .named(&have.email)
        .field("identity_type", Some(old.to_string()), Some(new.to_string()))
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            format!("the user signs in as {old}; QuickSight cannot make that {new}"),
            &[
                "correct identity_type of the target, or iam_arn of the user",
                "transfer the user's assets, set state = \"absent\" for one pass, then list the user again",
            ],
        )
}

/// A user who is to be suspended.
pub fn suspended(target: &str, user: &DesiredUser, have: &User) -> Change {
    let action = AnyAction::QuickSight(Action::DeleteUser { user_name: have.name.clone() });
    Change::new(target, Kind::DisableUser, subject(user, have), action)
        .named(&have.email)
        .removing(Removal::Explicit)
        .caused_by(&user.user, &[])
        .blocked(
            "QuickSight cannot suspend a user",
            &[
                "set state = \"absent\" to delete the user (its assets stay without an owner)",
                "suspend the person in the identity provider",
            ],
        )
}

/// A user that is there and that this version does not understand: nobody touches it.
pub fn not_understood(target: &str, user: &DesiredUser, why: &str) -> Change {
    let action = AnyAction::QuickSight(Action::DeleteUser { user_name: user.key() });
    Change::new(target, Kind::UpdateUser, Subject::user(user.key()), action)
        .named(&user.email)
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            format!("the user is there and {why}"),
            &["change this user in the QuickSight console, or use a newer rosterd"],
        )
}

/// The name is another user's as far as anybody knows: nobody is given somebody else's account.
pub fn taken(target: &str, user: &DesiredUser, have: &User, holder: &str) -> Change {
    let action = AnyAction::QuickSight(Update::of(have).action(have));
    let change = Change::new(target, Kind::UpdateUser, subject(user, have), action)
        .named(&have.email)
        .caused_by(&user.user, &user.grant.roles);
    former::taken(change, &user.user, holder)
}

/// A user whose name changed while the old principal is still there.
pub fn renamed(target: &str, user: &DesiredUser, old: &User) -> Change {
    let new = user.key();
    let keep = if old.identity_type == IdentityType::Iam {
        format!("keep the user: give users.{}.on.{target} the old iam_arn and session_name", user.user)
    } else {
        format!(
            "keep the user and update only the address: users.{}.on.{target} = {{ user_name = \"{}\" }}",
            user.user, old.name
        )
    };
    let action = AnyAction::QuickSight(Update::of(old).action(old));
    Change::new(target, Kind::UpdateUser, Subject::user(&new), action)
        .named(&old.name)
        .field("user_name", Some(old.name.clone()), Some(new))
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            "QuickSight cannot rename a user, and a new one would lose the dashboards of the old",
            &[&keep, "it is another person: give that person an id of their own in the roster"],
        )
}
