//! Finding what was listed by its key: four bytes an entry, for the keys stay where they are.

use std::hash::{BuildHasher, Hash as _, Hasher as _, RandomState};

use hashbrown::HashTable;

/// What things are found by.
#[derive(Debug, Clone, Copy)]
pub enum Key<'t> {
    /// A name whose case does not count.
    Name(&'t str),
    /// An ARN and a session, exactly.
    Arn(&'t str, Option<&'t str>),
}

/// Positions in a list, by the keys of what stands there.
#[derive(Debug, Default)]
pub struct Index {
    positions: HashTable<u32>,
    hasher: RandomState,
}

/// True when two names differ in case at most.
pub fn is_same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        a.eq_ignore_ascii_case(b)
    } else {
        a.to_lowercase() == b.to_lowercase()
    }
}

impl Key<'_> {
    fn is(self, other: Key<'_>) -> bool {
        match (self, other) {
            (Key::Name(a), Key::Name(b)) => is_same(a, b),
            (Key::Arn(arn, session), Key::Arn(other, its)) => arn == other && session == its,
            _ => false,
        }
    }

    fn hash(self, hasher: &RandomState) -> u64 {
        let mut state = hasher.build_hasher();
        match self {
            Key::Name(name) if name.is_ascii() => {
                for byte in name.bytes() {
                    state.write_u8(byte.to_ascii_lowercase());
                }
            }
            Key::Name(name) => {
                for byte in name.to_lowercase().bytes() {
                    state.write_u8(byte);
                }
            }
            Key::Arn(arn, session) => (arn, session).hash(&mut state),
        }
        state.finish()
    }
}

impl Index {
    /// Of items in their order; what has no key is not in it.
    pub fn new<T>(items: &[T], key: impl Fn(&T) -> Option<Key<'_>>) -> Self {
        let mut index = Index::default();
        let hashes: Vec<u64> =
            items.iter().map(|item| key(item).map_or(0, |key| key.hash(&index.hasher))).collect();
        index.positions.reserve(items.len(), |_| 0);
        for (at, item) in items.iter().enumerate() {
            if let (Some(_), Ok(position)) = (key(item), u32::try_from(at)) {
                index.positions.insert_unique(hashes[at], position, |at| hashes[*at as usize]);
            }
        }
        index
    }

    /// The items of a key, in order.
    pub fn find<'t, T>(
        &self,
        items: &'t [T],
        wanted: Key<'_>,
        key: impl Fn(&T) -> Option<Key<'_>>,
    ) -> std::vec::IntoIter<&'t T> {
        let found = self.positions.iter_hash(wanted.hash(&self.hasher)).map(|at| *at as usize);
        let mut found: Vec<usize> =
            found.filter(|at| key(&items[*at]).is_some_and(|key| key.is(wanted))).collect();
        found.sort_unstable();
        found.into_iter().map(|at| &items[at]).collect::<Vec<_>>().into_iter()
    }
}
