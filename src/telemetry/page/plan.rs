//! What the last passes planned and have not made: each change with who, what and why, and where it does
//! not go ahead, what a person can do instead.

use maud::{Markup, html};

use super::icon::Icon;
use super::time::moment;
use super::{digits, id};
use crate::daemon::status::{ChangeState, ChangeView, PlanView, Status, TargetPlanView};
use crate::plan::Kind;
use crate::word::count;

/// Changes shown of one target; the JSON has more.
const SHOWN_MAX: usize = 200;

/// A target with more changes than this is folded up.
const OPEN_MAX: usize = 30;

/// The section of the plans of all targets.
pub fn section(status: &Status, plan: &PlanView) -> Markup {
    let unplanned: Vec<&str> = status
        .targets
        .iter()
        .map(|t| t.name.as_str())
        .filter(|name| plan.targets.iter().all(|t| t.target != *name))
        .collect();
    html! {
        h2 #plan-title { "The plan" }
        @if !plan.show_people && plan.targets.iter().any(|t| !t.changes.is_empty()) {
            p.hint {
                "Names and addresses are withheld; " code { "status_page.show_people" } " would show them."
            }
        }
        @for target in &plan.targets { (target_plan(status, target)) }
        @if !unplanned.is_empty() { p.empty { "No plan yet: " (unplanned.join(", ")) "." } }
        @else if plan.targets.is_empty() { p.empty { "No plan yet." } }
    }
}

fn target_plan(status: &Status, target: &TargetPlanView) -> Markup {
    let heading = id("plan-of", &target.target);
    let total = target.total.max(target.changes.len());
    html! {
        div.plan {
            div.plan-top {
                h3 id=(heading) { (target.target) }
                p { (target.service.title()) ", planned " (moment(status.now, target.planned)) }
            }
            @if total == 0 {
                p.in-step { (Icon::Check.draw()) "Nothing differs." }
            } @else if total > OPEN_MAX {
                details id={ (heading) "-all" } {
                    summary id={ (heading) "-summary" } { (summary(total, &target.changes)) }
                    (changes(target, total))
                }
            } @else {
                (changes(target, total))
            }
        }
    }
}

/// How many changes there are, and of those at hand how many do not simply go ahead.
fn summary(total: usize, changes: &[ChangeView]) -> String {
    let mut text = format!("{} changes", digits(total as u64));
    for state in [ChangeState::Failed, ChangeState::Held, ChangeState::Blocked] {
        let number = changes.iter().filter(|c| c.state == state).count();
        // Of more than are at hand no number is known.
        if number > 0 && changes.len() == total {
            text += &format!(", {number} {state}");
        }
    }
    text
}

fn changes(target: &TargetPlanView, total: usize) -> Markup {
    let shown = &target.changes[..target.changes.len().min(SHOWN_MAX)];
    html! {
        table.blocks.changes role="table" {
            caption.sr { (count(total, "change")) " planned for " (target.target) }
            thead role="rowgroup" {
                tr role="row" {
                    th scope="col" role="columnheader" { "Change" }
                    th scope="col" role="columnheader" { "Who" }
                    th scope="col" role="columnheader" { "What" }
                    th scope="col" role="columnheader" { "Caused by" }
                    th scope="col" role="columnheader" { "State" }
                }
            }
            tbody role="rowgroup" { @for change in shown { (row(change)) } }
        }
        @if total > shown.len() {
            p.more {
                "… and " (digits((total - shown.len()) as u64)) " more; "
                a id={ (id("more", &target.target)) } href="/api/v1/plan" { "/api/v1/plan" } " has more of them"
            }
        }
    }
}

fn row(change: &ChangeView) -> Markup {
    let (symbol, class) = symbol(change);
    let (state_class, icon) = state(change.state);
    html! {
        tr role="row" {
            td.kind role="cell" {
                span class={ "symbol " (class) } aria-hidden="true" { (symbol) }
                (change.kind.to_string().replace('_', " "))
            }
            th.who scope="row" {
                (change.who)
                @if let Some(user) = &change.user { " " span.quiet { "users." (user) } }
            }
            td.what role="cell" { (change.what) (why(change)) }
            td.cause role="cell" { (change.cause) }
            td.state role="cell" { span class={ "badge " (state_class) } { (icon.draw()) (change.state) } }
        }
    }
}

/// Why a change does not go ahead, and the ways out.
fn why(change: &ChangeView) -> Markup {
    html! {
        @if let Some(reason) = &change.reason {
            p.reason {
                @if let Some(rule) = &change.held_by { "held back by " code { (rule) } ": " }
                (reason)
            }
        } @else if let Some(rule) = &change.held_by {
            p.reason { "held back by " code { (rule) } }
        }
        @if !change.ways_out.is_empty() { ul.ways { @for way in &change.ways_out { li { (way) } } } }
    }
}

/// The same signs as on a terminal, and what colours them.
fn symbol(change: &ChangeView) -> (char, &'static str) {
    match (change.state, change.kind) {
        (ChangeState::Blocked, _) => ('!', "bad"),
        (ChangeState::Held, _) => ('=', "held"),
        (_, Kind::CreateGroup | Kind::CreateUser | Kind::AddMember) => ('+', "good"),
        (_, Kind::UpdateUser | Kind::EnableUser | Kind::ChangeMember) => ('~', "note"),
        (_, Kind::DisableUser | Kind::DeleteUser | Kind::RemoveMember) => ('−', "bad"),
    }
}

fn state(state: ChangeState) -> (&'static str, Icon) {
    match state {
        ChangeState::Pending => ("quiet", Icon::Waiting),
        ChangeState::Made => ("good", Icon::Check),
        ChangeState::Failed => ("bad", Icon::Cross),
        ChangeState::Held => ("held", Icon::Held),
        ChangeState::Blocked => ("bad", Icon::Alert),
    }
}
