//! The roster as written, checked field by field but not yet folded into entitlements.

use std::collections::BTreeMap;

use crate::input::{Located, Place};
use crate::service::quicksight::{ExternalLogin, IdentityType};
use crate::service::{ServiceKind, State, datazone, finspace, quicksight};

/// A roster with more users is refused.
pub const USERS_MAX: usize = 1_000_000;

/// Everything the roster files say.
#[derive(Debug, Default)]
pub struct Roster {
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// By id; boxed, for the nodes of the map are half empty.
    pub users: BTreeMap<String, Box<User>>,
}

/// A named bundle of entitlements.
#[derive(Debug)]
pub struct Role {
    /// Where its table starts.
    pub place: Place,
    /// For people.
    pub description: Option<String>,
    /// What it gives on every target of a service.
    pub services: BTreeMap<ServiceKind, Access>,
    /// What it gives on one target: each field wins over the service-wide one.
    pub targets: BTreeMap<String, Access>,
}

/// What a role gives on one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// In a domain.
    DataZone(datazone::Access),
    /// In a namespace.
    QuickSight(quicksight::Access),
    /// In an environment.
    FinSpace(finspace::Access),
}

/// A group the roster defines.
#[derive(Debug)]
pub struct Group {
    /// Where its table starts.
    pub place: Place,
    /// For QuickSight: the description it is created with.
    pub quicksight: Option<Option<String>>,
    /// For FinSpace: how it is created; nothing when it is there already.
    pub finspace: Option<Option<finspace::GroupDefinition>>,
}

/// A person.
#[derive(Debug)]
pub struct User {
    /// Where the table starts.
    pub place: Place,
    /// Who that is, as far as it holds for every target.
    pub person: Person,
    /// The roles, as written.
    pub roles: Vec<Located<String>>,
    /// As written; `expires` is not in it yet.
    pub state: State,
    /// From this day on treated as absent.
    pub expires: Option<jiff::civil::Date>,
    /// What differs on one target.
    pub on: BTreeMap<String, Person>,
    /// Something of it could not be read; the problem is noted, and what follows from it is not.
    pub is_broken: bool,
}

/// Who somebody is.
#[derive(Debug, Default, Clone)]
pub struct Person {
    /// The address.
    pub email: Option<String>,
    /// For FinSpace.
    pub first_name: Option<String>,
    /// For FinSpace.
    pub last_name: Option<String>,
    /// The user name at the identity provider.
    pub sso_user: Option<String>,
    /// An IAM user or role.
    pub iam_arn: Option<String>,
    /// A session of that role.
    pub session_name: Option<String>,
    /// Which of several principals that had this ARN.
    pub iam_principal_id: Option<String>,
    /// The login of an external provider.
    pub external_login: Option<ExternalLogin>,
    /// The QuickSight user name; for one target only.
    pub user_name: Option<String>,
    /// How the user signs in to QuickSight; for one target only.
    pub identity_type: Option<IdentityType>,
}

impl Person {
    /// This person with what `over` says instead.
    pub fn with(&self, over: &Person) -> Person {
        // A field added to `Person` has to be considered here.
        let Person {
            email,
            first_name,
            last_name,
            sso_user,
            iam_arn,
            session_name,
            iam_principal_id,
            external_login,
            user_name,
            identity_type,
        } = over.clone();
        // Another ARN brings its own session and principal; those of the old one would be another identity.
        let other = iam_arn.is_some();
        let old_session = self.session_name.clone().filter(|_| !other);
        let old_principal = self.iam_principal_id.clone().filter(|_| !other);
        Person {
            email: email.or_else(|| self.email.clone()),
            first_name: first_name.or_else(|| self.first_name.clone()),
            last_name: last_name.or_else(|| self.last_name.clone()),
            sso_user: sso_user.or_else(|| self.sso_user.clone()),
            iam_arn: iam_arn.or_else(|| self.iam_arn.clone()),
            session_name: session_name.or(old_session),
            iam_principal_id: iam_principal_id.or(old_principal),
            external_login: external_login.or_else(|| self.external_login.clone()),
            user_name: user_name.or_else(|| self.user_name.clone()),
            identity_type: identity_type.or(self.identity_type),
        }
    }
}
