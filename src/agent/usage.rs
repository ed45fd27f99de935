//! What a model call used, and sums of it. Unknown cost stays unknown: it is never counted as zero.

use serde::{Deserialize, Serialize};

/// Tokens and cost of one call, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Model calls summed up.
    pub calls: u32,
    /// Input tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Input tokens that came from the provider's cache.
    pub cached_tokens: u64,
    /// Output tokens.
    pub completion_tokens: u64,
    /// Known cost in US dollars.
    pub cost_usd: f64,
    /// Calls whose cost the server did not state.
    pub calls_without_cost: u32,
}

impl Usage {
    /// Adds another usage to this one.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cost_usd += other.cost_usd;
        self.calls_without_cost += other.calls_without_cost;
    }

    /// Whether nothing of it cost anything, as far as servers said.
    pub fn is_free(&self) -> bool {
        self.cost_usd == 0.0 && self.calls_without_cost == 0
    }

    /// The cost as people read it: `$0.002`, `$0.41 + 2 calls of unknown cost`, `cost unknown`.
    pub fn cost_text(&self) -> String {
        let known = if self.cost_usd > 0.0 && self.cost_usd < 0.01 {
            format!("${:.4}", self.cost_usd)
        } else {
            format!("${:.2}", self.cost_usd)
        };
        match self.calls_without_cost {
            0 => known,
            unknown if unknown == self.calls => "cost unknown".to_owned(),
            1 => format!("{known} + 1 call of unknown cost"),
            unknown => format!("{known} + {unknown} calls of unknown cost"),
        }
    }
}
