//! What people write and press. Approval is checked here, by our own word list and rules, never by a model
//! (`decisions.md` 6).

use super::Deciding;
use crate::agent::Role;
use crate::ids::{MessageTs, PlanId, UserId};
use crate::thread::command::Action;
use crate::thread::event::{Answer, Event, Message};
use crate::thread::stalled::Part;
use crate::thread::state::WorkspaceState;
use crate::thread::words::{self, Typed};

impl Deciding<'_> {
    pub(super) fn say(&mut self, message: Message, to_bot: bool) {
        let (ts, by) = (message.ts.clone(), message.from.clone());
        if !self.rules.may_use(&by) {
            let reason = "This bot works only for the people listed in its configuration (`access.allowedUsers`). \
                          Ask its owner to add you."
                .to_owned();
            self.emit(Event::Refused { ts: Some(ts), by, reason });
            return;
        }
        if self.thread.opened_by.is_none() {
            self.emit(Event::ThreadOpened { by: by.clone() });
        }
        self.know(&by, &message.name);
        match words::read(&message.text, to_bot, self.rules.slash) {
            Typed::Order(order) => self.order(order, ts, by),
            // What the PM was told of as said before is no word on what came since, however late it is delivered.
            Typed::Word { .. } | Typed::Text if self.was_told(&ts) => self.hear_person(message),
            Typed::Word { .. } | Typed::Text if self.thread.question.is_some() && !self.rules.unseen => {
                self.answer_by_message(message)
            }
            Typed::Word { approves, merges, talk } => {
                let waits = approves && self.thread.waiting_plan().is_some()
                    || merges && self.thread.pull.is_some() && !self.thread.is_closed();
                if waits && self.rules.unseen {
                    let text = "You wrote that before the card was shown here. Look at it; then press its button or say it \
                                again.";
                    self.tell(Some(ts), by, text);
                } else if approves && let Some(id) = self.thread.waiting_plan().map(|plan| plan.id.clone()) {
                    self.approve(&id, by, Some(ts));
                } else if merges && self.thread.pull.is_some() && !self.thread.is_closed() {
                    self.merge(by, Some(ts));
                } else if talk {
                    self.hear_person(message);
                } else {
                    let text = if merges {
                        "There is no pull request to merge in this thread."
                    } else {
                        "Nothing waits for an approval in this thread."
                    };
                    let answer = Answer::Text { text: text.to_owned() };
                    self.emit(Event::CommandTaken { ts: Some(ts), by, answer });
                }
            }
            Typed::Text => self.hear_person(message),
        }
    }

    /// A message for a role: the Coder when it works, else the PM.
    fn hear_person(&mut self, message: Message) {
        let by = message.from.clone();
        if self.was_told(&message.ts) {
            self.emit(Event::CommandTaken { ts: Some(message.ts), by, answer: Answer::None });
            return;
        }
        self.emit(Event::MessageReceived { message });
        if self.thread.stalled.iter().any(|stalled| stalled.part() == Part::Base) {
            self.emit(Event::TakenUp { by: by.clone(), ts: None, parts: vec![Part::Base] });
        }
        self.overtake_consult(&by);
        self.wake_pm();
        self.heard_while_paused(&by);
    }

    /// Whether a message is delivered after later ones, when the PM has been told of it as what was said before.
    fn was_told(&self, ts: &MessageTs) -> bool {
        self.thread.conversations.get(&Role::Pm).is_some_and(|pm| pm.open) && self.thread.earlier(ts).is_some()
    }

    /// Starts the PM when a role waits for its answer, or when there is something it has not read and nobody else takes
    /// care of it.
    pub(super) fn wake_pm(&mut self) {
        let thread = &self.thread;
        if thread.runs.contains_key(&Role::Pm) || thread.base.is_none() {
            return;
        }
        let newest = thread.conversations.get(&Role::Pm).and_then(|pm| pm.unheard.last());
        let wanted = (newest.is_some() || thread.owes_answers) && !thread.runs.contains_key(&Role::Coder);
        if !thread.consults.is_empty() {
            // What a role asks is no call of a person's.
            self.start_run(Role::Pm, None);
        } else if wanted {
            let by = newest.map(|message| message.from.clone());
            self.start_run(Role::Pm, by);
        }
    }

    /// Notes the name that a person is known by, when it is new.
    fn know(&mut self, user: &UserId, name: &str) {
        if self.thread.people.get(user).is_none_or(|known| known != name) {
            self.emit(Event::PersonNamed { user: user.clone(), name: name.to_owned() });
        }
    }

    pub(super) fn press(&mut self, action: Action, value: &str, by: UserId, name: &str) {
        if !self.rules.may_use(&by) {
            self.refuse(None, by, "Only people who may use this bot can press its buttons.");
            return;
        }
        self.know(&by, name);
        match action {
            Action::PlanApprove => self.approve(&PlanId::new(value), by, None),
            Action::PlanChange => self.ask_change(PlanId::new(value), by),
            Action::PlanCancel => self.cancel_plan(PlanId::new(value), by),
            Action::AskOption => self.answer_by_button(value, by),
            Action::PrMerge if self.thread.head.as_ref().is_some_and(|head| head.as_str() != value) => {
                self.refuse(None, by, "The pull request has changed since this card was shown. Use its newest card.");
            }
            Action::PrMerge => self.merge(by, None),
            Action::RunRetry => self.retry(by, None, Part::parse(value)),
            // Without a value: the chat's own button, which knows no runs.
            Action::RunStop if !value.is_empty() && !self.works(value) => {
                self.refuse(None, by, "That run has ended.");
            }
            Action::RunStop => self.stop(by, None),
            Action::PmModel => self.choose_pm(value, by, None),
            Action::BudgetRaise => self.raise_budget(value, by),
            Action::BudgetStop => self.stop_at_budget(value, by),
        }
    }

    /// Whether this run is at work, or its checks are.
    fn works(&self, run: &str) -> bool {
        let ended = self.thread.publishing.iter().map(|publishing| publishing.run);
        self.thread.runs.values().map(|run| run.id).chain(ended).any(|id| id.to_string() == run)
    }

    pub(super) fn refuse(&mut self, ts: Option<MessageTs>, by: UserId, reason: &str) {
        self.emit(Event::Refused { ts, by, reason: reason.to_owned() });
    }

    /// Whether the plan of that id is the one that waits; tells the person when it is not.
    fn is_waiting(&mut self, id: &PlanId, ts: Option<&MessageTs>, by: &UserId) -> bool {
        let reason = match &self.thread.plan {
            Some(_) if self.thread.is_closed() => "This thread is closed.",
            _ if !self.thread.plan_ids.contains(id) => "This plan is not part of this thread.",
            Some(plan) if plan.id != *id => "This plan is void: there is a newer one below.",
            Some(_) if self.thread.waiting_plan().is_some() => return true,
            Some(plan) if plan.fate == crate::thread::state::PlanFate::Cancelled => "This plan was cancelled.",
            Some(_) => "This plan was approved already.",
            None => "This plan is not part of this thread.",
        };
        self.refuse(ts.cloned(), by.clone(), reason);
        false
    }

    fn approve(&mut self, id: &PlanId, by: UserId, ts: Option<MessageTs>) {
        if !self.is_waiting(id, ts.as_ref(), &by) {
            return;
        }
        if !self.rules.may_approve(&by) {
            let reason = format!("Only an approver can approve a plan{}.", self.approver_names());
            self.refuse(ts, by, &reason);
            return;
        }
        // What is under way would lose its work to a second run in the same worktree.
        let busy = if self.thread.runs.contains_key(&Role::Coder) {
            Some("The Coder is still at work on the plan before this one.")
        } else if self.thread.publishing.is_some() {
            Some("The Coder's work is just being brought to the pull request.")
        } else if self.thread.merging.is_some() {
            Some("The pull request is being merged.")
        } else {
            None
        };
        if let Some(busy) = busy {
            self.refuse(ts, by, &format!("{busy} Approve this plan when that has ended; it waits."));
            return;
        }
        if ts.is_some() {
            self.emit(Event::CommandTaken { ts, by: by.clone(), answer: Answer::None });
        }
        self.emit(Event::PlanApproved { id: id.clone(), by });
        if self.thread.workspace().is_some() {
            self.start_coder();
        }
    }

    /// `: Ana, Ben`, as far as they are configured.
    pub(super) fn approver_names(&self) -> String {
        if self.rules.approvers.is_empty() {
            return String::new();
        }
        let names: Vec<&str> = self.rules.approvers.iter().map(|user| self.thread.name_of(user)).collect();
        format!(": {}", names.join(", "))
    }

    fn ask_change(&mut self, id: PlanId, by: UserId) {
        if self.is_waiting(&id, None, &by) {
            self.emit(Event::PlanChangeAsked { id, by });
        }
    }

    fn cancel_plan(&mut self, id: PlanId, by: UserId) {
        if !self.is_waiting(&id, None, &by) {
            return;
        }
        self.emit(Event::PlanCancelled { id, by: by.clone() });
        if self.thread.workspace == WorkspaceState::None {
            self.end_pm_run(by);
            self.emit(Event::ThreadClosed { merged: false });
        } else {
            self.note(Role::Pm, "[codebutler] The plan was cancelled; earlier work in this thread stays.".to_owned());
        }
    }
}
