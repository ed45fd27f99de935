//! A chat of any mood, and news at any time.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        (100..5000_u64).prop_map(Mood::TooFast),
        (any::<bool>(), 1..20_000_u64).prop_map(|(done, after)| Mood::Lost { done, after }),
        (1..20_000_u64).prop_map(Mood::Slow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the chat does and whenever news come: in the end everything is there once, in the
    /// order of its thread, as it was meant last.
    #[test]
    fn everything_arrives_once_in_order_and_up_to_date(
        moods in prop::collection::vec((0..3_usize, 0..8_usize, mood()), 0..30),
        news in prop::collection::vec((0..3_usize, 0..8_usize, 0..5_u8, 0..8000_u64), 1..40),
    ) {
        const KEYS: [&str; 8] = ["say/0", "say/1", "say/2", "card", "progress/1", "file", "eyes/1", "done/1"];
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let name = |thread: usize, key: usize| format!("{}.{thread}", KEYS[key]);
            for (thread, key, mood) in moods {
                world.room.state().moods.entry(name(thread, key)).or_default().push_back(mood);
            }
            let mut last: HashMap<String, String> = HashMap::new();
            let mut order: [Vec<String>; 3] = Default::default();
            let telling = async {
                for (thread, key, version, wait) in news {
                    let text = version.to_string();
                    let post = match KEYS[key] {
                        "eyes/1" | "done/1" => eyes(),
                        "file" => {
                            Post::File { role: None, name: "f".into(), syntax: String::new(), content: "f".into() }
                        }
                        _ => said(&text),
                    };
                    let key = name(thread, key);
                    world.put_into("C1", thread, &[(&key, post)]).await;
                    if !order[thread].contains(&key) {
                        order[thread].push(key.clone());
                    }
                    last.insert(key, text);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                tokio::time::sleep(Duration::from_secs(3600)).await;
            };
            world.run_while(telling).await;
            assert_eq!(world.store.due_posts().await.expect("read"), []);
            let is_reaction = |key: &str| key.starts_with("eyes") || key.starts_with("done");
            for (thread, order) in order.iter().enumerate() {
                let expected: Vec<&String> = order.iter().filter(|key| !is_reaction(key)).collect();
                let shown = world.room.keys("C1");
                let of_thread = |key: &&String| key.ends_with(&format!(".{thread}"));
                assert_eq!(shown.iter().filter(of_thread).collect::<Vec<_>>(), expected);
                for key in order.iter().filter(|key| is_reaction(key)) {
                    assert!(world.room.state().reactions.iter().any(|reaction| reaction == key));
                }
            }
            for message in &world.room.state().messages {
                assert!(message.key.starts_with("file") || message.text == last[&message.key], "{message:?}");
            }
            assert!(world.room.state().most_posts <= 2 * PLACES, "new posts and edits");
        });
    }
}
