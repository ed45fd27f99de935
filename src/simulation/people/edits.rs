//! People who change what they have said: soon after it or much later, before it has arrived or long after it was
//! answered. And people who say something and take it back at once.

use super::super::chat::Room;
use super::{CHANNEL, People};
use crate::chat::IncomingKind;

impl People {
    /// May change what was said last.
    pub(super) fn reconsider(&mut self, index: usize, room: &mut Room) {
        if !self.unkind || !self.fate.is_stormy() {
            return;
        }
        if self.dice.chance(120) {
            self.edit(index, room);
        }
        // Not later: an answer to a question would be taken back with it.
        if self.actors[index].said.len() == 1 && self.dice.chance(100) {
            self.take_back(index, room);
        }
    }

    fn edit(&mut self, index: usize, room: &mut Room) {
        self.number += 1;
        let mark = format!("[m{}]", self.number);
        let after = *self.dice.pick(&[0, 0, 2_000, 5_000, 60_000, 600_000]);
        let at = room.stamp(self.fate.now());
        let Some(key) = self.actors[index].key.clone() else { return };
        let Some(said) = self.actors[index].said.last_mut() else { return };
        let Some(old) = said.mark.replace(mark.clone()) else { return };
        let (ts, text) = (said.ts.clone(), said.text.replace(&old, &mark));
        said.text.clone_from(&text);
        said.edited = true;
        for earlier in room.said.entry(key).or_default().iter_mut().filter(|said| said.ts.as_ref() == Some(&ts)) {
            earlier.text = earlier.text.replace(&old, &mark);
        }
        let dedupe = vec![format!("event:Ev{}", self.number), format!("edit:{CHANNEL}:{at}")];
        self.send_late(index, IncomingKind::Edited { ts, text, at: Some(at) }, dedupe, after);
    }

    fn take_back(&mut self, index: usize, room: &mut Room) {
        let (actor, now) = (&self.actors[index], self.fate.now());
        let Some(key) = actor.key.clone() else { return };
        let (ts, name) = (room.stamp(now), actor.name);
        self.fate.note(&format!("{name} says {ts} in {key} and takes it back"));
        self.number += 1;
        let dedupe = vec![format!("event:Ev{}", self.number), format!("ts:{CHANNEL}:{ts}")];
        let text = "never mind this".to_owned();
        let said = IncomingKind::Message { ts: ts.clone(), text, to_bot: false, files: Vec::new() };
        self.send_late(index, said, dedupe, 0);
        let dedupe = vec![format!("delete:{CHANNEL}:{ts}")];
        self.send_late(index, IncomingKind::Deleted { ts }, dedupe, 0);
    }

    fn send_late(&mut self, index: usize, what: IncomingKind, dedupe: Vec<String>, after: i64) {
        let before = self.deliveries.len();
        let Some(key) = self.actors[index].key.clone() else { return };
        self.send(index, key, what, dedupe);
        for delivery in &mut self.deliveries[before..] {
            delivery.due += after;
        }
    }
}
