//! Folding roles into what each target should hold. Pure: the day is an argument.
//!
//! Most people share a handful of role combinations, so the roles of each combination are folded once per
//! target and shared. Of ordered values the most powerful wins; contradictions without an order are
//! problems that name both roles (`fold`). One file a service says who a user is there.

mod datazone;
mod finspace;
mod fold;
mod quicksight;

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use jiff::civil::Date;

use self::fold::Fold;
use super::schema::{Access, Person, Roster, User};
use crate::config::{Service, Settings, Target};
use crate::input::{Place, Problem, Problems};
use crate::service::{Desired, State};

/// What every target should hold.
pub fn resolve(
    roster: &Roster,
    settings: &Settings,
    today: Date,
    problems: &mut Problems,
) -> BTreeMap<String, Desired> {
    let before = problems.counts().0;
    let mut all = BTreeMap::new();
    for target in settings.targets.values() {
        let view = View { roster, target, today };
        let desired = match &target.service {
            Service::DataZone { .. } => Desired::DataZone(datazone::resolve(view, problems)),
            Service::QuickSight { identity_type, user_name_from, .. } => {
                Desired::QuickSight(quicksight::resolve(view, *identity_type, *user_name_from, problems))
            }
            Service::FinSpace => Desired::FinSpace(finspace::resolve(view, problems)),
        };
        all.insert(target.name.clone(), desired);
    }
    if !roster.users.is_empty() && roster.users.values().all(|u| state_on(u, today) == State::Absent) {
        problems.push(Problem::anywhere("every user of the roster is absent or has expired").help(
            "a roster that shrank to nothing is never taken for a wish; keep at least one active user",
        ));
    }
    if problems.counts().0 > before { BTreeMap::new() } else { all }
}

/// The state of a user on a day.
pub fn state_on(user: &User, today: Date) -> State {
    if user.expires.is_some_and(|day| today >= day) { State::Absent } else { user.state }
}

/// What the roles of a user say of a target, each with its name.
pub fn granted<'r>(roster: &'r Roster, user: &'r User, target: &Target) -> Vec<(&'r str, Access)> {
    let mut names: Vec<&str> = user.roles.iter().map(|r| r.value.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of_role = |name: &'r str| {
        let role = roster.roles.get(name)?;
        let access = match (role.services.get(&target.kind()), role.targets.get(&target.name)) {
            (Some(base), Some(over)) => base.with(over),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => return None,
        };
        Some((name, access))
    };
    names.into_iter().filter_map(of_role).collect()
}

/// One target's view of the roster.
#[derive(Clone, Copy)]
struct View<'r> {
    roster: &'r Roster,
    target: &'r Target,
    today: Date,
}

/// Who somebody is on a target.
enum Whose<'r> {
    /// The same as everywhere.
    Everywhere(&'r Person),
    /// Something differs here.
    Here(Box<Person>),
}

impl Deref for Whose<'_> {
    type Target = Person;

    fn deref(&self) -> &Person {
        match self {
            Whose::Everywhere(person) => person,
            Whose::Here(person) => person,
        }
    }
}

/// A user that matters to a target.
struct Listed<'r, G> {
    id: &'r str,
    place: Place,
    /// Who that is here.
    person: Whose<'r>,
    /// What the roster says for this target alone.
    over: Option<&'r Person>,
    state: State,
    grant: Arc<G>,
    /// Named by no role, only to be absent: where it cannot be there, that is no mistake.
    in_passing: bool,
}

