//! One attempt: the request through async-openai, the stream of its events into a reply. Retries nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::assembly::{Assembly, usage};
use super::chunk::Chunk;
use super::fault::Fault;
use super::halves;
use super::transport::{End, Leftover, NoStream, Pulse, Transport};
use crate::agent::Usage;
use crate::thread::event::Reply;

/// How long the usage and the stream's end are waited for once the model has finished.
const REST: Duration = Duration::from_secs(5);

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The server sends nothing at all.
    pub(super) silence: Duration,
    /// It shows that it lives, by comments and empty events, and the model writes nothing.
    pub(super) life: Duration,
    /// The model writes without end.
    pub(super) reply: Duration,
}

/// One attempt at a request.
pub(super) struct Attempt {
    client: Client<Arc<dyn Config>>,
    limits: Limits,
    pulse: Arc<Pulse>,
    work: Mutex<Work>,
}

/// What is known of the work that a server has done, and may be paid for.
#[derive(Clone, Copy, Default)]
struct Work {
    /// It began a reply.
    taken: bool,
    /// The model wrote something: when first, and when last.
    wrote: Option<(Instant, Instant)>,
    usage: Option<Usage>,
}

impl Attempt {
    pub(super) fn new(
        http: reqwest::Client,
        config: Arc<dyn Config>,
        body: Bytes,
        limits: Limits,
        leftover: Leftover,
    ) -> Self {
        let pulse = Arc::new(Pulse::leaving_to(leftover));
        let transport = Transport { http: http.clone(), body, silence: limits.silence, pulse: Arc::clone(&pulse) };
        Self::with_client(Client::build(http, config).with_http_service(transport), limits, pulse)
    }

    pub(super) fn with_client(client: Client<Arc<dyn Config>>, limits: Limits, pulse: Arc<Pulse>) -> Self {
        Self { client, limits, pulse, work: Mutex::default() }
    }

    /// The reply, and for how long the model was writing.
    pub(super) async fn run(&self, model: &str) -> (Result<Reply, Fault>, Duration) {
        let result = self.ask(model).await;
        let wrote = self.work().wrote;
        (result, wrote.map_or(Duration::ZERO, |(first, last)| last - first))
    }

    /// What an attempt used that brought no reply; no fault when it was dropped. One call of unknown cost when nobody
    /// said what it costs and a model may have been at work; nothing when the server would not have it.
    pub(super) fn used(&self, fault: Option<&Fault>) -> Option<Usage> {
        let work = self.work();
        let perhaps = match fault {
            Some(Fault::Unreached { .. }) => false,
            Some(Fault::Refused { .. } | Fault::Filtered { .. }) => work.wrote.is_some(),
            Some(Fault::Lost { .. }) => work.taken,
            None | Some(Fault::Stalled(_) | Fault::Idle(_) | Fault::Endless { .. } | Fault::Empty | Fault::UsedUp) => {
                true
            }
        };
        work.usage.or_else(|| perhaps.then(|| usage(None)))
    }

