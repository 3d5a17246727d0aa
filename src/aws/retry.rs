//! How long to wait before trying again: exponential, with full jitter, through the `backoff` crate.
//!
//! `backoff` is unmaintained (RUSTSEC-2025-0012) and stays behind this file alone; see deny.toml.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// The middle of the first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The middle of the longest wait.
const LONGEST: Duration = Duration::from_secs(10);

/// The waits of one call.
#[derive(Debug)]
pub struct Waits(ExponentialBackoff);

impl Default for Waits {
    fn default() -> Self {
        Waits(ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            // From nothing to twice the middle: full jitter.
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: LONGEST,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Waits {
    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(LONGEST)
    }
}
