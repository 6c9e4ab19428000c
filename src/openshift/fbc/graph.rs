//! A channel as a graph: which entry replaces or skips which, the one head, and what a range leaves of it.

use super::error::Fault;
use super::package::{Channel, Package};
use semver::Version;
use std::collections::{BTreeSet, HashMap};

/// The graph of one channel. Nodes are its entries and whatever names occur in `replaces` and `skips` only.
#[derive(Debug)]
pub(super) struct Graph<'c> {
    nodes: Vec<Node<'c>>,
    head: usize,
}

#[derive(Debug, Default)]
struct Node<'c> {
    name: &'c str,
    /// It is an entry, not just a name in one.
    listed: bool,
    version: Option<&'c Version>,
    replaces: Option<usize>,
    skips: BTreeSet<usize>,
}

impl<'c> Graph<'c> {
    /// Builds it.
    ///
    /// # Errors
    /// A channel without head or with several, entries that occur twice or refer to themselves, circles.
    pub(super) fn of(name: &str, channel: &'c Channel, package: &'c Package) -> Result<Graph<'c>, Fault> {
        let mut graph = Graph { nodes: Vec::new(), head: 0 };
        let mut known = HashMap::new();
        for entry in &channel.entries {
            graph.entry(name, entry, package, &mut known)?;
        }
        graph.head = graph.find_head(name)?;
        graph.refuse_cycles(name)?;
        Ok(graph)
    }

    fn entry(
        &mut self,
        channel: &str,
        entry: &'c super::package::Entry,
        package: &'c Package,
        known: &mut HashMap<&'c str, usize>,
    ) -> Result<(), Fault> {
        let own = self.node(&entry.name, known);
        let replaces = entry.replaces.as_deref().map(|name| self.node(name, known));
        let skips: BTreeSet<usize> = entry.skips.iter().map(|name| self.node(name, known)).collect();
        let (channel, entry) = (channel.to_owned(), entry.name.to_string());
        if replaces == Some(own) || skips.contains(&own) {
            return Err(Fault::SelfReference { channel, entry, skips: replaces != Some(own) });
        }
        let version = package.bundle(&entry).map(|bundle| &bundle.version);
        match self.nodes.get_mut(own) {
            Some(node) if !node.listed => *node = Node { listed: true, version, replaces, skips, name: node.name },
            _ => return Err(Fault::RepeatedEntry { channel, entry }),
        }
        Ok(())
    }

    fn node(&mut self, name: &'c str, known: &mut HashMap<&'c str, usize>) -> usize {
        *known.entry(name).or_insert_with(|| {
            self.nodes.push(Node { name, ..Node::default() });
            self.nodes.len() - 1
        })
    }

    /// Nodes below a node: what it replaces, and what it skips.
    fn below(&self, node: usize) -> BTreeSet<usize> {
        self.nodes.get(node).map(|node| node.skips.iter().copied().chain(node.replaces).collect()).unwrap_or_default()
    }

    /// For each node, how many others replace or skip it.
    fn above(&self) -> Vec<usize> {
        let mut above = vec![0; self.nodes.len()];
        for node in (0..self.nodes.len()).flat_map(|node| self.below(node)) {
            if let Some(count) = above.get_mut(node) {
                *count += 1;
            }
        }
        above
    }

    fn find_head(&self, channel: &str) -> Result<usize, Fault> {
        let free = self.nodes.iter().zip(self.above()).enumerate().filter(|(_, (node, above))| node.listed && *above == 0);
        let heads: Vec<usize> = free.map(|(number, _)| number).collect();
        let channel = || channel.to_owned();
        match heads.as_slice() {
            [head] => Ok(*head),
            [] => Err(Fault::NoHead { channel: channel() }),
            several => Err(Fault::Heads { channel: channel(), heads: several.iter().map(|node| self.name(*node).to_owned()).collect() }),
        }
    }

    /// Takes away, from the head on, whatever nothing is above of: what is left then lies in circles or below one.
    fn refuse_cycles(&self, channel: &str) -> Result<(), Fault> {
        let mut above = self.above();
        let mut free = vec![self.head];
        while let Some(node) = free.pop() {
            for below in self.below(node) {
                if let Some(count) = above.get_mut(below) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(below);
                    }
                }
            }
        }
        let left = self.nodes.iter().zip(&above).filter(|(_, above)| **above > 0).map(|(node, _)| node.name.to_owned());
        let entries: Vec<String> = left.collect();
        if entries.is_empty() { Ok(()) } else { Err(Fault::Cycle { channel: channel.to_owned(), entries }) }
    }

    fn name(&self, node: usize) -> &'c str {
        self.nodes.get(node).map_or("", |node| node.name)
    }

    /// The head's name.
    pub(super) fn head(&self) -> &'c str {
        self.name(self.head)
    }

    /// From the head down, each what the one before replaces.
    fn chain(&self) -> Vec<usize> {
        let next = |node: &usize| self.nodes.get(*node).and_then(|node| node.replaces);
        // There are no circles; the limit only says so.
        std::iter::successors(Some(self.head), next).take(self.nodes.len()).collect()
    }

    /// The shortest piece of the channel that holds all wanted entries that can be reached, in one piece with one head: a run of
    /// the chain, with what is wanted of the entries it skips.
    pub(super) fn piece(&self, wanted: &dyn Fn(&str, Option<&Version>) -> bool) -> BTreeSet<&'c str> {
        let wants = |node: &usize| self.nodes.get(*node).is_some_and(|node| node.listed && wanted(node.name, node.version));
        let chain = self.chain();
        let counts = self.counts(&chain, &wants);
        let total = counts.first().copied().unwrap_or(0);
        if total == 0 {
            return BTreeSet::new();
        }
        let from = counts.iter().rposition(|count| *count == total).unwrap_or(0);
        let to = counts.iter().position(|count| *count == 0).unwrap_or(chain.len());
        let run = chain.get(from..to).unwrap_or_default();
        let skipped = run.iter().filter_map(|node| self.nodes.get(*node)).flat_map(|node| node.skips.iter().copied()).filter(wants);
        let kept = run.iter().copied().chain(skipped).filter_map(|node| self.nodes.get(node));
        kept.filter(|node| node.listed).map(|node| node.name).collect()
    }

    /// For each node of the chain, how many wanted ones there are from it down: itself, what it skips, what is below.
    fn counts(&self, chain: &[usize], wants: &dyn Fn(&usize) -> bool) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut count = 0;
        let mut counts: Vec<usize> = chain
            .iter()
            .rev()
            .map(|number| {
                let skips = self.nodes.get(*number).into_iter().flat_map(|node| node.skips.iter().copied());
                count += std::iter::once(*number).chain(skips).filter(|node| wants(node) && seen.insert(*node)).count();
                count
            })
            .collect();
        counts.reverse();
        counts
    }
}
