//! The top of the page: which rosterd this is, the verdict, and what somebody has to know before reading on.

use maud::{Markup, html};

use super::icon::Icon;
use super::time::{exact, moment, span};
use super::verdict::Verdict;
use crate::daemon::status::{Configuration, Status};
use crate::word::count;

/// Characters of the hash that tell two configurations apart well enough for people.
const HASH_SHOWN: usize = 12;

/// The header of the page.
pub fn header(status: &Status, verdict: &Verdict) -> Markup {
    html! {
        header {
            @if status.sandbox {
                p.sandbox {
                    strong { "Sandbox." }
                    " This rosterd talks to services of its own: nobody’s access is real here."
                }
            }
            div.top {
                div.brand {
                    (logo())
                    h1 { "rosterd" }
                }
                // It stays in place while its content changes, so that a change is read out.
                div #verdict data-live aria-live="polite" {
                    div class={ "verdict " (verdict.level.class()) } {
                        (verdict.icon().draw())
                        div { p { (verdict.text) } @if let Some(more) = &verdict.more { p.more { (more) } } }
                    }
                }
                dl #facts data-live { (facts(status)) }
            }
        }
    }
}

fn facts(status: &Status) -> Markup {
    let configuration = &status.configuration;
    let hash: String = configuration.hash.chars().take(HASH_SHOWN).collect();
    let up = span((status.now.as_second() - status.started.as_second()).max(0));
    html! {
        div { dt { "Page of" } dd #clock { (exact(status.now)) } }
        div { dt { "Running since" } dd { (exact(status.started)) " (" (up) ")" } }
        div { dt { "Version" } dd { (status.version) } }
        div { dt { "Roster" } dd { (count(configuration.users, "user")) } }
        div {
            dt { "Configuration" }
            dd {
                code { (configuration.path) }
                ", read " (moment(status.now, configuration.loaded)) ", "
                code title=(configuration.hash) { (hash) }
            }
        }
    }
}

/// What somebody has to know or do, worst first. No time is relative here: an alert that is written anew is
/// read out anew.
pub fn alerts(status: &Status) -> Markup {
    html! {
        @if !status.live {
            (urgent(html! {
                p {
                    strong { "rosterd makes no progress." }
                    " Its loop has not come round in time, so " code { "/livez" } " fails, for a supervisor "
                    "to start it again. The log says what it was doing last."
                }
            }))
        }
        @if status.audit_lines_pending > 0 {
            (urgent(html! {
                p {
                    strong { "The audit trail cannot be written." }
                    " Until it can, nothing is changed on AWS; waiting: "
                    (count(status.audit_lines_pending, "line")) "."
                }
            }))
        }
        @if !status.configuration.last_reload_ok { (urgent(invalid(&status.configuration))) }
        @if status.state_save_failed {
            (urgent(html! {
                p {
                    strong { "What is remembered between passes cannot be saved." }
                    " A restart would lose it. See whether " code { "state_dir" } " can be written and has "
                    "room."
                }
            }))
        }
        @if !status.ready { (calm(not_ready(status))) }
        @if !status.configuration.needs_restart.is_empty() { (calm(needs_restart(&status.configuration))) }
    }
}

fn urgent(content: Markup) -> Markup {
    html! { div.alert.bad role="alert" { (Icon::Alert.draw()) div { (content) } } }
}

fn calm(content: Markup) -> Markup {
    html! { div.alert.note { (Icon::Waiting.draw()) div { (content) } } }
}

fn invalid(configuration: &Configuration) -> Markup {
    html! {
        p {
            strong { "The files on disk are invalid." }
            " What was read at " (exact(configuration.loaded)) " stays in force until they are mended."
        }
        @if let Some(problem) = &configuration.problem {
            pre #problem tabindex="0" role="region" aria-label="What is wrong with the files" { (problem) }
        }
    }
}

fn not_ready(status: &Status) -> Markup {
    html! {
        p { strong { "Not ready." } @if status.not_ready.is_empty() { " No reason was given." } }
        @if !status.not_ready.is_empty() { ul { @for reason in &status.not_ready { li { (reason) } } } }
    }
}

fn needs_restart(configuration: &Configuration) -> Markup {
    html! {
        p {
            strong { "A restart is needed." } " Not in force before rosterd starts anew: "
            @for (i, key) in configuration.needs_restart.iter().enumerate() {
                @if i > 0 { ", " }
                code { (key) }
            }
            "."
        }
    }
}

/// Two rows in step.
fn logo() -> Markup {
    html! {
        svg.logo viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            rect width="24" height="24" rx="6" {}
            path d="M6 9h3M12 9h6M6 15h3M12 15h6" {}
        }
    }
}
