//! Laws, over generated rosters and worlds: apply reaches what is wanted, a second diff is empty, the order
//! of the input does not matter, rendering never fails, a written plan reads back the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use rosterd::plan::saved::SavedPlan;
use rosterd::plan::{Change, Kind, Plan, Subject, Verdict, render};
use rosterd::service::datazone::{self, Designation, DesignationKind, Status};
use rosterd::service::quicksight::{self, Identity, IdentityType, LOST_NAME, Role, User};
use rosterd::service::{Action, Caused, Diff, Known, Ref, State};
use rosterd::word::Word as _;

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];

fn role() -> impl Strategy<Value = Role> {
    proptest::sample::select(Role::ALL)
}

fn grant() -> impl Strategy<Value = quicksight::Grant> {
    let groups = proptest::option::of(proptest::collection::btree_set(0..3_usize, 0..3));
    let custom = proptest::option::of(proptest::option::of("[ab]"));
    (role(), groups, custom).prop_map(|(role, groups, custom)| quicksight::Grant {
        role: Some(Caused { value: role, roles: vec!["r".into()] }),
        groups: groups
            .map(|g| g.into_iter().map(|n| (GROUPS[n].to_string(), vec!["r".to_string()])).collect()),
        custom_permissions: custom.map(|value| Caused { value, roles: vec!["r".into()] }),
        tags: BTreeMap::new(),
        roles: vec!["r".into()],
    })
}

fn desired_user(number: usize) -> impl Strategy<Value = quicksight::DesiredUser> {
    let state = prop_oneof![4 => Just(State::Active), 1 => Just(State::Absent)];
    (grant(), state, "[xy]").prop_map(move |(grant, state, mail)| quicksight::DesiredUser {
        user: format!("u{number}"),
        identity: Identity::Named {
            identity_type: IdentityType::QuickSight,
            user_name: format!("User{number}"),
        },
        email: format!("{mail}@example.com"),
        external_login: None,
        state,
        grant: Arc::new(grant),
    })
}

fn desired() -> impl Strategy<Value = quicksight::Desired> {
    proptest::collection::btree_set(0..6_usize, 0..6).prop_flat_map(|numbers: BTreeSet<usize>| {
        numbers.into_iter().map(desired_user).collect::<Vec<_>>().prop_map(|users| quicksight::Desired {
            users,
            groups: GROUPS.iter().map(|g| (g.to_string(), None)).collect(),
            identity_center: false,
        })
    })
}

fn observed_user(number: usize) -> impl Strategy<Value = User> {
    (role(), proptest::option::of("[ab]"), "[xy]", proptest::bool::weighted(0.1)).prop_map(
        move |(role, custom_permissions, mail, lost)| User {
            name: if lost { LOST_NAME.into() } else { format!("user{number}") },
            email: format!("{mail}@example.com"),
            role,
            identity_type: IdentityType::QuickSight,
            principal_id: format!("p{number}"),
            custom_permissions,
            external_login: None,
        },
    )
}

type World = (Vec<User>, BTreeMap<String, HashSet<String>>);

fn world() -> impl Strategy<Value = World> {
    let users = proptest::collection::btree_set(0..8_usize, 0..8)
        .prop_flat_map(|numbers: BTreeSet<usize>| numbers.into_iter().map(observed_user).collect::<Vec<_>>());
    let groups =
        proptest::collection::btree_map(0..3_usize, proptest::collection::hash_set(0..8_usize, 0..8), 0..3);
    (users, groups).prop_map(|(users, groups)| {
        let names: HashSet<&str> = users.iter().map(|u| u.name.as_str()).collect();
        let members = |numbers: HashSet<usize>| {
            numbers.into_iter().map(|n| format!("user{n}")).filter(|n| names.contains(n.as_str())).collect()
        };
        let groups = groups.into_iter().map(|(g, m)| (GROUPS[g].to_string(), members(m))).collect();
        (users, groups)
    })
}

fn observed((users, groups): &World) -> quicksight::Observed {
    quicksight::Observed::new(users.clone(), groups.clone(), BTreeMap::new())
}

fn diff(desired: &quicksight::Desired, world: &World) -> Diff {
    quicksight::diff::diff("bi", desired, &observed(world), &Known::new())
}

