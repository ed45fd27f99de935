//! The event of an agent's session: somebody pressed Slack's own Stop button.

use super::{Heard, HeardKind, Own, RawCallback, RawEvent, event_key, person};
use crate::ids::{ChannelId, MessageTs};

/// The button that stops, and its value that means no run in particular.
const STOP_ACTION: &str = "run_stop";
const WHATEVER_RUNS: &str = "";

/// Slack's own Stop button: whatever runs in the thread is to end.
pub(super) fn stopped(event: &RawEvent, callback: &RawCallback, own: &Own) -> Result<Heard, &'static str> {
    if own.enterprise.is_none() && callback.is_ext_shared_channel {
        // The event does not say which company the person is of.
        return Err("a stop in a channel that is shared with others");
    }
    let from = person(event, callback, own)?;
    let channel = event.channel.as_deref().ok_or("no channel")?;
    let thread = event.thread_ts.as_deref().ok_or("no thread")?;
    let mut dedupe = event_key(callback);
    dedupe.extend(event.event_ts.as_ref().map(|at| format!("stop:{channel}:{thread}:{at}")));
    Ok(Heard {
        channel: ChannelId::new(channel),
        direct: channel.starts_with('D'),
        thread: MessageTs::new(thread),
        from,
        dedupe,
        what: HeardKind::Pressed { action: STOP_ACTION.to_owned(), value: WHATEVER_RUNS.to_owned() },
    })
}
