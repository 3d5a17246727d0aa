//! Folding the values of several roles into one, noting who asks for it and who contradicts whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::super::schema::Roster;
use crate::input::{Problem, Problems};
use crate::service::Caused;

/// Where a folding stands, for its messages.
pub struct Fold<'f> {
    pub target: &'f str,
    pub user: &'f str,
    pub roster: &'f Roster,
    pub problems: &'f mut Problems,
}

/// Values without an order: two that differ contradict each other.
pub fn equal<T>(_: &T) -> u8 {
    0
}

impl Fold<'_> {
    /// The value of the highest rank and the roles that ask for it. Two different values of that rank
    /// contradict each other; what ranks lower does not matter.
    pub fn pick<'v, T: PartialEq + Clone + Display + 'v>(
        &mut self,
        what: &str,
        values: impl IntoIterator<Item = (&'v str, T)>,
        rank: impl Fn(&T) -> u8,
    ) -> Option<Caused<T>> {
        let values: Vec<(&str, T)> = values.into_iter().collect();
        let highest = values.iter().map(|(_, v)| rank(v)).max()?;
        let mut top = values.into_iter().filter(|(_, v)| rank(v) == highest);
        let (first, value) = top.next()?;
        let mut roles = vec![first.to_string()];
        for (role, other) in top {
            if other == value {
                roles.push(role.to_string());
            } else {
                self.contradiction(what, (first, &value), (role, &other));
            }
        }
        Some(Caused { value, roles })
    }

    fn contradiction<T: Display>(&mut self, what: &str, first: (&str, &T), second: (&str, &T)) {
        let message = format!(
            "roles `{}` and `{}` contradict each other on {what} of target `{}`: {} and {}",
            first.0, second.0, self.target, first.1, second.1
        );
        let help = format!("user `{}` has both; take one away, or make the roles agree", self.user);
        let place = |name: &str| self.roster.roles.get(name).map(|r| r.place);
        let problem = match (place(second.0), place(first.0)) {
            (Some(second), Some(first)) => {
                Problem::at(second, message).label("this role").also(first, "and this one")
            }
            _ => Problem::anywhere(message),
        };
        self.problems.push(problem.help(help));
    }
}

/// Adds a role's groups: there is nothing to contradict.
pub fn add_groups(
    all: &mut Option<BTreeMap<String, Vec<String>>>,
    groups: Option<&BTreeSet<String>>,
    role: &str,
) {
    let Some(groups) = groups else { return };
    let all = all.get_or_insert_default();
    for group in groups {
        all.entry(group.clone()).or_default().push(role.into());
    }
}
