//! The status page: one HTML document that says how everything stands, whole without scripts and without
//! anything from elsewhere.
//!
//! It is rendered from [`Status`] and [`PlanView`] alone, and `status.now` is its clock: the same documents
//! give the same bytes. A script fetches the page again and swaps the parts marked `data-live`; a browser
//! without scripts reloads it. Style and script are inline and allowed by their hashes, so that no
//! attribute may carry either.

mod chart;
mod errors;
mod header;
mod icon;
mod plan;
mod plot;
mod targets;
pub mod time;
mod verdict;

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::verdict::{Verdict, verdict};
use crate::daemon::status::{PlanView, Status};

/// Exactly what stands between `<style>` and `</style>`: the policy holds its hash.
const STYLE: &str = include_str!("style.css");

/// Exactly what stands between `<script>` and `</script>`.
const SCRIPT: &str = include_str!("refresh.js");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The value of `Content-Security-Policy` that the page needs and nothing more.
pub fn content_security_policy() -> String {
    POLICY.clone()
}

/// The whole document.
pub fn page(status: &Status, plan: &PlanView) -> String {
    let verdict = verdict(status);
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&verdict))
            body {
                a.skip href="#main" { "Skip to the status" }
                (header::header(status, &verdict))
                main #main tabindex="-1" {
                    div #alerts data-live { (header::alerts(status)) }
                    section #targets aria-labelledby="targets-title" data-live {
                        (targets::section(status))
                    }
                    section #day aria-labelledby="day-title" data-live { (chart::section(status)) }
                    section #plan aria-labelledby="plan-title" data-live { (plan::section(status, plan)) }
                    section #errors aria-labelledby="errors-title" data-live { (errors::section(status)) }
                }
                (footer())
                p #lost role="status" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

fn head(verdict: &Verdict) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            // A tab says how things stand without being looked into.
            title { (verdict.mark()) " rosterd: " (verdict.text) }
            link rel="icon" href=(icon::favicon(verdict.level));
            noscript { meta http-equiv="refresh" content="30"; }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn footer() -> Markup {
    let links = [
        ("metrics", "counters and gauges for Prometheus"),
        ("api/v1/status", "this page as JSON"),
        ("api/v1/plan", "every change as JSON"),
        ("readyz", "is the roster in force?"),
        ("livez", "does the loop make progress?"),
    ];
    html! {
        footer {
            nav aria-label="For machines" {
                ul {
                    @for (path, what) in links { li { a href=(path) { code { "/" (path) } } " " (what) } }
                }
            }
        }
    }
}

fn hash(text: &str) -> String {
    format!("sha256-{}", aws_smithy_types::base64::encode(Sha256::digest(text)))
}

/// A value that is good as an `id`, for names that may hold anything.
fn id(prefix: &str, name: &str) -> String {
    let mut id = format!("{prefix}-");
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => id.push(c),
            // Different names stay different.
            other => id.push_str(&format!("_{:x}_", u32::from(other))),
        }
    }
    id
}

/// `12,345`: digits in threes.
fn digits(number: u64) -> String {
    let plain = number.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 3);
    for (i, digit) in plain.chars().enumerate() {
        if i > 0 && (plain.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A measured number with as many decimals as a reader has use for, and no zeros behind them.
fn decimal(number: f64) -> String {
    let text = match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    };
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
