//! What a target's rules let through: policy, scope, protection, removal caps and grace. Pure; the time
//! is an argument.
//!
//! The order is: what the policy never touches is counted and dropped; protected principals keep what
//! they have; the policy holds what it does not allow; removals wait out their grace; and last the caps
//! look at what is left. Creates and updates go on whatever happens to removals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::Timestamp;

use super::{Change, HeldBy, Kind, Removal, TargetPlan, Verdict};
use crate::config::Target;
use crate::service::{Diff, ServiceKind};
use crate::words;

words! {
    /// What rosterd may do to a target. There is no default.
    Policy {
        /// Creates what is missing: users, groups, memberships.
        CreateOnly = "create-only",
        /// Also changes what is there, and makes the removals the roster states.
        UpsertOnly = "upsert-only",
        /// Also removes what the roster does not list.
        Sync = "sync",
    }
}

words! {
    /// What `sync` does to a principal in scope that the roster does not list.
    OnUnlisted {
        /// Deletes it (QuickSight).
        Delete = "delete",
        /// Takes its access away (DataZone, FinSpace).
        Disable = "disable",
        /// Counts it.
        Report = "report",
    }
}

impl OnUnlisted {
    /// The removal a service is able to make.
    pub fn removal_of(service: ServiceKind) -> Self {
        match service {
            ServiceKind::QuickSight => OnUnlisted::Delete,
            ServiceKind::DataZone | ServiceKind::FinSpace => OnUnlisted::Disable,
        }
    }
}

/// Patterns over the names of principals; case does not matter.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Nothing given means everything.
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Scope {
    /// Compiles patterns; a set too large to compile matches nothing, which removes nothing.
    pub fn new(include: Option<Vec<Glob>>, exclude: Vec<Glob>) -> Self {
        let compile = |globs: Vec<Glob>| {
            let mut set = GlobSetBuilder::new();
            for glob in globs {
                set.add(glob);
            }
            set.build().unwrap_or_default()
        };
        Scope { include: include.map(compile), exclude: compile(exclude) }
    }

    /// True when one of the names is included and none is excluded.
    pub fn contains(&self, names: &[String]) -> bool {
        let is_in = |set: &GlobSet| names.iter().any(|n| set.is_match(n));
        self.include.as_ref().is_none_or(is_in) && !is_in(&self.exclude)
    }
}

/// How many principals may lose something in one pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RemovalCap {
    /// Percent of the population.
    pub percent: f64,
    /// At most so many, whatever the population.
    pub count: usize,
    /// A smaller population counts as this one, so that the percentage of a handful is not nothing.
    pub min_population: usize,
}

impl Default for RemovalCap {
    fn default() -> Self {
        RemovalCap { percent: 10.0, count: 25, min_population: 20 }
    }
}

impl RemovalCap {
    /// How many principals of `population` may lose something.
    pub fn allowance(&self, population: usize) -> usize {
        let base = population.max(self.min_population) as f64;
        ((base * self.percent / 100.0).floor() as usize).min(self.count)
    }
}

/// The rules of one target.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `policy`.
    pub policy: Policy,
    /// `on_unlisted`.
    pub on_unlisted: OnUnlisted,
    /// `scope`: which unlisted principals are rosterd's.
    pub scope: Scope,
    /// `protected`: whom no change takes anything from.
    pub protected: Scope,
    /// `max_removals`.
    pub cap: RemovalCap,
    /// `removal_grace`.
    pub removal_grace: Duration,
}

/// When each removal of something unlisted was first seen, by change id.
pub type Clocks = BTreeMap<String, Timestamp>;

/// What a pass knows beside the difference.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Removal clocks from earlier passes.
    pub clocks: &'a Clocks,
    /// The time of this pass.
    pub now: Timestamp,
    /// `--force-removals`: caps do not hold this once.
    pub force_removals: bool,
}

/// Turns differences into a plan.
pub fn guard(target: &Target, diff: Diff, circumstances: Circumstances<'_>) -> TargetPlan {
    let rules = &target.rules;
    let Diff { changes, listed, in_step, wanted, population } = diff;
    let mut plan = TargetPlan {
        target: target.name.clone(),
        service: target.kind(),
        place: target.place(),
        policy: rules.policy,
        by_name: false,
        population,
        listed,
        in_step,
        unlisted: 0,
        out_of_scope: 0,
        changes: Vec::with_capacity(changes.len()),
    };
    for mut change in changes {
        if is_out_of_scope(rules, &change) {
            plan.out_of_scope += 1;
        } else if is_left_alone(rules, &change) {
            plan.unlisted += 1;
        } else {
            if change.is_ready() {
                change.verdict = verdict(rules, &change, circumstances);
            }
            plan.changes.push(change);
        }
    }
    hold_removals(&mut plan, rules, wanted, circumstances.force_removals);
    plan
}

