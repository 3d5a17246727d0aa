//! DataZone: user profiles and project memberships of one domain.
//!
//! A profile is never deleted; access is taken away by its status. A membership is never updated; a new
//! designation is delete + create. Which of the two enabled (or two disabled) statuses a profile has is
//! the service's business unless the roster names one exactly.

pub mod apply;
pub mod diff;
pub mod observe;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::index::{Index, Key};
use super::reading::Reading;
use super::{Caused, Ref, State};
use crate::plan::Subject;
use crate::words;

/// Every operation this slice can call.
pub const OPERATIONS: &[&str] = &[
    "CreateProjectMembership",
    "CreateUserProfile",
    "DeleteProjectMembership",
    "GetUserProfile",
    "ListProjectMemberships",
    "SearchUserProfiles",
    "UpdateUserProfile",
];

words! {
    /// `status` of a user profile.
    Status {
        /// May use the domain; has not signed in yet.
        Assigned = "ASSIGNED",
        /// May not use the domain.
        NotAssigned = "NOT_ASSIGNED",
        /// Uses the domain.
        Activated = "ACTIVATED",
        /// May no longer use the domain.
        Deactivated = "DEACTIVATED",
    }
}

impl Status {
    /// True where the person may use the domain.
    pub fn is_enabled(self) -> bool {
        matches!(self, Status::Assigned | Status::Activated)
    }
}

words! {
    /// What a role says of access to the domain.
    AccessWish {
        /// `ASSIGNED` or `ACTIVATED`, whichever the service has.
        Enabled = "enabled",
        /// `NOT_ASSIGNED` or `DEACTIVATED`, whichever the service has.
        Disabled = "disabled",
        /// Exactly this status.
        Assigned = "ASSIGNED",
        /// Exactly this status.
        NotAssigned = "NOT_ASSIGNED",
        /// Exactly this status.
        Activated = "ACTIVATED",
        /// Exactly this status.
        Deactivated = "DEACTIVATED",
    }
}

impl AccessWish {
    /// True when a profile of this status is what the roster asks for.
    pub fn is_met_by(self, status: Status) -> bool {
        match self {
            AccessWish::Enabled => status.is_enabled(),
            AccessWish::Disabled => !status.is_enabled(),
            exact => exact.exact() == Some(status),
        }
    }

    /// True when it asks for access.
    pub fn wants_access(self) -> bool {
        self.exact().map_or(self == AccessWish::Enabled, Status::is_enabled)
    }

    /// The status it names, if it names one.
    pub fn exact(self) -> Option<Status> {
        match self {
            AccessWish::Enabled | AccessWish::Disabled => None,
            AccessWish::Assigned => Some(Status::Assigned),
            AccessWish::NotAssigned => Some(Status::NotAssigned),
            AccessWish::Activated => Some(Status::Activated),
            AccessWish::Deactivated => Some(Status::Deactivated),
        }
    }
}

words! {
    /// `designation` of a project membership.
    DesignationKind {
        /// Owns the project.
        Owner = "PROJECT_OWNER",
        /// Works in the project.
        Contributor = "PROJECT_CONTRIBUTOR",
        /// Curates the catalog.
        CatalogSteward = "PROJECT_CATALOG_STEWARD",
        /// Uses the catalog.
        CatalogConsumer = "PROJECT_CATALOG_CONSUMER",
        /// Reads the catalog.
        CatalogViewer = "PROJECT_CATALOG_VIEWER",
        /// One the domain defined; goes with an id.
        UserCreated = "USER_CREATED_DESIGNATION",
    }
}

/// A designation, with the id where it is one the domain defined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Designation {
    /// Which.
    pub kind: DesignationKind,
    /// `userCreatedDesignationId`, with `USER_CREATED_DESIGNATION` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Designation {
    /// Of several roles the higher rank wins; equal ranks that differ contradict each other.
    pub fn rank(&self) -> u8 {
        match self.kind {
            DesignationKind::Owner => 3,
            DesignationKind::Contributor => 2,
            DesignationKind::CatalogSteward
            | DesignationKind::CatalogConsumer
            | DesignationKind::UserCreated => 1,
            DesignationKind::CatalogViewer => 0,
        }
    }
}

impl std::fmt::Display for Designation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}:{id}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

