//! A card for each target: how it stands, what its last pass did, what is left to do, and how fast its
//! service may be called.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::icon::Icon;
use super::time::{moment, took};
use super::verdict::badge;
use super::{decimal, digits, id};
use crate::daemon::status::{LastPass, PassOutcome, Status, TargetStatus};
use crate::word::{Word, count};

/// The section of all targets.
pub fn section(status: &Status) -> Markup {
    html! {
        h2 #targets-title { "Targets" }
        @if status.targets.is_empty() {
            p.empty { "No target is configured." }
        } @else {
            div.cards { @for target in &status.targets { (card(status, target)) } }
            p.hint {
                "Drift is everything that differs. Of that, the next pass makes what is pending; a rule "
                "holds back what is held; nobody can make what is blocked as it stands. What does not "
                "converge was tried again and again and still differs."
            }
        }
    }
}

fn card(status: &Status, target: &TargetStatus) -> Markup {
    let (class, icon, words) = badge(target.state);
    let heading = id("target", &target.name);
    html! {
        article class={ "card " (class) } aria-labelledby=(heading) {
            div.card-top {
                h3 id=(heading) { (target.name) }
                p class={ "badge " (class) } { (icon.draw()) (words) }
            }
            p.place { (target.service.title()) ", policy " strong { (target.policy) } }
            p.place { code { (target.place) } }
            @if let Some(error) = &target.error {
                div.callout.bad { (Icon::Cross.draw()) p { (error) } }
            }
            @if target.removals_held > 0 { (removals(target)) }
            @if target.was_observed { (numbers(target)) }
            @else { p.unread { "Not read since rosterd started, so there is nothing to count." } }
            (passes(status, target))
            @if !target.pace.is_empty() { (pace(target)) }
        }
    }
}

fn numbers(target: &TargetStatus) -> Markup {
    html! {
        (share(target))
        dl.tiles {
            (tile(target.drift, "drift", "note"))
            (tile(target.pending, "pending", ""))
            (tile(target.held, "held", "held"))
            (tile(target.blocked, "blocked", "bad"))
            (tile(target.not_converging, "not converging", "bad"))
        }
    }
}

/// A number over its noun, quiet where it is nothing.
fn tile(number: usize, noun: &str, class: &str) -> Markup {
    html! {
        div class=(if number == 0 { "zero" } else { class }) { dt { (noun) } dd { (digits(number as u64)) } }
    }
}

/// `3 × update_user, 38 × delete_user`: what is not nothing, by word.
fn by_word<W: Word>(numbers: &BTreeMap<W, usize>) -> String {
    let some = numbers.iter().filter(|(_, number)| **number > 0);
    let words = some.map(|(word, number)| format!("{}\u{a0}×\u{a0}{}", digits(*number as u64), word.word()));
    words.collect::<Vec<_>>().join(", ")
}

fn removals(target: &TargetStatus) -> Markup {
    html! {
        div.callout.held {
            (Icon::Held.draw())
            p {
                strong { (count(target.removals_held, "removal")) " held back" }
                " by " code { "max_removals" } " or an empty roster, until somebody has looked at the plan."
            }
        }
    }
}

/// How many of the roster's users are in step, as a bar and in words.
fn share(target: &TargetStatus) -> Markup {
    let part = match target.users_desired {
        0 => 0.0,
        all => (target.in_step as f64 / all as f64 * 100.0).clamp(0.0, 100.0),
    };
    html! {
        div.share {
            svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                rect.track width="100" height="6" {}
                rect.part width=(format!("{part:.1}")) height="6" {}
            }
            p {
                strong { (digits(target.in_step as u64)) }
                " of " (count(target.users_desired, "roster user")) " in step; "
                (digits(target.users_observed as u64)) " on the target"
                @if target.users_unmanaged > 0 {
                    ", " (digits(target.users_unmanaged as u64)) " of them unmanaged"
                }
            }
        }
    }
}

fn passes(status: &Status, target: &TargetStatus) -> Markup {
    let now = status.now;
    let (drift, held) = (by_word(&target.drift_by_kind).replace('_', " "), by_word(&target.held_by));
    html! {
        dl.rows {
            @if target.was_observed && !drift.is_empty() { div { dt { "Differs" } dd { (drift) } } }
            @if target.was_observed && !held.is_empty() { div { dt { "Held by rule" } dd { (held) } } }
            div {
                dt { "Last pass" }
                dd {
                    @match &target.last_pass {
                        Some(pass) => (last_pass(status, pass)),
                        None => "none has ended yet",
                    }
                }
            }
            div {
                dt { "Last success" }
                dd {
                    @match target.last_success {
                        Some(at) => (moment(now, at)),
                        None => "none since the start",
                    }
                }
            }
            @if target.consecutive_failures > 0 {
                div { dt { "Failures" } dd.bad { (in_a_row(target.consecutive_failures)) } }
            }
            div { dt { "Next pass" } dd { (next_pass(now, target)) } }
            @if let Some(at) = target.credentials_expire {
                div {
                    dt { "Credentials" }
                    dd { @if at <= now { "expired " } @else { "expire " } (moment(now, at)) }
                }
            }
        }
    }
}

fn next_pass(now: Timestamp, target: &TargetStatus) -> Markup {
    html! {
        @match target.next_pass {
            _ if target.passing => span.passing { "under way" },
            Some(at) if at > now => (moment(now, at)),
            Some(_) => "due now",
            None => "not set",
        }
    }
}

fn in_a_row(passes: u32) -> String {
    if passes == 1 { "the last pass".into() } else { format!("{passes} passes in a row") }
}

fn last_pass(status: &Status, pass: &LastPass) -> Markup {
    let (class, words) = match pass.outcome {
        PassOutcome::Ok => ("good", "ok"),
        PassOutcome::Partial => ("note", "partial"),
        PassOutcome::Failed => ("bad", "failed"),
        PassOutcome::Timeout => ("note", "timed out"),
        PassOutcome::Interrupted => ("", "interrupted"),
    };
    html! {
        strong class=(class) { (words) } " " (moment(status.now, pass.started)) ", "
        @if pass.made == 0 { "nothing made" } @else { (digits(pass.made as u64)) " made" }
        @if pass.failed > 0 { ", " strong.bad { (digits(pass.failed as u64)) " failed" } }
        " in " (took(pass.seconds))
    }
}

fn pace(target: &TargetStatus) -> Markup {
    let details = id("pace", &target.name);
    let throttled: u64 = target.pace.iter().map(|p| p.throttled).sum();
    html! {
        details id=(details) {
            summary id={ (details) "-summary" } {
                "Pace of " (count(target.pace.len(), "operation"))
                @if throttled > 0 { ", " (digits(throttled)) " throttled" }
            }
            div.scroll id={ (details) "-table" } tabindex="0" role="region"
                aria-label={ "Pace of " (target.name) } {
                table.numbers {
                    caption { "Attempts since the start, over all " (target.service.title()) " targets" }
                    thead {
                        tr {
                            th scope="col" { "Operation" }
                            th scope="col" { "Calls/s" }
                            th scope="col" { "Attempts" }
                            th scope="col" { "Throttled" }
                        }
                    }
                    tbody {
                        @for line in &target.pace {
                            tr {
                                th scope="row" { (line.operation) }
                                td {
                                    @match line.calls_per_second {
                                        Some(rate) => (decimal(rate)),
                                        None => span.quiet { "not paced" },
                                    }
                                }
                                td { (digits(line.attempts)) }
                                td.note[line.throttled > 0] { (digits(line.throttled)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
