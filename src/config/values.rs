//! Values as a person writes them in the settings, each with the problem it can have.

use std::time::Duration;

use crate::input::{self, Located, Problem, Problems, Table};
use crate::service::Word;

/// A whole number within a range.
pub fn whole(
    t: &mut Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    problems: &mut Problems,
) -> Option<u64> {
    let path = t.path(key);
    let value = t.take(key)?;
    let place = value.place;
    let number = value.into_count(&path, problems)?;
    if !range.contains(&number) {
        let message = format!("`{path}` must be from {} to {}", range.start(), range.end());
        problems.push(Problem::at(place, message));
    }
    Some(number)
}

/// A length of time within a range.
pub fn span(
    t: &mut Table<'_>,
    key: &'static str,
    least: &str,
    most: &str,
    problems: &mut Problems,
) -> Option<Duration> {
    let place = t.place_of(key);
    let found = duration(t, key, problems)?;
    let bound = |text: &str| parse_duration(text).unwrap_or_default();
    if !(bound(least)..=bound(most)).contains(&found) {
        problems.push(Problem::at(place, format!("`{}` must be from {least} to {most}", t.path(key))));
    }
    Some(found)
}

fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok())
}

pub fn globs(t: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<Vec<globset::Glob>> {
    let path = t.path(key);
    let texts = t.take(key)?.into_strings(&path, problems)?;
    Some(texts.into_iter().filter_map(|text| glob(&text, problems)).collect())
}

fn glob(text: &Located<String>, problems: &mut Problems) -> Option<globset::Glob> {
    let built = globset::GlobBuilder::new(&text.value).case_insensitive(true).build();
    built
        .map_err(|e| {
            problems.push(
                Problem::at(text.place, format!("`{}` is no valid pattern: {}", text.value, e.kind()))
                    .help("`*` stands for any text, `?` for one character"),
            )
        })
        .ok()
}

pub fn duration(t: &mut Table<'_>, key: &'static str, problems: &mut Problems) -> Option<Duration> {
    let text = t.string(key, problems)?;
    let parsed = parse_duration(&text.value);
    if parsed.is_none() {
        problems.push(
            Problem::at(text.place, format!("`{}` is no length of time", text.value))
                .help("write it like `90s`, `5m`, `24h` or `1h 30m`"),
        );
    }
    parsed
}

pub fn address(text: &Located<String>, problems: &mut Problems) -> Option<std::net::SocketAddr> {
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        problems.push(
            Problem::at(text.place, format!("`{}` is no address and port", text.value))
                .help("for example `127.0.0.1:9464`"),
        );
    }
    parsed
}

pub fn share(text: &Located<String>, problems: &mut Problems) -> f64 {
    let parsed = text
        .value
        .strip_suffix('%')
        .and_then(|n| n.trim().parse::<f64>().ok())
        .filter(|n| (0.0..=50.0).contains(n));
    if parsed.is_none() {
        problems.push(
            Problem::at(text.place, format!("`{}` is no share from 0% to 50%", text.value))
                .help("write it like `10%`"),
        );
    }
    parsed.unwrap_or(0.0) / 100.0
}

/// One of a closed set of words, or a problem that lists them.
pub fn word<W: Word>(text: &Located<String>, what: &str, problems: &mut Problems) -> Option<W> {
    let found = W::ALL.iter().copied().find(|w| w.word() == text.value);
    if found.is_none() {
        let words: Vec<&str> = W::ALL.iter().map(|w| w.word()).collect();
        let near = input::nearest(&text.value, words.iter().copied());
        let help = near
            .map_or_else(|| format!("use one of: {}", words.join(", ")), |n| format!("did you mean `{n}`?"));
        let problem = Problem::at(text.place, format!("`{}` is no valid {what}", text.value)).help(help);
        // What stands in a user's table may be anything.
        problems.push(if what == "state" { problem.private(&text.value) } else { problem });
    }
    found
}
