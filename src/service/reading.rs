//! The fewest calls to read a target's users: the whole listing, or one Get or Describe each. Pure.
//!
//! A listing shows everybody, and is what everything else is built on: who is new, who was renamed, who is
//! there unlisted. Asking for each user by name can only confirm those a listing has shown before, so it is
//! chosen when nothing else is wanted: the policy removes nobody unlisted, every user was last seen under
//! the very principal the roster names, a listing is not older than a day, and it had more pages than the
//! roster has users. If somebody turns out not to be there, the target is listed after all.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Desired, Known, Observed, datazone, quicksight};

/// A listing is believed for so long.
const LISTING_HOURS: f64 = 24.0;

/// How the users of a target are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// All of them, page by page.
    #[default]
    List,
    /// Only those on the roster, by name; so many were there when they were last listed.
    Each {
        /// For caps that are a share of all.
        population: usize,
    },
}

/// What a listing took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Calls.
    pub pages: usize,
    /// Principals.
    pub population: usize,
    /// When.
    pub at: Timestamp,
}

impl Listing {
    /// Of an observation; nothing where it was no listing.
    pub fn of(observed: &Observed, at: Timestamp) -> Option<Listing> {
        let (pages, population) = match observed {
            Observed::DataZone(o) if o.reading == Reading::List => (o.pages(), o.profiles.len()),
            Observed::QuickSight(o) if o.reading == Reading::List => (o.pages(), o.users.len()),
            _ => return None,
        };
        Some(Listing { pages, population, at })
    }
}

/// How to read a target; `removes_unlisted` when its policy may remove who is not on the roster.
pub fn choose(
    desired: &Desired,
    removes_unlisted: bool,
    known: &Known,
    listing: Option<&Listing>,
    now: Timestamp,
) -> Reading {
    let Some(listing) = listing.filter(|_| !removes_unlisted) else { return Reading::List };
    let hours = now.duration_since(listing.at).as_secs_f64() / 3600.0;
    let is_one_name_each = match desired {
        // A role's ARN may stand for several profiles, which only the listing shows.
        Desired::DataZone(d) => d.users.iter().all(|u| matches!(u.identity, datazone::Identity::Sso { .. })),
        Desired::QuickSight(d) => {
            d.users.iter().all(|u| matches!(u.identity, quicksight::Identity::Named { .. }))
        }
        // GetUser wants an id that only a listing tells.
        Desired::FinSpace(_) => false,
    };
    let is_fewer = desired.len() < listing.pages;
    let is_recent = (0.0..LISTING_HOURS).contains(&hours);
    let were_all_seen = || desired.principals().iter().all(|(user, key)| known.get(user) == Some(key));
    if is_one_name_each && is_fewer && is_recent && were_all_seen() {
        Reading::Each { population: listing.population }
    } else {
        Reading::List
    }
}
