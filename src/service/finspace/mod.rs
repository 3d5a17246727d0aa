//! FinSpace Data: users and permission groups of one environment.
//!
//! The e-mail address is the natural key, compared without regard to case; the service assigns the user
//! id, so observing is by listing. A user is disabled, never deleted. AWS ended FinSpace on 2026-10-07;
//! `check` says so, and a dead endpoint holds no other target back.

pub mod apply;
pub mod diff;
pub mod observe;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::index::{Index, Key};
use super::{Caused, Ref, State};
use crate::plan::Subject;
use crate::words;

/// Every operation this slice can call.
pub const OPERATIONS: &[&str] = &[
    "AssociateUserToPermissionGroup",
    "CreatePermissionGroup",
    "CreateUser",
    "DisableUser",
    "DisassociateUserFromPermissionGroup",
    "EnableUser",
    "GetUser",
    "ListPermissionGroups",
    "ListUsers",
    "ListUsersByPermissionGroup",
    "UpdateUser",
];

words! {
    /// `type` of a user, from the most powerful down.
    UserType {
        /// All functionality and data.
        SuperUser = "SUPER_USER",
        /// What permission groups give.
        AppUser = "APP_USER",
    }
}

words! {
    /// `apiAccess`.
    ApiAccess {
        /// May obtain credentials for the API.
        Enabled = "ENABLED",
        /// May not.
        Disabled = "DISABLED",
    }
}

words! {
    /// `status` of a user.
    Status {
        /// Being made: counts as enabled.
        Creating = "CREATING",
        /// May sign in.
        Enabled = "ENABLED",
        /// May not sign in.
        Disabled = "DISABLED",
    }
}

words! {
    /// One of `applicationPermissions`.
    AppPermission {
        /// Creates data sets.
        CreateDataset = "CreateDataset",
        /// Manages clusters.
        ManageClusters = "ManageClusters",
        /// Manages users and groups.
        ManageUsersAndGroups = "ManageUsersAndGroups",
        /// Manages attribute sets.
        ManageAttributeSets = "ManageAttributeSets",
        /// Reads audit data.
        ViewAuditData = "ViewAuditData",
        /// Opens notebooks.
        AccessNotebooks = "AccessNotebooks",
        /// Obtains temporary credentials.
        GetTemporaryCredentials = "GetTemporaryCredentials",
    }
}

/// What a role gives in an environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// `type`.
    pub user_type: Option<UserType>,
    /// `apiAccess`.
    pub api_access: Option<ApiAccess>,
    /// `apiAccessPrincipalArn`.
    pub api_access_principal_arn: Option<String>,
    /// Permission groups by name; `None` leaves memberships alone.
    pub permission_groups: Option<BTreeSet<String>>,
}

/// What all roles of a user give together.
#[derive(Debug, Default, PartialEq)]
pub struct Grant {
    /// The most powerful type.
    pub user_type: Option<Caused<UserType>>,
    /// `apiAccess`.
    pub api_access: Option<Caused<ApiAccess>>,
    /// `apiAccessPrincipalArn`.
    pub api_access_principal_arn: Option<Caused<String>>,
    /// Permission group -> the roles that name it; `None` leaves memberships alone.
    pub permission_groups: Option<BTreeMap<String, Vec<String>>>,
    /// Every role that says something of this target.
    pub roles: Vec<String>,
}

/// A roster user in the environment.
#[derive(Debug, PartialEq)]
pub struct DesiredUser {
    /// The user's id in the roster.
    pub user: String,
    /// The address: the key.
    pub email: String,
    /// `firstName`.
    pub first_name: Option<String>,
    /// `lastName`.
    pub last_name: Option<String>,
    /// The state after `expires`.
    pub state: State,
    /// What the roles give.
    pub grant: Arc<Grant>,
}

impl DesiredUser {
    /// The address in lower case.
    pub fn key(&self) -> String {
        self.email.to_lowercase()
    }
}

/// A permission group the roster defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDefinition {
    /// `description`.
    pub description: Option<String>,
    /// `applicationPermissions`.
    pub application_permissions: Vec<AppPermission>,
}

/// What the roster wants of the environment.
#[derive(Debug, Default, PartialEq)]
pub struct Desired {
    /// Sorted by user id.
    pub users: Vec<DesiredUser>,
    /// The permission groups any role names, with their definition where the roster has one.
    pub groups: BTreeMap<String, Option<GroupDefinition>>,
}

