//! The circuit breaker of each model: after three failures in a row it rests, then one call tries whether it is back.
//!
//! Pure: moments come in as time since some beginning. It only advises: a call that has no other model asks a resting one
//! all the same. Its state is in memory and shared by all threads; a new process begins with every model trusted.

use std::collections::BTreeMap;
use std::time::Duration;

/// Failures in a row after which a model rests.
const MOST_FAILURES: u32 = 3;

/// The breakers of all models.
#[derive(Clone, Debug)]
pub struct Breakers {
    rest: Duration,
    /// Models without failures are not in it.
    models: BTreeMap<String, State>,
}

/// How far a model is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is asked; so many failures came in a row.
    Failing(u32),
    /// It is passed over until then; after that the next call is the trial.
    Resting { until: Duration },
    /// One call is trying it; the others pass it over until that call is judged.
    Trying,
}

/// What the breaker says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Ask it.
    Ask,
    /// Ask it: this call is the trial, and must be judged or given back.
    Try,
    /// Ask another one, if there is one.
    PassOver,
}

impl Breakers {
    /// Every model is trusted; one that fails rests for this long.
    pub fn new(rest: Duration) -> Self {
        Self { rest, models: BTreeMap::new() }
    }

    /// What it would say now, without taking the trial.
    pub fn advice(&self, model: &str, now: Duration) -> Advice {
        match self.models.get(model) {
            None | Some(State::Failing(_)) => Advice::Ask,
            Some(State::Resting { until }) if *until <= now => Advice::Try,
            Some(State::Resting { .. } | State::Trying) => Advice::PassOver,
        }
    }

    /// The same for a call that follows it: a trial is taken.
    pub fn admit(&mut self, model: &str, now: Duration) -> Advice {
        let advice = self.advice(model, now);
        if advice == Advice::Try {
            self.models.insert(model.to_owned(), State::Trying);
        }
        advice
    }

    /// It answered.
    pub fn succeeded(&mut self, model: &str) {
        self.models.remove(model);
    }

    /// It failed; `trial` says that this call was the one that tried it.
    pub fn failed(&mut self, model: &str, trial: bool, now: Duration) {
        let resting = State::Resting { until: now + self.rest };
        let state = match self.models.get(model) {
            _ if trial => resting,
            None => State::Failing(1),
            Some(State::Failing(before)) if before + 1 < MOST_FAILURES => State::Failing(before + 1),
            Some(State::Failing(_)) => resting,
            // Asked before it rested, or for want of another: nothing new.
            Some(state @ (State::Resting { .. } | State::Trying)) => *state,
        };
        self.models.insert(model.to_owned(), state);
    }

    /// The trial ended without saying anything of the model: it was stopped, or refused for what it asked. The next call
    /// is the trial.
    pub fn give_back(&mut self, model: &str, now: Duration) {
        if self.models.get(model) == Some(&State::Trying) {
            self.models.insert(model.to_owned(), State::Resting { until: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_in_a_row_rest_it_and_one_call_tries_it() {
        let mut breakers = Breakers::new(REST);
        for second in 0..2 {
            breakers.failed("m", false, at(second));
            assert_eq!(breakers.admit("m", at(second)), Advice::Ask);
        }
        breakers.succeeded("m");
        for second in 2..5 {
            assert_eq!(breakers.admit("m", at(second)), Advice::Ask, "a success begins the row again");
            breakers.failed("m", false, at(second));
        }
        assert_eq!(breakers.admit("other", at(5)), Advice::Ask, "each model by itself");
        assert_eq!(breakers.admit("m", at(303)), Advice::PassOver);
        assert_eq!(breakers.admit("m", at(304)), Advice::Try);
        assert_eq!(breakers.admit("m", at(900)), Advice::PassOver, "one call at a time");
        breakers.failed("m", true, at(900));
        assert_eq!(breakers.admit("m", at(1199)), Advice::PassOver, "a failed trial rests it again");
        assert_eq!(breakers.admit("m", at(1200)), Advice::Try);
        breakers.give_back("m", at(1201));
        assert_eq!(breakers.admit("m", at(1201)), Advice::Try, "a trial without a verdict is made again");
        breakers.succeeded("m");
        breakers.failed("m", false, at(1202));
        assert_eq!(breakers.admit("m", at(1202)), Advice::Ask, "one failure after a recovery is only one");
    }

    #[test]
    fn a_failure_of_a_call_that_began_before_the_rest_prolongs_nothing() {
        let mut breakers = Breakers::new(REST);
        (0..5).for_each(|second| breakers.failed("m", false, at(second)));
        assert_eq!(breakers.advice("m", at(302)), Advice::Try);
        assert_eq!(breakers.admit("m", at(302)), Advice::Try);
        breakers.failed("m", false, at(303));
        assert_eq!(breakers.advice("m", at(303)), Advice::PassOver, "the trial is still to be judged");
    }

    proptest! {
        /// Whatever happens in whatever order: never two trials at once, a model that rests is tried again in the end,
        /// and one that never failed three times in a row is always asked.
        #[test]
        fn any_story(steps in prop::collection::vec((0..4_u8, 0..200_u64), 1..200)) {
            let mut breakers = Breakers::new(REST);
            let (mut now, mut row, mut trial, mut rested) = (Duration::ZERO, 0_u32, false, false);
            for (what, seconds) in steps {
                now += Duration::from_secs(seconds);
                let advice = breakers.admit("m", now);
                prop_assert!(!(trial && advice == Advice::Try), "two trials at once");
                trial |= advice == Advice::Try;
                prop_assert!(rested || advice == Advice::Ask, "{advice:?} after {row} failures");
                match what {
                    0 => {
                        breakers.succeeded("m");
                        (row, trial, rested) = (0, false, false);
                    }
                    1 | 2 => {
                        breakers.failed("m", trial, now);
                        row += 1;
                        rested |= row >= MOST_FAILURES;
                        trial = false;
                    }
                    _ => {
                        breakers.give_back("m", now);
                        trial = false;
                    }
                }
            }
            breakers.give_back("m", now);
            prop_assert_ne!(breakers.advice("m", now + REST), Advice::PassOver);
        }
    }
}
