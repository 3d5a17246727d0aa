//! The three services' HTTP APIs on 127.0.0.1, good enough that the real SDKs and boto3 work against it.
//!
//! `model` is the language the operations are written in and checks every request against it; the three
//! service files hold one row and one function an operation; [`world`] is the state; [`knobs`] says what
//! goes wrong and how fast it may go; `server` speaks HTTP. It is written from the published service
//! models and shares nothing with the code it tests (no import from elsewhere in this crate), so that a
//! mistake on one side does not cancel out on the other.

mod datazone;
pub mod fault;
mod finspace;
pub mod generate;
pub mod knobs;
mod model;
mod quicksight;
mod server;
pub mod world;

pub use knobs::Knobs;
pub use server::{Call, Sandbox};
pub use world::World;