impl<'r> View<'r> {
    /// The users that matter here, each with the grant of its combination of roles: those a role gives
    /// something, whatever their state, and those without any role who are to be absent everywhere.
    fn listed<G: Default>(
        self,
        problems: &mut Problems,
        fold: impl Fn(&[(&str, Access)], &mut Fold<'_>) -> G,
    ) -> Vec<Listed<'r, G>> {
        let View { roster, target, today } = self;
        let mut combinations: HashMap<Vec<&str>, Option<Arc<G>>> = HashMap::new();
        let mut all = Vec::new();
        for (id, user) in roster.users.iter().filter(|(_, u)| !u.is_broken) {
            let state = state_on(user, today);
            let names: Vec<&str> = user.roles.iter().map(|r| r.value.as_str()).collect();
            let grant = combinations.entry(names).or_insert_with(|| {
                let granted = granted(roster, user, target);
                let mut folding = Fold { target: &target.name, user: id, roster, problems };
                (!granted.is_empty()).then(|| Arc::new(fold(&granted, &mut folding)))
            });
            let in_passing = user.roles.is_empty() && state == State::Absent;
            let grant = match grant {
                Some(grant) => Arc::clone(grant),
                None if in_passing => Arc::default(),
                None => continue,
            };
            let over = user.on.get(&target.name);
            let person = match over {
                None => Whose::Everywhere(&user.person),
                Some(over) => Whose::Here(Box::new(user.person.with(over))),
            };
            all.push(Listed { id, place: user.place, person, over, state, grant, in_passing });
        }
        // In passing goes last, so that a user with a role is the one who counts.
        all.sort_by_key(|l| l.in_passing);
        all
    }

    /// What any role says of this target.
    fn accesses(self) -> Vec<Access> {
        let blocks = self.roster.roles.values().filter_map(|role| {
            let base = role.services.get(&self.target.kind());
            let over = role.targets.get(&self.target.name);
            match (base, over) {
                (Some(base), Some(over)) => Some(base.with(over)),
                (base, over) => over.or(base).cloned(),
            }
        });
        blocks.collect()
    }

    /// Reports what is wrong with a user here, unless the user is listed in passing.
    fn object<G>(self, listed: &Listed<'_, G>, what: &str, problems: &mut Problems) {
        if listed.in_passing {
            return;
        }
        let target = &self.target.name;
        let message =
            format!("user `{}` on target `{target}` ({}): {what}", listed.id, self.target.kind().title());
        let help =
            format!("correct the user, or for this target alone: users.{}.on.{target} = {{ … }}", listed.id);
        // What stands between backticks there is a value of the user's.
        let values = what.split('`').skip(1).step_by(2);
        let problem = Problem::at(listed.place, message).help(help);
        problems.push(values.fold(problem, Problem::private));
    }

    /// Session and principal id belong to the ARN of a role.
    fn check_arn<G>(self, listed: &Listed<'_, G>, problems: &mut Problems) {
        let Person { iam_arn, session_name, iam_principal_id, .. } = &*listed.person;
        match (iam_arn.as_deref(), session_name) {
            (Some(arn), Some(_)) if arn.contains(":user/") => {
                self.object(
                    listed,
                    "`session_name` goes with the ARN of a role, not of an IAM user",
                    problems,
                );
            }
            (None, _) if session_name.is_some() || iam_principal_id.is_some() => {
                self.object(listed, "`session_name` and `iam_principal_id` need an `iam_arn`", problems);
            }
            _ => {}
        }
    }
}

/// Identities seen so far on one target.
#[derive(Default)]
struct Unique<'r> {
    by_key: HashMap<String, (&'r str, Place)>,
}

impl<'r> Unique<'r> {
    fn is_new<G>(
        &mut self,
        view: View<'_>,
        key: String,
        listed: &Listed<'r, G>,
        problems: &mut Problems,
    ) -> bool {
        let Some((other, first)) = self.by_key.get(&key) else {
            self.by_key.insert(key, (listed.id, listed.place));
            return true;
        };
        if !listed.in_passing {
            let (id, target) = (listed.id, &view.target.name);
            let message =
                format!("users `{other}` and `{id}` are the same principal `{key}` on target `{target}`");
            problems.push(
                Problem::at(listed.place, message)
                    .private(&key)
                    .label("this user")
                    .also(*first, "and this one")
                    .help("merge the two, or give one another identity with `on`"),
            );
        }
        false
    }
}
