//! The shortest way between two releases.

use super::{Graph, Risk};
use semver::Version;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// One release of a path, and what is risked by updating to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The release.
    pub version: Version,
    /// What the update to it from the one before may do; empty for an update without conditions.
    pub risks: Vec<Risk>,
}

/// What a way costs: first the conditional updates in it, then all of them. Least is best, so that a condition is accepted only
/// where no way does without.
type Cost = (usize, usize);

/// How a node was reached.
#[derive(Clone, Copy)]
struct Reached {
    cost: Cost,
    from: Option<usize>,
}

impl Graph {
    /// The path from one version to another: fewest conditional updates, then fewest updates; among equals the one a breadth-first
    /// search finds that looks at higher versions first. `None` without a path, or where an end is not in the graph.
    pub fn path(&self, from: &Version, to: &Version) -> Option<Vec<Step>> {
        let (start, goal) = (self.position(from)?, self.position(to)?);
        let mut reached = vec![None; self.nodes.len()];
        *reached.get_mut(start)? = Some(Reached { cost: (0, 0), from: None });
        // Entries of equal cost leave in the order they came: without conditional edges this is a breadth-first search.
        let mut order = 0usize;
        let mut next = BinaryHeap::from([Reverse(((0, 0), order, start))]);
        while let Some(Reverse((cost, _, at))) = next.pop() {
            if at == goal {
                return Some(self.steps(&reached, goal));
            }
            if reached.get(at).copied().flatten().is_some_and(|best: Reached| best.cost < cost) {
                continue;
            }
            for (to, risky) in self.updates(at) {
                let cost = (cost.0 + usize::from(risky), cost.1 + 1);
                let Some(slot) = reached.get_mut(to) else { continue };
                if slot.is_none_or(|best: Reached| cost < best.cost) {
                    *slot = Some(Reached { cost, from: Some(at) });
                    order += 1;
                    next.push(Reverse((cost, order, to)));
                }
            }
        }
        None
    }

    /// The updates from a node, unconditional ones first, higher versions first; true for conditional ones.
    fn updates(&self, at: usize) -> impl Iterator<Item = (usize, bool)> {
        let plain = self.edges.get(at).into_iter().flatten().map(|to| (*to, false));
        plain.chain(self.conditional.get(at).into_iter().flat_map(|edges| edges.keys()).map(|to| (to.0, true)))
    }

    fn steps(&self, reached: &[Option<Reached>], goal: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = Some(goal);
        while let Some(here) = at {
            at = reached.get(here).copied().flatten().and_then(|reached| reached.from);
            let risks = at.map(|from| self.risks(from, here)).unwrap_or_default();
            let Some(version) = self.version(here) else { break };
            steps.push(Step { version: version.clone(), risks });
        }
        steps.reverse();
        steps
    }

    /// What an update may do; nothing for an unconditional one.
    pub(super) fn risks(&self, from: usize, to: usize) -> Vec<Risk> {
        let groups = self.conditional.get(from).and_then(|edges| edges.get(&Reverse(to))).into_iter().flatten();
        let mut risks: Vec<Risk> = groups.filter_map(|group| self.risks.get(*group)).flatten().cloned().collect();
        risks.sort();
        risks.dedup();
        risks
    }

    /// For a pair without a path: the highest version below `to` that `from` reaches, and the lowest above `from` that reaches `to`.
    pub(super) fn ends(&self, from: &Version, to: &Version) -> (Option<Version>, Option<Version>) {
        let between = |at: &usize| self.version(*at).filter(|version| *version > from && *version < to);
        let (Some(start), Some(goal)) = (self.position(from), self.position(to)) else { return (None, None) };
        let forward = self.closure(start, &self.neighbours());
        let mut backward = vec![Vec::new(); self.nodes.len()];
        for (at, all) in self.neighbours().into_iter().enumerate() {
            all.into_iter().for_each(|to| backward.get_mut(to).into_iter().for_each(|slot| slot.push(at)));
        }
        let backward = self.closure(goal, &backward);
        (forward.iter().rev().find_map(between).cloned(), backward.iter().find_map(between).cloned())
    }

    fn neighbours(&self) -> Vec<Vec<usize>> {
        (0..self.nodes.len()).map(|at| self.updates(at).map(|(to, _)| to).collect()).collect()
    }

    fn closure(&self, start: usize, neighbours: &[Vec<usize>]) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([start]);
        let mut todo = vec![start];
        while let Some(at) = todo.pop() {
            todo.extend(neighbours.get(at).into_iter().flatten().copied().filter(|to| seen.insert(*to)));
        }
        seen
    }
}
