//! The last day in three drawings: what was made, what differed, and what the services admitted.
//!
//! They are inline SVG with presentation attributes and classes alone. What a drawing shows is also in
//! words, in its description and in the caption below it.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::digits;
use super::plot::{area, axes, bars, nothing};
use super::time::clock;
use crate::daemon::status::{Quarter, Status};

/// Quarters of an hour in a day.
pub const SLOTS: usize = 96;

/// Seconds in one.
const QUARTER: i64 = 900;

/// The quarters that lie within the last day, each with its place in it.
pub struct Day<'a> {
    /// Where the first slot begins.
    start: Timestamp,
    /// In order.
    pub quarters: Vec<(usize, &'a Quarter)>,
    /// What differs now, over all targets: the last quarter may not have seen a pass end.
    drift: usize,
}

/// One part of what is drawn: its noun and class, and its share of a quarter.
pub struct Series {
    /// What it counts.
    pub noun: &'static str,
    /// What colours it.
    pub class: &'static str,
    /// Its share of a quarter.
    pub value: fn(&Quarter) -> u64,
}

/// One drawing; the series stand on each other.
pub struct Chart {
    id: &'static str,
    title: &'static str,
    /// From the bottom up.
    pub series: &'static [Series],
}

const CHANGES: Chart = Chart {
    id: "chart-changes",
    title: "Changes",
    series: &[
        Series { noun: "made", class: "made", value: |q| q.made },
        Series { noun: "failed", class: "failed", value: |q| q.failed },
    ],
};

/// The drift, which is drawn as steps.
pub const DRIFT: Chart = Chart {
    id: "chart-drift",
    title: "Drift",
    series: &[Series { noun: "at most", class: "drift", value: |q| q.drift }],
};

const ATTEMPTS: Chart = Chart {
    id: "chart-attempts",
    title: "Calls to AWS",
    series: &[
        Series { noun: "admitted", class: "attempts", value: |q| q.attempts.saturating_sub(q.throttled) },
        Series { noun: "throttled", class: "throttled", value: |q| q.throttled },
    ],
};

/// The section of the three drawings.
pub fn section(status: &Status) -> Markup {
    let day = Day::new(status);
    html! {
        h2 #day-title { "The last day" }
        div.charts {
            (figure(&CHANGES, &day, bars(&CHANGES, &day), totals(&CHANGES, &day)))
            (figure(&DRIFT, &day, area(&day), drift_words(&day)))
            (figure(&ATTEMPTS, &day, bars(&ATTEMPTS, &day), totals(&ATTEMPTS, &day)))
        }
        p.hint {
            "Times are UTC, and a step is a quarter of an hour. Drift is the most that differed at the end "
            "of a pass, over all targets."
            @if day.quarters.first().is_some_and(|(slot, _)| *slot > 0) { " What is shaded was not counted." }
        }
    }
}

impl<'a> Day<'a> {
    fn new(status: &'a Status) -> Self {
        let now = status.now.as_second();
        let last = now - now.rem_euclid(QUARTER);
        let first = last - (SLOTS as i64 - 1) * QUARTER;
        let place = |quarter: &'a Quarter| {
            let slot = (quarter.start.as_second() - first).div_euclid(QUARTER);
            usize::try_from(slot).ok().filter(|slot| *slot < SLOTS).map(|slot| (slot, quarter))
        };
        Day {
            // Within a day of now, which is a time.
            start: Timestamp::from_second(first).unwrap_or(status.now),
            quarters: status.history.iter().filter_map(place).collect(),
            drift: status.targets.iter().map(|t| t.drift).sum(),
        }
    }

    /// When a slot begins.
    pub fn time(&self, slot: usize) -> Timestamp {
        self.start.saturating_add(SignedDuration::from_secs(slot as i64 * QUARTER)).unwrap_or(self.start)
    }

    fn sum(&self, series: &Series) -> u64 {
        self.quarters.iter().map(|(_, q)| (series.value)(q)).fold(0, u64::saturating_add)
    }

    /// The tallest quarter of a chart, where one is not empty; the latest of several.
    pub fn peak(&self, chart: &Chart) -> Option<(usize, u64)> {
        self.quarters
            .iter()
            .map(|(slot, q)| (*slot, chart.tall(q)))
            .filter(|(_, tall)| *tall > 0)
            .max_by_key(|(_, tall)| *tall)
    }
}

impl Chart {
    /// All series of a quarter together.
    pub fn tall(&self, quarter: &Quarter) -> u64 {
        self.series.iter().map(|s| (s.value)(quarter)).fold(0, u64::saturating_add)
    }

    /// The number at the upper edge: round, and not below any quarter.
    pub fn top(&self, day: &Day) -> u64 {
        round_up(day.peak(self).map_or(1, |(_, tall)| tall))
    }
}

/// The next number that reads well on an axis, as its half does: 1, 2, 4 … 10, 12, 16, 20 … 100, 120.
fn round_up(number: u64) -> u64 {
    if let Some(small) = [1, 2, 4, 6, 8].into_iter().find(|round| *round >= number) {
        return small;
    }
    let mut power: u64 = 1;
    loop {
        let rounds = [10, 12, 16, 20, 30, 40, 50, 60, 80].map(|step| power.saturating_mul(step));
        if let Some(round) = rounds.into_iter().find(|round| *round >= number) {
            return round;
        }
        power = power.saturating_mul(10);
    }
}

/// The drawing with its axes, its description and its caption; `drawn` is what stands in the plot.
fn figure(chart: &Chart, day: &Day, drawn: Markup, words: String) -> Markup {
    let (title_id, words_id) = (format!("{}-title", chart.id), format!("{}-words", chart.id));
    let peak = day.peak(chart);
    let most = peak.filter(|_| chart.id != DRIFT.id).map_or(String::new(), |(slot, tall)| {
        format!(" Most in a quarter of an hour: {} at {} UTC.", digits(tall), clock(day.time(slot)))
    });
    html! {
        figure {
            h3 { (chart.title) }
            svg.chart viewBox="0 0 328 126" role="img" aria-labelledby={ (title_id) " " (words_id) } {
                title id=(title_id) { (chart.title) " of the last day" }
                desc id=(words_id) { (words) "." (most) }
                (axes(chart, day))
                @match peak {
                    Some(_) => (drawn),
                    None => (nothing(day)),
                }
            }
            figcaption { (legend(chart, day)) }
        }
    }
}

fn legend(chart: &Chart, day: &Day) -> Markup {
    html! {
        @if chart.id == DRIFT.id { span.key.drift { (drift_words(day)) } }
        @else {
            @for series in chart.series {
                span class={ "key " (series.class) } { (digits(day.sum(series))) " " (series.noun) } " "
            }
        }
    }
}

fn totals(chart: &Chart, day: &Day) -> String {
    let parts: Vec<String> =
        chart.series.iter().map(|s| format!("{} {}", digits(day.sum(s)), s.noun)).collect();
    parts.join(", ")
}

fn drift_words(day: &Day) -> String {
    let now = digits(day.drift as u64);
    match day.peak(&DRIFT) {
        _ if day.quarters.is_empty() => "not measured yet".into(),
        None => format!("{now} now, none at the end of any pass"),
        Some((slot, most)) => format!("{now} now, at most {} at {}", digits(most), clock(day.time(slot))),
    }
}
