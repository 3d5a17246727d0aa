//! Worlds of N users, and the roster that fits them: for trying out size. Everything is in step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::world::{
    Account, Domain, Environment, FinSpaceUser, Membership, Namespace, PermissionGroup, Profile,
    QuickSightGroup, QuickSightUser, World,
};

/// The domain of a generated world.
pub const DOMAIN: &str = "dzd_generated";
/// The account of a generated world.
pub const ACCOUNT: &str = "123456789012";
/// The Region of everything in a generated world.
pub const REGION: &str = "us-east-1";
/// The project all generated users are in.
pub const PROJECT: &str = "prj0generated";
/// The group all generated users are in.
pub const GROUP: &str = "everybody";

/// A world of `count` users on each service.
pub fn world(count: usize) -> World {
    let mut domain = Domain { region: REGION.into(), ..Domain::default() };
    let mut members = BTreeMap::new();
    let mut namespace = Namespace::default();
    let mut group = QuickSightGroup::default();
    let mut environment = Environment::default();
    let mut quants = PermissionGroup {
        name: GROUP.into(),
        application_permissions: vec!["AccessNotebooks".into()],
        ..PermissionGroup::default()
    };
    for number in 0..count {
        let name = name(number);
        let email = format!("{name}@example.com");
        let id = format!("{number:08x}-0000-4000-8000-{number:012x}");
        let profile =
            Profile { status: "ACTIVATED".into(), user_name: Some(name.clone()), ..Profile::default() };
        domain.profiles.insert(id.clone(), profile);
        let designation = "PROJECT_CONTRIBUTOR".into();
        members.insert(id, Membership { designation, designation_id: None, group: false });
        let user = QuickSightUser {
            user_name: email.clone(),
            email: email.clone(),
            role: "READER".into(),
            identity_type: "QUICKSIGHT".into(),
            active: true,
            ..QuickSightUser::default()
        };
        namespace.users.insert(format!("federated/quicksight/{number:012x}"), user);
        group.members.insert(email.clone());
        let id = format!("u{number:025}");
        let user = FinSpaceUser {
            email,
            status: "ENABLED".into(),
            user_type: "APP_USER".into(),
            first_name: Some("User".into()),
            last_name: Some(format!("Number{number}")),
            api_access: Some("DISABLED".into()),
            ..FinSpaceUser::default()
        };
        environment.users.insert(id.clone(), user);
        quants.members.insert(id, "ADDITION_SUCCESS".into());
    }
    domain.projects.insert(PROJECT.into(), members);
    namespace.groups.insert(GROUP.into(), group);
    environment.groups.insert(format!("g{:025}", 0), quants);
    let mut account = Account { identity_region: REGION.into(), ..Account::default() };
    account.namespaces.insert("default".into(), namespace);
    let mut world = World { counter: count as u64, ..World::default() };
    world.domains.insert(DOMAIN.into(), domain);
    world.accounts.insert(ACCOUNT.into(), account);
    world.environments.insert(REGION.into(), environment);
    world.index();
    world
}

/// The roster that a world of `count` users is in step with.
pub fn roster(count: usize) -> String {
    let mut text = format!(
        "[roles.reader]\n\
         datazone = {{ access = \"enabled\", projects = {{ {PROJECT} = \"PROJECT_CONTRIBUTOR\" }} }}\n\
         quicksight = {{ role = \"READER\", groups = [\"{GROUP}\"] }}\n\
         finspace = {{ type = \"APP_USER\", permission_groups = [\"{GROUP}\"] }}\n"
    );
    for number in 0..count {
        let name = name(number);
        let _ = write!(
            text,
            "\n[users.{name}]\nemail = \"{name}@example.com\"\nfirst_name = \"User\"\nlast_name = \"Number{number}\"\n\
             sso_user = \"{name}\"\nroles = [\"reader\"]\n"
        );
    }
    text
}

/// Settings whose targets are a generated world, at an address.
pub fn settings(endpoint: &str) -> String {
    format!(
        "[daemon]\nroster = \"roster.toml\"\n\n\
         [targets.portal]\nservice = \"datazone\"\nregion = \"{REGION}\"\ndomain_id = \"{DOMAIN}\"\n\
         policy = \"upsert-only\"\nendpoint_url = \"{endpoint}\"\npace = {{ default = 2000, ListProjectMemberships = 2000 }}\n\n\
         [targets.bi]\nservice = \"quicksight\"\nregion = \"{REGION}\"\naccount_id = \"{ACCOUNT}\"\n\
         policy = \"upsert-only\"\nendpoint_url = \"{endpoint}\"\npace = {{ default = 2000 }}\n\n\
         [targets.research]\nservice = \"finspace\"\nregion = \"{REGION}\"\n\
         policy = \"upsert-only\"\nendpoint_url = \"{endpoint}\"\npace = {{ default = 2000 }}\n"
    )
}

fn name(number: usize) -> String {
    format!("user{number:07}")
}