/// Who a user is in the domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A user of IAM Identity Center, by user name.
    Sso {
        /// The user name.
        user_name: String,
    },
    /// An IAM user, an IAM role or one session of a role.
    Iam {
        /// Its ARN.
        arn: String,
        /// The session, for a role session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// Tells apart the profiles a re-created role leaves behind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal_id: Option<String>,
    },
}

impl Identity {
    fn index_key(&self) -> Key<'_> {
        match self {
            Identity::Sso { user_name } => Key::Name(user_name),
            Identity::Iam { arn, session, .. } => Key::Arn(arn, session.as_deref()),
        }
    }

    /// What it is known by in plans and messages: the user name, the ARN, or `ARN#session`.
    pub fn key(&self) -> String {
        match self {
            Identity::Sso { user_name } => user_name.clone(),
            Identity::Iam { arn, session: Some(session), .. } => format!("{arn}#{session}"),
            Identity::Iam { arn, session: None, .. } => arn.clone(),
        }
    }
}

/// What a role gives in a domain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// Access as a whole.
    pub access: Option<AccessWish>,
    /// Designation by project id; `None` leaves memberships alone.
    pub projects: Option<BTreeMap<String, Designation>>,
}

/// What all roles of a user give together.
#[derive(Debug, Default, PartialEq)]
pub struct Grant {
    /// Access as a whole.
    pub access: Option<Caused<AccessWish>>,
    /// Designation by project id; `None` leaves memberships alone.
    pub projects: Option<BTreeMap<String, Caused<Designation>>>,
    /// Every role that says something of this target.
    pub roles: Vec<String>,
}

/// A roster user in the domain.
#[derive(Debug, PartialEq)]
pub struct DesiredUser {
    /// The user's id in the roster.
    pub user: String,
    /// Who that is here.
    pub identity: Identity,
    /// The address, which `protected` may name.
    pub email: Option<String>,
    /// The state after `expires`.
    pub state: State,
    /// What the roles give.
    pub grant: Arc<Grant>,
}

/// What the roster wants of the domain.
#[derive(Debug, Default, PartialEq)]
pub struct Desired {
    /// Sorted by user id.
    pub users: Vec<DesiredUser>,
    /// The projects any role names: the only ones whose memberships are read.
    pub projects: BTreeSet<String>,
    /// Unlisted profiles matter (policy `sync`).
    pub all_profiles: bool,
}

/// A user profile as the domain has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The profile's id.
    pub id: String,
    /// Who it is for.
    pub identity: Identity,
    /// Its status.
    pub status: Status,
}

/// What the domain holds.
#[derive(Debug, Default)]
pub struct Observed {
    /// In the order they were listed.
    pub profiles: Vec<Profile>,
    /// By user name or ARN.
    by_key: Index,
    /// Project id -> profile id -> designation.
    pub memberships: BTreeMap<String, HashMap<String, Designation>>,
    /// Projects the roster names and the domain does not have.
    pub missing_projects: BTreeSet<String>,
    /// How the profiles were read.
    pub reading: Reading,
    /// Profile id -> position in `profiles`, made when first asked for.
    by_id: OnceLock<HashMap<String, usize>>,
}

fn profile_key(profile: &Profile) -> Option<Key<'_>> {
    Some(profile.identity.index_key())
}

impl Observed {
    /// Indexes a reading.
    pub fn new(
        profiles: Vec<Profile>,
        memberships: BTreeMap<String, HashMap<String, Designation>>,
        missing_projects: BTreeSet<String>,
    ) -> Self {
        let by_key = Index::new(&profiles, profile_key);
        let (reading, by_id) = (Reading::List, OnceLock::new());
        Observed { profiles, by_key, memberships, missing_projects, reading, by_id }
    }

    /// Calls a listing of these profiles takes: each kind is listed on its own.
    pub fn pages(&self) -> usize {
        let sso = self.profiles.iter().filter(|p| matches!(p.identity, Identity::Sso { .. })).count();
        let pages = |count: usize| count.div_ceil(observe::PAGE as usize).max(1);
        pages(sso) + pages(self.profiles.len() - sso)
    }

    /// How many profiles the domain has.
    pub fn population(&self) -> usize {
        self.reading.population(self.profiles.len())
    }