/// Looks again at the changes of a saved plan, under the rules as they are now.
pub fn review(target: &Target, plan: &mut TargetPlan, circumstances: Circumstances<'_>) {
    let rules = &target.rules;
    for change in plan.changes.iter_mut().filter(|c| c.is_ready()) {
        change.verdict = if is_out_of_scope(rules, change) || is_left_alone(rules, change) {
            held(
                HeldBy::Policy,
                format!("policy, scope or on_unlisted of `{}` no longer allow it", target.name),
            )
        } else {
            verdict(rules, change, circumstances)
        };
    }
    hold_removals(plan, rules, 1, circumstances.force_removals);
}

fn is_out_of_scope(rules: &Rules, change: &Change) -> bool {
    change.removal == Removal::Unlisted && change.user.is_none() && !rules.scope.contains(&change.names)
}

fn is_left_alone(rules: &Rules, change: &Change) -> bool {
    let whole_principal = matches!(change.kind, Kind::DeleteUser | Kind::DisableUser);
    change.removal == Removal::Unlisted
        && (rules.policy != Policy::Sync || (whole_principal && rules.on_unlisted == OnUnlisted::Report))
}

fn verdict(rules: &Rules, change: &Change, circumstances: Circumstances<'_>) -> Verdict {
    let creates = matches!(change.kind, Kind::CreateUser | Kind::CreateGroup | Kind::AddMember);
    if !creates && rules.protected.contains(&change.names) {
        return held(HeldBy::Protected, "it keeps what it has".into());
    }
    if !creates && rules.policy == Policy::CreateOnly {
        return held(HeldBy::Policy, "create-only changes nothing that is there".into());
    }
    if change.removal == Removal::Unlisted && !rules.removal_grace.is_zero() {
        let since = since(circumstances.clocks, &change.id, circumstances.now);
        let waited = Duration::try_from(circumstances.now.duration_since(since)).unwrap_or_default();
        if waited < rules.removal_grace {
            let left = rules.removal_grace - waited;
            let left = jiff::SignedDuration::from_secs(left.as_secs().cast_signed());
            return held(HeldBy::Grace, format!("due in {left:#}"));
        }
    }
    Verdict::Ready
}

fn held(by: HeldBy, reason: String) -> Verdict {
    Verdict::Held { by, reason }
}

/// Who loses something by a change: the roster user, or else the principal.
fn loser(change: &Change) -> &str {
    change.user.as_deref().unwrap_or_else(|| change.subject.key())
}

/// The caps count principals, not changes: ten memberships of one person are one person losing access.
fn hold_removals(plan: &mut TargetPlan, rules: &Rules, wanted: usize, force: bool) {
    if force {
        return;
    }
    let is_removal = |c: &&Change| c.removal != Removal::None && c.is_ready();
    let losing: BTreeSet<&str> = plan.changes.iter().filter(is_removal).map(loser).collect();
    let losing = losing.len();
    let allowed = rules.cap.allowance(plan.population);
    let verdict = if losing > 0 && wanted == 0 {
        let reason = "the roster gives nobody access to this target, which is more likely a mistake than a wish; --force-removals goes ahead once";
        held(HeldBy::EmptyRoster, reason.into())
    } else if losing > allowed {
        let RemovalCap { percent, count, .. } = rules.cap;
        held(
            HeldBy::RemovalCap,
            format!(
                "{losing} of {} principals would lose access, max_removals allows {allowed} ({percent} %, at most {count}); --force-removals goes ahead once",
                plan.population
            ),
        )
    } else {
        return;
    };
    for change in plan.changes.iter_mut().filter(|c| c.removal != Removal::None && c.is_ready()) {
        change.verdict = verdict.clone();
    }
}

/// The clocks after this plan: kept for removals still pending, started for new ones.
pub fn wind(clocks: &Clocks, plan: &super::Plan, now: Timestamp) -> Clocks {
    let waiting = plan.changes().filter(|c| c.removal == Removal::Unlisted);
    let observed: BTreeSet<&str> = plan.targets.iter().map(|t| &*t.target).collect();
    // A target that was not observed keeps its clocks.
    let unseen = clocks.iter().filter(|(id, _)| !observed.contains(id.split('/').next().unwrap_or("")));
    let kept = unseen.map(|(id, at)| (id.clone(), *at));
    kept.chain(waiting.map(|c| (c.id.clone(), since(clocks, &c.id, now)))).collect()
}

/// Since when a removal is due. A clock that was started in what is the future now starts again.
fn since(clocks: &Clocks, change: &str, now: Timestamp) -> Timestamp {
    clocks.get(change).copied().filter(|since| *since <= now).unwrap_or(now)
}
