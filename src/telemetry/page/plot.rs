//! The plot of a chart: axes, bars and steps, in the coordinates of its `viewBox`.

use maud::{Markup, html};

use super::chart::{Chart, DRIFT, Day, SLOTS};
use super::digits;
use super::time::clock;
use crate::daemon::status::Quarter;

/// Room for the numbers at the left, the plot, and room for the times below it.
const LEFT: f64 = 36.0;
const TOP: f64 = 8.0;
const WIDTH: f64 = 288.0;
const HEIGHT: f64 = 96.0;
const SLOT: f64 = WIDTH / SLOTS as f64;
const GAP: f64 = 0.6;
const BASE: f64 = TOP + HEIGHT;

/// The least height of a bar that stands for something.
const SLIGHT: f64 = 1.5;

/// The axes, with the numbers and times beside them.
pub fn axes(chart: &Chart, day: &Day) -> Markup {
    let top = chart.top(day);
    let shown = day.peak(chart).is_some();
    let levels = [(0, BASE), (top / 2, TOP + HEIGHT / 2.0), (top, TOP)];
    let right = px(LEFT + WIDTH);
    // Before the first quarter nothing is known, which is not the same as nothing having happened.
    let unknown = day.quarters.first().map_or(SLOTS, |(slot, _)| *slot);
    html! {
        @if unknown > 0 {
            rect.unknown x=(px(LEFT)) y=(px(TOP)) width=(px(unknown as f64 * SLOT)) height=(px(HEIGHT)) {}
        }
        @for (value, y) in levels {
            line.grid[y < BASE] .base[y >= BASE] x1=(px(LEFT)) x2=(right) y1=(px(y)) y2=(px(y)) {}
            @if value == 0 && y >= BASE || shown && value > 0 && (y <= TOP || top > 1) {
                text x=(px(LEFT - 6.0)) y=(px(y + 4.0)) text-anchor="end" { (short(value)) }
            }
        }
        @for (slot, label) in ticks(day) {
            line.tick x1=(x(slot)) x2=(x(slot)) y1=(px(BASE)) y2=(px(BASE + 4.0)) {}
            text x=(x(slot)) y=(px(BASE + 17.0)) text-anchor="middle" { (label) }
        }
        text x=(right) y=(px(BASE + 17.0)) text-anchor="end" { "now" }
    }
}

/// Every six hours of the clock, save where the label would run into an edge or into `now`.
fn ticks(day: &Day) -> Vec<(usize, String)> {
    (4..SLOTS - 10)
        .map(|slot| (slot, day.time(slot)))
        .filter(|(_, time)| time.as_second().rem_euclid(6 * 3600) == 0)
        .map(|(slot, time)| (slot, clock(time)))
        .collect()
}

/// A bar for each quarter in which something happened.
pub fn bars(chart: &Chart, day: &Day) -> Markup {
    let top = chart.top(day) as f64;
    html! {
        @for (slot, quarter) in day.quarters.iter().filter(|(_, q)| chart.tall(q) > 0) {
            g { title { (bar_words(chart, day, *slot, quarter)) } (stack(chart, quarter, *slot, top)) }
        }
    }
}

/// The parts of one quarter on each other. A part that is not nothing stays visible, however small.
fn stack(chart: &Chart, quarter: &Quarter, slot: usize, top: f64) -> Markup {
    let mut y = BASE;
    let parts = chart.series.iter().filter_map(|series| {
        let value = (series.value)(quarter);
        let height = (value as f64 / top * HEIGHT).max(SLIGHT).min(y - TOP + SLIGHT);
        (value > 0).then(|| {
            y -= height;
            (series.class, y, height)
        })
    });
    let parts: Vec<_> = parts.collect();
    html! {
        @for (class, y, height) in parts {
            rect class=(class) x=(px(LEFT + slot as f64 * SLOT + GAP / 2.0)) y=(px(y))
                width=(px(SLOT - GAP)) height=(px(height)) {}
        }
    }
}

fn bar_words(chart: &Chart, day: &Day, slot: usize, quarter: &Quarter) -> String {
    let parts: Vec<String> =
        chart.series.iter().map(|s| format!("{} {}", digits((s.value)(quarter)), s.noun)).collect();
    quarter_words(day, slot) + &parts.join(", ")
}

/// `12:15 to 12:30 UTC: `, for what follows.
fn quarter_words(day: &Day, slot: usize) -> String {
    format!("{} to {} UTC: ", clock(day.time(slot)), clock(day.time(slot + 1)))
}

/// Drift as steps; a gap in the history is a gap in the drawing.
pub fn area(day: &Day) -> Markup {
    let top = DRIFT.top(day) as f64;
    let runs = day.quarters.chunk_by(|(a, _), (b, _)| a + 1 == *b);
    html! {
        @for run in runs {
            @let line = steps(run, top);
            @let (first, last) = (run.first().map_or(0, |r| r.0), run.last().map_or(0, |r| r.0) + 1);
            path.drift-area d={ "M" (x(first)) " " (px(BASE)) "L" (line) "L" (x(last)) " " (px(BASE)) "Z" } {}
            path.drift-line d={ "M" (line) } {}
        }
        @for (slot, quarter) in day.quarters.iter().filter(|(_, q)| q.drift > 0) {
            rect.hover x=(x(*slot)) y=(px(TOP)) width=(px(SLOT)) height=(px(HEIGHT)) {
                title { (quarter_words(day, *slot)) (digits(quarter.drift)) }
            }
        }
    }
}

fn steps(run: &[(usize, &Quarter)], top: f64) -> String {
    let points = run.iter().map(|(slot, quarter)| {
        let y = px(BASE - quarter.drift as f64 / top * HEIGHT);
        format!("{} {y}L{} {y}", x(*slot), x(slot + 1))
    });
    points.collect::<Vec<_>>().join("L")
}

/// `850`, `12k`, `3.4M`: short enough for the margin.
fn short(number: u64) -> String {
    let scaled = |by: f64| super::decimal(number as f64 / by);
    match number {
        0..10_000 => digits(number),
        10_000..1_000_000 => format!("{}k", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{}M", scaled(1e6)),
        _ => format!("{}G", scaled(1e9)),
    }
}

/// What stands in the plot where nothing happened.
pub fn nothing(day: &Day) -> Markup {
    html! {
        text.nothing x=(px(LEFT + WIDTH / 2.0)) y=(px(TOP + HEIGHT / 2.0)) text-anchor="middle" {
            @if day.quarters.is_empty() { "nothing yet" } @else { "none" }
        }
    }
}

/// Where a slot begins.
fn x(slot: usize) -> String {
    px(LEFT + slot as f64 * SLOT)
}

/// A tenth of a unit is finer than any screen.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), Into::into)
}
