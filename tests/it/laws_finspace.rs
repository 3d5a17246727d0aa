//! The laws of `laws.rs` for FinSpace: apply reaches what is wanted, and a second diff is empty but for
//! what is blocked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use rosterd::plan::{Change, Verdict};
use rosterd::service::finspace::{
    self, Action, ApiAccess, Desired, DesiredUser, Grant, Group, GroupDefinition, Observed, Status, User,
    UserType,
};
use rosterd::service::{Action as AnyAction, Caused, Diff, Known, Ref, State};
use rosterd::word::Word as _;

/// The first is defined by the roster, the second only named.
const GROUPS: [&str; 2] = ["defined", "named"];

#[derive(Debug, Clone, Default)]
struct World {
    users: Vec<User>,
    groups: BTreeMap<String, Group>,
}

fn grant() -> impl Strategy<Value = Grant> {
    let groups = proptest::option::of(proptest::collection::btree_set(0..2_usize, 0..3));
    let api = proptest::option::of(proptest::sample::select(ApiAccess::ALL));
    (proptest::sample::select(UserType::ALL), api, groups).prop_map(|(user_type, api_access, groups)| {
        let roles = || vec!["r".to_string()];
        Grant {
            user_type: Some(Caused { value: user_type, roles: roles() }),
            api_access: api_access.map(|value| Caused { value, roles: roles() }),
            api_access_principal_arn: None,
            permission_groups: groups
                .map(|g| g.into_iter().map(|n| (GROUPS[n].to_string(), roles())).collect()),
            roles: roles(),
        }
    })
}

fn desired() -> impl Strategy<Value = Desired> {
    let user = |number: usize| {
        (grant(), proptest::sample::select(State::ALL), proptest::option::of("[AB]")).prop_map(
            move |(grant, state, first_name)| DesiredUser {
                user: format!("u{number}"),
                email: format!("User{number}@example.com"),
                first_name,
                last_name: None,
                state,
                grant: Arc::new(grant),
            },
        )
    };
    proptest::collection::btree_set(0..5_usize, 0..5).prop_flat_map(move |numbers: BTreeSet<usize>| {
        numbers.into_iter().map(user).collect::<Vec<_>>().prop_map(|users| {
            let definition = GroupDefinition { description: None, application_permissions: Vec::new() };
            let groups = [(GROUPS[0].to_string(), Some(definition)), (GROUPS[1].to_string(), None)];
            Desired { users, groups: groups.into() }
        })
    })
}

fn world() -> impl Strategy<Value = World> {
    let user = |number: usize| {
        let status = proptest::sample::select(Status::ALL);
        (status, proptest::sample::select(UserType::ALL), proptest::option::of("[AB]")).prop_map(
            move |(status, user_type, first_name)| User {
                id: format!("id{number}"),
                email: format!("user{number}@EXAMPLE.com"),
                status,
                user_type,
                first_name,
                last_name: None,
                api_access: Some(ApiAccess::Disabled),
                api_access_principal_arn: None,
            },
        )
    };
    let users = proptest::collection::btree_set(0..6_usize, 0..6)
        .prop_flat_map(move |numbers: BTreeSet<usize>| numbers.into_iter().map(user).collect::<Vec<_>>());
    let groups =
        proptest::collection::btree_map(0..2_usize, proptest::collection::hash_set(0..6_usize, 0..6), 0..3);
    (users, groups).prop_map(|(users, groups)| {
        let ids: HashSet<&str> = users.iter().map(|u| u.id.as_str()).collect();
        let group = |(g, members): (usize, HashSet<usize>)| {
            let members =
                members.into_iter().map(|n| format!("id{n}")).filter(|id| ids.contains(id.as_str()));
            (GROUPS[g].to_string(), Group { id: format!("group{g}"), members: members.collect() })
        };
        let groups = groups.into_iter().map(group).collect();
        World { groups, users }
    })
}

