//! A plan as HTTP shows it: what became of each change, and no names unless they are to be shown.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::status::{ChangeState, ChangeView, TargetPlanView};
use crate::plan::{Change, TargetPlan, Verdict, render};
use crate::reconcile::Status as Became;
use crate::telemetry::people;

/// So many changes of one target are shown over HTTP; the number of all is.
const CHANGES_MAX: usize = 10_000;

/// What a pass planned, and what became of it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: TargetPlan,
    /// When the target was read.
    pub at: Timestamp,
    /// By change id.
    pub became: HashMap<String, Became>,
    /// Ids of changes that do not converge.
    pub hopeless: BTreeSet<String>,
}

impl Planned {
    /// A change by its id.
    pub fn change(&self, id: &str) -> Option<&Change> {
        self.plan.changes.iter().find(|c| c.id == id)
    }

    /// For `/api/v1/plan` and the status page; `most` changes at most.
    pub fn view(&self, show_people: bool, most: usize) -> TargetPlanView {
        let changes = self.plan.changes.iter().take(most.min(CHANGES_MAX));
        TargetPlanView {
            target: self.plan.target.clone(),
            service: self.plan.service,
            planned: self.at,
            total: self.plan.changes.len(),
            changes: changes.map(|change| self.change_view(change, show_people)).collect(),
        }
    }

    fn change_view(&self, change: &Change, show_people: bool) -> ChangeView {
        let text =
            |text: &str| if show_people { text.to_string() } else { people::hide_principal(change, text) };
        let shown = if show_people { change.clone() } else { people::anonymous(change) };
        let (state, held_by, reason, ways_out) = match (&change.verdict, self.became.get(&change.id)) {
            (Verdict::Ready, Some(Became::Done)) => (ChangeState::Made, None, None, Vec::new()),
            (Verdict::Ready, Some(Became::Failed)) => (ChangeState::Failed, None, None, Vec::new()),
            (Verdict::Ready, _) => (ChangeState::Pending, None, None, Vec::new()),
            (Verdict::Blocked { reason, ways_out }, _) => {
                let ways_out = ways_out.iter().map(|way| text(way)).collect();
                (ChangeState::Blocked, None, Some(text(reason)), ways_out)
            }
            (Verdict::Held { by, reason }, _) => {
                (ChangeState::Held, Some(*by), Some(text(reason)), Vec::new())
            }
        };
        ChangeView {
            kind: change.kind,
            who: if show_people { change.subject.key().to_string() } else { people::stand_in(change) },
            user: change.user.as_ref().map(|user| if show_people { user.clone() } else { people::id(user) }),
            what: text(&render::what(&shown)),
            cause: if show_people {
                render::cause(change)
            } else {
                people::hide_addresses(&render::cause(change))
            },
            roles: change.roles.clone(),
            removal: change.removal,
            state,
            held_by,
            reason,
            ways_out,
        }
    }
}
