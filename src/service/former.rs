//! Who had which principal before: what tells a rename from a new person, so that a rename never becomes
//! delete + create, and nobody is given an account that was somebody else's. Pure.

use std::collections::{HashMap, HashSet};

use super::{Known, State};
use crate::plan::Change;

/// True when two keys stand for one principal: ARNs exactly, names without regard to case.
pub fn same_key(a: &str, b: &str) -> bool {
    a == b || (!a.starts_with("arn:") && !b.starts_with("arn:") && fold(a) == fold(b))
}

fn fold(key: &str) -> String {
    if key.starts_with("arn:") { key.to_string() } else { key.to_lowercase() }
}

/// Blocks a change that would give `user` what `holder` had when last seen.
pub fn taken(change: Change, user: &str, holder: &str) -> Change {
    change.blocked(
        format!("this account was users.{holder}'s when last seen"),
        &[
            &format!("give users.{holder} its old identity back"),
            &format!("take users.{holder} off the roster for one run; what it had is then users.{user}'s"),
        ],
    )
}

/// The memory of a target beside the users its roster lists now.
#[derive(Debug)]
pub struct Formers<'k> {
    known: &'k Known,
    /// Remembered key -> the listed users it was remembered for.
    holders: HashMap<String, Vec<&'k str>>,
    /// Keys of users who are to be absent, and have no other principal to give up.
    given_up: HashSet<String>,
}

impl<'k> Formers<'k> {
    /// Sees every listed user: id, key, state.
    pub fn new<'u>(known: &'k Known, users: impl Iterator<Item = (&'u str, String, State)>) -> Self {
        let mut holders: HashMap<String, Vec<&'k str>> = HashMap::new();
        let mut given_up = HashSet::new();
        for (user, key, state) in users {
            let remembered = known.get_key_value(user);
            if let Some((id, old)) = remembered {
                holders.entry(fold(old)).or_default().push(id);
            }
            if state == State::Absent && remembered.is_none_or(|(_, old)| same_key(old, &key)) {
                given_up.insert(fold(&key));
            }
        }
        Formers { known, holders, given_up }
    }

    /// The key a user had when last seen, where it is another now and still this user's: nobody who is to
    /// be absent gives it up, and no other user has been seen with it.
    pub fn of(&self, user: &str, key: &str) -> Option<&'k str> {
        let old = self.known.get(user).filter(|old| !same_key(old, key))?;
        let shared = self.holders.get(&fold(old)).is_some_and(|users| users.iter().any(|u| *u != user));
        (!shared && !self.given_up.contains(&fold(old))).then_some(old)
    }

    /// Another listed user who had this key when last seen, while this user did not; nobody, where somebody
    /// who is to be absent gives it up.
    pub fn holder(&self, user: &str, key: &str) -> Option<&'k str> {
        if self.known.get(user).is_some_and(|old| same_key(old, key)) || self.given_up.contains(&fold(key)) {
            return None;
        }
        self.holders.get(&fold(key))?.iter().copied().find(|holder| *holder != user)
    }
}
