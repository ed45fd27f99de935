//! How much a model reads, as servers say it when they refuse a conversation as too long. Each has its own words.

/// No model reads less, and none more, than a number must say to be taken for a context length.
const PLAUSIBLE: std::ops::RangeInclusive<u64> = 256..=100_000_000;

/// Words and where the number stands: the first behind them.
const BEHIND: [&str; 14] = [
    // OpenAI, vLLM, DeepSeek, OpenRouter: `maximum context length is 8192 tokens`.
    "maximum context length is",
    "maximum context length of",
    // xAI: `maximum prompt length is 131072`.
    "maximum prompt length is",
    // vLLM: `longer than the maximum model length of 4096`.
    "maximum model length of",
    "max_model_len",
    // llama.cpp: `exceeds the available context size (8192 tokens)`, and the figure beside the message.
    "n_ctx",
    "available context size",
    // Google: `exceeds the maximum number of tokens allowed (1048576)`.
    "maximum number of tokens allowed",
    "maximum number of input tokens",
    // Ollama, LM Studio: `context length of only 4096 tokens`.
    "context length of only",
    "context window of",
    "context window is",
    "context limit of",
    // Together: ``inputs` tokens + `max_new_tokens` must be <= 8193`.
    "must be <=",
];

/// Words of those that compare: what was sent stands before the sign, the limit behind it.
const COMPARING: [&str; 3] = [
    // Anthropic: `prompt is too long: 215000 tokens > 200000 maximum`.
    "prompt is too long",
    // Anthropic: `input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000`.
    "exceed context limit",
    "input is too long",
];

/// Words with the number right before them. Mistral: `too large for model with 32768 maximum context length`.
const BEFORE: [&str; 2] = ["maximum context length", "token context window"];

/// The limit in tokens, when the server's words have one.
pub fn limit_in(message: &str) -> Option<u64> {
    let message = message.to_lowercase();
    let rest = |words: &str| message.split_once(words).map(|(_, rest)| rest);
    let behind = || BEHIND.iter().find_map(|words| numbers(rest(words)?).next());
    let compared = || COMPARING.iter().find_map(|words| numbers(rest(words)?.split_once('>')?.1).next());
    let before = || BEFORE.iter().find_map(|words| numbers(message.split_once(words)?.0).last());
    compared().or_else(behind).or_else(before).filter(|number| PLAUSIBLE.contains(number))
}

/// The whole numbers of a text, also those written as `131,072` or `131_072`.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    let digits = |c: char| c.is_ascii_digit() || c == ',' || c == '_';
    text.split(move |c| !digits(c)).filter_map(|word| {
        let word: String = word.chars().filter(char::is_ascii_digit).collect();
        word.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_read_from_the_words_of_each_server() {
        let cases = [
            (
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                8192,
            ),
            (
                "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (39000 of text input, 1000 in the output). Please reduce the length",
                32_768,
            ),
            ("prompt is too long: 215000 tokens > 200000 maximum", 200_000),
            (
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
                200_000,
            ),
            ("the request exceeds the available context size (8192 tokens), try increasing it", 8192),
            ("request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192),
            (
                r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
                4096,
            ),
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion).",
                4096,
            ),
            ("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure", 4096),
            ("The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
            ("This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 131_072),
            ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 32_768),
            ("`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 inputs", 8193),
            ("maximum context length is 131,072 tokens", 131_072),
        ];
        for (message, expected) in cases {
            assert_eq!(limit_in(message), Some(expected), "{message}");
        }
    }

    #[test]
    fn words_without_a_limit_have_none() {
        for message in [
            "",
            "context_length_exceeded",
            "Input is too long for requested model.",
            "Please reduce the length of the messages or completion.",
            "maximum context length is 3 tokens",
            "prompt is too long: 9999999999999999999999 > 99999999999999999999999999",
            "Rate limit reached: 6000 tokens per minute",
        ] {
            assert_eq!(limit_in(message), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_without_a_panic(message in ".{0,200}", words in 0_usize..14) {
            limit_in(&message);
            limit_in(&format!("{} {message}", BEHIND[words]));
        }
    }
}
