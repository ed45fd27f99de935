//! People in the chat: each follows a script in a thread, looking only at what the chat shows. What they have done
//! outlives the lives; what the product did not take is delivered again, as Slack does.

mod edits;
mod silence;

use std::collections::BTreeSet;

use super::chat::{Room, Shown};
use super::dice::Dice;
use super::fate::Fate;
use crate::chat::{Incoming, IncomingKind, Post};
use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};
use crate::thread::event::Earlier;

/// The channel.
pub const CHANNEL: &str = "C1";
/// After how long a person who sees nothing happen does the last thing again.
const PATIENCE: i64 = 15 * 60_000;
/// Slack delivers again after so long.
const AGAIN: [i64; 4] = [0, 60_000, 300_000, 300_000];

/// One thing that a person does or waits for.
#[derive(Clone, Debug)]
pub enum Step {
    /// Says something to the PM; a mark is added by which it is known again.
    Say(String),
    /// Says something in between: what was waited for before is still waited for.
    Ask(&'static str),
    /// Types a command or a word that goes to no model.
    Type(&'static str),
    /// Presses the newest button of that action.
    Press(&'static str),
    /// Waits for a message with this in it, newer than what was said last.
    See(&'static str),
    /// Waits until the merge is told, by whomever it was seen to be made: its answer may have been lost.
    SeeMerged,
    /// Waits for the card at the end of the Coder's work.
    SeeReport,
    /// Waits for a button, on a message newer than what was said last.
    SeeButton(&'static str),
    /// Waits until the last message has its ✅.
    SeeDone,
    /// Waits so many milliseconds.
    Rest(i64),
    /// Does something behind the product's back.
    Outside(Outside),
}

/// What people do outside of the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Deletes the worktree by hand.
    DeleteWorktree,
    /// Pushes a commit to the thread's branch.
    PushToBranch,
    /// Closes the pull request on the forge.
    ClosePull,
    /// Merges the pull request on the forge.
    MergePull,
}

/// A message as it was said.
#[derive(Clone, Debug)]
pub struct Said {
    pub ts: MessageTs,
    pub text: String,
    /// The mark that is nowhere else; none for commands and words.
    pub mark: Option<String>,
    /// Whether it was changed later, mark and all.
    pub edited: bool,
}

/// A person's way through one thread.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: UserId,
    pub name: &'static str,
    pub key: Option<ThreadKey>,
    pub steps: Vec<Step>,
    pub at: usize,
    pub said: Vec<Said>,
    /// When the present step began, or was begun anew.
    since: i64,
    /// The last thing that may have to be done again.
    last: Option<Step>,
    /// Failures that were answered with `!retry`, by their posts.
    retried: BTreeSet<String>,
    /// What is newer than this counts as an answer.
    fence: Option<MessageTs>,
    /// When it begins.
    begins: i64,
    /// When this person last did something that is to have an answer.
    acted: i64,
    /// Whether that was done outside of the chat.
    is_outside: bool,
    pub repeats: u32,
}

/// Something on its way to the product.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub due: i64,
    pub number: u64,
    pub attempt: usize,
    pub incoming: Incoming,
}

/// All people of a world.
pub struct People {
    pub actors: Vec<Actor>,
    pub deliveries: Vec<Delivery>,
    /// Repeats that nothing explained.
    pub silences: Vec<String>,
    number: u64,
    fate: Fate,
    dice: Dice,
    /// Whether deliveries are late, doubled and out of order while the weather is bad.
    unkind: bool,
}

impl People {
    pub fn new(fate: Fate, stories: Vec<(Vec<Step>, i64)>, seed: u64, unkind: bool) -> Self {
        let actor = |(number, (steps, begins)): (usize, (Vec<Step>, i64))| Actor {
            user: UserId::new(format!("U{}", number + 1)),
            name: ["Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana"][number % 8],
            key: None,
            steps,
            at: 0,
            said: Vec::new(),
            since: 0,
            last: None,
            retried: BTreeSet::new(),
            fence: None,
            begins,
            acted: 0,
            is_outside: false,
            repeats: 0,
        };
        let actors = stories.into_iter().enumerate().map(actor).collect();
        Self { actors, deliveries: Vec::new(), silences: Vec::new(), number: 0, fate, dice: Dice::new(seed), unkind }
    }

    /// Whether all scripts are done and nothing is on its way.
    pub fn are_done(&self) -> bool {
        self.deliveries.is_empty() && self.actors.iter().all(|actor| actor.at >= actor.steps.len())
    }

    /// When somebody next does something by the clock alone.
    pub fn next(&self) -> Option<i64> {
        let actors = self.actors.iter().filter(|actor| actor.at < actor.steps.len());
        let waits = actors.map(|actor| match &actor.steps[actor.at] {
            Step::Rest(ms) => actor.since + ms,
            _ if actor.key.is_none() => actor.begins,
            _ => actor.since + PATIENCE,
        });
        waits.chain(self.deliveries.iter().map(|delivery| delivery.due)).min()
    }

    /// Takes what is due to be delivered.
    pub fn due(&mut self, now: i64) -> Vec<Delivery> {
        let (due, later) = std::mem::take(&mut self.deliveries).into_iter().partition(|delivery| delivery.due <= now);
        self.deliveries = later;
        let mut due: Vec<Delivery> = due;
        due.sort_by_key(|delivery| (delivery.due, delivery.number));
        due.iter().for_each(|delivery| self.fate.hinder(&delivery.incoming.thread.to_text(), now));
        due
    }

    /// What was not taken comes again.
    pub fn again(&mut self, mut delivery: Delivery, now: i64) {
        delivery.due = now + AGAIN[delivery.attempt.min(AGAIN.len() - 1)];
        delivery.attempt += 1;
        self.deliveries.push(delivery);
    }

    /// Lets everybody do what the chat makes them do; gives what is done outside, by thread.
    pub fn act(&mut self, room: &mut Room) -> Vec<(ThreadKey, Outside)> {
        let mut outside = Vec::new();
        for index in 0..self.actors.len() {
            while let Some(step) = self.actors[index].steps.get(self.actors[index].at).cloned() {
                if !self.step(index, &step, room, &mut outside) {
                    let at = self.actors[index].at;
                    self.be_impatient(index, &step, room);
                    if self.actors[index].at < at {
                        continue;
                    }
                    break;
                }
                self.actors[index].at += 1;
                self.actors[index].since = self.fate.now();
            }
        }
        outside
    }

    /// Whether the step is done.
    fn step(&mut self, index: usize, step: &Step, room: &mut Room, outside: &mut Vec<(ThreadKey, Outside)>) -> bool {
        let now = self.fate.now();
        let actor = &self.actors[index];
        if actor.key.is_none() && now < actor.begins {
            return false;
        }
        match step {
            Step::Say(text) => self.say(index, text, true, room),
            Step::Ask(text) => {
                let fence = actor.fence.clone();
                self.say(index, text, true, room);
                self.actors[index].fence = fence;
            }
            Step::Type(text) => self.say(index, text, false, room),
            Step::Press(action) => {
                let value = actor.news(room).rev().find_map(|shown| button(shown, action));
                let Some(value) = value else { return false };
                self.press(index, action, value);
            }
            Step::See(text) => return actor.news(room).any(|shown| words(shown).contains(text)),
            Step::SeeButton(action) => return actor.news(room).any(|shown| button(shown, action).is_some()),
            Step::SeeMerged => {
                let told =
                    |shown: &Shown| ["Merged as", "was merged on"].iter().any(|said| words(shown).contains(said));
                return actor.news(room).any(told);
            }
            Step::SeeReport => return actor.news(room).any(|shown| shown.key.starts_with("pull/")),
            Step::SeeDone => {
                let (Some(key), Some(said)) = (&actor.key, actor.said.last()) else { return true };
                return room.has_reaction(key, &said.ts, "white_check_mark");
            }
            Step::Rest(ms) => return now >= actor.since + ms,
            Step::Outside(what) => {
                self.fate.note(&format!("outside: {what:?}"));
                // A folder that is gone is missed only by who works in it.
                if *what != Outside::DeleteWorktree {
                    self.actors[index].acts(now, true);
                }
                let actor = &self.actors[index];
                outside.extend(actor.key.clone().map(|key| (key, *what)));
            }
        }
        if matches!(step, Step::Press(_) | Step::Type(_)) {
            self.actors[index].last = Some(step.clone());
        }
        true
    }

    /// Says `!retry` when a message tells to; after a long wait does the last thing again.
    fn be_impatient(&mut self, index: usize, step: &Step, room: &mut Room) {
        let now = self.fate.now();
        let actor = &self.actors[index];
        let Some(key) = actor.key.clone() else { return };
        if matches!(step, Step::Rest(_)) || now < actor.since + PATIENCE {
            return;
        }
        self.note_silence(index, room);
        self.actors[index].since = now;
        self.actors[index].repeats += 1;
        // Where nothing came of a wish, it is wished again.
        let came_to_nothing = |shown: &&Shown| words(shown).starts_with("I cannot read");
        let is_report = |shown: &&Shown| shown.key.starts_with("pull/");
        let last = room.thread(&key).iter().rev().find(|shown| is_report(shown) || came_to_nothing(shown));
        let nothing = last.filter(|shown| came_to_nothing(shown) || words(shown).contains("Nothing was changed"));
        let nothing = nothing.map(|shown| shown.key.clone());
        let wished =
            self.actors[index].steps[..self.actors[index].at].iter().rposition(|step| matches!(step, Step::Say(_)));
        // Not in a thread that this person has closed since.
        let actor = &self.actors[index];
        let ends = |step: &Step| matches!(step, Step::Type("!close") | Step::Press("plan_cancel"));
        let wished = wished.filter(|wished| !actor.steps[*wished..actor.at].iter().any(ends));
        if let (Some(nothing), Some(wished)) = (nothing, wished)
            && self.actors[index].retried.insert(nothing)
        {
            self.actors[index].at = wished;
            return;
        }
        // What failed last is what `!retry` takes up.
        let told = room.thread(&key).iter().rev().find(|shown| words(shown).contains("!retry"));
        let told = told.map(|shown| shown.key.clone());
        let anew = told.is_some_and(|told| self.actors[index].retried.insert(told));
        if anew || self.actors[index].repeats.is_multiple_of(2) {
            return self.say(index, "!retry", false, room);
        }
        match self.actors[index].last.clone() {
            Some(Step::Type(text)) => self.say(index, text, false, room),
            Some(Step::Press(action)) => {
                let value = room.thread(&key).iter().rev().find_map(|shown| button(shown, action));
                if let Some(value) = value {
                    self.press(index, action, value);
                }
            }
            _ => self.say(index, "!retry", false, room),
        }
    }

    fn say(&mut self, index: usize, text: &str, marked: bool, room: &mut Room) {
        self.number += 1;
        let number = self.number;
        let now = self.fate.now();
        let ts = room.stamp(now);
        let mark = marked.then(|| format!("[m{number}]"));
        let text = match &mark {
            Some(mark) => format!("{text} {mark}"),
            None => text.to_owned(),
        };
        let actor = &mut self.actors[index];
        let key = actor.key.get_or_insert_with(|| ThreadKey {
            workspace: "T1".to_owned(),
            channel: ChannelId::new(CHANNEL),
            ts: ts.clone(),
        });
        let key = key.clone();
        room.said.entry(key.clone()).or_default().push(Earlier {
            ts: Some(ts.clone()),
            name: Some(actor.name.into()),
            text: text.clone(),
            files: Vec::new(),
        });
        if marked {
            actor.fence = Some(ts.clone());
        }
        actor.acts(now, false);
        actor.said.push(Said { ts: ts.clone(), text: text.clone(), mark, edited: false });
        let dedupe = vec![format!("event:Ev{number}"), format!("ts:{CHANNEL}:{ts}"), format!("client:cm{number}")];
        let what = IncomingKind::Message { ts, text, to_bot: false, files: Vec::new() };
        self.send(index, key, what, dedupe);
        if marked {
            self.reconsider(index, room);
        }
    }

    fn press(&mut self, index: usize, action: &str, value: String) {
        self.number += 1;
        let Some(key) = self.actors[index].key.clone() else { return };
        self.actors[index].acts(self.fate.now(), false);
        let what = IncomingKind::Pressed { action: action.to_owned(), value };
        self.send(index, key, what, vec![format!("press:tr{}", self.number)]);
    }

    fn send(&mut self, index: usize, thread: ThreadKey, what: IncomingKind, dedupe: Vec<String>) {
        let actor = &self.actors[index];
        self.fate.note(&format!("{} in {thread}: {what:?}", actor.name));
        let incoming = Incoming { thread, from: actor.user.clone(), name: actor.name.to_owned(), what, dedupe };
        let now = self.fate.now();
        let mut due = now + 50;
        if self.unkind && self.fate.is_stormy() {
            if self.dice.chance(200) {
                due += self.dice.between(0, 20_000);
            }
            if self.dice.chance(250) {
                // The same event again, or as another event with the same message in it.
                let mut twin = incoming.clone();
                if self.dice.chance(500) && twin.dedupe.len() > 1 {
                    twin.dedupe[0] = format!("event:Twin{}", self.number);
                }
                let late = *self.dice.pick(&[0, 10, 3_000, 60_000, 300_000]);
                self.deliveries.push(Delivery { due: now + late, number: self.number, attempt: 1, incoming: twin });
            }
        }
        self.deliveries.push(Delivery { due, number: self.number, attempt: 0, incoming });
    }
}

impl Actor {
    /// What the thread shows since the last thing that was said in it.
    fn news<'a>(&'a self, room: &'a Room) -> impl DoubleEndedIterator<Item = &'a Shown> {
        let posts = self.key.as_ref().map(|key| room.thread(key)).unwrap_or_default();
        let fence = self.fence.as_ref().map(order);
        posts.iter().filter(move |shown| fence.is_none_or(|fence| order(&shown.ts) > fence))
    }
}

/// Timestamps as numbers, so that they can be compared.
fn order(ts: &MessageTs) -> (u64, u64) {
    let (seconds, number) = ts.as_str().split_once('.').expect("a timestamp");
    (seconds.parse().expect("a number"), number.parse().expect("a number"))
}

/// What a post says.
pub fn words(shown: &Shown) -> &str {
    match &shown.post {
        Post::Message { text, .. } => text,
        Post::File { content, .. } => content,
        Post::Reaction { .. } | Post::Ephemeral { .. } => "",
    }
}

/// The value of the first button of that action.
pub fn button(shown: &Shown, action: &str) -> Option<String> {
    let Post::Message { buttons, .. } = &shown.post else { return None };
    // The buttons of a question are told apart by a number behind the action.
    buttons.iter().find(|button| button.action == action).map(|button| button.value.clone())
}
