//! What work like this has cost before: the range of similar threads that are finished, for the plan's card. Says nothing
//! before there are some.

use serde::{Deserialize, Serialize};

use super::dollars;

/// Fewer say nothing about the next one.
const ENOUGH: usize = 3;

/// A finished thread, as far as it tells what the next one may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Past {
    /// What it cost; `None` when that is not wholly known.
    pub cost_usd: Option<f64>,
    /// How long the Coder worked, in milliseconds.
    pub worked_ms: i64,
}

/// The middle half of what similar threads took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How many there are.
    pub threads: usize,
    /// US dollars, from and to; `None` when too few are known.
    pub usd: Option<(f64, f64)>,
    /// Milliseconds of the Coder's work, from and to.
    pub ms: (i64, i64),
}

/// The estimate by these threads.
pub fn estimate(past: &[Past]) -> Option<Estimate> {
    let usd = middle(past.iter().filter_map(|past| past.cost_usd).collect(), f64::total_cmp);
    let ms = middle(past.iter().map(|past| past.worked_ms).collect(), i64::cmp)?;
    Some(Estimate { threads: past.len(), usd, ms })
}

/// The first and the third quartile; of few values the least and the most.
fn middle<T: Copy>(mut values: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<(T, T)> {
    if values.len() < ENOUGH {
        return None;
    }
    values.sort_by(order);
    let skipped = values.len() / 4;
    Some((values[skipped], values[values.len() - 1 - skipped]))
}

impl Estimate {
    /// `similar threads: $0.20–0.60, 3–6 min`.
    pub fn text(&self) -> String {
        let cost = match self.usd {
            Some((from, to)) => range(&dollars(from), &dollars(to)),
            None => "cost unknown".to_owned(),
        };
        let minutes = |ms: i64| ((ms + 30_000) / 60_000).to_string();
        let time = match range(&minutes(self.ms.0), &minutes(self.ms.1)) {
            none if none == "0" => "under 1 min".to_owned(),
            time => format!("{time} min"),
        };
        format!("similar threads: {cost}, {time}")
    }
}

/// `$0.20–0.60`; one value alone when both are the same.
fn range(from: &str, to: &str) -> String {
    if from == to { from.to_owned() } else { format!("{from}–{}", to.trim_start_matches('$')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(figures: &[(f64, i64)]) -> Vec<Past> {
        let past = |(usd, minutes): &(f64, i64)| Past { cost_usd: Some(*usd), worked_ms: minutes * 60_000 };
        figures.iter().map(past).collect()
    }

    fn text(past: &[Past]) -> Option<String> {
        estimate(past).map(|estimate| estimate.text())
    }

    #[test]
    fn a_range_is_told_once_there_are_enough_similar_threads() {
        assert_eq!(text(&past(&[(0.2, 3), (0.6, 6)])), None);
        let three = past(&[(0.6, 4), (0.2, 6), (0.3, 3)]);
        assert_eq!(text(&three).as_deref(), Some("similar threads: $0.20–0.60, 3–6 min"));
        let outliers = past(&[(0.2, 3), (9.0, 600), (0.3, 4), (0.001, 0), (0.4, 5), (0.3, 3)]);
        assert_eq!(text(&outliers).as_deref(), Some("similar threads: $0.20–0.40, 3–5 min"));
        let same = past(&[(0.2, 0), (0.2, 0), (0.2, 0)]);
        assert_eq!(text(&same).as_deref(), Some("similar threads: $0.20, under 1 min"));
        let mut unknown = three;
        unknown[0].cost_usd = None;
        assert_eq!(text(&unknown).as_deref(), Some("similar threads: cost unknown, 3–6 min"));
    }
}