/// The service, as far as a diff can tell: makes the ready changes in the order of the plan.
fn make((users, groups): &mut World, changes: &[Change]) {
    let mut created: HashMap<String, String> = HashMap::new();
    for change in changes.iter().filter(|c| c.is_ready()) {
        let Action::QuickSight(action) = &change.action else { panic!("another service") };
        match action {
            quicksight::Action::RegisterUser { identity, email, role, custom_permissions, .. } => {
                created.insert(change.id.clone(), identity.user_name());
                users.push(User {
                    name: identity.user_name(),
                    email: email.clone(),
                    role: *role,
                    identity_type: identity.identity_type(),
                    principal_id: format!("new-{}", identity.user_name()),
                    custom_permissions: custom_permissions.clone(),
                    external_login: None,
                });
            }
            quicksight::Action::UpdateUser { user_name, email, role, custom_permissions, .. } => {
                let user = users
                    .iter_mut()
                    .find(|u| u.name == *user_name)
                    .expect("an update of somebody who is there");
                assert!(!user.role.refuses(*role), "the service would refuse it");
                user.email.clone_from(email);
                user.role = *role;
                match custom_permissions {
                    quicksight::CustomPermissions::Keep => {}
                    quicksight::CustomPermissions::Set(name) => user.custom_permissions = Some(name.clone()),
                    quicksight::CustomPermissions::Unapply => user.custom_permissions = None,
                }
            }
            quicksight::Action::DeleteUser { user_name } => {
                users.retain(|u| u.name != *user_name);
                for members in groups.values_mut() {
                    members.remove(&user_name.to_lowercase());
                }
            }
            quicksight::Action::DeleteByPrincipalId { principal_id } => {
                users.retain(|u| u.principal_id != *principal_id)
            }
            quicksight::Action::CreateGroup { group, .. } => {
                assert!(groups.insert(group.clone(), HashSet::new()).is_none(), "made twice");
            }
            quicksight::Action::AddMember { group, member } => {
                let name = match member {
                    Ref::Known(name) => name.clone(),
                    Ref::CreatedBy(id) => created.get(id).expect("its user was made before").clone(),
                };
                assert!(users.iter().any(|u| u.name == name), "a member who is there");
                groups.get_mut(group).expect("its group was made before").insert(name.to_lowercase());
            }
            quicksight::Action::RemoveMember { group, user_name } => {
                assert!(groups.get_mut(group).unwrap().remove(&user_name.to_lowercase()), "was a member");
            }
        }
    }
}