    /// The profiles a key of a plan or of memory stands for.
    pub fn of_key(&self, key: &str) -> impl Iterator<Item = &Profile> {
        let wanted = match key.split_once('#') {
            _ if !key.starts_with("arn:") => Key::Name(key),
            Some((arn, session)) => Key::Arn(arn, Some(session)),
            None => Key::Arn(key, None),
        };
        self.by_key.find(&self.profiles, wanted, profile_key)
    }

    /// The profiles of an identity: several where an IAM role was made anew under its old ARN.
    pub fn matching(&self, identity: &Identity) -> Vec<&Profile> {
        let wanted = match identity {
            Identity::Iam { principal_id, .. } => principal_id.as_deref(),
            Identity::Sso { .. } => None,
        };
        let key = identity.key();
        self.of_key(&key)
            .filter(|p| match (&p.identity, wanted) {
                (Identity::Iam { principal_id: Some(id), .. }, Some(wanted)) => id == wanted,
                _ => true,
            })
            .collect()
    }

    /// What a profile is called as a member: with its id where its key is not enough.
    pub fn member_key(&self, profile: &Profile) -> String {
        let key = profile.identity.key();
        if self.of_key(&key).count() > 1 { format!("{key} {}", profile.id) } else { key }
    }

    /// See [`super::Observed::current`].
    pub fn current(&self, subject: &Subject, field: &str) -> Option<String> {
        match (subject, field) {
            (Subject::User { id: Some(id), .. }, "status") => {
                let by_id = self.by_id.get_or_init(|| {
                    self.profiles.iter().enumerate().map(|(at, p)| (p.id.clone(), at)).collect()
                });
                by_id.get(id).map(|&at| self.profiles[at].status.to_string())
            }
            (Subject::User { key, id: None }, "status") => {
                self.of_key(key).next().map(|p| p.status.to_string())
            }
            (Subject::Member { container, key }, "designation") => {
                let members = self.memberships.get(container)?;
                let by_id = key.split_once(' ').and_then(|(_, id)| members.get(id));
                by_id.or_else(|| self.of_key(key).find_map(|p| members.get(&p.id))).map(ToString::to_string)
            }
            _ => None,
        }
    }
}

/// The calls that make one change in a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// CreateUserProfile, and UpdateUserProfile where an exact status is asked for.
    CreateProfile {
        /// Who.
        identity: Identity,
        /// The exact status the roster names.
        status: Option<Status>,
    },
    /// UpdateUserProfile.
    SetStatus {
        /// The profile's id.
        profile_id: String,
        /// Who, for the profile type.
        identity: Identity,
        /// The new status.
        status: Status,
    },
    /// CreateProjectMembership.
    AddMember {
        /// The project.
        project: String,
        /// The profile.
        member: Ref,
        /// As what.
        designation: Designation,
    },
    /// DeleteProjectMembership and CreateProjectMembership, in that order.
    ChangeDesignation {
        /// The project.
        project: String,
        /// The profile's id.
        profile_id: String,
        /// What it is now: what a failed change goes back to.
        old: Designation,
        /// What it becomes.
        new: Designation,
    },
    /// DeleteProjectMembership.
    RemoveMember {
        /// The project.
        project: String,
        /// The profile's id.
        profile_id: String,
    },
}

impl Action {
    /// See [`super::Action::calls`].
    pub fn calls(&self) -> Vec<&'static str> {
        match self {
            Action::CreateProfile { status: None, .. } => vec!["CreateUserProfile"],
            Action::CreateProfile { status: Some(_), .. } => vec!["CreateUserProfile", "UpdateUserProfile"],
            Action::SetStatus { .. } => vec!["UpdateUserProfile"],
            Action::AddMember { .. } => vec!["CreateProjectMembership"],
            Action::ChangeDesignation { .. } => vec!["DeleteProjectMembership", "CreateProjectMembership"],
            Action::RemoveMember { .. } => vec!["DeleteProjectMembership"],
        }
    }

    /// Single sign-on profiles are created one at a time: Identity Center refuses two at once.
    pub fn lane(&self) -> Option<&'static str> {
        matches!(self, Action::CreateProfile { identity: Identity::Sso { .. }, .. }).then_some("datazone-sso")
    }
}
