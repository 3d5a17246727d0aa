//! The three services, one slice each: `mod.rs` the types, `observe.rs` the reading,
//! `diff.rs` the pure comparison, `apply.rs` the writes. Their `observe` and `apply` are the only
//! places beside `aws/` that import an SDK.
//!
//! The enums here are the one seam between the slices and the rest: a plan holds [`Action`]s, a pass
//! holds [`Desired`] and [`Observed`], and each call below is a `match` with three arms.

pub mod datazone;
pub mod finspace;
pub mod former;
pub mod index;
pub mod quicksight;
pub mod reading;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::aws::Failure;
use crate::aws::client::Api;

use self::reading::Reading;
use crate::plan::{Change, Subject};
pub use crate::word::Word;
use crate::words;

words! {
    /// Which service a target is.
    ServiceKind {
        /// Amazon DataZone.
        DataZone = "datazone",
        /// Amazon QuickSight.
        QuickSight = "quicksight",
        /// Amazon FinSpace Data.
        FinSpace = "finspace",
    }
}

impl ServiceKind {
    /// The service's name as people write it.
    pub fn title(self) -> &'static str {
        match self {
            ServiceKind::DataZone => "DataZone",
            ServiceKind::QuickSight => "QuickSight",
            ServiceKind::FinSpace => "FinSpace",
        }
    }

    /// Every operation rosterd can call there: the whole of what its IAM policy has to allow.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            ServiceKind::DataZone => datazone::OPERATIONS,
            ServiceKind::QuickSight => quicksight::OPERATIONS,
            ServiceKind::FinSpace => finspace::OPERATIONS,
        }
    }

    /// The prefix of its IAM actions.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            ServiceKind::DataZone => "datazone",
            ServiceKind::QuickSight => "quicksight",
            ServiceKind::FinSpace => "finspace-api",
        }
    }
}

words! {
    /// What the roster says of a user as a whole.
    State {
        /// Has what the roles give.
        Active = "active",
        /// Keeps what it has, and may not use it.
        Suspended = "suspended",
        /// Is to be removed.
        Absent = "absent",
    }
}

/// A value and the roles that ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caused<T> {
    /// The value.
    pub value: T,
    /// The roles, sorted.
    pub roles: Vec<String>,
}

/// The names a change refers to before a call has assigned them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ref {
    /// The service's own id or name.
    Known(String),
    /// What the change with this id will have created.
    CreatedBy(String),
}

/// What the roster wants of one target.
#[derive(Debug, PartialEq)]
pub enum Desired {
    /// Of a DataZone domain.
    DataZone(datazone::Desired),
    /// Of a QuickSight namespace.
    QuickSight(quicksight::Desired),
    /// Of a FinSpace environment.
    FinSpace(finspace::Desired),
}

/// What one target holds: everything the roster could differ from, or it does not exist (invariant 3).
#[derive(Debug)]
pub enum Observed {
    /// Of a DataZone domain.
    DataZone(datazone::Observed),
    /// Of a QuickSight namespace.
    QuickSight(quicksight::Observed),
    /// Of a FinSpace environment.
    FinSpace(finspace::Observed),
}

/// The call or calls that make one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "service", rename_all = "lowercase")]
pub enum Action {
    /// In DataZone.
    DataZone(datazone::Action),
    /// In QuickSight.
    QuickSight(quicksight::Action),
    /// In FinSpace.
    FinSpace(finspace::Action),
}

/// The differences of one target before policy and caps have looked at them.
#[derive(Debug, Default)]
pub struct Diff {
    /// In an order that respects dependencies.
    pub changes: Vec<Change>,
    /// Roster users on this target.
    pub listed: usize,
    /// Of those, the ones with nothing to do.
    pub in_step: usize,
    /// Roster users that are to have access.
    pub wanted: usize,
    /// Principals the target holds.
    pub population: usize,
}

/// Which principal each roster user had when last seen: what tells a rename from a new person.
pub type Known = BTreeMap<String, String>;

/// Compares; pure. `None` when the two are not of one service.
pub fn diff(target: &str, desired: &Desired, observed: &Observed, known: &Known) -> Option<Diff> {
    Some(match (desired, observed) {
        (Desired::DataZone(d), Observed::DataZone(o)) => datazone::diff::diff(target, d, o, known),
        (Desired::QuickSight(d), Observed::QuickSight(o)) => quicksight::diff::diff(target, d, o, known),
        (Desired::FinSpace(d), Observed::FinSpace(o)) => finspace::diff::diff(target, d, o, known),
        _ => return None,
    })
}

impl Desired {
    /// Roster user -> principal, for [`Known`].
    pub fn principals(&self) -> Known {
        match self {
            Desired::DataZone(d) => d.users.iter().map(|u| (u.user.clone(), u.identity.key())).collect(),
            Desired::QuickSight(d) => d.users.iter().map(|u| (u.user.clone(), u.key())).collect(),
            Desired::FinSpace(d) => d.users.iter().map(|u| (u.user.clone(), u.key())).collect(),
        }
    }
}

