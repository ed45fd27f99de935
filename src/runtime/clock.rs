//! The clock that everything is given, so that tests can hold it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ids::Millis;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let age = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
            Millis(i64::try_from(age).unwrap_or(i64::MAX))
        }))
    }

    /// A clock that shows what the function says.
    #[cfg(test)]
    pub fn of(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}
