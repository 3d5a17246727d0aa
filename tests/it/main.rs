//! Drives rosterd, library and binary, against the sandbox.

mod calls;
mod cli;
mod diagnostics;
mod door;
mod faults;
mod guard;
mod interrupt;
mod laws;
mod lessons;
mod resolve;
mod saved;
mod services;
mod support;
mod traps;
mod world;
