//! One call: attempts at the model and at its fallbacks until one answers or the course ends. What each attempt says of
//! its model goes to the breakers, which all calls share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::course::{Course, Next};
use super::fault::Fault;
use super::{OpenRouter, body};
use crate::llm::breaker::{Advice, Breakers};
use crate::llm::{Bill, ModelError, ModelRequest};
use crate::thread::event::Reply;

/// The breakers of the process, with their clock.
pub(super) struct SharedBreakers {
    begun: Instant,
    breakers: Mutex<Breakers>,
}

impl SharedBreakers {
    pub(super) fn new(rest: Duration) -> Self {
        Self { begun: Instant::now(), breakers: Mutex::new(Breakers::new(rest)) }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt under way, as its model's breaker knows it. A trial that is dropped unjudged is given back.
struct Ticket<'a> {
    shared: &'a SharedBreakers,
    model: &'a str,
    trial: bool,
}

impl Ticket<'_> {
    fn judge(mut self, fault: Option<&Fault>) {
        let now = self.shared.now();
        let mut breakers = self.shared.lock();
        match fault {
            None => breakers.succeeded(self.model),
            Some(fault) if fault.counts() => breakers.failed(self.model, self.trial, now),
            Some(_) => return,
        }
        self.trial = false;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.trial {
            let now = self.shared.now();
            self.shared.lock().give_back(self.model, now);
        }
    }
}

/// An attempt under way, as the bill knows it: also one that is dropped in the middle may have to be paid.
struct Charge<'a> {
    bill: &'a Bill,
    model: &'a str,
    attempt: &'a Attempt,
    open: bool,
}

impl Charge<'_> {
    /// The attempt has ended. What a reply used is said by the reply.
    fn settle(mut self, fault: Option<&Fault>) {
        self.open = false;
        if fault.is_some() {
            self.add(fault);
        }
    }

    fn add(&self, fault: Option<&Fault>) {
        if let Some(usage) = self.attempt.used(fault) {
            self.bill.add(self.model, usage);
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.open {
            self.add(None);
        }
    }
}

/// A call on its way.
pub(super) struct Call<'a> {
    server: &'a OpenRouter,
    request: &'a ModelRequest,
    course: Course,
    /// What each model is sent, once it is asked.
    bodies: Vec<Option<Bytes>>,
    /// Why each model failed last.
    faults: Vec<Option<Fault>>,
    /// The model asked last.
    last: usize,
}

impl<'a> Call<'a> {
    pub(super) fn new(server: &'a OpenRouter, request: &'a ModelRequest) -> Self {
        let models = 1 + request.fallback.models.len();
        let course = Course::new(models, server.options.patience());
        Self { server, request, course, bodies: vec![None; models], faults: vec![None; models], last: 0 }
    }

    pub(super) async fn run(mut self) -> Result<Reply, ModelError> {
        let server = self.server;
        loop {
            let Some((next, ticket)) = self.choose() else { return Err(self.given_up()) };
            let Some(ticket) = ticket else {
                tokio::time::sleep(next.pause).await;
                self.course.waited(next);
                continue;
            };
            let Some(body) = self.body(next.model) else { return Err(self.given_up()) };
            self.course.asked(next);
            self.last = next.model;
            let begun = Instant::now();
            let attempt = server.attempt(&body, next.limits);
            let charge = Charge { bill: &self.request.bill, model: ticket.model, attempt: &attempt, open: true };
            let (result, answering) = attempt.run(ticket.model).await;
            let result = result.and_then(|reply| self.taken(reply));
            charge.settle(result.as_ref().err());
            let took = begun.elapsed();
            let (attempt, model) = (self.course.attempts(), ticket.model);
            let outcome = result.as_ref().map_or_else(Fault::kind, |_| "reply");
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(llm.model = %model, llm.attempt = attempt, llm.outcome = outcome, llm.ms = millis, "model call");
            ticket.judge(result.as_ref().err());
            let fault = match result {
                Ok(reply) => return Ok(self.signed(reply)),
                Err(fault) => server.without_key(fault),
            };
            let extra = took.saturating_sub(answering);
            let goes_on = self.course.failed(next.model, &fault, extra, server.breakers.now());
            self.faults[next.model] = Some(fault);
            if !goes_on {
                return Err(self.given_up());
            }
        }
    }

    /// The model of the next attempt, whose breaker knows of it; no ticket as long as it must be waited for.
    fn choose(&self) -> Option<(Next, Option<Ticket<'a>>)> {
        let shared = &self.server.breakers;
        let now = shared.now();
        let mut breakers = shared.lock();
        let next = self.course.next(now, |at| breakers.advice(self.model(at), now) == Advice::PassOver)?;
        if !next.pause.is_zero() {
            return Some((next, None));
        }
        let model = self.model(next.model);
        let trial = breakers.admit(model, now) == Advice::Try;
        Some((next, Some(Ticket { shared, model, trial })))
    }

    fn model(&self, at: usize) -> &'a str {
        match at.checked_sub(1) {
            None => &self.request.model,
            Some(number) => self.request.fallback.models.get(number).map_or("", String::as_str),
        }
    }

    fn body(&mut self, at: usize) -> Option<Bytes> {
        let dialect = self.server.endpoint.dialect();
        if self.bodies[at].is_none() {
            self.bodies[at] = Some(match at.checked_sub(1) {
                None => body::encode(self.request, dialect),
                Some(number) => body::encode(&self.request.for_fallback(number)?, dialect),
            });
        }
        self.bodies[at].clone()
    }

    /// The reply, if it is one: the first that says nothing may be followed by a better one.
    fn taken(&self, reply: Reply) -> Result<Reply, Fault> {
        if self.request.may_be_empty || !reply.calls.is_empty() || !reply.text.trim().is_empty() {
            return Ok(reply);
        }
        Err(if reply.cut { Fault::UsedUp } else { Fault::Empty })
    }

    /// The reply with whose place its model took.
    fn signed(&self, mut reply: Reply) -> Reply {
        reply.instead_of = (self.last > 0).then(|| self.request.model.clone());
        reply
    }

    /// Why nobody answered: the fault of the model that was meant, with what became of its fallbacks.
    fn given_up(&mut self) -> ModelError {
        let attempts = self.course.attempts();
        let last = self.faults[self.last].take().unwrap_or(Fault::Empty);
        if self.last == 0 {
            let fallback = (1..self.faults.len()).rev().find_map(|at| Some((at, self.faults[at].take()?)));
            return match fallback {
                None => last.into_error(attempts),
                Some((at, fault)) => self.all_failed(last, at, fault),
            };
        }
        match self.faults[0].take() {
            Some(first) if !last.is_about_the_account() => self.all_failed(first, self.last, last),
            Some(_) | None => last.into_error(attempts),
        }
    }

    fn all_failed(&self, first: Fault, at: usize, last: Fault) -> ModelError {
        let attempts = self.course.attempts();
        ModelError::Fallbacks {
            first: Box::new(first.into_error(attempts)),
            model: self.model(at).to_owned(),
            last: Box::new(last.into_error(attempts)),
        }
    }
}
