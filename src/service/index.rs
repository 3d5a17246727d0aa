//! Finding what was listed by a name whose case does not count: four bytes an entry, for the names stay where
//! they are.

use std::hash::{BuildHasher, Hasher as _, RandomState};

use hashbrown::HashTable;

/// Positions in a list, by the names of what stands there.
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

impl Index {
    /// Of the names in their order; what has none is not in it.
    pub fn new<'t>(names: impl Iterator<Item = Option<&'t str>>) -> Self {
        let mut index = Index::default();
        let (least, _) = names.size_hint();
        index.positions.reserve(least, |_| 0);
        let mut hashes = Vec::with_capacity(least);
        for (at, name) in names.enumerate() {
            hashes.push(name.map_or(0, |name| hash(&index.hasher, name)));
            if let (Some(_), Ok(at)) = (name, u32::try_from(at)) {
                let hash_of = |at: &u32| hashes[*at as usize];
                index.positions.insert_unique(hashes[at as usize], at, hash_of);
            }
        }
        index
    }

    /// Where this name stands, in order; `name_at` says which name stands where.
    pub fn positions<'t>(&self, name: &str, name_at: impl Fn(usize) -> &'t str) -> Vec<usize> {
        let found = self.positions.iter_hash(hash(&self.hasher, name)).map(|at| *at as usize);
        let mut found: Vec<usize> = found.filter(|at| is_same(name_at(*at), name)).collect();
        found.sort_unstable();
        found
    }
}

fn hash(hasher: &RandomState, name: &str) -> u64 {
    let mut state = hasher.build_hasher();
    if name.is_ascii() {
        let mut chunk = [0; 64];
        for part in name.as_bytes().chunks(chunk.len()) {
            let chunk = &mut chunk[..part.len()];
            chunk.copy_from_slice(part);
            chunk.make_ascii_lowercase();
            state.write(chunk);
        }
    } else {
        for part in name.to_lowercase().as_bytes().chunks(64) {
            state.write(part);
        }
    }
    state.finish()
}
