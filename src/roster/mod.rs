//! The roster: who the people are and what their roles give them.
//!
//! [`mod@load`] reads the files into the types of [`schema`], collecting every problem; [`access`] reads what
//! a role says of each service; [`mod@resolve`] folds the roles of each user into what each target should
//! hold; [`files`] does all of it. Nothing here knows what a target does hold.

pub mod access;
pub mod files;
pub mod load;
pub mod resolve;
pub mod schema;

pub use load::load;
pub use resolve::resolve;
pub use schema::Roster;
