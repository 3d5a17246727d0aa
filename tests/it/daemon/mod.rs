//! `rosterd run`: the loop in virtual time, the built binary in real time.

mod audit;
mod binary;
mod clocks;
mod convergence;
mod files;
mod http;
mod loops;
mod metrics;
mod parts;
mod stopping;
mod virtually;
