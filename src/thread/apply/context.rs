//! The fold of what is done about a conversation's length, as far as decisions need it.

use std::sync::Arc;

use crate::ids::RunId;
use crate::thread::context::Change;
use crate::thread::state::Thread;

impl Thread {
    pub(super) fn change_context(&mut self, id: RunId, change: &Change) {
        let Some((role, _)) = self.run(id) else { return };
        match change {
            Change::OutputKept { .. } => {}
            Change::Stubbed { after, .. } => {
                self.conversation(role).tokens = *after;
                if let Some(run) = self.run_mut(id) {
                    Arc::make_mut(&mut run.watch).forget();
                }
            }
            Change::Exceeded { model, context } => {
                self.contexts.insert(model.clone(), *context);
                if let Some(run) = self.run_mut(id) {
                    run.exceeded += 1;
                }
            }
            Change::Compacted { summary, usage, after, .. } => {
                self.usage.entry(role).or_default().add(usage);
                if let Some(run) = self.run_mut(id) {
                    run.usage.add(usage);
                    Arc::make_mut(&mut run.watch).forget();
                }
                let conversation = self.conversation(role);
                (conversation.summary, conversation.tokens) = (summary.as_deref().map(Arc::from), *after);
            }
        }
    }
}
