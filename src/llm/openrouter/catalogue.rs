//! The list of a server's models, `GET /models`, as far as it says what they read and cost. Servers differ in what they
//! tell: what is missing or makes no sense is unknown. Never retries: who asks does.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::Fault;
use crate::agent::catalogue::{Catalogue, Listed, Price};

/// How long the answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The largest list that is read, in bytes: OpenRouter's has about one million.
pub(super) const LARGEST: usize = 32 << 20;

/// Its members are parsed one by one: the list may be a megabyte, and little of it is kept.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// OpenRouter's, for the model as its maker made it.
    #[serde(default)]
    context_length: Option<f64>,
    /// The provider that OpenRouter asks first may take less.
    #[serde(default)]
    top_provider: Option<Provider>,
    /// vLLM's name for it.
    #[serde(default)]
    max_model_len: Option<f64>,
    #[serde(default)]
    pricing: Option<Value>,
}

#[derive(Deserialize)]
struct Provider {
    #[serde(default)]
    context_length: Option<f64>,
}

/// Reads the list.
pub(super) fn read(body: &[u8]) -> Result<Catalogue, Fault> {
    let list: List =
        serde_json::from_slice(body).map_err(|error| Fault::lost(format!("the list of models is none: {error}")))?;
    // One odd model must not hide the others.
    let models = list.data.into_iter().filter_map(|model| serde_json::from_str::<Model>(model.get()).ok());
    Ok(models.map(|model| (model.id.clone(), listed(&model))).collect())
}

fn listed(model: &Model) -> Listed {
    let provider = model.top_provider.as_ref().and_then(|provider| provider.context_length);
    let lengths = [model.context_length, provider, model.max_model_len].into_iter().flatten();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    let lengths = lengths.filter(|length| *length >= 1.0 && *length < 1e12).map(|length| length as u64);
    Listed { context: lengths.min(), price: model.pricing.as_ref().and_then(price) }
}

/// OpenRouter writes prices as texts, and −1 where they depend on what is asked.
fn price(pricing: &Value) -> Option<Price> {
    let money = |name: &str| {
        let value = pricing.get(name)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        Some(number).filter(|price: &f64| price.is_finite() && *price >= 0.0)
    };
    Some(Price {
        prompt: money("prompt")?,
        cached: money("input_cache_read"),
        completion: money("completion")?,
        request: money("request").unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_list_is_read_as_far_as_it_makes_sense() {
        let body = br#"{"data": [
            {"id": "a/b", "context_length": 200000, "top_provider": {"context_length": 131072, "extra": 1},
             "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003", "image": "1"}},
            {"id": "auto", "context_length": 2000000, "pricing": {"prompt": "-1", "completion": "-1"}},
            {"id": "vllm", "max_model_len": 8192, "object": "model"},
            {"id": "half", "context_length": null, "pricing": {"prompt": 0.1}},
            {"id": "free", "context_length": -5, "pricing": {"prompt": 0, "completion": "0", "request": "0.01"}},
            {"name": "no id"}, 7
        ]}"#;
        let catalogue = read(body).expect("a list");
        assert_eq!(catalogue.len(), 5);
        let price = Price { prompt: 0.000_003, cached: Some(0.000_000_3), completion: 0.000_015, request: 0.0 };
        assert_eq!((catalogue.context("a/b"), catalogue.price("a/b")), (Some(131_072), Some(price)));
        assert_eq!((catalogue.context("auto"), catalogue.price("auto")), (Some(2_000_000), None));
        assert_eq!((catalogue.context("vllm"), catalogue.price("vllm")), (Some(8192), None));
        assert_eq!((catalogue.context("half"), catalogue.price("half")), (None, None));
        let free = Price { request: 0.01, ..Price::default() };
        assert_eq!((catalogue.context("free"), catalogue.price("free")), (None, Some(free)));
        assert!(read(b"<html>").is_err() && read(b"{}").is_err());
    }
}
