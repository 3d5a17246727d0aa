//! Getting to AWS: clients, and the one door every call goes through (invariant 2).
//!
//! [`client`] builds SDK clients whose own retries are off; [`call`] paces, attempts, classifies, counts
//! and retries; [`classify`] is the one table of error codes; [`pacer`] says when a call may go out;
//! [`retry`] says how long to wait after one that failed; [`pages`] walks a listing to its end.

pub mod call;
pub mod classify;
pub mod client;
pub mod pacer;
pub mod pages;
pub mod retry;

pub use call::{Caller, Door, Limits};
pub use classify::{Class, Failure};
