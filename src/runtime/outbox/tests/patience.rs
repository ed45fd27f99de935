//! When a post that fails again and again makes way, and when it does not.

use super::*;
use crate::ids::UserId;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A post that the chat fails for, with one behind it.
async fn poisoned() -> World {
    let world = World::new();
    world.room.state().poison.insert("bad".into());
    world.put_into("C1", 1, &[("a", said("bad")), ("b", said("b"))]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_post_that_fails_for_hours_while_others_succeed_makes_way_and_it_is_said() {
    let world = poisoned().await;
    let others = async {
        for number in 0..30 {
            let key = format!("other/{number}");
            world.put_into("C1", 2, &[(&key, said(&key))]).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            if number < 29 {
                continue;
            }
            assert!(!world.room.keys("C1").contains(&"b".to_owned()), "not before an hour is over");
        }
        tokio::time::sleep(HOUR).await;
    };
    world.run_while(others).await;
    let shown =
        |key: &str| world.room.state().messages.iter().find(|message| message.key == key).map(|m| m.text.clone());
    assert_eq!(shown("b").as_deref(), Some("b"));
    let instead = shown("a").expect("something is in its place");
    assert!(instead.contains("could not be posted") && instead.contains("codebutler show 1.0"), "{instead}");
    let keys = world.room.keys("C1");
    let place = |key: &str| keys.iter().position(|shown| shown == key);
    assert!(place("a") < place("b"));
    assert_eq!(world.store.due_posts().await.expect("read"), []);
    // A newer version, which the chat takes, is shown in that place.
    world.put_into("C1", 1, &[("a", said("good"))]).await;
    world.run(10.0).await;
    assert_eq!(shown("a").as_deref(), Some("good"));
    assert_eq!(world.room.keys("C1").len(), keys.len());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_while_the_chat_takes_nothing() {
    let world = poisoned().await;
    world.put_into("C2", 1, &[("c", said("c"))]).await;
    world.room.state().down = true;
    world.run(48.0 * HOUR.as_secs_f64()).await;
    world.room.state().down = false;
    world.room.state().poison.clear();
    world.run(40.0).await;
    assert_eq!(world.room.keys("C1"), ["a", "b"]);
    let texts: Vec<String> = world.room.state().messages.iter().map(|message| message.text.clone()).collect();
    assert!(["bad", "b", "c"].iter().all(|text| texts.iter().any(|shown| shown == text)), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_fails_for_hours_is_given_up_and_its_next_version_is_tried() {
    let world = World::new();
    world.put("C1", &[("card", said("old"))]).await;
    world.run(1.0).await;
    world.room.state().poison.insert("bad".into());
    world.put("C1", &[("card", said("bad"))]).await;
    let others = async {
        for number in 0..150 {
            let key = format!("other/{number}");
            world.put_into("C1", 2, &[(&key, said(&key))]).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    world.run_while(others).await;
    assert_eq!(world.store.due_posts().await.expect("read"), []);
    assert_eq!(world.room.state().messages[0].text, "old");
    world.put("C1", &[("card", said("new"))]).await;
    world.run(1.0).await;
    assert_eq!(world.room.state().messages[0].text, "new");
}

#[tokio::test(start_paused = true)]
async fn a_post_that_our_own_code_fails_for_makes_way_at_once_and_ends_nothing() {
    let world = World::new();
    world.room.mood("a", &[Mood::Bug]);
    world.put("C1", &[("a", said("a")), ("b", said("b"))]).await;
    world.put_into("C1", 2, &[("c", said("c"))]).await;
    world.run(5.0).await;
    let texts: Vec<String> = world.room.state().messages.iter().map(|message| message.text.clone()).collect();
    assert!(["b", "c"].iter().all(|text| texts.iter().any(|shown| shown == text)), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("could not be posted")), "{texts:?}");
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn what_only_one_person_sees_is_tried_again_after_the_chat_said_that_it_did_not_take_it() {
    let world = World::new();
    let whisper = |text: &str| Post::Ephemeral { to: UserId::new("ANA"), text: text.into() };
    world.room.mood("w/1", &[Mood::TooFast(2_000)]);
    world.room.mood("w/2", &[Mood::KeepsOut, Mood::KeepsOut]);
    world.room.mood("w/3", &[Mood::Lost { done: false, after: 1 }]);
    world.put_into("C1", 1, &[("w/1", whisper("one"))]).await;
    world.put_into("C2", 2, &[("w/2", whisper("two"))]).await;
    world.put_into("C3", 3, &[("w/3", whisper("three"))]).await;
    world.run(20.0 * 60.0).await;
    let mut texts: Vec<String> = world.room.state().messages.iter().map(|message| message.text.clone()).collect();
    texts.sort();
    // Of the third nobody knows whether it was seen.
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}
