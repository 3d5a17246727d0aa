//! A saved plan against what the targets hold now. Pure.
//!
//! A change goes ahead only while each of its old values is what the target has; what moved since the
//! plan was made is reported and left alone, whoever moved it.

use std::collections::HashSet;

use super::Observations;
use crate::config::Settings;
use crate::plan::guard::{self, Circumstances};
use crate::plan::{Plan, Unobserved};

/// A change that no longer fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The change's id.
    pub change: String,
    /// What was planned on and what is there.
    pub why: String,
}

/// The part of a saved plan that still holds, and what moved. `Err` when the settings no longer have a
/// target, or have another place under its name. `only` names the targets to look at; empty means all.
pub fn verify(
    saved: &Plan,
    settings: &Settings,
    observations: &Observations,
    circumstances: Circumstances<'_>,
    only: &[String],
) -> Result<(Plan, Vec<Moved>), String> {
    let mut plan = Plan::default();
    let mut moved = Vec::new();
    let mut gone: HashSet<String> = HashSet::new();
    for saved in saved.targets.iter().filter(|t| only.is_empty() || only.contains(&t.target)) {
        let name = &saved.target;
        let target = settings.targets.get(name).ok_or_else(|| {
            format!("the plan is for a target `{name}` that the settings do not have; make the plan again")
        })?;
        if target.place() != saved.place {
            return Err(format!(
                "the plan was made for `{}`, and target `{name}` is now `{}`; make the plan again",
                saved.place,
                target.place()
            ));
        }
        let observed = match observations.get(name) {
            Some(Ok(observed)) => observed,
            Some(Err(failure)) => {
                let (target, error) = (name.clone(), failure.to_string());
                plan.unobserved.push(Unobserved { target, service: saved.service, error });
                continue;
            }
            None => continue,
        };
        let mut kept = saved.clone();
        kept.changes.retain(|change| {
            if !change.is_ready() {
                return false;
            }
            let carried = change
                .action
                .carried()
                .into_iter()
                .filter(|(name, _)| !change.fields.iter().any(|f| f.name == *name));
            let carried = carried.map(|(name, value)| (name.to_string(), Some(value)));
            let olds = change.fields.iter().map(|f| (f.name.clone(), f.old.clone())).chain(carried);
            let mut differing = olds.filter_map(|(name, old)| {
                let now = observed.current(&change.subject, &name);
                let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
                (now != old)
                    .then(|| format!("{name} was {} when planned and is {} now", text(&old), text(&now)))
            });
            // What it depends on comes before it in a plan.
            let lost = change.after.iter().find(|id| gone.contains(*id));
            let why = lost.map(|id| format!("it needs {id}, which moved")).or_else(|| differing.next());
            let Some(why) = why else { return true };
            gone.insert(change.id.clone());
            moved.push(Moved { change: change.id.clone(), why });
            false
        });
        guard::review(target, &mut kept, circumstances);
        plan.targets.push(kept);
    }
    Ok((plan, moved))
}
