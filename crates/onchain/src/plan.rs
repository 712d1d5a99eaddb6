//! Which metrics are computed over which intervals, in order, and why the others are not.
//!
//! The registry has a row for each metric and interval, and each is switched and checked by itself: what a metric needs must be
//! enabled over the same interval, where it is made over it at all.

use std::collections::BTreeMap;

use control::MetricRow;
use derivations::chain::metrics::{Metric, MetricNode, order};
use model::interval_name;

/// A metric with the intervals that are wanted.
pub(crate) struct Wanted {
    pub(crate) metric: &'static Metric,
    pub(crate) minutes: Vec<u16>,
}

/// A metric that is enabled over an interval and cannot be computed over it, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blocked {
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) interval: String,
}

/// Reads a plan out of the registry.
pub(crate) fn plan(rows: &[MetricRow]) -> (Vec<Wanted>, Vec<Blocked>) {
    let mut intervals: Vec<&str> = rows.iter().map(|row| row.interval.as_str()).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut blocked = Vec::new();
    for interval in intervals {
        let own = |name: &str| rows.iter().any(|row| row.interval == interval && row.metric_name == name);
        let (run, cannot) = over(rows, interval);
        for name in run.into_iter().filter(|name| own(name)) {
            match made(&name, interval) {
                Ok((metric, minutes)) => {
                    match wanted.iter_mut().find(|known| known.metric.name == metric.name) {
                        Some(known) => known.minutes.push(minutes),
                        None => wanted.push(Wanted { metric, minutes: vec![minutes] }),
                    }
                }
                Err(reason) => blocked.push(Blocked { name, reason, interval: interval.to_owned() }),
            }
        }
        let cannot = cannot.into_iter().filter(|(name, _)| own(name));
        blocked.extend(cannot.map(|(name, reason)| Blocked { name, reason, interval: interval.to_owned() }));
    }
    blocked.sort();
    (wanted, blocked)
}

/// Names to be computed over an interval, and those that cannot be.
fn over(rows: &[MetricRow], interval: &str) -> (Vec<String>, Vec<(String, String)>) {
    // A metric that is not made over this interval stands for what is made of it over another.
    let mut nodes: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.interval != interval) {
        nodes.entry(&row.metric_name).or_default().1 |= row.is_enabled;
    }
    for row in rows.iter().filter(|row| row.interval == interval) {
        let names = row.dependencies.split(',').map(str::trim).filter(|name| !name.is_empty());
        nodes.insert(&row.metric_name, (names.collect(), row.is_enabled));
    }
    let nodes: Vec<MetricNode<'_>> = nodes
        .iter()
        .map(|(name, (dependencies, is_enabled))| MetricNode { name, dependencies, is_enabled: *is_enabled })
        .collect();
    let plan = order(&nodes);
    (plan.run, plan.blocked.into_iter().map(|blocked| (blocked.name, blocked.reason)).collect())
}

/// What this version makes under a name over an interval.
fn made(name: &str, interval: &str) -> Result<(&'static Metric, u16), String> {
    let metric = Metric::known(name).ok_or("this version does not know it; disable it")?;
    let minutes = metric.intervals.iter().copied().find(|minutes| interval_name(*minutes) == interval);
    let minutes = minutes.ok_or("this version does not make it over this interval; disable it")?;
    Ok((metric, minutes))
}

/// As it is told: a name alone where all intervals over which it is enabled are concerned, else with them.
pub(crate) fn told(rows: &[MetricRow], blocked: &[Blocked]) -> Vec<(String, String)> {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Blocked { name, reason, interval } in blocked {
        by_reason.entry((name, reason)).or_default().push(interval);
    }
    let on = |name: &str| rows.iter().filter(|row| row.metric_name == name && row.is_enabled).count();
    let told = by_reason.into_iter().map(|((name, reason), intervals)| {
        let is_all = intervals.len() >= on(name);
        let name = if is_all { name.to_owned() } else { format!("{name} over {}", intervals.join(", ")) };
        (name, reason.to_owned())
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    //! Cases for switches of single intervals.
    use model::Time;

    use super::*;

    fn with(off: &[(&str, &str)]) -> Vec<MetricRow> {
        let mut rows = crate::metrics::seeds(Time(0));
        for row in &mut rows {
            row.is_enabled = !off.contains(&(row.metric_name.as_str(), row.interval.as_str()));
        }
        rows
    }

    fn minutes(wanted: &[Wanted], name: &str) -> Vec<u16> {
        let own = wanted.iter().filter(|wanted| wanted.metric.name == name);
        own.flat_map(|wanted| wanted.minutes.clone()).collect()
    }

    #[test]
    fn what_a_metric_needs_is_looked_for_over_the_same_interval() {
        let (wanted, blocked) = plan(&with(&[]));
        assert_eq!((minutes(&wanted, "nvt"), blocked), (vec![10, 60, 1_440], vec![]));
        let rows = with(&[("market_cap", "10m")]);
        let (wanted, blocked) = plan(&rows);
        assert_eq!(
            (minutes(&wanted, "nvt"), minutes(&wanted, "market_cap")),
            (vec![60, 1_440], vec![60, 1_440])
        );
        let told = told(&rows, &blocked);
        let nvt: Vec<_> = told.iter().filter(|(name, _)| name.starts_with("nvt ")).collect();
        let expect = ("nvt over 10m".to_owned(), "needs market_cap, which is disabled".to_owned());
        assert_eq!(nvt, [&expect]);
    }

    #[test]
    fn a_name_alone_stands_for_all_of_its_intervals() {
        let rows = with(&[("market_cap", "10m"), ("market_cap", "1h"), ("market_cap", "24h")]);
        let (wanted, blocked) = plan(&rows);
        assert!(minutes(&wanted, "nvt").is_empty());
        assert!(told(&rows, &blocked).iter().any(|(name, _)| name == "nvt"));
        // Over one interval only it was enabled, and that one is concerned.
        let rows = with(&[("market_cap", "10m"), ("nvt", "1h"), ("nvt", "24h")]);
        let (_, blocked) = plan(&rows);
        assert!(told(&rows, &blocked).iter().any(|(name, _)| name == "nvt"));
    }

    #[test]
    fn an_interval_that_is_not_made_is_named() {
        let mut rows = with(&[]);
        let at = rows.iter().position(|row| row.metric_name == "nvt" && row.interval == "1h").unwrap();
        rows[at].interval = "7m".to_owned();
        let (wanted, blocked) = plan(&rows);
        assert_eq!(minutes(&wanted, "nvt"), [10, 1_440]);
        assert!(blocked.iter().any(|blocked| blocked.name == "nvt" && blocked.interval == "7m"));
    }
}
