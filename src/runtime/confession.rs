//! What a thread is told when its own worker failed, by the store or, without it, in the chat at once. Mends nothing.

use super::project::Project;
use crate::ids::ThreadKey;

/// Tells the thread that it stopped because of us, at most once an hour; `told` is the last hour in which this worker
/// could not go through the store.
pub(super) async fn confess(project: &Project, key: &ThreadKey, id: &str, told: &mut Option<i64>) {
    let text = format!(
        "An error in CodeButler or its store keeps this thread from going on; nothing is lost. It is tried again every \
         minute. The log has the details under `{id}`."
    );
    let post = crate::render::cards::message(None, text);
    let hour = project.clock.now().0 / 3_600_000;
    let name = format!("crashed/{hour}");
    let Err(error) = project.store.post_once(key, &name, &post).await else {
        project.outbox_changed.notify_one();
        return;
    };
    tracing::error!(thread.ts = %key, error = &error as &dyn std::error::Error, "the store cannot tell the thread");
    // Without the store nobody knows whether it was said before: once by this worker, and looked for in the chat.
    if *told != Some(hour) {
        *told = Some(hour);
        let name = format!("unstored/{hour}");
        if matches!(project.chat.find(key, &name).await, Ok(None)) {
            let _ = project.chat.post(key, &name, &post).await;
        }
    }
}
