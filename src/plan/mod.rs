//! What differs and what is to be done about it, as plain data: pure, synchronous, the same bytes for the
//! same inputs.
//!
//! A [`Change`] carries old and new, so that one value drives the text a person reads, the call that is
//! made and the check that the old value still holds. [`guard`] decides which changes may go ahead,
//! [`cost`] counts their calls, [`render`] shows them, [`saved`] writes them down and reads them back.

pub mod change;
pub mod cost;
pub mod guard;
pub mod render;
pub mod saved;

use serde::{Deserialize, Serialize};

pub use self::change::{Change, Field, HeldBy, Kind, Removal, Subject, Verdict};
use crate::service::ServiceKind;

/// The changes of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// The target's name.
    pub target: String,
    /// Which service it is.
    pub service: ServiceKind,
    /// Which domain, namespace or environment: a saved plan is for this place only.
    pub place: String,
    /// The policy in force.
    pub policy: guard::Policy,
    /// Only those on the roster were asked for, by name: nobody differs, and the others were not looked at.
    #[serde(default)]
    pub by_name: bool,
    /// Principals the target holds; when it was last listed, where `by_name`.
    pub population: usize,
    /// Roster users on the target.
    pub listed: usize,
    /// Of those, the ones with nothing to do.
    pub in_step: usize,
    /// Principals in scope that the roster does not list and policy leaves alone.
    pub unlisted: usize,
    /// Principals outside the scope.
    pub out_of_scope: usize,
    /// In an order that respects dependencies.
    pub changes: Vec<Change>,
}

/// A target that could not be observed: it gets no plan in this pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unobserved {
    /// The target's name.
    pub target: String,
    /// Which service it is.
    pub service: ServiceKind,
    /// What went wrong, and what to do.
    pub error: String,
}

/// What one pass would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// By target name.
    pub targets: Vec<TargetPlan>,
    /// Targets that could not be observed in full.
    pub unobserved: Vec<Unobserved>,
}

impl Plan {
    /// Every change of every target.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.targets.iter().flat_map(|t| &t.changes)
    }

    /// How many changes may go ahead.
    pub fn ready(&self) -> usize {
        self.changes().filter(|c| c.is_ready()).count()
    }

    /// True when a guard holds back a change that the policy itself allows.
    pub fn is_held_by_guard(&self) -> bool {
        self.changes()
            .any(|c| matches!(&c.verdict, Verdict::Held { by: HeldBy::RemovalCap | HeldBy::EmptyRoster, .. }))
    }
}
