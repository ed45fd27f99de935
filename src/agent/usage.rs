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
    /// Calls whose cost nobody knows: the server did not state it, and its list has no price.
    pub calls_without_cost: u32,
    /// Calls whose cost was taken from the list price.
    pub calls_about: u32,
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
        self.calls_about += other.calls_about;
    }

    /// Whether nothing of it cost anything, as far as servers said.
    pub fn is_free(&self) -> bool {
        self.cost_usd == 0.0 && self.calls_without_cost == 0
    }

    /// The cost as people read it: `$0.0020`, `about $0.12`, `$0.41 + 2 calls of unknown cost`, `cost unknown`.
    pub fn cost_text(&self) -> String {
        let about = if self.calls_about > 0 { "about " } else { "" };
        let known = format!("{about}{}", dollars(self.cost_usd));
        match self.calls_without_cost {
            0 => known,
            unknown if unknown == self.calls => "cost unknown".to_owned(),
            1 => format!("{known} + 1 call of unknown cost"),
            unknown => format!("{known} + {unknown} calls of unknown cost"),
        }
    }
}

/// An amount as people read it: `$5.00`, and `$0.0020` where cents would say nothing.
pub fn dollars(amount: f64) -> String {
    if amount > 0.0 && amount < 0.01 { format!("${amount:.4}") } else { format!("${amount:.2}") }
}
