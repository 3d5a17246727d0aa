//! QuickSight: users, groups and group memberships of one namespace.
//!
//! Users are indexed by user name, and by principal id where the name is lost (`N/A`, a deleted IAM
//! user). One UpdateUser carries all changed fields of a user. Lowering an author to a reader is refused
//! by the service, so it is planned as blocked and never tried.

pub mod apply;
pub mod blocked;
pub mod diff;
pub mod observe;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::index::{Index, Key};
use super::reading::Reading;
use super::{Caused, Ref, State};
use crate::plan::Subject;
use crate::words;

/// Every operation this slice can call.
pub const OPERATIONS: &[&str] = &[
    "CreateGroup",
    "CreateGroupMembership",
    "DeleteGroupMembership",
    "DeleteUser",
    "DeleteUserByPrincipalId",
    "DescribeUser",
    "ListGroupMemberships",
    "ListGroups",
    "ListUsers",
    "RegisterUser",
    "UpdateUser",
];

/// The user name of an IAM user that no longer exists.
pub const LOST_NAME: &str = "N/A";

words! {
    /// `IdentityType`.
    IdentityType {
        /// An IAM user or role.
        Iam = "IAM",
        /// A user that QuickSight manages.
        QuickSight = "QUICKSIGHT",
        /// A user of IAM Identity Center.
        IdentityCenter = "IAM_IDENTITY_CENTER",
    }
}

words! {
    /// What the user name of users without an `iam_arn` is made from.
    UserNameFrom {
        /// The e-mail address.
        Email = "email",
        /// The single sign-on user name.
        SsoUser = "sso_user",
        /// The roster id.
        Id = "id",
    }
}

words! {
    /// `UserRole`, from the most powerful down.
    Role {
        /// Manages the account, with generative features.
        AdminPro = "ADMIN_PRO",
        /// Manages the account.
        Admin = "ADMIN",
        /// Builds dashboards, with generative features.
        AuthorPro = "AUTHOR_PRO",
        /// Builds dashboards.
        Author = "AUTHOR",
        /// "Not currently available for use", says AWS; still in the model.
        RestrictedAuthor = "RESTRICTED_AUTHOR",
        /// Reads dashboards, with generative features.
        ReaderPro = "READER_PRO",
        /// Reads dashboards.
        Reader = "READER",
        /// "Not currently available for use", says AWS; still in the model.
        RestrictedReader = "RESTRICTED_READER",
    }
}

impl Role {
    /// True for the roles that only read.
    pub fn is_reader(self) -> bool {
        matches!(self, Role::ReaderPro | Role::Reader | Role::RestrictedReader)
    }

    /// True when the service refuses to go from `self` to `new` in place.
    pub fn refuses(self, new: Role) -> bool {
        !self.is_reader() && new.is_reader()
    }
}

/// The login of an external provider: `external_login` of a roster user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ExternalLogin {
    /// Amazon Cognito.
    #[serde(rename = "COGNITO")]
    Cognito {
        /// The identity's id.
        id: String,
    },
    /// Another OpenID Connect provider.
    #[serde(rename = "CUSTOM_OIDC")]
    CustomOidc {
        /// The provider's URL.
        url: String,
        /// The identity's id.
        id: String,
    },
    /// Clears what was saved.
    #[serde(rename = "NONE")]
    None,
}

impl std::fmt::Display for ExternalLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExternalLogin::Cognito { id } => write!(f, "COGNITO {id}"),
            ExternalLogin::CustomOidc { url, id } => write!(f, "CUSTOM_OIDC {id} at {url}"),
            ExternalLogin::None => f.write_str("NONE"),
        }
    }
}

/// Who a user is in the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The service assigns the user name: `Role/session`, or the IAM user's name.
    Iam {
        /// The IAM user or role.
        arn: String,
        /// The session of a role.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// The user name is ours to give.
    Named {
        /// `QUICKSIGHT` or `IAM_IDENTITY_CENTER`.
        identity_type: IdentityType,
        /// The user name.
        user_name: String,
    },
}

impl Identity {
    /// The user name, given or to be expected.
    pub fn user_name(&self) -> String {
        match self {
            Identity::Iam { arn, session } => {
                let name = arn.rsplit('/').next().unwrap_or(arn);
                session.as_ref().map_or_else(|| name.to_string(), |session| format!("{name}/{session}"))
            }
            Identity::Named { user_name, .. } => user_name.clone(),
        }
    }

