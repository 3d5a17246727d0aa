//! The fewest calls to read a target's users: the whole listing, or one Get or Describe each. Pure.
//!
//! A listing shows everybody, and is what everything else is built on: who is new, who was renamed, who is
//! there unlisted. Asking for each user by name can only confirm those a listing has shown before, so it is
//! chosen when nothing else is wanted: the policy removes nobody unlisted, nobody on the roster is to lose
//! access (caps on removals want a population of today), every user was last seen under the very principal
//! the roster names, a listing not older than a day showed no name twice, and it had more pages than the
//! roster has users. If somebody cannot be had by name, the target is listed after all.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Desired, Known, Observed, State, datazone, quicksight};
use crate::aws::Class;

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

impl Reading {
    /// How many principals there are, so many having been read.
    pub fn population(self, read: usize) -> usize {
        match self {
            Reading::List => read,
            Reading::Each { population } => population,
        }
    }
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
    /// Of an observation; nothing where it was no listing, or showed a name of the roster more than once:
    /// asked for by that name, the service would show one of them.
    pub fn of(observed: &Observed, desired: &Desired, at: Timestamp) -> Option<Listing> {
        let (pages, population) = match observed {
            Observed::DataZone(o) => (o.pages(), o.profiles.len()),
            Observed::QuickSight(o) => (o.pages(), o.users.len()),
            Observed::FinSpace(_) => return None,
        };
        let is_one_each = match (observed, desired) {
            (Observed::DataZone(o), Desired::DataZone(d)) => {
                d.users.iter().all(|u| o.matching(&u.identity).len() <= 1)
            }
            (Observed::QuickSight(o), Desired::QuickSight(d)) => {
                d.users.iter().all(|u| o.users_of(&u.key()).count() <= 1)
            }
            _ => false,
        };
        (observed.is_listing() && is_one_each).then_some(Listing { pages, population, at })
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
    let is_to_keep = match desired {
        // A role's ARN may stand for several profiles, which only the listing shows.
        Desired::DataZone(d) => d.users.iter().all(|u| {
            let keeps_access = u.grant.access.as_ref().is_none_or(|wish| wish.value.wants_access());
            u.state == State::Active && keeps_access && matches!(u.identity, datazone::Identity::Sso { .. })
        }),
        Desired::QuickSight(d) => d
            .users
            .iter()
            .all(|u| u.state == State::Active && matches!(u.identity, quicksight::Identity::Named { .. })),
        // GetUser wants an id that only a listing tells.
        Desired::FinSpace(_) => false,
    };
    let is_fewer = desired.len() < listing.pages;
    let is_recent = (0.0..LISTING_HOURS).contains(&hours);
    let were_all_seen = || desired.principals().iter().all(|(user, key)| known.get(user) == Some(key));
    if is_to_keep && is_fewer && is_recent && were_all_seen() {
        Reading::Each { population: listing.population }
    } else {
        Reading::List
    }
}

/// True when asking by name failed in a way that a listing may not.
pub fn is_for_the_listing(class: Class) -> bool {
    matches!(class, Class::NotFound | Class::Denied | Class::Invalid)
}
