//! In which order metrics run, and which cannot: a pure question of names.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::metrics::INPUTS;

/// A metric as the registry holds it.
#[derive(Clone, Copy, Debug)]
pub struct MetricNode<'a> {
    /// Its name.
    pub name: &'a str,
    /// Names of inputs and of other metrics.
    pub dependencies: &'a [&'a str],
    /// Whether somebody wants it.
    pub is_enabled: bool,
}

/// An enabled metric that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub name: String,
    /// Why, in words.
    pub reason: String,
}

/// What runs, and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Enabled metrics, each after those it depends on; by name where nothing else decides.
    pub run: Vec<String>,
    /// Enabled metrics that cannot run, by name. They keep no other from running but those that depend on them.
    pub blocked: Vec<Blocked>,
    /// The first cycle found, its first name repeated at the end: a registry that is being edited should be refused with it.
    pub cycle: Option<Vec<String>>,
}

/// Where a name stands in the search.
enum Mark {
    Open,
    Runs,
    Blocked(String),
}

struct Search<'a> {
    nodes: BTreeMap<&'a str, MetricNode<'a>>,
    marks: BTreeMap<&'a str, Mark>,
    path: Vec<&'a str>,
    plan: Plan,
}

/// Orders metrics by their dependencies. A dependency that is disabled, unknown, blocked or part of a cycle blocks a metric, and is named.
pub fn order(nodes: &[MetricNode<'_>]) -> Plan {
    let nodes: BTreeMap<&str, MetricNode<'_>> = nodes.iter().map(|node| (node.name, *node)).collect();
    let enabled: BTreeSet<&str> =
        nodes.values().filter(|node| node.is_enabled).map(|node| node.name).collect();
    let mut search = Search { nodes, marks: BTreeMap::new(), path: Vec::new(), plan: Plan::default() };
    for name in enabled {
        search.visit(name);
    }
    search.plan.blocked.sort_by(|left, right| left.name.cmp(&right.name));
    search.plan
}

impl<'a> Search<'a> {
    /// Why a metric cannot run, if it cannot.
    fn visit(&mut self, name: &'a str) -> Option<String> {
        match self.marks.get(name) {
            Some(Mark::Runs) => return None,
            Some(Mark::Blocked(reason)) => return Some(reason.clone()),
            Some(Mark::Open) => return Some(self.cycle(name)),
            None => {}
        }
        let node = *self.nodes.get(name)?;
        self.marks.insert(name, Mark::Open);
        self.path.push(name);
        let reason = node.dependencies.iter().find_map(|dependency| self.need(dependency));
        self.path.pop();
        match &reason {
            None => {
                self.plan.run.push(name.to_owned());
                self.marks.insert(name, Mark::Runs);
            }
            Some(reason) => {
                self.plan.blocked.push(Blocked { name: name.to_owned(), reason: reason.clone() });
                self.marks.insert(name, Mark::Blocked(reason.clone()));
            }
        }
        reason
    }

    /// Why a dependency cannot be had, if it cannot.
    fn need(&mut self, dependency: &'a str) -> Option<String> {
        if INPUTS.contains(&dependency) {
            return None;
        }
        match self.nodes.get(dependency) {
            None => Some(format!("needs {dependency}, which nobody knows")),
            Some(node) if !node.is_enabled => Some(format!("needs {dependency}, which is disabled")),
            Some(_) => {
                let reason = self.visit(dependency)?;
                let is_cycle = reason.starts_with("cycle: ");
                Some(if is_cycle { reason } else { format!("needs {dependency}, which {reason}") })
            }
        }
    }

    fn cycle(&mut self, name: &str) -> String {
        let from = self.path.iter().position(|other| *other == name).unwrap_or(0);
        let mut names: Vec<String> = self.path[from..].iter().map(|name| (*name).to_owned()).collect();
        names.push(name.to_owned());
        let words = format!("cycle: {}", names.join(" → "));
        self.plan.cycle.get_or_insert(names);
        words
    }
}