    /// How it signs in.
    pub fn identity_type(&self) -> IdentityType {
        match self {
            Identity::Iam { .. } => IdentityType::Iam,
            Identity::Named { identity_type, .. } => *identity_type,
        }
    }
}

/// What a role gives in a namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// The QuickSight role.
    pub role: Option<Role>,
    /// Groups; `None` leaves memberships alone.
    pub groups: Option<BTreeSet<String>>,
    /// `Some(None)` takes the custom permissions away.
    pub custom_permissions: Option<Option<String>>,
    /// Tags given when the user is registered.
    pub tags: BTreeMap<String, String>,
}

/// What all roles of a user give together.
#[derive(Debug, Default, PartialEq)]
pub struct Grant {
    /// The most powerful of the roles' QuickSight roles.
    pub role: Option<Caused<Role>>,
    /// Group -> the roles that name it; `None` leaves memberships alone.
    pub groups: Option<BTreeMap<String, Vec<String>>>,
    /// `Some(None)` takes the custom permissions away.
    pub custom_permissions: Option<Caused<Option<String>>>,
    /// Tags given when the user is registered.
    pub tags: BTreeMap<String, String>,
    /// Every role that says something of this target.
    pub roles: Vec<String>,
}

/// A roster user in the namespace.
#[derive(Debug, PartialEq)]
pub struct DesiredUser {
    /// The user's id in the roster.
    pub user: String,
    /// Who that is here.
    pub identity: Identity,
    /// The address.
    pub email: String,
    /// `None` leaves the external login alone.
    pub external_login: Option<ExternalLogin>,
    /// The state after `expires`.
    pub state: State,
    /// What the roles give.
    pub grant: Arc<Grant>,
}

impl DesiredUser {
    /// The user name, given or to be expected.
    pub fn key(&self) -> String {
        self.identity.user_name()
    }
}

/// What the roster wants of the namespace.
#[derive(Debug, Default, PartialEq)]
pub struct Desired {
    /// Sorted by user id.
    pub users: Vec<DesiredUser>,
    /// The groups any role names, with the description a missing one is created with.
    pub groups: BTreeMap<String, Option<String>>,
    /// The account signs in through Identity Center, which keeps groups and deletes to itself.
    pub identity_center: bool,
}

/// A user as the namespace has it.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The user name; [`LOST_NAME`] for a deleted IAM user.
    pub name: String,
    /// The address.
    pub email: String,
    /// The role.
    pub role: Role,
    /// How it signs in.
    pub identity_type: IdentityType,
    /// Never changes, whatever happens to the name.
    pub principal_id: String,
    /// The custom permissions profile.
    pub custom_permissions: Option<String>,
    /// The external login.
    pub external_login: Option<ExternalLogin>,
}

/// What the namespace holds.
#[derive(Debug, Default)]
pub struct Observed {
    /// In the order they were listed.
    pub users: Vec<User>,
    /// By user name; lost names are not in it.
    by_name: Index,
    /// Group -> lower-case user names of its members; only groups the roster names.
    pub groups: BTreeMap<String, HashSet<String>>,
    /// Lower-case names of users this version does not understand, and why: nobody touches them.
    pub odd: BTreeMap<String, String>,
    /// How the users were read.
    pub reading: Reading,
    /// Principal id -> position in `users`, made when first asked for.
    by_id: OnceLock<HashMap<String, usize>>,
}

fn name_key(user: &User) -> Option<Key<'_>> {
    (user.name != LOST_NAME).then_some(Key::Name(&user.name))
}

impl Observed {
    /// Indexes a reading.
    pub fn new(
        users: Vec<User>,
        groups: BTreeMap<String, HashSet<String>>,
        odd: BTreeMap<String, String>,
    ) -> Self {
        let by_name = Index::new(&users, name_key);
        Observed { users, by_name, groups, odd, reading: Reading::List, by_id: OnceLock::new() }
    }

    /// Calls a listing of these users takes.
    pub fn pages(&self) -> usize {
        self.users.len().div_ceil(observe::PAGE as usize).max(1)
    }

    /// How many users the namespace has.
    pub fn population(&self) -> usize {
        self.reading.population(self.users.len())
    }

