//! Every post is made once, whatever is lost, fails or is cut.

use super::*;
use crate::ids::UserId;

#[tokio::test(start_paused = true)]
async fn a_post_whose_answer_was_lost_is_found_and_not_made_again() {
    let world = World::new();
    let posts = ["a", "b", "c"].map(|key| (key, said(key)));
    world.room.mood("a", &[Mood::Lost { done: true, after: 15_000 }]);
    world.room.mood("b", &[Mood::Lost { done: false, after: 15_000 }]);
    world.put("C1", &posts).await;
    world.run(120.0).await;
    assert_eq!(world.room.keys("C1"), ["a", "b", "c"]);
    assert_eq!(world.room.state().finds, 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_could_not_be_noted_is_not_sent_again() {
    let mut failures = 5;
    let world = World::with(move |moment, _, label| {
        if moment == Moment::Before && label == "mark_sent" && failures > 0 {
            failures -= 1;
            return Verdict::Fail;
        }
        Verdict::Go
    });
    let only = Post::Ephemeral { to: UserId::new("ANA"), text: "psst".into() };
    world.put("C1", &[("a", said("a")), ("only", only)]).await;
    world.run(60.0).await;
    assert_eq!(world.room.keys("C1"), ["a", "only"]);
    assert_eq!(world.store.due_posts().await.expect("read"), []);
    let state = world.room.state();
    assert_eq!((state.began.len(), state.messages[0].edits, state.finds), (2, 0, 0), "one call each");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_before_the_store_knows_that_it_may_be_there() {
    let mut failures = 3;
    let world = World::with(move |moment, _, label| {
        if moment == Moment::Before && label == "mark_tried" && failures > 0 {
            failures -= 1;
            return Verdict::Fail;
        }
        Verdict::Go
    });
    world.put("C1", &[("a", said("a"))]).await;
    world.put("C2", &[("b", said("b")), ("eyes/1", eyes())]).await;
    world.run(0.3).await;
    assert_eq!(world.room.keys("C1").len() + world.room.keys("C2").len(), 0);
    assert_eq!(world.room.state().reactions, ["eyes/1"], "a reaction made twice is one");
    world.run(60.0).await;
    assert_eq!((world.room.keys("C1"), world.room.keys("C2")), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_of_the_sender_doubles_no_post() {
    for cut in 1..40 {
        for at in [Moment::Before, Moment::After] {
            let (mut marks, mut world) = (0, World::new());
            let path = world.folder.path().join("store.db");
            world.put("C1", &[("a", said("a")), ("b", said("b")), ("eyes/1", eyes())]).await;
            world.put("C2", &[("c", said("c"))]).await;
            world.store = open(&path, move |moment, _, label| {
                marks += usize::from(moment == Moment::Before && label.starts_with("mark"));
                if moment == at && marks == cut && label.starts_with("mark") { Verdict::Crash } else { Verdict::Go }
            });
            world.run(5.0).await;
            world.store = open(&path, |_, _, _| Verdict::Go);
            world.put("C1", &[("a", said("A"))]).await;
            world.run(5.0).await;
            assert_eq!(world.room.keys("C1"), ["a", "b"], "{at:?} {cut}");
            assert_eq!(world.room.keys("C2"), ["c"], "{at:?} {cut}");
            assert_eq!(world.room.state().messages.iter().filter(|message| message.text == "A").count(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_call_ended_is_not_sent_again() {
    let world = World::new();
    for channel in 0..10 {
        let keys: Vec<String> = (0..10).map(|number| format!("say/{channel}/{number}")).collect();
        let posts: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), said(key))).collect();
        world.put(&format!("C{channel}"), &posts).await;
    }
    world.run(60.0).await;
    let state = world.room.state();
    assert_eq!((state.messages.len(), state.began.len()), (100, 100), "one call each");
}
