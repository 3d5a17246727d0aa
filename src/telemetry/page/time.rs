//! Times as people on call read them: how long ago, with the exact time in UTC within reach.

use jiff::Timestamp;
use maud::{Markup, html};

/// How far `at` is from `now`, in words; the exact time is in the attributes.
pub fn moment(now: Timestamp, at: Timestamp) -> Markup {
    html! { time datetime=(iso(at)) title=(absolute(at)) { (relative(now, at)) } }
}

/// The exact time, for machines as for people.
pub fn exact(at: Timestamp) -> Markup {
    html! { time datetime=(iso(at)) { (absolute(at)) } }
}

/// `2026-07-14 12:04:31 UTC`.
pub fn absolute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2026-07-14T12:04:31Z`, the form that `datetime` takes.
fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `12:04`, in UTC.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M").to_string()
}

/// `3 min ago`, `in 2 min`, `now`.
pub fn relative(now: Timestamp, at: Timestamp) -> String {
    match now.as_second() - at.as_second() {
        0 => "now".into(),
        past if past > 0 => format!("{} ago", span(past)),
        future => format!("in {}", span(-future)),
    }
}

/// Seconds in the largest units that matter: `42 s`, `3 min`, `1 h 12 min`, `5 h`, `3 days`.
pub fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..10_800 if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        3600..172_800 => format!("{hours} h"),
        _ => format!("{} days", hours / 24),
    }
}

/// How long something took: `0.4 s`, `1 min 12 s`, `2 h 3 min`.
pub fn took(seconds: f64) -> String {
    // Saturates, and a NaN becomes 0: no measured time does harm here.
    let whole = seconds.round() as i64;
    match whole {
        ..60 => format!("{} s", super::decimal(seconds.max(0.0))),
        60..3600 if whole % 60 > 0 => format!("{} min {} s", whole / 60, whole % 60),
        3600.. if whole / 60 % 60 > 0 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => span(whole),
    }
}
