//! What is known of the server's models, kept in memory: fetched beside everything else, so that no call ever waits for
//! it, and again when it failed or is old. Until it is there, and for servers that list nothing, prices and context
//! lengths are unknown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::catalogue::Catalogue;
use crate::llm::ChatModel;

/// How long a list is good.
const FRESH: Duration = Duration::from_secs(6 * 60 * 60);
/// The wait after a failure; it doubles up to the longest.
const AGAIN: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The catalogue as it is known now; one for all repositories. Cheap to clone.
#[derive(Clone, Default)]
pub struct Models(Arc<Mutex<Arc<Catalogue>>>);

impl Models {
    /// What is known now.
    pub fn known(&self) -> Arc<Catalogue> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces what is known.
    pub fn set(&self, catalogue: Catalogue) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }

    /// Keeps it up to date until `stop`.
    pub async fn keep(self, model: Arc<dyn ChatModel>, stop: CancellationToken) {
        let mut wait = AGAIN;
        loop {
            let listing = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                listing = model.list_models() => listing,
            };
            let rest = match listing {
                Ok(catalogue) => {
                    tracing::info!(models = catalogue.len(), "the list of models was read");
                    // What was listed once is better than nothing.
                    if !catalogue.is_empty() || self.known().is_empty() {
                        self.set(catalogue);
                    }
                    wait = AGAIN;
                    FRESH
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the list of models cannot be read; prices and context lengths are unknown");
                    let rest = wait;
                    wait = (wait * 2).min(LONGEST);
                    rest
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::agent::catalogue::Listed;
    use crate::llm::{ModelError, ModelRequest};
    use crate::thread::event::Reply;

    /// Fails twice, then lists one model, then nothing.
    #[derive(Default)]
    struct Moody(AtomicU32);

    #[async_trait]
    impl ChatModel for Moody {
        async fn complete(&self, _: ModelRequest) -> Result<Reply, ModelError> {
            unreachable!("nobody asks it")
        }

        async fn list_models(&self) -> Result<Catalogue, ModelError> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err(ModelError::NoSuchModel { message: "no list".to_owned() }),
                2 => Ok(Catalogue::from_iter([("a".to_owned(), Listed { context: Some(8), price: None })])),
                _ => Ok(Catalogue::default()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_is_asked_for_again_and_a_good_one_stays() {
        let (models, server, stop) = (Models::default(), Arc::new(Moody::default()), CancellationToken::new());
        let asked: Arc<dyn ChatModel> = server.clone();
        let times = || server.0.load(Ordering::SeqCst);
        let test = async {
            tokio::time::sleep(AGAIN).await;
            assert!(models.known().is_empty());
            tokio::time::sleep(AGAIN * 3).await;
            assert_eq!((times(), models.known().context("a")), (3, Some(8)));
            tokio::time::sleep(FRESH).await;
            assert_eq!((times(), models.known().context("a")), (4, Some(8)), "an empty list tells nothing");
            stop.cancel();
        };
        tokio::join!(models.clone().keep(asked, stop.clone()), test);
    }
}
