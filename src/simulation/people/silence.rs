//! Silence: a person who has to do the last thing again without a word why. Impatient people would bring a dead thread
//! back to life each time, and no other invariant would ever see that it had died.
//!
//! A person is left in silence when nothing that was shown in the thread since the last deed leaves the next word to
//! people, and for [`LONGEST`] nothing at all changed there although nothing hindered it.

use super::{Actor, People, words};
use crate::chat::Post;
use crate::render::posts::is_progress_key;
use crate::simulation::chat::{Room, Shown};
use crate::simulation::fate::BEGIN;

/// Longer than everything that waits by itself once nothing hinders it: the look at pull requests waits 8 minutes after
/// an outage, everything else a minute at most.
const LONGEST: i64 = 10 * 60_000;

impl People {
    /// Notes that this person is about to repeat something, if that is for want of a word.
    pub(super) fn note_silence(&mut self, index: usize, room: &Room) {
        let actor = &self.actors[index];
        let Some(key) = &actor.key else { return };
        let posts = room.thread(key);
        let whispers = room.whispers.get(key).map(Vec::as_slice).unwrap_or_default();
        let is_on_its_way = self.deliveries.iter().any(|delivery| delivery.incoming.thread == *key);
        let is_told = posts.iter().any(|shown| shown.at >= actor.acted && explains(shown))
            || whispers.iter().any(|whisper| whisper.at >= actor.acted);
        if is_on_its_way || is_told {
            return;
        }
        let changed = posts.iter().map(|shown| shown.at).max().unwrap_or_default();
        let since = actor.acted.max(changed).max(self.fate.hindered(&key.to_text(), actor.is_outside));
        let now = self.fate.now();
        if now - since >= LONGEST {
            let step = actor.steps.get(actor.at);
            self.silences.push(format!(
                "{} in {key} waited for {step:?} in silence from {} to {}",
                actor.name,
                since - BEGIN,
                now - BEGIN
            ));
        }
    }
}

/// Whether a post says why nothing goes on, or asks something: all but progress, and cards whose question was settled.
fn explains(shown: &Shown) -> bool {
    let kind = shown.key.split('/').next().unwrap_or_default();
    match (&shown.post, kind) {
        (Post::Message { buttons, .. }, "plan" | "question") => !buttons.is_empty(),
        _ if is_progress_key(&shown.key) => words(shown).contains("in the queue"),
        _ => true,
    }
}

impl Actor {
    /// Something was done that is to have an answer.
    pub(super) fn acts(&mut self, now: i64, is_outside: bool) {
        self.acted = now;
        self.is_outside = is_outside;
    }
}
