//! How everything stands, in one sentence, two at most: the first thing that somebody who was woken up reads.

use super::icon::Icon;
use super::time::clock;
use crate::daemon::status::{Status, TargetState};

/// Names spelt out before only their number is given.
const NAMES_MAX: usize = 3;

/// How much attention something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None.
    Good,
    /// Some, in time.
    Note,
    /// Somebody has to look.
    Bad,
}

impl Level {
    /// The class that colours it.
    pub fn class(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Note => "note",
            Level::Bad => "bad",
        }
    }
}

/// The sentence and how much attention it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How much attention.
    pub level: Level,
    /// The sentence, without a full stop.
    pub text: String,
    /// How the targets stand, where the sentence is about something else.
    pub more: Option<String>,
}

impl Verdict {
    /// A sign for places that hold plain text alone.
    pub fn mark(&self) -> &'static str {
        match self.level {
            Level::Good => "✓",
            Level::Note => "≠",
            Level::Bad => "!",
        }
    }

    /// The drawing beside the sentence.
    pub fn icon(&self) -> Icon {
        match self.level {
            Level::Good => Icon::Check,
            Level::Note => Icon::Differs,
            Level::Bad => Icon::Alert,
        }
    }
}

/// The colour of a state, its sign and its words.
pub fn badge(state: TargetState) -> (&'static str, Icon, &'static str) {
    match state {
        TargetState::Starting => ("quiet", Icon::Waiting, "starting"),
        TargetState::InStep => ("good", Icon::Check, "in step"),
        TargetState::Drifted => ("note", Icon::Differs, "drifted"),
        TargetState::Held => ("held", Icon::Held, "held back"),
        TargetState::Failing => ("bad", Icon::Cross, "failing"),
    }
}

/// How everything stands.
pub fn verdict(status: &Status) -> Verdict {
    let all = |state| status.targets.iter().all(|t| t.state == state);
    let failing = status.targets.iter().any(|t| t.state == TargetState::Failing);
    let broken = !status.live
        || status.audit_lines_pending > 0
        || status.state_save_failed
        || !status.configuration.last_reload_ok;
    let level = if broken || failing {
        Level::Bad
    } else if status.ready && !status.targets.is_empty() && all(TargetState::InStep) {
        Level::Good
    } else {
        Level::Note
    };
    match trouble(status) {
        Some(text) => Verdict { level, text, more: Some(targets(status)) },
        None => Verdict { level, text: targets(status), more: None },
    }
}

/// What is wrong with rosterd itself, the worst alone; the alerts below the header have all of it.
fn trouble(status: &Status) -> Option<String> {
    if !status.live {
        return Some("rosterd makes no progress, and what stands here may be old".into());
    }
    if status.audit_lines_pending > 0 {
        return Some("Nothing is changed on AWS, because the audit trail cannot be written".into());
    }
    if !status.configuration.last_reload_ok {
        let read = clock(status.configuration.loaded);
        return Some(format!("The files on disk are invalid, and those read at {read} UTC stay in force"));
    }
    status.state_save_failed.then(|| "What is remembered between passes cannot be saved".into())
}

fn targets(status: &Status) -> String {
    let total = status.targets.len();
    let number = |state| status.targets.iter().filter(|t| t.state == state).count();
    let in_step = number(TargetState::InStep);
    if total == 0 {
        return "There is no target to keep in step".into();
    }
    if number(TargetState::Starting) == total {
        return "No pass has ended yet: every target is looked at for the first time".into();
    }
    if in_step == total {
        let force = match status.targets.as_slice() {
            [one] => format!("The roster is in force on {}", one.name),
            [_, _] => "The roster is in force on both targets".into(),
            _ => format!("The roster is in force on all {total} targets"),
        };
        return if status.ready { force } else { format!("{force}, but rosterd is not ready") };
    }
    let start = match in_step {
        _ if total == 1 => String::new(),
        0 => format!("None of {total} targets is in step; "),
        1 => format!("1 of {total} targets is in step; "),
        _ => format!("{in_step} of {total} targets are in step; "),
    };
    let others = [
        (TargetState::Failing, "is failing", "are failing"),
        (TargetState::Held, "holds removals back", "hold removals back"),
        (TargetState::Drifted, "differs", "differ"),
        (TargetState::Starting, "has had no pass yet", "have had no pass yet"),
    ];
    let others: Vec<String> =
        others.into_iter().filter_map(|(state, one, many)| clause(status, state, one, many)).collect();
    start + &others.join(", ")
}

/// Who is in a state: by name where they are few.
fn clause(status: &Status, state: TargetState, one: &str, many: &str) -> Option<String> {
    let names: Vec<&str> =
        status.targets.iter().filter(|t| t.state == state).map(|t| t.name.as_str()).collect();
    match names.as_slice() {
        [] => None,
        [name] => Some(format!("{name} {one}")),
        [start @ .., last] if names.len() <= NAMES_MAX => {
            Some(format!("{} and {last} {many}", start.join(", ")))
        }
        _ => Some(format!("{} targets {many}", names.len())),
    }
}
