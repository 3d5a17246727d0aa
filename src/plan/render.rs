//! A plan as text for a terminal and as markdown for a pull request. Rendering never fails and never
//! looks anything up: what a person has to see is in the plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::HumanDuration;

use super::{Change, HeldBy, Kind, Plan, Removal, Subject, TargetPlan, Verdict, cost};
use crate::word::count;

/// Changes shown of one target; the JSON has them all.
const LINES_MAX: usize = 2_000;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// A plan for a person; escape codes are for the printer to strip where no terminal is. `expected` is how
/// long it takes to make, where that is known.
pub fn text(plan: &Plan, expected: Option<Duration>) -> String {
    let mut out = String::new();
    for target in &plan.targets {
        text_target(&mut out, target);
    }
    for missing in &plan.unobserved {
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}  {}", missing.target, missing.service.title());
        let _ = writeln!(out, "  {RED}not observed, so nothing is planned here{RED:#}: {}\n", missing.error);
    }
    let _ = writeln!(out, "{}", totals(plan));
    if plan.ready() > 0 {
        let _ = writeln!(out, "{DIM}{}{DIM:#}", calls(plan, expected));
    }
    out
}

fn text_target(out: &mut String, target: &TargetPlan) {
    let _ = writeln!(
        out,
        "{BOLD}{}{BOLD:#}  {}  {DIM}policy {}, {} on the roster, {} on the target{}{DIM:#}",
        target.target,
        target.place,
        target.policy,
        target.listed,
        target.population,
        if target.by_name { " when last listed" } else { "" }
    );
    let mut principal = "";
    for change in target.changes.iter().take(LINES_MAX) {
        if change.subject.key() != principal {
            principal = change.subject.key();
            let shown = visible(principal);
            let user =
                change.user.as_ref().map_or(String::new(), |user| format!("  {DIM}users.{user}{DIM:#}"));
            let _ = writeln!(out, "  {shown}{user}");
        }
        text_change(out, change);
    }
    if target.changes.len() > LINES_MAX {
        let _ = writeln!(out, "  … and {} more; --format json shows all", target.changes.len() - LINES_MAX);
    }
    if target.changes.is_empty() {
        let _ = writeln!(out, "  {GREEN}in step{GREEN:#}");
    }
    for (count, what) in [
        (target.unlisted, "left alone: not on the roster, and policy or on_unlisted does not remove it"),
        (target.out_of_scope, "out of scope"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  {DIM}{count} {what}{DIM:#}");
        }
    }
    out.push('\n');
}

fn text_change(out: &mut String, change: &Change) {
    let (symbol, style) = symbol(change);
    let _ = writeln!(out, "    {style}{symbol} {}{style:#}  {DIM}← {}{DIM:#}", what(change), cause(change));
    for line in why(change) {
        let _ = writeln!(out, "        {line}");
    }
}

/// Why a change does not go ahead and what a person can do, a line each.
pub fn why(change: &Change) -> Vec<String> {
    match &change.verdict {
        Verdict::Ready => Vec::new(),
        Verdict::Blocked { reason, ways_out } => {
            let ways = ways_out.iter().map(|way| format!("{DIM}·{DIM:#} {way}"));
            std::iter::once(format!("{RED}blocked{RED:#}: {reason}")).chain(ways).collect()
        }
        Verdict::Held { by, reason } => vec![format!("{CYAN}held back by {by}{CYAN:#}: {reason}")],
    }
}

fn symbol(change: &Change) -> (char, Style) {
    match (&change.verdict, change.kind) {
        (Verdict::Blocked { .. }, _) => ('!', RED),
        (Verdict::Held { .. }, _) => ('=', CYAN),
        (_, Kind::CreateGroup | Kind::CreateUser | Kind::AddMember) => ('+', GREEN),
        (_, Kind::UpdateUser | Kind::EnableUser | Kind::ChangeMember) => ('~', YELLOW),
        (_, Kind::DisableUser | Kind::DeleteUser | Kind::RemoveMember) => ('-', RED),
    }
}

/// What a change does, in one line.
pub fn what(change: &Change) -> String {
    let verb = match change.kind {
        Kind::CreateGroup => "create group",
        Kind::CreateUser => "create",
        Kind::UpdateUser => "update",
        Kind::EnableUser => "enable",
        Kind::DisableUser => "disable",
        Kind::DeleteUser => "delete",
        Kind::AddMember => "join",
        Kind::ChangeMember => "change in",
        Kind::RemoveMember => "leave",
    };
    let mut text = verb.to_string();
    if let Subject::Member { container, .. } = &change.subject {
        let _ = write!(text, " {container}");
    }
    let fields = change.fields.iter().filter(|f| !matches!(f.name.as_str(), "member" | "group"));
    let mut separator = ": ";
    for field in fields {
        let _ = match (&field.old, &field.new) {
            (None, Some(new)) => write!(text, "{separator}{} {new}", field.name),
            (Some(old), Some(new)) => write!(text, "{separator}{} {old} → {new}", field.name),
            (Some(old), None) if change.kind == Kind::UpdateUser => {
                write!(text, "{separator}{} {old} → none", field.name)
            }
            (Some(old), None) => write!(text, "{separator}{} {old}", field.name),
            (None, None) => write!(text, "{separator}{}", field.name),
        };
        separator = ", ";
    }
    visible(&text)
}

/// Nothing that a service or a roster holds may forge lines or move the cursor.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Who asks for a change: roles, the user's own entry, or nobody.
pub fn cause(change: &Change) -> String {
    match (&change.user, change.roles.as_slice()) {
        (_, [_, ..]) => change.roles.join(", "),
        (Some(user), []) if change.removal == Removal::Explicit => {
            format!("users.{user}: absent, expired or suspended")
        }
        (Some(user), []) => format!("users.{user}"),
        (None, []) if change.kind == Kind::CreateGroup => "named by the roster".into(),
        (None, []) => "not on the roster".into(),
    }
}

/// One line of totals.
pub fn totals(plan: &Plan) -> String {
    let ready = |kinds: &[Kind]| plan.changes().filter(|c| c.is_ready() && kinds.contains(&c.kind)).count();
    let create = ready(&[Kind::CreateGroup, Kind::CreateUser, Kind::AddMember]);
    let change = ready(&[Kind::UpdateUser, Kind::EnableUser, Kind::ChangeMember]);
    let remove = ready(&[Kind::DisableUser, Kind::DeleteUser, Kind::RemoveMember]);
    let blocked = plan.changes().filter(|c| matches!(c.verdict, Verdict::Blocked { .. })).count();
    let mut held: BTreeMap<HeldBy, usize> = BTreeMap::new();
    for change in plan.changes() {
        if let Verdict::Held { by, .. } = change.verdict {
            *held.entry(by).or_default() += 1;
        }
    }
    let mut line = if create + change + remove == 0 && !plan.unobserved.is_empty() {
        "Nothing planned.".to_string()
    } else if create + change + remove == 0 {
        "Nothing to do.".to_string()
    } else {
        format!("Plan: {create} to create, {change} to change, {remove} to remove.")
    };
    if blocked > 0 {
        let _ = write!(line, " {blocked} blocked.");
    }
    for (by, count) in held {
        let _ = write!(line, " {count} held back by {by}.");
    }
    let in_step: usize = plan.targets.iter().map(|t| t.in_step).sum();
    let _ = write!(line, " {in_step} in step.");
    if !plan.unobserved.is_empty() {
        let _ = write!(line, " {} not observed.", count(plan.unobserved.len(), "target"));
    }
    line
}

/// One line that counts the calls.
fn calls(plan: &Plan, expected: Option<Duration>) -> String {
    let calls = cost::calls(plan);
    let each: Vec<String> = calls.iter().map(|((s, o), n)| format!("{n} {s}:{o}")).collect();
    let time = expected.map_or_else(String::new, |time| format!(", about {}", span(time)));
    format!("{} to write{time}: {}", count(calls.values().sum(), "call"), each.join(", "))
}

/// A span of time as people say it.
pub fn span(time: Duration) -> String {
    HumanDuration(time.max(Duration::from_secs(1))).to_string()
}

/// A plan for a pull request.
pub fn markdown(plan: &Plan, expected: Option<Duration>) -> String {
    let mut out = format!("### rosterd plan\n\n{}\n", totals(plan));
    for target in &plan.targets {
        let _ = writeln!(out, "\n#### `{}` ({}, policy {})\n", target.target, target.place, target.policy);
        if target.changes.is_empty() {
            out.push_str("In step.\n");
            continue;
        }
        out.push_str("| | principal | change | asked for by | |\n|---|---|---|---|---|\n");
        for change in target.changes.iter().take(LINES_MAX) {
            let note = match &change.verdict {
                Verdict::Ready => String::new(),
                Verdict::Blocked { reason, ways_out } => {
                    format!("**blocked**: {reason}. Ways out: {}", ways_out.join("; "))
                }
                Verdict::Held { by, reason } => format!("**held back by {by}**: {reason}"),
            };
            let cells = [
                symbol(change).0.to_string(),
                code(&visible(change.subject.key())),
                what(change),
                cause(change),
                note,
            ];
            let cells = cells.map(|c| escape(&c));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        if target.changes.len() > LINES_MAX {
            let _ = writeln!(out, "\n… and {} more.", target.changes.len() - LINES_MAX);
        }
    }
    for missing in &plan.unobserved {
        let _ = writeln!(
            out,
            "\n#### `{}`\n\n**Not observed**, so nothing is planned: {}",
            missing.target,
            escape(&missing.error)
        );
    }
    if plan.ready() > 0 {
        let _ = writeln!(out, "\n{}", calls(plan, expected));
    }
    out
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

fn escape(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}
