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
    /// How much longer chance makes each way of a call at most, in milliseconds.
    pub jitter_ms: u64,
    /// What goes wrong.
    pub faults: Vec<FaultRule>,
    /// The seed of everything that is left to chance.
    pub seed: u64,
    /// Reads that a new object stays unseen for.
    pub lag: u32,
}

/// A token bucket, or so many calls in each second of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Calls per second.
    pub rate: f64,
    /// Calls at once; as many as a second brings where it is not given.
    #[serde(default = "as_the_rate")]
    pub burst: f64,
    /// Counted anew with each second instead of trickling in.
    #[serde(default)]
    pub window: bool,
    /// Calls per second that somebody else makes, at random times.
    #[serde(default)]
    pub competitor: f64,
}

impl Knobs {
    /// Reads a file.
    pub fn from_toml(text: &str) -> Result<Knobs, String> {
        let mut knobs: Knobs = toml::from_str(text).map_err(|e| e.to_string())?;
        for (name, quota) in &mut knobs.quotas {
            *quota = quota.check().map_err(|e| format!("quotas.\"{name}\": {e}"))?;
        }
        Ok(knobs)
    }
}

/// Stands for a burst that is not given.
fn as_the_rate() -> f64 {
    f64::NAN
}

impl Quota {
    /// A token bucket.
    pub fn bucket(rate: f64, burst: f64) -> Quota {
        Quota { rate, burst, window: false, competitor: 0.0 }
    }

    /// So many calls in each second of the clock.
    pub fn window(rate: f64) -> Quota {
        Quota { window: true, ..Quota::bucket(rate, rate) }
    }

    fn check(mut self) -> Result<Self, String> {
        let fine = |n: f64, least: f64| n.is_finite() && n >= least;
        if !fine(self.rate, 0.001) {
            return Err("rate must be at least 0.001 per second".into());
        }
        if self.burst.is_nan() {
            self.burst = self.rate.max(1.0);
        }
        if !fine(self.burst, 1.0) {
            return Err("burst must be at least 1".into());
        }
        if self.window && (self.rate < 1.0 || self.rate.fract() != 0.0) {
            return Err("a window of one second admits a whole number of calls".into());
        }
        if self.window && self.burst != self.rate.max(1.0) {
            return Err("a window of one second has no burst of its own; leave `burst` out".into());
        }
        if !fine(self.competitor, 0.0) {
            return Err("competitor is a number of calls per second".into());
        }
        Ok(self)
    }
}

impl FromStr for Quota {
    type Err = String;

    /// `RATE`, `RATE,BURST` or `RATE,window`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, how) = text.split_once(',').unwrap_or((text, ""));
        let number = |t: &str| t.trim().parse::<f64>().map_err(|_| format!("`{t}` is no number"));
        let rate = number(rate)?;
        let quota = match how.trim() {
            "" => Quota::bucket(rate, as_the_rate()),
            "window" => Quota::window(rate),
            burst => Quota::bucket(rate, number(burst)?),
        };
        quota.check()
    }
}

/// `service:Operation=RATE,BURST`.
pub fn quota_flag(text: &str) -> Result<(String, Quota), String> {
    let (operation, quota) =
        text.split_once('=').ok_or_else(|| format!("`{text}`: write it like quicksight:UpdateUser=10,20"))?;
    Ok((operation.to_string(), quota.parse()?))
}

/// A quota being used.
#[derive(Debug, Clone)]
pub struct Bucket {
    quota: Quota,
    tokens: f64,
    filled: f64,
    /// When the competitor calls next, where there is one.
    competes: f64,
    chance: fastrand::Rng,
}

impl Bucket {
    /// A full bucket; the seed is that of the competitor's times.
    pub fn new(quota: Quota, seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Bucket { quota, tokens: quota.burst, filled: 0.0, competes: 0.0, chance }
    }

    /// Takes a token at a time in seconds, if there is one.
    pub fn take(&mut self, now: f64) -> bool {
        while self.quota.competitor > 0.0 && self.competes <= now {
            self.take_at(self.competes);
            self.competes -= (1.0 - self.chance.f64()).ln() / self.quota.competitor;
        }
        self.take_at(now)
    }

    /// The quota is another one from now on.
    pub fn set(&mut self, quota: Quota, now: f64) {
        self.fill(now);
        self.quota = quota;
        self.tokens = self.tokens.min(quota.burst);
    }

    fn take_at(&mut self, now: f64) -> bool {
        self.fill(now);
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }

    fn fill(&mut self, now: f64) {
        if !self.quota.window {
            self.tokens = (self.tokens + (now - self.filled) * self.quota.rate).min(self.quota.burst);
        } else if now.floor() > self.filled.floor() {
            self.tokens = self.quota.burst;
        }
        self.filled = now;
    }
}
