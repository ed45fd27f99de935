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

/// The part of input in what a conversation is paid for: every turn sends all that was said and gets little back.
const INPUT: f64 = 0.9;

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

    /// The cheapest of these models by list price that `fits`, when it is cheaper than `current`. Models whose price is
    /// not listed are never chosen, and when that of `current` is not, nothing is known to be cheaper.
    pub fn cheaper<'a>(
        &self,
        pool: &'a [(String, String)],
        current: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<&'a (String, String)> {
        let limit = self.price(current)?.typical();
        let priced = pool
            .iter()
            .filter(|(_, slug)| fits(slug))
            .filter_map(|entry| Some((self.price(&entry.1)?.typical(), entry)));
        let cheapest = priced.min_by(|(one, _), (other, _)| one.total_cmp(other));
        cheapest.filter(|(price, _)| *price < limit).map(|(_, entry)| entry)
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

    /// A token's price in a conversation as they are, to compare models by.
    fn typical(&self) -> f64 {
        INPUT * self.prompt + (1.0 - INPUT) * self.completion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(prompt: f64, completion: f64) -> Listed {
        Listed { context: Some(100), price: Some(Price { prompt, completion, ..Price::default() }) }
    }

    fn catalogue() -> Catalogue {
        let models = [("dear", listed(3.0, 15.0)), ("mid", listed(1.0, 2.0)), ("low", listed(0.5, 1.0))];
        let unlisted = [("secret", Listed { context: None, price: None })];
        models.into_iter().chain(unlisted).map(|(slug, listed)| (slug.to_owned(), listed)).collect()
    }

    fn pool(slugs: &[&str]) -> Vec<(String, String)> {
        slugs.iter().map(|slug| (slug.to_uppercase(), (*slug).to_owned())).collect()
    }

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

    #[test]
    fn only_what_is_known_to_be_cheaper_is() {
        let catalogue = catalogue();
        let name = |pool: &[&str], current| {
            let pool = pool.iter().map(|slug| (slug.to_uppercase(), (*slug).to_owned())).collect::<Vec<_>>();
            catalogue.cheaper(&pool, current, |_| true).map(|(name, _)| name.clone())
        };
        assert_eq!(name(&["dear", "mid", "low", "secret"], "dear").as_deref(), Some("LOW"));
        assert_eq!(name(&["dear", "mid"], "low"), None, "never upward");
        assert_eq!(name(&["low"], "low"), None);
        assert_eq!(name(&["low"], "secret"), None, "what costs who knows what is not known to be dearer");
        assert_eq!(name(&["secret"], "dear"), None);
        assert!(catalogue.cheaper(&pool(&[]), "dear", |_| true).is_none());
        assert!(Catalogue::default().cheaper(&pool(&["low"]), "dear", |_| true).is_none());
        let pool = pool(&["dear", "mid", "low"]);
        let next = catalogue.cheaper(&pool, "dear", |slug| slug != "low");
        assert_eq!(next.map(|(name, _)| name.as_str()), Some("MID"), "the cheapest of those that fit");
    }
}
