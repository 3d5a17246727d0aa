//! Drives rosterd, library and binary, against the sandbox.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod calls;
mod cli;
mod daemon;
mod diagnostics;
mod door;
mod faults;
mod gate;
mod guard;
mod interrupt;
mod laws;
mod laws_finspace;
mod lessons;
mod pacing;
mod page;
mod people;
mod pieces;
mod resolve;
mod saved;
mod services;
mod support;
mod traps;
mod within;
mod world;
