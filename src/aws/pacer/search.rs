//! How fast a lane grows that was never throttled, and how far it then gets beyond the quota.

/// A search doubles its rate within so many calls,
const SEARCH_CALLS: f64 = 4.84;
/// and so many seconds below the prior,
const SEARCH_SECONDS_BELOW: f64 = 1.8;
/// or beyond it.
const SEARCH_SECONDS: f64 = 2.84;
/// A search from a guess takes fewer calls,
const BLIND_CALLS: f64 = 0.75;
/// and so many seconds at 50 calls a second,
const BLIND_SECONDS: f64 = 0.57;
/// more at higher rates by this power of the rate: a fast lane overshoots by more calls.
const BLIND_POWER: f64 = 0.9;
/// The bank a service is assumed to have, in seconds of its quota.
pub const BANK_SECONDS: f64 = 1.0;

/// Seconds a search takes to double a rate.
pub fn doubling(rate: f64, blind: bool, below_prior: bool) -> f64 {
    if blind {
        return (BLIND_CALLS / rate).max(BLIND_SECONDS * (rate / 50.0).powf(BLIND_POWER));
    }
    (SEARCH_CALLS / rate).max(if below_prior { SEARCH_SECONDS_BELOW } else { SEARCH_SECONDS })
}

/// How far a search that doubles in so many seconds gets beyond the quota before the bank is empty: with
/// `x` the factor, the bank pays for `doubling / ln 2 * (x - 1 - ln x)` seconds of the quota.
pub fn overshoot(doubling: f64) -> f64 {
    let bank = BANK_SECONDS * std::f64::consts::LN_2 / doubling;
    // The first terms of the inverse; within two percent where searches are.
    1.0 + (2.0 * bank).sqrt() + bank * 2.0 / 3.0
}
