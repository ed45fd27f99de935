//! The course of one call: which model is asked next, after what pause, and when it is given up (`contract.md` 4).
//!
//! Pure: what failed and when comes in, so do the breakers' advice and the moment. A call has at most so many attempts in
//! all and so much time beyond the models' own, whichever models share them.

use std::time::Duration;

use super::attempt::Limits;
use super::fault::{self, Fault, Remedy};

/// How many times the silence limit a server may show signs of life while its model writes nothing.
const LIFE: u32 = 10;
/// How many times the silence limit a model may write at one reply.
const REPLY: u32 = 60;
/// No attempt takes longer, whatever is configured.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How patient a call is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) retry_base: Duration,
    pub(super) max_attempts: u32,
    pub(super) stall: Duration,
    pub(super) max_extra: Duration,
}

/// A call on its way.
pub(super) struct Course {
    patience: Patience,
    models: Vec<Standing>,
    attempts: u32,
    left: Duration,
}

/// How a model stands in this call.
#[derive(Clone, Debug, Default)]
struct Standing {
    tried: u32,
    /// It is asked again only when nothing else is left.
    last: bool,
    /// It cannot serve this call at all.
    out: bool,
    not_before: Duration,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// The model, by its place in the list.
    pub(super) model: usize,
    /// How long is waited before.
    pub(super) pause: Duration,
    /// How long the attempt may then take.
    pub(super) limits: Limits,
}

impl Course {
    /// A call to the first of so many models, before anything was asked.
    pub(super) fn new(models: usize, patience: Patience) -> Self {
        let models = vec![Standing::default(); models.max(1)];
        Self { patience, models, attempts: 0, left: patience.max_extra }
    }

    /// The next attempt; `rests` says whether a model's breaker would have it passed over. `None`: nothing is left.
    pub(super) fn next(&self, now: Duration, rests: impl Fn(usize) -> bool) -> Option<Next> {
        let done = self.attempts >= self.patience.max_attempts || self.attempts > 0 && self.left.is_zero();
        let fits = |at: &usize| !self.models[*at].out;
        let rank = |at: &usize| (rests(*at), self.models[*at].last);
        // The first of the best: `min_by_key` keeps the order of the list among equals.
        let model = (0..self.models.len()).filter(fits).min_by_key(rank).filter(|_| !done)?;
        let pause = self.models[model].not_before.saturating_sub(now).min(self.left - self.left / 8);
        // A slow model gets the whole time that is configured, once: sent again, its prompt is read from the beginning.
        let left = if self.attempts == 0 { Duration::MAX } else { self.left - pause };
        let stall = self.patience.stall;
        let times = |times| stall.saturating_mul(times).min(LONGEST);
        let limits = Limits { silence: times(1).min(left), life: times(LIFE).min(left), reply: times(REPLY) };
        Some(Next { model, pause, limits })
    }

    /// The pause is over.
    pub(super) fn waited(&mut self, next: Next) {
        self.left = self.left.saturating_sub(next.pause);
        self.models[next.model].not_before = Duration::ZERO;
    }

    /// An attempt begins.
    pub(super) fn asked(&mut self, next: Next) {
        self.attempts += 1;
        self.models[next.model].tried += 1;
    }

    /// The attempt failed at `now`, having taken so long beyond what the model was answering. Whether the call may go on.
    pub(super) fn failed(&mut self, model: usize, fault: &Fault, took: Duration, now: Duration) -> bool {
        let behind = (self.models.iter()).filter(|other| other.tried == 0 && !other.out).count();
        let others = u32::try_from(behind).unwrap_or(u32::MAX);
        // Who is not asked yet is left some time, however long the first may be silent.
        let most = if self.attempts == 1 && others > 0 { self.left / 2 } else { self.left };
        self.left = self.left.saturating_sub(took.min(most));
        let standing = &mut self.models[model];
        match fault.remedy() {
            // A fallback that cannot take the request as it is says nothing about the model that was meant.
            Remedy::None if model > 0 && !fault.is_about_the_account() => standing.out = true,
            Remedy::None => return false,
            Remedy::OtherModel => standing.out = true,
            Remedy::Once if standing.tried > 1 => standing.out = true,
            Remedy::Once => standing.last = true,
            // What it asks for is not to be had in this call.
            Remedy::Again | Remedy::OtherFirst if fault.retry_after().is_some_and(|after| after > self.left) => {
                standing.out = true;
            }
            remedy @ (Remedy::Again | Remedy::OtherFirst) => {
                let asked = fault.retry_after().unwrap_or_default();
                let pause = fault::pause(self.patience.retry_base, standing.tried, Some(asked), self.left);
                standing.not_before = now + pause;
                // What is left is shared with the models that nobody asked yet.
                let used = self.attempts - standing.tried;
                let share = (self.patience.max_attempts - used).div_ceil(others + 1);
                standing.last |= remedy == Remedy::OtherFirst || standing.tried >= share;
            }
        }
        true
    }