/// A user as the environment has it.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Assigned by the service.
    pub id: String,
    /// The address, as the service keeps it.
    pub email: String,
    /// The status.
    pub status: Status,
    /// The type.
    pub user_type: UserType,
    /// `firstName`.
    pub first_name: Option<String>,
    /// `lastName`.
    pub last_name: Option<String>,
    /// `apiAccess`.
    pub api_access: Option<ApiAccess>,
    /// `apiAccessPrincipalArn`.
    pub api_access_principal_arn: Option<String>,
}

/// A permission group as the environment has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// Assigned by the service.
    pub id: String,
    /// User ids; one whose addition is in progress is in, one whose removal is in progress is out.
    pub members: HashSet<String>,
}

/// What the environment holds.
#[derive(Debug, Default)]
pub struct Observed {
    /// In the order they were listed.
    pub users: Vec<User>,
    /// By address.
    by_email: Index,
    /// Permission groups by name; members are read only of those the roster names.
    pub groups: BTreeMap<String, Group>,
}

fn email_key(user: &User) -> Option<Key<'_>> {
    Some(Key::Name(&user.email))
}

impl Observed {
    /// Indexes a complete reading.
    pub fn new(users: Vec<User>, groups: BTreeMap<String, Group>) -> Self {
        let by_email = Index::new(&users, email_key);
        Observed { users, by_email, groups }
    }

    /// The user of an address.
    pub fn user(&self, email: &str) -> Option<&User> {
        self.by_email.find(&self.users, Key::Name(email), email_key).last()
    }

    /// See [`super::Observed::current`].
    pub fn current(&self, subject: &Subject, field: &str) -> Option<String> {
        match subject {
            Subject::User { key, .. } => {
                let user = self.user(key)?;
                match field {
                    "status" => Some(user.status.to_string()),
                    "type" => Some(user.user_type.to_string()),
                    "first_name" => user.first_name.clone(),
                    "last_name" => user.last_name.clone(),
                    "api_access" => user.api_access.map(|a| a.to_string()),
                    "api_access_principal_arn" => user.api_access_principal_arn.clone(),
                    _ => None,
                }
            }
            Subject::Group { name } => self.groups.contains_key(name).then(|| name.clone()),
            Subject::Member { container, key } => {
                let user = self.user(key)?;
                self.groups.get(container)?.members.contains(&user.id).then(|| container.clone())
            }
        }
    }
}

/// The calls that make one change in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// CreateUser.
    CreateUser {
        /// `emailAddress`.
        email: String,
        /// `type`.
        user_type: UserType,
        /// `firstName`.
        first_name: Option<String>,
        /// `lastName`.
        last_name: Option<String>,
        /// `apiAccess`.
        api_access: Option<ApiAccess>,
        /// `apiAccessPrincipalArn`.
        api_access_principal_arn: Option<String>,
    },
    /// UpdateUser: only what changes.
    UpdateUser {
        /// `userId`.
        user_id: String,
        /// `type`.
        user_type: Option<UserType>,
        /// `firstName`.
        first_name: Option<String>,
        /// `lastName`.
        last_name: Option<String>,
        /// `apiAccess`.
        api_access: Option<ApiAccess>,
        /// `apiAccessPrincipalArn`.
        api_access_principal_arn: Option<String>,
    },
    /// EnableUser.
    Enable {
        /// `userId`.
        user_id: String,
    },
    /// DisableUser.
    Disable {
        /// `userId`.
        user_id: String,
    },
    /// CreatePermissionGroup.
    CreateGroup {
        /// `name`.
        group: String,
        /// The rest.
        definition: GroupDefinition,
    },
    /// AssociateUserToPermissionGroup.
    AddMember {
        /// The permission group.
        group: Ref,
        /// The user.
        user: Ref,
    },
    /// DisassociateUserFromPermissionGroup.
    RemoveMember {
        /// The permission group's id.
        group_id: String,
        /// `userId`.
        user_id: String,
    },
}

impl Action {
    /// See [`super::Action::calls`].
    pub fn calls(&self) -> Vec<&'static str> {
        vec![match self {
            Action::CreateUser { .. } => "CreateUser",
            Action::UpdateUser { .. } => "UpdateUser",
            Action::Enable { .. } => "EnableUser",
            Action::Disable { .. } => "DisableUser",
            Action::CreateGroup { .. } => "CreatePermissionGroup",
            Action::AddMember { .. } => "AssociateUserToPermissionGroup",
            Action::RemoveMember { .. } => "DisassociateUserFromPermissionGroup",
        }]
    }
}