fn plan(changes: Vec<Change>) -> Plan {
    let target = rosterd::plan::TargetPlan {
        target: "bi".into(),
        service: rosterd::service::ServiceKind::QuickSight,
        place: "quicksight 123456789012/default us-east-1".into(),
        policy: rosterd::plan::guard::Policy::Sync,
        by_name: false,
        population: 0,
        listed: 0,
        in_step: 0,
        unlisted: 0,
        out_of_scope: 0,
        changes,
    };
    Plan { targets: vec![target], unobserved: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn diff_then_apply_gives_what_is_wanted(desired in desired(), mut world in world()) {
        let changes = diff(&desired, &world).changes;
        make(&mut world, &changes);
        for user in &desired.users {
            let found = observed(&world).user(&user.key()).cloned();
            match (user.state, found) {
                (State::Absent, found) => prop_assert!(found.is_none()),
                (_, None) => prop_assert!(false, "{} is missing", user.user),
                (_, Some(found)) => {
                    prop_assert_eq!(&found.email, &user.email);
                    let role = user.grant.role.as_ref().unwrap().value;
                    prop_assert!(found.role == role || found.role.refuses(role));
                    if let Some(custom) = &user.grant.custom_permissions {
                        prop_assert_eq!(&found.custom_permissions, &custom.value);
                    }
                    for (group, members) in user.grant.groups.iter().flat_map(|wanted| world.1.iter().map(move |(g, m)| ((g, wanted), m))) {
                        let (name, wanted) = group;
                        prop_assert_eq!(members.contains(&found.name.to_lowercase()), wanted.contains_key(name));
                    }
                }
            }
        }
    }

    #[test]
    fn a_second_diff_is_empty_but_for_what_is_blocked(desired in desired(), mut world in world()) {
        let changes = diff(&desired, &world).changes;
        make(&mut world, &changes);
        let again = diff(&desired, &world).changes;
        prop_assert!(again.iter().all(|c| matches!(c.verdict, Verdict::Blocked { .. })), "{:#?}", again);
    }

    #[test]
    fn the_order_of_the_listing_does_not_matter(desired in desired(), world in world()) {
        let mut turned = world.clone();
        turned.0.reverse();
        let sorted = |world: &World| {
            let mut ids: Vec<String> = diff(&desired, world).changes.into_iter().map(|c| format!("{c:?}")).collect();
            ids.sort();
            ids
        };
        prop_assert_eq!(sorted(&world), sorted(&turned));
    }

    #[test]
    fn ids_are_unique_and_dependencies_come_first(desired in desired(), world in world()) {
        let changes = diff(&desired, &world).changes;
        let mut seen = HashSet::new();
        for change in &changes {
            prop_assert!(change.after.iter().all(|id| seen.contains(id.as_str())), "{:?}", change);
            prop_assert!(seen.insert(change.id.as_str()), "{} twice", change.id);
        }
    }

    #[test]
    fn rendering_never_fails_and_a_saved_plan_reads_back(desired in desired(), world in world()) {
        let plan = plan(diff(&desired, &world).changes);
        let _ = (render::text(&plan, None), render::markdown(&plan, None));
        let saved = SavedPlan::new(plan, jiff::Timestamp::UNIX_EPOCH, false);
        prop_assert_eq!(SavedPlan::from_json(&saved.to_json()), Ok(saved));
    }

    /// DataZone: whatever the statuses, the change asked for leads to one that satisfies the wish.
    #[test]
    fn a_datazone_profile_ends_as_wished(
        status in proptest::sample::select(Status::ALL),
        wish in proptest::sample::select(datazone::AccessWish::ALL),
        sso in any::<bool>(),
        have in proptest::option::of(proptest::sample::select(DesignationKind::ALL)),
        want in proptest::option::of(proptest::sample::select(DesignationKind::ALL)),
    ) {
        let identity = if sso {
            datazone::Identity::Sso { user_name: "u".into() }
        } else {
            datazone::Identity::Iam { arn: "arn:aws:iam::123456789012:role/R".into(), session: None, principal_id: None }
        };
        let designation = |kind: DesignationKind| Designation { kind, id: (kind == DesignationKind::UserCreated).then(|| "d".to_string()) };
        let grant = datazone::Grant {
            access: Some(Caused { value: wish, roles: vec!["r".into()] }),
            projects: Some(want.map(|k| ("p".to_string(), Caused { value: designation(k), roles: vec!["r".into()] })).into_iter().collect()),
            roles: vec!["r".into()],
        };
        let desired = datazone::Desired {
            users: vec![datazone::DesiredUser { user: "u".into(), identity: identity.clone(), email: None, state: State::Active, grant: Arc::new(grant) }],
            projects: ["p".to_string()].into(),
            all_profiles: true,
        };
        let observe = |status: Status, member: Option<Designation>| {
            let members = member.map(|d| ("id".to_string(), d)).into_iter().collect();
            let profile = datazone::Profile { id: "id".into(), identity: identity.clone(), status };
            datazone::Observed::new(vec![profile], [("p".to_string(), members)].into(), BTreeSet::new())
        };
        let (mut status, mut member) = (status, have.map(designation));
        for change in datazone::diff::diff("t", &desired, &observe(status, member.clone()), &Known::new()).changes {
            match change.action {
                Action::DataZone(datazone::Action::SetStatus { status: new, .. }) => status = new,
                Action::DataZone(datazone::Action::AddMember { designation, .. }) => member = Some(designation),
                Action::DataZone(datazone::Action::ChangeDesignation { new, .. }) => member = Some(new),
                Action::DataZone(datazone::Action::RemoveMember { .. }) => member = None,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(wish.is_met_by(status));
        prop_assert_eq!(&member, &want.map(designation));
        let again = datazone::diff::diff("t", &desired, &observe(status, member), &Known::new());
        prop_assert!(again.changes.is_empty());
    }
}

#[test]
fn a_plan_cannot_forge_lines() {
    let action = quicksight::Action::DeleteUser { user_name: "x".into() };
    let change = Change::new(
        "bi",
        Kind::DeleteUser,
        Subject::user("evil\n  + admin\u{1b}[2J"),
        Action::QuickSight(action),
    )
    .field("role", Some("A\nB".into()), None);
    let text = anstream::adapter::strip_str(&render::text(&plan(vec![change.clone()]), None)).to_string();
    assert_eq!(text.lines().filter(|l| l.contains("admin")).count(), 1);
    assert!(!render::text(&plan(vec![change]), None).contains("\u{1b}[2J"));
}
