//! How many tokens a text is, without a tokenizer: an estimate that rather says too many than too few.
//!
//! English and code have about 3.5 to 4.5 bytes per token, other alphabets about 3, hexadecimal and base64 about 2. One
//! figure for all of them keeps it simple: what is measured against a model's context is set right by what the server
//! itself counted (`llm::transcript`), and caps need no more.

/// Bytes of UTF-8 text per token.
pub const BYTES_PER_TOKEN: usize = 3;

/// What a model is taken to read when nobody says how much it does: what most models of the day read at least. Where it
/// is wrong, the server's own refusal says so.
pub const DEFAULT_CONTEXT: u64 = 128_000;

/// The tokens that so many bytes of text are, about.
pub fn estimate(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// The bytes of text that so many tokens are, about.
pub fn bytes(tokens: u64) -> usize {
    usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN)
}

/// For people: `950`, `31k`, `1.2M`.
pub fn short(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..1_000_000 => format!("{}k", (tokens + 500) / 1_000),
        _ => format!("{}.{}M", tokens / 1_000_000, tokens % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_token_counts() {
        assert_eq!([0, 1, 3, 4, 30_000].map(estimate), [0, 1, 1, 2, 10_000]);
        assert_eq!(bytes(10_000), 30_000);
        assert_eq!(bytes(u64::MAX), usize::MAX);
    }

    #[test]
    fn people_read_round_figures() {
        let words = [950, 1_000, 31_499, 182_000, 1_250_000].map(short);
        assert_eq!(words, ["950", "1k", "31k", "182k", "1.2M"]);
    }
}
