//! What a model server says of its models: how much each can read, and its list prices. A cost that a server does not
//! state is reckoned from these, and said to be about right; what is not listed stays unknown, never free.
//!
//! Pure: who fetches the list and when is `runtime/models.rs`.

use std::collections::BTreeMap;

use super::Usage;

/// The models of a server, by slug.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue(BTreeMap<String, Listed>);

/// What is known of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Listed {
    /// How many tokens a conversation with it may have, its answer included.
    pub context: Option<u64>,
    /// Its list price.
    pub price: Option<Price>,
}

/// A list price, in US dollars per token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Input.
    pub prompt: f64,
    /// Input that comes from the provider's cache; `None`: as other input.
    pub cached: Option<f64>,
    /// Output.
    pub completion: f64,
    /// Each request beside that.
    pub request: f64,
}

impl Catalogue {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many models are listed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many tokens a conversation with this model may have.
    pub fn context(&self, slug: &str) -> Option<u64> {
        self.0.get(slug)?.context
    }

    /// The list price of this model.
    pub fn price(&self, slug: &str) -> Option<Price> {
        self.0.get(slug)?.price
    }

    /// The usage of a call to this model with its cost taken from the list, where the server did not state it.
    pub fn priced(&self, slug: &str, usage: Usage) -> Usage {
        let tells_nothing = usage.prompt_tokens == 0 && usage.completion_tokens == 0;
        match self.price(slug) {
            Some(price) if usage.calls_without_cost > 0 && !tells_nothing => Usage {
                cost_usd: usage.cost_usd + price.of(&usage),
                calls_without_cost: 0,
                calls_about: usage.calls_about + usage.calls_without_cost,
                ..usage
            },
            Some(_) | None => usage,
        }
    }
}

impl FromIterator<(String, Listed)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Listed)>>(models: I) -> Self {
        Self(models.into_iter().collect())
    }
}

impl Price {
    /// What a call costs by this price.
    pub fn of(&self, usage: &Usage) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no call has 2^53 tokens")]
        let tokens = |count: u64| count as f64;
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        tokens(usage.prompt_tokens - cached) * self.prompt
            + tokens(cached) * self.cached.unwrap_or(self.prompt)
            + tokens(usage.completion_tokens) * self.completion
            + self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_priced_by_the_list_only_when_the_server_says_nothing_and_the_list_does() {
        let price = Price { prompt: 2.0, cached: Some(0.5), completion: 10.0, request: 1.0 };
        let listed = Listed { context: None, price: Some(price) };
        let catalogue = Catalogue::from_iter([("a".to_owned(), listed)]);
        let unknown = Usage {
            calls: 1,
            prompt_tokens: 100,
            cached_tokens: 40,
            completion_tokens: 3,
            calls_without_cost: 1,
            ..Usage::default()
        };
        let about = catalogue.priced("a", unknown);
        assert_eq!((about.cost_usd, about.calls_without_cost, about.calls_about), (171.0, 0, 1));
        assert_eq!(catalogue.priced("b", unknown), unknown);
        let stated = Usage { cost_usd: 0.1, calls_without_cost: 0, ..unknown };
        assert_eq!(catalogue.priced("a", stated), stated);
        let silent = Usage { calls: 1, calls_without_cost: 1, ..Usage::default() };
        assert_eq!(catalogue.priced("a", silent), silent, "no tokens told: nothing to reckon from");
        let more_cached = Usage { cached_tokens: 200, ..unknown };
        assert_eq!(catalogue.priced("a", more_cached).cost_usd, 81.0);
    }
}