fn diff(desired: &Desired, world: &World) -> Diff {
    let observed = Observed::new(world.users.clone(), world.groups.clone());
    finspace::diff::diff("research", desired, &observed, &Known::new())
}

/// The service, as far as a diff can tell; it refuses what is done already.
fn make(world: &mut World, changes: &[Change]) {
    let mut created: HashMap<&str, String> = HashMap::new();
    for change in changes.iter().filter(|c| c.is_ready()) {
        let AnyAction::FinSpace(action) = &change.action else { panic!("another service") };
        let resolve = |reference: &Ref| match reference {
            Ref::Known(id) => id.clone(),
            Ref::CreatedBy(id) => created.get(id.as_str()).expect("it was made before").clone(),
        };
        let World { users, groups } = world;
        let user = |id: &str| users.iter().position(|u| u.id == id).expect("a user who is there");
        match action {
            Action::CreateUser { email, user_type, first_name, api_access, .. } => {
                let id = format!("new-{email}");
                assert!(!users.iter().any(|u| u.email.eq_ignore_ascii_case(email)), "one user an address");
                users.push(User {
                    id: id.clone(),
                    email: email.clone(),
                    status: Status::Creating,
                    user_type: *user_type,
                    first_name: first_name.clone(),
                    last_name: None,
                    api_access: Some(api_access.unwrap_or(ApiAccess::Disabled)),
                    api_access_principal_arn: None,
                });
                created.insert(&change.id, id);
            }
            Action::UpdateUser { user_id, user_type, first_name, api_access, .. } => {
                let at = user(user_id);
                let have = &mut users[at];
                have.user_type = user_type.unwrap_or(have.user_type);
                have.first_name = first_name.clone().or(have.first_name.take());
                have.api_access = api_access.or(have.api_access);
            }
            Action::Enable { user_id } | Action::Disable { user_id } => {
                let wanted =
                    if matches!(action, Action::Enable { .. }) { Status::Enabled } else { Status::Disabled };
                let at = user(user_id);
                assert_ne!(users[at].status, wanted, "the service refuses what is so already");
                users[at].status = wanted;
            }
            Action::CreateGroup { group, .. } => {
                let made = Group { id: format!("new-{group}"), members: HashSet::new() };
                created.insert(&change.id, made.id.clone());
                assert!(groups.insert(group.clone(), made).is_none(), "made twice");
            }
            Action::AddMember { group, user } => {
                let (group, user) = (resolve(group), resolve(user));
                let group = groups.values_mut().find(|g| g.id == group).expect("a group that is there");
                assert!(group.members.insert(user), "a member already");
            }
            Action::RemoveMember { group_id, user_id } => {
                let group = groups.values_mut().find(|g| g.id == *group_id).expect("a group that is there");
                assert!(group.members.remove(user_id), "no member");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn apply_reaches_what_is_wanted_and_settles(desired in desired(), mut world in world()) {
        let changes = diff(&desired, &world).changes;
        make(&mut world, &changes);
        for user in &desired.users {
            let found = world.users.iter().find(|u| u.email.eq_ignore_ascii_case(&user.email));
            let is_on = found.is_some_and(|u| u.status != Status::Disabled);
            prop_assert_eq!(is_on, user.state == State::Active, "{}", user.user);
            if let (State::Active, Some(found)) = (user.state, found) {
                prop_assert_eq!(found.user_type, user.grant.user_type.as_ref().unwrap().value);
                prop_assert!(user.first_name.is_none() || found.first_name == user.first_name);
                for (name, group) in &world.groups {
                    if let Some(wanted) = &user.grant.permission_groups {
                        prop_assert_eq!(group.members.contains(&found.id), wanted.contains_key(name));
                    }
                }
            }
        }
        let again = diff(&desired, &world).changes;
        prop_assert!(again.iter().all(|c| matches!(c.verdict, Verdict::Blocked { .. })), "{:#?}", again);
    }
}