    /// Attempts made so far.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        retry_base: Duration::from_millis(500),
        max_attempts: 6,
        stall: Duration::from_secs(60),
        max_extra: Duration::from_secs(150),
    };

    fn refused(status: u16, after: Option<u64>) -> Fault {
        Fault::Refused { status, message: String::new(), retry_after: after.map(Duration::from_secs) }
    }

    /// The models asked, by number, when each attempt fails as `fault` says; time passes by the pauses alone.
    fn asked(models: usize, resting: &[usize], fault: impl Fn(usize) -> Fault) -> (Vec<usize>, Duration) {
        let (mut course, mut now, mut asked) = (Course::new(models, PATIENCE), Duration::ZERO, Vec::new());
        while let Some(next) = course.next(now, |at| resting.contains(&at)) {
            if !next.pause.is_zero() {
                now += next.pause;
                course.waited(next);
                continue;
            }
            course.asked(next);
            asked.push(next.model);
            let fault = fault(next.model);
            let took = if let Fault::Stalled(_) = fault { next.limits.silence } else { Duration::ZERO };
            now += took;
            if !course.failed(next.model, &fault, took, now) {
                break;
            }
        }
        (asked, now)
    }

    #[test]
    fn models_are_asked_in_turn_as_their_failures_allow() {
        type Case = (&'static str, usize, &'static [usize], fn(usize) -> Fault, &'static [usize]);
        let cases: [Case; 22] = [
            ("alone, again and again", 1, &[], |_| refused(503, None), &[0, 0, 0, 0, 0, 0]),
            ("alone and resting", 1, &[0], |_| refused(503, None), &[0, 0, 0, 0, 0, 0]),
            ("shared with one fallback", 2, &[], |_| refused(502, None), &[0, 0, 0, 1, 1, 1]),
            ("shared with two", 3, &[], |_| Fault::lost("x"), &[0, 0, 1, 1, 2, 2]),
            ("the first rests", 2, &[0], |_| refused(500, None), &[1, 1, 1, 1, 1, 1]),
            ("all rest", 2, &[0, 1], |_| refused(500, None), &[0, 0, 0, 1, 1, 1]),
            ("the key is wrong", 2, &[], |_| refused(401, None), &[0]),
            ("no credit", 2, &[], |_| refused(402, None), &[0]),
            ("a bad request", 2, &[], |_| refused(400, None), &[0, 1]),
            ("a bad request, alone", 1, &[], |_| refused(422, None), &[0]),
            ("too long", 2, &[], |_| refused(413, None), &[0]),
            ("used up", 2, &[], |_| Fault::UsedUp, &[0, 1, 0, 1]),
            ("used up, alone", 1, &[], |_| Fault::UsedUp, &[0, 0]),
            ("an hour asked for", 2, &[], |at| refused(429, (at == 0).then_some(3600)), &[0, 1, 1, 1, 1, 1]),
            ("an hour asked for, alone", 1, &[], |_| refused(429, Some(3600)), &[0]),
            ("gone", 3, &[], |_| refused(404, None), &[0, 1, 2]),
            ("gone, alone", 1, &[], |_| refused(404, None), &[0]),
            ("filtered", 2, &[], |_| Fault::Filtered { message: String::new() }, &[0, 1]),
            ("a long wait asked for", 2, &[], |_| refused(429, Some(30)), &[0, 1, 0, 0, 0, 0]),
            ("a short one", 2, &[], |_| refused(429, Some(1)), &[0, 0, 0, 1, 1, 1]),
            ("stalls", 2, &[], |_| Fault::Stalled(Duration::from_secs(60)), &[0, 1, 0]),
            (
                "the fallback cannot take it",
                2,
                &[],
                |at| refused(if at == 0 { 503 } else { 400 }, None),
                &[0, 0, 0, 1, 0, 0],
            ),
        ];
        for (what, models, resting, fault, expected) in cases {
            let (asked, took) = asked(models, resting, fault);
            assert_eq!(asked, expected, "{what}");
            assert!(took <= PATIENCE.max_extra, "{what}: {took:?}");
        }
    }

    #[test]
    fn whatever_fails_it_ends_within_its_bounds() {
        for seed in 0..2_000_u64 {
            let (mut course, mut now, mut state) = (Course::new(1 + seed as usize % 4, PATIENCE), Duration::ZERO, seed);
            let mut random = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize
            };
            let mut attempts = 0;
            while let Some(next) = course.next(now, |at| seed >> at & 1 == 1) {
                if !next.pause.is_zero() {
                    now += next.pause;
                    course.waited(next);
                    continue;
                }
                course.asked(next);
                attempts += 1;
                let (fault, took) = match random() % 5 {
                    0 => (refused(429, Some(random() as u64 % 400)), 1),
                    1 => (Fault::Stalled(next.limits.silence), next.limits.silence.as_secs()),
                    2 => (refused(404, None), 0),
                    3 => (Fault::lost("cut"), 2),
                    _ => (refused(500 + random() as u16 % 99, None), 3),
                };
                let took = Duration::from_secs(took).min(next.limits.silence);
                now += took;
                if !course.failed(next.model, &fault, took, now) {
                    break;
                }
            }
            assert!((1..=6).contains(&attempts), "{seed}: {attempts}");
            assert!(now <= PATIENCE.max_extra, "{seed}: {now:?}");
        }
    }
}