    /// Every user of a name, whatever its case.
    pub fn users_of(&self, name: &str) -> impl Iterator<Item = &User> {
        self.by_name.find(&self.users, Key::Name(name), name_key)
    }

    /// The user of a name: in exactly this case, or else in whatever case the service keeps it.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users_of(name).find(|u| u.name == name).or_else(|| self.users_of(name).next())
    }

    /// True when a user of this name is there, understood or not.
    pub fn holds(&self, name: &str) -> bool {
        self.user(name).is_some() || self.odd.contains_key(&name.to_lowercase())
    }

    fn by_id(&self, principal_id: &str) -> Option<&User> {
        let by_id = self.by_id.get_or_init(|| {
            self.users.iter().enumerate().map(|(at, u)| (u.principal_id.clone(), at)).collect()
        });
        by_id.get(principal_id).map(|&at| &self.users[at])
    }

    /// See [`super::Observed::current`].
    pub fn current(&self, subject: &Subject, field: &str) -> Option<String> {
        match subject {
            Subject::User { key, id } => {
                let user = id.as_ref().map_or_else(|| self.user(key), |id| self.by_id(id))?;
                match field {
                    "user_name" => Some(user.name.clone()),
                    "email" => Some(user.email.clone()),
                    "role" => Some(user.role.to_string()),
                    "custom_permissions" => user.custom_permissions.clone(),
                    "external_login" => user.external_login.as_ref().map(ToString::to_string),
                    _ => None,
                }
            }
            Subject::Group { name } => self.groups.contains_key(name).then(|| name.clone()),
            Subject::Member { container, key } => {
                self.groups.get(container)?.contains(&key.to_lowercase()).then(|| container.clone())
            }
        }
    }
}

/// What UpdateUser does with the custom permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomPermissions {
    /// Says nothing of them.
    Keep,
    /// `CustomPermissionsName`.
    Set(String),
    /// `UnapplyCustomPermissions`.
    Unapply,
}

/// The calls that make one change in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// RegisterUser.
    RegisterUser {
        /// Who.
        identity: Identity,
        /// `Email`.
        email: String,
        /// `UserRole`.
        role: Role,
        /// `CustomPermissionsName`.
        custom_permissions: Option<String>,
        /// The three parameters of the external login.
        external_login: Option<ExternalLogin>,
        /// `Tags`.
        tags: BTreeMap<String, String>,
    },
    /// UpdateUser, with everything that changed.
    UpdateUser {
        /// The user name.
        user_name: String,
        /// `Email`: required even where it stays.
        email: String,
        /// `Role`: required even where it stays.
        role: Role,
        /// The custom permissions.
        custom_permissions: CustomPermissions,
        /// The external login, where it changes.
        external_login: Option<ExternalLogin>,
    },
    /// DeleteUser.
    DeleteUser {
        /// The user name.
        user_name: String,
    },
    /// DeleteUserByPrincipalId.
    DeleteByPrincipalId {
        /// The principal id.
        principal_id: String,
    },
    /// CreateGroup.
    CreateGroup {
        /// The name.
        group: String,
        /// The description.
        description: Option<String>,
    },
    /// CreateGroupMembership.
    AddMember {
        /// The group.
        group: String,
        /// The user.
        member: Ref,
    },
    /// DeleteGroupMembership.
    RemoveMember {
        /// The group.
        group: String,
        /// The user name.
        user_name: String,
    },
}

impl Action {
    /// Values a call carries beside what it changes: they have to hold too when a saved plan is applied.
    pub fn carried(&self) -> Vec<(&'static str, String)> {
        match self {
            Action::UpdateUser { email, role, .. } => {
                vec![("email", email.clone()), ("role", role.to_string())]
            }
            _ => Vec::new(),
        }
    }

    /// See [`super::Action::calls`].
    pub fn calls(&self) -> Vec<&'static str> {
        vec![match self {
            Action::RegisterUser { .. } => "RegisterUser",
            Action::UpdateUser { .. } => "UpdateUser",
            Action::DeleteUser { .. } => "DeleteUser",
            Action::DeleteByPrincipalId { .. } => "DeleteUserByPrincipalId",
            Action::CreateGroup { .. } => "CreateGroup",
            Action::AddMember { .. } => "CreateGroupMembership",
            Action::RemoveMember { .. } => "DeleteGroupMembership",
        }]
    }
}
