//! Turns what `tracing` reports into records: the tag from the level or the field `tag`, the thread from the field
//! `thread.ts` of the event or of the nearest span around it.

use std::error::Error;
use std::fmt::Debug;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::record::{self, Record, Style};
use super::ring::{RING, Ring};

/// The field that names the thread.
const THREAD: &str = "thread.ts";

/// Writes records to one place.
pub(super) struct LogLayer(Sink);

enum Sink {
    /// Lines on standard error.
    Lines(Style),
    /// The memory of the last lines.
    Ring(&'static Ring),
}

/// The thread that a span is about.
#[derive(Clone)]
struct SpanThread(String);

impl LogLayer {
    /// Lines on standard error.
    pub(super) fn lines(style: Style) -> Self {
        Self(Sink::Lines(style))
    }

    /// The memory of this process.
    pub(super) fn ring() -> Self {
        Self(Sink::Ring(&RING))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(thread), Some(span)) = (fields.thread, context.span(id)) {
            span.extensions_mut().replace(SpanThread(thread));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let around = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<SpanThread>().map(|thread| thread.0.clone()))
        };
        let metadata = event.metadata();
        let (tag, severity) = record::of_level(*metadata.level());
        // Of our own modules the text says enough; a library's line is nothing without its name.
        if !metadata.target().starts_with("codebutler") {
            fields.others.push(("from", metadata.target().to_owned()));
        }
        let record = Record {
            time: format!("{:.3}", jiff::Timestamp::now()),
            tag: fields.tag.unwrap_or(tag),
            severity,
            text: record::text(&fields.message, &fields.others),
            thread: fields.thread.or_else(around),
        };
        match &self.0 {
            // Nobody is left to tell when standard error is gone.
            Sink::Lines(style) => drop(std::io::stderr().lock().write_all(record.line(*style).as_bytes())),
            Sink::Ring(ring) => ring.push(record),
        }
    }
}

/// The fields of an event or span.
#[derive(Default)]
struct Fields {
    message: String,
    tag: Option<&'static str>,
    thread: Option<String>,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            THREAD => self.thread = Some(value),
            "tag" if record::activity(&value).is_some() => self.tag = record::activity(&value),
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    /// An error with its causes, in one sentence.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let why = error.to_string();
            // Many errors repeat their cause in their own words.
            if !text.ends_with(&why) {
                text.push_str(": ");
                text.push_str(&why);
            }
            cause = error.source();
        }
        self.put(field, text);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{LogLayer, Ring, Sink};
    use crate::telemetry::ring::Query;

    /// The lines that `work` logs, without their time.
    fn logged(work: impl FnOnce()) -> Vec<String> {
        let ring: &'static Ring = Box::leak(Box::new(Ring::new()));
        let subscriber = tracing_subscriber::registry().with(LogLayer(Sink::Ring(ring)));
        tracing::subscriber::with_default(subscriber, work);
        let kept = ring.read(&Query { limit: 99, ..Query::default() });
        let line = |record: &crate::telemetry::record::Record| {
            let thread = record.thread.as_deref().unwrap_or("-");
            format!("{} {} {thread} {}", record.severity, record.tag, record.text)
        };
        kept.iter().map(|kept| line(&kept.record)).collect()
    }

    #[test]
    fn tag_thread_text_and_fields_are_found() {
        let cause = std::io::Error::other("no\nspace");
        let error = crate::store::StoreError::Io { path: "/x".into(), source: cause.into() };
        let lines = logged(|| {
            tracing::info!("plain");
            tracing::info!(tag = "MSG", thread.ts = %"1.0", "Ana wrote {} characters", 3);
            tracing::warn!(tag = "nonsense", count = 3, who = "two words", ok = true, "with fields");
            tracing::error!(error = &error as &dyn std::error::Error, "it failed");
            tracing::debug!(target: "hyper::x", "a library");
        });
        assert_eq!(
            lines,
            [
                "6 INF - plain",
                "6 MSG 1.0 Ana wrote 3 characters",
                "4 WRN - with fields tag=nonsense count=3 who=\"two words\" ok=true",
                "3 ERR - it failed error=\"/x cannot be used: no\\nspace\"",
                "7 DBG - a library from=hyper::x",
            ]
        );
    }

    #[test]
    fn the_thread_of_the_nearest_span_counts_unless_the_event_names_one() {
        let lines = logged(|| {
            let outer = tracing::error_span!("worker", thread.ts = "1.0");
            let _outer = outer.enter();
            tracing::info!("outer");
            tracing::error_span!("other").in_scope(|| tracing::info!("still outer"));
            tracing::error_span!("inner", thread.ts = "2.0").in_scope(|| tracing::info!("inner"));
            tracing::info!(thread.ts = "3.0", "its own");
        });
        assert_eq!(lines, ["6 INF 1.0 outer", "6 INF 1.0 still outer", "6 INF 2.0 inner", "6 INF 3.0 its own"]);
    }
}