impl Desired {
    /// How many users the roster has here.
    pub fn len(&self) -> usize {
        match self {
            Desired::DataZone(d) => d.users.len(),
            Desired::QuickSight(d) => d.users.len(),
            Desired::FinSpace(d) => d.users.len(),
        }
    }

    /// True when it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has a group or project read that only a saved plan names.
    pub fn also_read(&mut self, container: &str) {
        match self {
            Desired::DataZone(d) => _ = d.projects.insert(container.into()),
            Desired::QuickSight(d) => _ = d.groups.entry(container.into()).or_default(),
            Desired::FinSpace(d) => _ = d.groups.entry(container.into()).or_default(),
        }
    }
}

impl Observed {
    /// True when it shows everybody who is there, not only those who were asked for by name.
    pub fn is_listing(&self) -> bool {
        match self {
            Observed::DataZone(o) => o.reading == Reading::List,
            Observed::QuickSight(o) => o.reading == Reading::List,
            Observed::FinSpace(_) => true,
        }
    }

    /// True when a principal of this key is there and has access: one that was disabled is nobody's loss.
    pub fn is_live(&self, key: &str) -> bool {
        match self {
            Observed::DataZone(o) => o.of_key(key).any(|p| p.status.is_enabled()),
            Observed::QuickSight(o) => o.holds(key),
            Observed::FinSpace(o) => o.user(key).is_some_and(|u| u.status != finspace::Status::Disabled),
        }
    }

    /// True when a principal of this key is there.
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Observed::DataZone(o) => o.of_key(key).next().is_some(),
            Observed::QuickSight(o) => o.holds(key),
            Observed::FinSpace(o) => o.user(key).is_some(),
        }
    }

    /// The present value of one field of a subject; `None` where the subject or the value is not there.
    pub fn current(&self, subject: &Subject, field: &str) -> Option<String> {
        match self {
            Observed::DataZone(o) => o.current(subject, field),
            Observed::QuickSight(o) => o.current(subject, field),
            Observed::FinSpace(o) => o.current(subject, field),
        }
    }
}

impl Action {
    /// The calls it makes when nothing goes wrong, by operation.
    pub fn calls(&self) -> Vec<&'static str> {
        match self {
            Action::DataZone(a) => a.calls(),
            Action::QuickSight(a) => a.calls(),
            Action::FinSpace(a) => a.calls(),
        }
    }

    /// Values it carries beside what it changes.
    pub fn carried(&self) -> Vec<(&'static str, String)> {
        match self {
            Action::QuickSight(a) => a.carried(),
            Action::DataZone(_) | Action::FinSpace(_) => Vec::new(),
        }
    }

    /// Actions of one lane run one after the other.
    pub fn lane(&self) -> Option<&'static str> {
        match self {
            Action::DataZone(a) => a.lane(),
            Action::QuickSight(_) | Action::FinSpace(_) => None,
        }
    }
}

/// What earlier changes of this pass have created, by change id.
#[derive(Debug, Default, Clone)]
pub struct Made {
    /// The id or name a change has created.
    pub ids: HashMap<String, String>,
    /// The change follows another of this pass, whose effect may not be visible yet.
    pub fresh: bool,
}

impl Made {
    /// The id or name a reference stands for; nothing when its change did not create it.
    pub fn get<'m>(&'m self, reference: &'m Ref) -> Option<&'m str> {
        match reference {
            Ref::Known(id) => Some(id),
            Ref::CreatedBy(change) => self.ids.get(change).map(String::as_str),
        }
    }
}

/// What came of an action that succeeded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The id or name the service gave.
    pub created: Option<String>,
    /// What a person should know of it.
    pub note: Option<String>,
}

/// Reads a target. `None` when the API and the wish are not of one service.
pub async fn observe(api: &Api, desired: &Desired, reading: Reading) -> Option<Result<Observed, Failure>> {
    Some(match (api, desired) {
        (Api::DataZone(a), Desired::DataZone(d)) => {
            datazone::observe::observe(a, d, reading).await.map(Observed::DataZone)
        }
        (Api::QuickSight(a), Desired::QuickSight(d)) => {
            quicksight::observe::observe(a, d, reading).await.map(Observed::QuickSight)
        }
        (Api::FinSpace(a), Desired::FinSpace(d)) => {
            finspace::observe::observe(a, d).await.map(Observed::FinSpace)
        }
        _ => return None,
    })
}

/// Makes one change. `None` when the API and the action are not of one service.
pub async fn apply(api: &Api, action: &Action, made: &Made) -> Option<Result<Outcome, Failure>> {
    Some(match (api, action) {
        (Api::DataZone(api), Action::DataZone(a)) => datazone::apply::apply(api, a, made).await,
        (Api::QuickSight(api), Action::QuickSight(a)) => quicksight::apply::apply(api, a, made).await,
        (Api::FinSpace(api), Action::FinSpace(a)) => finspace::apply::apply(api, a, made).await,
        _ => return None,
    })
}
