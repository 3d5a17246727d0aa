//! Which of a plan's changes may start when: each after what it depends on, one lane at a time, the first of the
//! plan first. Pure.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::plan::Change;

/// Which change may start. Knows nothing of calls; tested on its own.
#[derive(Debug)]
pub struct Schedule {
    /// Changes whose dependencies are done; the first of the plan goes first, so that what follows a change
    /// does not wait behind all others of its kind.
    ready: BTreeSet<usize>,
    /// How many dependencies each change still waits for.
    waiting: HashMap<usize, usize>,
    /// Who waits for a change.
    dependents: HashMap<usize, Vec<usize>>,
    /// Changes that wait for something the plan does not make, and what.
    hopeless: Vec<(usize, String)>,
    lanes: Vec<Option<&'static str>>,
    busy: HashSet<&'static str>,
    parked: HashMap<&'static str, VecDeque<usize>>,
    running: HashSet<usize>,
}

impl Schedule {
    /// The schedule of the ready `changes` of a plan; `all` are those of the plan.
    pub fn new(changes: &[&Change], all: &[Change]) -> Self {
        let positions: HashMap<&str, usize> =
            changes.iter().enumerate().map(|(at, c)| (c.id.as_str(), at)).collect();
        let planned: HashSet<&str> = all.iter().map(|c| c.id.as_str()).collect();
        let mut schedule = Schedule {
            ready: BTreeSet::new(),
            waiting: HashMap::new(),
            dependents: HashMap::new(),
            hopeless: Vec::new(),
            lanes: changes.iter().map(|c| c.action.lane()).collect(),
            busy: HashSet::new(),
            parked: HashMap::new(),
            running: HashSet::new(),
        };
        for (at, change) in changes.iter().enumerate() {
            let unmade = change
                .after
                .iter()
                .find(|id| planned.contains(id.as_str()) && !positions.contains_key(id.as_str()));
            if let Some(id) = unmade {
                schedule.hopeless.push((at, id.clone()));
                continue;
            }
            let on: Vec<usize> =
                change.after.iter().filter_map(|id| positions.get(id.as_str()).copied()).collect();
            if on.is_empty() {
                schedule.ready.insert(at);
            } else {
                schedule.waiting.insert(at, on.len());
                for dependency in on {
                    schedule.dependents.entry(dependency).or_default().push(at);
                }
            }
        }
        schedule
    }

    /// The next change that may start, which from here on runs.
    pub fn start(&mut self) -> Option<usize> {
        while let Some(at) = self.ready.pop_first() {
            match self.lanes[at] {
                Some(lane) if !self.busy.insert(lane) => self.parked.entry(lane).or_default().push_back(at),
                _ => {
                    self.running.insert(at);
                    return Some(at);
                }
            }
        }
        None
    }

    /// Notes the end of a change, and gives back what can no longer be made.
    pub fn ended(&mut self, at: usize, done: bool) -> Vec<usize> {
        self.running.remove(&at);
        if let Some(lane) = self.lanes[at] {
            self.busy.remove(lane);
            if let Some(next) = self.parked.get_mut(lane).and_then(VecDeque::pop_front) {
                self.ready.insert(next);
            }
        }
        let mut skipped = Vec::new();
        let mut ends = vec![(at, done)];
        while let Some((at, done)) = ends.pop() {
            for dependent in self.dependents.remove(&at).unwrap_or_default() {
                let Some(left) = self.waiting.get_mut(&dependent) else { continue };
                *left -= 1;
                if !done {
                    self.waiting.remove(&dependent);
                    skipped.push(dependent);
                    ends.push((dependent, false));
                } else if *left == 0 {
                    self.waiting.remove(&dependent);
                    self.ready.insert(dependent);
                }
            }
        }
        skipped
    }

    /// What never started, with what it waits for where that is no part of the run.
    pub fn left(self) -> Vec<(usize, Option<String>)> {
        let mut left: Vec<(usize, Option<String>)> =
            self.hopeless.into_iter().map(|(at, id)| (at, Some(id))).collect();
        let unstarted = self.ready.into_iter().chain(self.waiting.into_keys());
        left.extend(unstarted.chain(self.parked.into_values().flatten()).map(|at| (at, None)));
        left.sort_unstable();
        left
    }
}
