//! What a plan costs: the calls its ready changes make, by service and operation.

use std::collections::BTreeMap;

use super::Plan;

/// Calls by `service` and operation.
pub type Calls = BTreeMap<(&'static str, &'static str), usize>;

/// The calls of every change that may go ahead.
pub fn calls(plan: &Plan) -> Calls {
    let mut calls = Calls::new();
    for target in &plan.targets {
        for change in target.changes.iter().filter(|c| c.is_ready()) {
            for operation in change.action.calls() {
                *calls.entry((crate::word::Word::word(target.service), operation)).or_default() += 1;
            }
        }
    }
    calls
}
