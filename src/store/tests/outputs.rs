//! Results of calls are found again: kept ones whole, others as they were shown, each only in its own conversation.

use super::*;
use crate::agent::Role;
use crate::ids::CallId;
use crate::thread::context::Change;

fn finished(run: u32, call: &str, text: &str) -> Event {
    let result = ToolResult { text: text.into(), error: false, wrote: vec![], exit: None };
    Event::ToolFinished { run: RunId(run), call: CallId::new(call), result }
}

fn started(run: u32, role: Role) -> Event {
    Event::RunStarted { run: RunId(run), role, model: "m".into() }
}

#[tokio::test]
async fn a_result_is_found_by_its_call_in_its_roles_conversation() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let whole = "é\n".repeat(2_000_000);
    let blob = store.keep(whole.clone()).await.expect("kept");
    assert_eq!(store.keep(whole.clone()).await.expect("kept"), blob, "the same text, the same name");
    let bytes = whole.len() as u64;
    let kept = Change::OutputKept { call: CallId::new("c2"), blob, bytes };
    let big = "y".repeat(20_000);
    let events = vec![
        started(1, Role::Pm),
        finished(1, "c1", "of the PM"),
        started(2, Role::Coder),
        finished(2, "c1", "of the Coder"),
        Event::ContextChanged { run: RunId(2), change: kept },
        finished(2, "c2", "é … é"),
        started(3, Role::Coder),
        finished(3, "c3", &big),
    ];
    store.append(append(0, events, &[], vec![])).await.expect("appended");
    drop(store);
    let store = reopen(&folder.path().join("store.db"));
    for (role, call, expected) in [
        (Role::Pm, "c1", Some("of the PM")),
        (Role::Coder, "c1", Some("of the Coder")),
        (Role::Coder, "c2", Some(whole.as_str())),
        (Role::Coder, "c3", Some(big.as_str())),
        (Role::Pm, "c2", None),
        (Role::Lead, "c1", None),
        (Role::Coder, "c9", None),
    ] {
        let found = store.output(&key("1.0"), role, &CallId::new(call)).await.expect("read");
        assert!(found.as_deref() == expected, "{role:?} {call}: {:?}", found.map(|text| text.len()));
    }
    let other = store.output(&key("2.0"), Role::Coder, &CallId::new("c1")).await.expect("read");
    assert_eq!(other, None, "another thread's");
    let loaded = store.load(&key("1.0")).await.expect("read");
    let size: usize = loaded.iter().map(|(_, event)| serde_json::to_string(event).expect("JSON").len()).sum();
    assert!(size < 30_000, "a start does not load what was kept: {size}");
}
