//! What the sandbox is told: quotas, latency, faults; by flags and by a TOML file.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::fault::FaultRule;

/// How the sandbox behaves beside what the services do anyway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// Token buckets by `service:Operation`; `service:*` is one bucket for all its operations.
    pub quotas: BTreeMap<String, Quota>,
    /// How long every answer takes, in milliseconds.
    pub latency_ms: u64,
    /// What goes wrong.
    pub faults: Vec<FaultRule>,
    /// The seed of everything that is left to chance.
    pub seed: u64,
    /// Reads that a new object stays unseen for.
    pub lag: u32,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Calls per second.
    pub rate: f64,
    /// Calls at once.
    pub burst: f64,
}

impl Knobs {
    /// Reads a file.
    pub fn from_toml(text: &str) -> Result<Knobs, String> {
        let knobs: Knobs = toml::from_str(text).map_err(|e| e.to_string())?;
        for (name, quota) in &knobs.quotas {
            quota.check().map_err(|e| format!("quotas.\"{name}\": {e}"))?;
        }
        Ok(knobs)
    }
}

impl Quota {
    fn check(self) -> Result<Self, String> {
        let fine = |n: f64, least: f64| n.is_finite() && n >= least;
        if fine(self.rate, 0.001) && fine(self.burst, 1.0) {
            Ok(self)
        } else {
            Err("rate must be at least 0.001 per second and burst at least 1".into())
        }
    }
}

impl FromStr for Quota {
    type Err = String;

    /// `RATE` or `RATE,BURST`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, burst) = text.split_once(',').unwrap_or((text, ""));
        let number = |t: &str| t.trim().parse::<f64>().map_err(|_| format!("`{t}` is no number"));
        let rate = number(rate)?;
        let burst = if burst.is_empty() { rate.max(1.0) } else { number(burst)? };
        Quota { rate, burst }.check()
    }
}

/// `service:Operation=RATE,BURST`.
pub fn quota_flag(text: &str) -> Result<(String, Quota), String> {
    let (operation, quota) =
        text.split_once('=').ok_or_else(|| format!("`{text}`: write it like quicksight:UpdateUser=10,20"))?;
    Ok((operation.to_string(), quota.parse()?))
}

/// A token bucket filling up.
#[derive(Debug, Clone)]
pub struct Bucket {
    quota: Quota,
    tokens: f64,
    filled: f64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(quota: Quota) -> Self {
        Bucket { quota, tokens: quota.burst, filled: 0.0 }
    }

    /// Takes a token at a time in seconds, if there is one.
    pub fn take(&mut self, now: f64) -> bool {
        self.tokens = (self.tokens + (now - self.filled) * self.quota.rate).min(self.quota.burst);
        self.filled = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}
