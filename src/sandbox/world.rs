//! The state of the three services, as plain data that is loaded from and saved to a JSON file.
//!
//! A new object may stay unseen for a number of reads (`lag`): that is how eventual consistency is made
//! without a clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// DataZone domains by id.
    #[serde(default)]
    pub domains: BTreeMap<String, Domain>,
    /// QuickSight accounts by id.
    #[serde(default)]
    pub accounts: BTreeMap<String, Account>,
    /// FinSpace environments by Region.
    #[serde(default)]
    pub environments: BTreeMap<String, Environment>,
    /// Ids are made from it.
    #[serde(default)]
    pub counter: u64,
    /// Reads that a new object stays unseen for.
    #[serde(default)]
    pub lag: u32,
}

/// A DataZone domain.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Where it is.
    pub region: String,
    /// Whose it is; the profile of a role of another account starts ASSIGNED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Profiles by id.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// Projects by id: member id -> designation.
    #[serde(default)]
    pub projects: BTreeMap<String, BTreeMap<String, Membership>>,
    /// User names of the Identity Center directory; empty means anybody is in it.
    #[serde(default)]
    pub directory: BTreeSet<String>,
    /// Identity -> profile id; made from `profiles`.
    #[serde(skip)]
    pub by_identity: BTreeMap<String, String>,
    /// Client token -> profile id.
    #[serde(skip)]
    pub tokens: BTreeMap<String, String>,
}

/// A DataZone user profile: `user_name` for single sign-on, `arn` for IAM.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// ASSIGNED, NOT_ASSIGNED, ACTIVATED or DEACTIVATED.
    pub status: String,
    /// Of a single sign-on user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Of an IAM user or role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Of a role session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Of an IAM principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    /// Reads left until it is seen.
    #[serde(skip)]
    pub hidden: u32,
}

/// A membership of a DataZone project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// `PROJECT_OWNER` and so on.
    pub designation: String,
    /// With `USER_CREATED_DESIGNATION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub designation_id: Option<String>,
    /// A group rather than a user.
    #[serde(default)]
    pub group: bool,
}

/// A QuickSight account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Calls about users go here.
    pub identity_region: String,
    /// Groups and deletes are refused through the API.
    #[serde(default)]
    pub identity_center: bool,
    /// By name.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Namespace>,
}

/// A QuickSight namespace.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Users by principal id.
    #[serde(default)]
    pub users: BTreeMap<String, QuickSightUser>,
    /// Groups by name.
    #[serde(default)]
    pub groups: BTreeMap<String, QuickSightGroup>,
    /// User name in lower case -> principal id; made from `users`.
    #[serde(skip)]
    pub by_name: BTreeMap<String, String>,
}

/// A QuickSight user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuickSightUser {
    /// `N/A` once the IAM user is gone.
    pub user_name: String,
    /// The address.
    pub email: String,
    /// `READER` and so on.
    pub role: String,
    /// `IAM`, `QUICKSIGHT` or `IAM_IDENTITY_CENTER`.
    pub identity_type: String,
    /// Has signed in.
    #[serde(default)]
    pub active: bool,
    /// The custom permissions profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_permissions: Option<String>,
    /// Provider type, URL and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_login: Option<(String, Option<String>, String)>,
    /// Given at registration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Reads left until it is seen.
    #[serde(skip)]
    pub hidden: u32,
}

/// A QuickSight group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuickSightGroup {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// User names.
    #[serde(default)]
    pub members: BTreeSet<String>,
}

/// A FinSpace environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Users by id.
    #[serde(default)]
    pub users: BTreeMap<String, FinSpaceUser>,
    /// Permission groups by id.
    #[serde(default)]
    pub groups: BTreeMap<String, PermissionGroup>,
    /// Address in lower case -> user id; made from `users`.
    #[serde(skip)]
    pub by_email: BTreeMap<String, String>,
    /// Operation and client token -> the id it gave.
    #[serde(skip)]
    pub tokens: BTreeMap<String, String>,
}

/// A FinSpace user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinSpaceUser {
    /// The address.
    pub email: String,
    /// CREATING, ENABLED or DISABLED.
    pub status: String,
    /// SUPER_USER or APP_USER.
    #[serde(rename = "type")]
    pub user_type: String,
    /// Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// ENABLED or DISABLED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_access: Option<String>,
    /// Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_access_principal_arn: Option<String>,
    /// Reads left until it is seen.
    #[serde(skip)]
    pub hidden: u32,
}

/// A FinSpace permission group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionGroup {
    /// The name.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `CreateDataset` and so on.
    #[serde(default)]
    pub application_permissions: Vec<String>,
    /// User id -> membership status.
    #[serde(default)]
    pub members: BTreeMap<String, String>,
}

impl World {
    /// The world the sample configuration meets on its first run.
    pub fn sample() -> World {
        World::from_json(include_str!("sample.json")).expect("sample.json is tested")
    }

    /// Reads a saved world.
    pub fn from_json(text: &str) -> Result<World, String> {
        let mut world: World = serde_json::from_str(text).map_err(|e| e.to_string())?;
        world.index();
        Ok(world)
    }

    /// The text to save.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a world has string keys only")
    }

    /// Makes the maps that are not saved.
    pub fn index(&mut self) {
        for domain in self.domains.values_mut() {
            domain.by_identity = domain.profiles.iter().map(|(id, p)| (p.identity(), id.clone())).collect();
        }
        for namespace in self.accounts.values_mut().flat_map(|a| a.namespaces.values_mut()) {
            let named = namespace.users.iter().filter(|(_, u)| u.user_name != "N/A");
            namespace.by_name = named.map(|(id, u)| (u.user_name.to_lowercase(), id.clone())).collect();
        }
        for environment in self.environments.values_mut() {
            let users = environment.users.iter();
            environment.by_email = users.map(|(id, u)| (u.email.to_lowercase(), id.clone())).collect();
        }
    }

    /// A domain with these projects, made where they are missing.
    pub fn ensure_domain<'p>(&mut self, id: &str, region: &str, projects: impl IntoIterator<Item = &'p str>) {
        let domain = self
            .domains
            .entry(id.into())
            .or_insert_with(|| Domain { region: region.into(), ..Domain::default() });
        for project in projects {
            domain.projects.entry(project.into()).or_default();
        }
    }

    /// An account and namespace, made where they are missing.
    pub fn ensure_namespace(&mut self, account: &str, namespace: &str, region: &str) {
        let account = self
            .accounts
            .entry(account.into())
            .or_insert_with(|| Account { identity_region: region.into(), ..Account::default() });
        account.namespaces.entry(namespace.into()).or_default();
    }

    /// An environment, made where it is missing.
    pub fn ensure_environment(&mut self, region: &str) {
        self.environments.entry(region.into()).or_default();
    }

    /// A number no other object has.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl Profile {
    /// What no two profiles may share.
    pub fn identity(&self) -> String {
        match &self.user_name {
            Some(name) => format!("sso/{name}"),
            None => format!(
                "iam/{}/{}/{}",
                self.arn.as_deref().unwrap_or_default(),
                self.session_name.as_deref().unwrap_or_default(),
                self.principal_id.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// Looks at a new object: false while it is not to be seen yet.
pub fn seen(hidden: &mut u32) -> bool {
    let seen = *hidden == 0;
    *hidden = hidden.saturating_sub(1);
    seen
}
