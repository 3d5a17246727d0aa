//! Reading the TOML files a person writes: where each value stands, and every mistake at once.
//!
//! [`source`] keeps the texts and turns problems into messages with file, line, column and a caret;
//! [`table`] walks a parsed TOML table key by key; [`pieces`] cuts a large file. Nothing here knows what a
//! roster or a target is.

pub mod pieces;
pub mod rules;
pub mod source;
pub mod table;

pub use source::{Place, Problem, Problems, Sources};
pub use table::{Located, Table, Value};

/// The candidate nearest to `word`, if one is near enough to be a likely misspelling.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= c.chars().count().max(3) / 3)
        .min_by_key(|(distance, c)| (*distance, c.to_string()))
        .map(|(_, c)| c)
}
