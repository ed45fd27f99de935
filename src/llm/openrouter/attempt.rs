//! One attempt: the request through async-openai, the stream of its events into a reply. Retries nothing.

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::assembly::Assembly;
use super::chunk::Chunk;
use super::fault::Fault;
use super::halves;
use super::transport::{End, Leftover, NoStream, Pulse, Transport};
use crate::thread::event::Reply;

/// How long the usage and the stream's end are waited for once the model has finished.
const REST: Duration = Duration::from_secs(5);
/// How many times the silence limit a server may send nothing but comments.
const COMMENTS: u32 = 10;

/// One attempt at a request.
pub(super) struct Attempt {
    client: Client<Arc<dyn Config>>,
    silence: Duration,
    pulse: Arc<Pulse>,
}

impl Attempt {
    pub(super) fn new(
        http: reqwest::Client,
        config: Arc<dyn Config>,
        body: Bytes,
        silence: Duration,
        leftover: Leftover,
    ) -> Self {
        let pulse = Arc::new(Pulse::leaving_to(leftover));
        let transport = Transport { http: http.clone(), body, silence, pulse: Arc::clone(&pulse) };
        Self::with_client(Client::build(http, config).with_http_service(transport), silence, pulse)
    }

    pub(super) fn with_client(client: Client<Arc<dyn Config>>, silence: Duration, pulse: Arc<Pulse>) -> Self {
        Self { client, silence, pulse }
    }

    /// The reply, and for how long the server was sending it.
    pub(super) async fn run(&self, model: &str) -> (Result<Reply, Fault>, Duration) {
        let result = self.ask(model).await;
        (result, self.pulse.sending())
    }

    async fn ask(&self, model: &str) -> Result<Reply, Fault> {
        let mut stream = match self.client.chat().create_stream_byot::<_, Chunk>(()).await {
            Ok(stream) => stream,
            Err(error) => return whole(self.no_stream(error)?, model),
        };
        let mut assembly = Assembly::new(model);
        loop {
            let finished = assembly.is_finished();
            let wait = if finished { REST.min(self.silence) } else { self.silence.saturating_mul(COMMENTS) };
            match timeout(wait, stream.next()).await {
                Ok(Some(Ok(chunk))) => assembly.take(chunk)?,
                Ok(Some(Err(OpenAIError::JSONDeserialize(reason, event)))) => match with_halves(&event) {
                    Some(chunk) => assembly.take_halves(chunk)?,
                    None if finished => break,
                    None => return Err(self.broken(&OpenAIError::JSONDeserialize(reason, event))),
                },
                // The model has said everything: asking again for a lost end would only cost.
                Ok(Some(Err(_))) | Err(_) if finished => break,
                Ok(Some(Err(error))) => return Err(self.broken(&error)),
                Ok(None) => break,
                Err(_) => return Err(Fault::Stalled(wait)),
            }
        }
        // async-openai stops reading at `[DONE]`: then the bytes have not come to an end.
        assembly.finish(self.pulse.end().is_none())
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
}

/// An event that no strict parser takes for its half characters.
fn with_halves(event: &str) -> Option<Chunk> {
    serde_json::from_str(&halves::escaped(event)?).ok()
}

fn whole(body: Bytes, model: &str) -> Result<Reply, Fault> {
    let chunk: Chunk = serde_json::from_slice(&body)
        .map_err(|_| Fault::lost("the server's answer is neither a stream nor a completion; is the base URL right?"))?;
    let mut assembly = Assembly::new(model);
    assembly.take(chunk)?;
    assembly.finish(true)
}