    fn work(&self) -> Work {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Work)) {
        change(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn ask(&self, model: &str) -> Result<Reply, Fault> {
        let begun = Instant::now();
        let Limits { life, reply, .. } = self.limits;
        // What comes whole may come with signs of life before it, too.
        let opening = async { self.client.chat().create_stream_byot::<_, Chunk>(()).await };
        let mut stream = match timeout_at(begun + life, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.whole(&self.no_stream(error)?, model),
            Err(_) => return Err(self.idle(begun)),
        };
        self.note(|work| work.taken = true);
        let (mut assembly, mut ends, mut wrote) = (Assembly::new(model), None, Instant::now());
        while !assembly.is_full() {
            // A stream of which there is always more must not keep the thread from hearing its people.
            tokio::task::coop::consume_budget().await;
            let finished = assembly.is_finished();
            let until = match finished {
                true => *ends.get_or_insert(Instant::now() + REST.min(self.limits.silence)),
                false => (wrote + life).min(begun + reply),
            };
            match timeout_at(until, stream.next()).await {
                Ok(Some(Ok(chunk))) => self.take(&mut assembly, &mut wrote, |assembly| assembly.take(chunk))?,
                Ok(Some(Err(OpenAIError::JSONDeserialize(reason, event)))) => match with_halves(&event) {
                    Some(chunk) => self.take(&mut assembly, &mut wrote, |assembly| assembly.take_halves(chunk))?,
                    None if finished => break,
                    None => return Err(self.broken(&OpenAIError::JSONDeserialize(reason, event))),
                },
                // The model has said everything: asking again for a lost end would only cost.
                Ok(Some(Err(_))) | Err(_) if finished => break,
                Ok(Some(Err(error))) => return Err(self.broken(&error)),
                Ok(None) => break,
                Err(_) => {}
            }
            // What is there is taken however late it is; then nothing more.
            let now = Instant::now();
            match finished || assembly.is_finished() {
                true if ends.is_some_and(|ends| now >= ends) => break,
                false if now >= begun + reply => return Err(endless(reply)),
                false if now >= wrote + life => return Err(self.idle(wrote)),
                true | false => {}
            }
        }
        // async-openai stops reading at `[DONE]`: then the bytes have not come to an end.
        assembly.finish(self.pulse.end().is_none())
    }

    /// Takes an event and notes what it says of the model's work.
    fn take(
        &self,
        assembly: &mut Assembly,
        wrote: &mut Instant,
        take: impl FnOnce(&mut Assembly) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let before = assembly.written();
        let taken = take(assembly);
        let more = assembly.written() > before;
        if more {
            *wrote = Instant::now();
        }
        if more || assembly.is_finished() {
            self.note(|work| work.wrote = Some((work.wrote.map_or(*wrote, |(first, _)| first), *wrote)));
        }
        if let Some(usage) = assembly.stated() {
            self.note(|work| work.usage = Some(usage));
        }
        taken
    }

    /// Nothing was written since then.
    fn idle(&self, since: Instant) -> Fault {
        let life = self.limits.life;
        if self.pulse.beats_since(since) { Fault::Idle(life) } else { Fault::Stalled(life) }
    }

    /// The body of a reply that came whole, or the fault.
    fn no_stream(&self, error: OpenAIError) -> Result<Bytes, Fault> {
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<NoStream>() {
                Ok(none) => match *none {
                    NoStream::Whole(body) => Ok(body),
                    NoStream::Fault(fault) => Err(fault),
                },
                Err(error) => Err(Fault::lost(error.to_string())),
            },
            other => Err(self.broken(&other)),
        }
    }

    fn broken(&self, error: &OpenAIError) -> Fault {
        match (self.pulse.end(), error) {
            (Some(End::Fault(fault)), _) => fault,
            (Some(End::Closed), OpenAIError::StreamError(_)) => Fault::lost("the reply was cut off"),
            (_, OpenAIError::JSONDeserialize(reason, _)) => Fault::lost(format!("an event is no JSON ({reason})")),
            (_, other) => Fault::lost(other.to_string()),
        }
    }

    fn whole(&self, body: &Bytes, model: &str) -> Result<Reply, Fault> {
        let chunk: Chunk = serde_json::from_slice(body).map_err(|_| {
            Fault::lost("the server's answer is neither a stream nor a completion; is the base URL right?")
        })?;
        let mut assembly = Assembly::new(model);
        self.take(&mut assembly, &mut Instant::now(), |assembly| assembly.take(chunk))?;
        assembly.finish(true)
    }
}

fn endless(reply: Duration) -> Fault {
    Fault::Endless { reason: format!("it had written for {} and went on", crate::llm::failure::lasting(reply)) }
}

/// An event that no strict parser takes for its half characters.
fn with_halves(event: &str) -> Option<Chunk> {
    serde_json::from_str(&halves::escaped(event)?).ok()
}
