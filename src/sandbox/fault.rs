//! What goes wrong on purpose: a seeded schedule over the calls of an operation.

use std::str::FromStr;

use serde::Deserialize;

/// One thing that can go wrong with a call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 429, code ThrottlingException.
    Throttle,
    /// 429 without a code the models know, and with `Retry-After: 1`.
    BareThrottle,
    /// 500.
    ServerError,
    /// 503 from something in front of the service: HTML, no code.
    Unavailable,
    /// The connection ends before the call takes effect.
    ResetBefore,
    /// The connection ends after the call took effect.
    ResetAfter,
    /// No answer for a minute; the call takes effect.
    Hang,
    /// 200 with half of the body.
    Malformed,
    /// An error of this code.
    Error(String),
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// `service:Operation`, `service:*` or `*`.
    pub on: String,
    /// What happens.
    pub fault: Fault,
    /// To this share of the calls.
    #[serde(default = "always")]
    pub rate: f64,
    /// The first so many calls go well.
    #[serde(default)]
    pub skip: u64,
    /// At most so many calls are struck.
    #[serde(default = "without_end")]
    pub count: u64,
}

fn always() -> f64 {
    1.0
}

fn without_end() -> u64 {
    u64::MAX
}

impl FaultRule {
    /// True when the rule is about this operation.
    pub fn is_on(&self, service: &str, operation: &str) -> bool {
        match self.on.split_once(':') {
            None => self.on == "*",
            Some((s, o)) => s == service && (o == "*" || o == operation),
        }
    }
}

impl FromStr for FaultRule {
    type Err = String;

    /// `ON=FAULT[@RATE][#COUNT]`, such as `quicksight:UpdateUser=throttle@0.05` or `*=reset_after#3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let help =
            || format!("`{text}`: write it like quicksight:UpdateUser=throttle@0.05 or *=reset_after#3");
        let (on, rest) = text.split_once('=').ok_or_else(help)?;
        let (rest, count) = match rest.split_once('#') {
            Some((rest, count)) => (rest, count.parse().map_err(|_| help())?),
            None => (rest, u64::MAX),
        };
        let (name, rate) = match rest.split_once('@') {
            Some((name, rate)) => (name, rate.parse().map_err(|_| help())?),
            None => (rest, 1.0),
        };
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!("`{text}`: the rate is from 0 to 1"));
        }
        let fault = match name {
            "throttle" => Fault::Throttle,
            "bare_throttle" => Fault::BareThrottle,
            "server_error" => Fault::ServerError,
            "unavailable" => Fault::Unavailable,
            "reset_before" => Fault::ResetBefore,
            "reset_after" => Fault::ResetAfter,
            "hang" => Fault::Hang,
            "malformed" => Fault::Malformed,
            other => match other.strip_prefix("error:") {
                Some(code) if !code.is_empty() => Fault::Error(code.to_string()),
                _ => {
                    return Err(format!(
                        "`{other}` is no fault; use throttle, bare_throttle, server_error, unavailable, reset_before, reset_after, hang, malformed or error:CODE"
                    ));
                }
            },
        };
        Ok(FaultRule { on: on.to_string(), fault, rate, skip: 0, count })
    }
}

/// The schedule while it runs.
#[derive(Debug)]
pub struct Schedule {
    rules: Vec<(FaultRule, u64, u64)>,
    chance: fastrand::Rng,
}

impl Schedule {
    /// The same seed and the same calls give the same faults.
    pub fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        Schedule {
            rules: rules.into_iter().map(|rule| (rule, 0, 0)).collect(),
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// What strikes this call.
    pub fn strike(&mut self, service: &str, operation: &str) -> Option<Fault> {
        for (rule, seen, struck) in &mut self.rules {
            if !rule.is_on(service, operation) {
                continue;
            }
            *seen += 1;
            let due = *seen > rule.skip && *struck < rule.count;
            if due && self.chance.f64() < rule.rate {
                *struck += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}
