//! rosterd keeps the people on a roster in step with three AWS services.
//!
//! ```text
//! roster.toml ──▶ Desired ─┐
//!                          ├─▶ diff ─▶ Plan ─▶ guard ─▶ apply ─▶ Report
//! service API ──▶ Observed ┘        (pure)    (pure)   (paced calls)
//! ```
//!
//! * [`input`], [`config`], [`roster`]: files -> settings and desired state, every mistake with its place.
//! * [`service`]: one slice a service; types, `observe`, `diff` (pure), `apply`.
//! * [`plan`]: changes, the guard, costs, rendering, saved plans; pure.
//! * [`aws`]: clients and the one door every call goes through.
//! * [`reconcile`]: one pass, the only place where the stages meet.
//! * [`daemon`]: the loop of each target, reloads, systemd, and how everything stands.
//! * [`aside`]: waiting for a disk beside everything else.
//! * [`state`]: what is remembered between passes; losing it is harmless.
//! * [`telemetry`]: logs, metrics, the audit trail, HTTP, the status page.
//! * [`sandbox`]: the three services' APIs on 127.0.0.1; shares nothing with the rest.
//! * [`cli`]: one file a command.
//!
//! What must stay true: a dry run is a pass that does not call apply; mutating calls exist in
//! `service/*/apply.rs` only; an observation is complete or an error, and a write is planned from a listing only; a second pass after a successful one
//! plans nothing; the same inputs give the same bytes; one failing change, user or target stops no other;
//! every write leaves an audit line.

pub mod aside;
pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod input;
pub mod plan;
pub mod reconcile;
pub mod roster;
pub mod sandbox;
pub mod service;
pub mod state;
pub mod telemetry;
pub mod word;
