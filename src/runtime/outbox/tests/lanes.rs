//! What waits for what: nothing but its own lane.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_channel_that_wants_a_pause_holds_nothing_but_its_own_posts() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::TooFast(60_000)]);
    let later = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.put("C1", &[("card", said("newer")), ("eyes/2", eyes())]).await;
        world.put("C2", &[("d", said("d"))]).await;
        tokio::time::sleep(Duration::from_secs(80)).await;
    };
    world.run_while(later).await;
    let tries = world.room.began("a");
    assert!(tries.len() == 2 && tries[1] - tries[0] >= 60.0, "{tries:?}");
    let early = [("c", 0), ("eyes/1", 0), ("card", 1), ("card", 2), ("eyes/2", 0), ("d", 0)];
    for (key, call) in early {
        assert!(world.room.began(key)[call] - tries[0] < 11.0, "{key}");
    }
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_refused_for_good_makes_way() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Refuses]);
    world.room.mood("card", &[Mood::Refuses]);
    world.run(5.0).await;
    assert_eq!(world.room.keys("C1"), ["card", "b"]);
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_while_we_are_kept_out_is_sent_afterwards() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::KeepsOut, Mood::KeepsOut]);
    world.room.mood("card", &[Mood::KeepsOut]);
    world.run(60.0).await;
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
    assert_eq!(world.room.state().messages[0].text, "new");
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_lets_nothing_in_holds_no_other_and_is_tried_ever_less_often() {
    let world = with_every_lane().await;
    world.put("C2", &[("other", said("old"))]).await;
    world.run(1.0).await;
    world.room.state().closed = Some("C1");
    // More than is looked at of one lane at once.
    let keys: Vec<String> = (0..40).map(|number| format!("held/{number}")).collect();
    let held: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), eyes())).collect();
    world.put("C1", &held).await;
    world.put("C1", &[("card", said("newest")), ("late", said("late"))]).await;
    let others = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.put("C2", &[("eyes/2", eyes()), ("other", said("new")), ("d", said("d"))]).await;
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    };
    world.run_while(others).await;
    let began = world.room.began("late")[0] + 60.0;
    for (key, call) in [("eyes/2", 0), ("other", 1), ("d", 0)] {
        assert!(world.room.began(key)[call] - began < 2.0, "{key}");
    }
    let tries = world.room.began("late");
    assert!((280..310).contains(&tries.len()), "{}: every five minutes in the end", tries.len());
    world.room.state().closed = None;
    world.run(60.0).await;
    assert_eq!(world.store.due_posts().await.expect("read"), []);
    assert_eq!(world.room.keys("C1"), ["card", "a", "b", "late"]);
    assert_eq!(world.room.state().messages[0].text, "newest");
}

#[tokio::test(start_paused = true)]
async fn edits_and_reactions_that_want_a_pause_hold_no_post() {
    let world = with_every_lane().await;
    world.room.mood("card", &[Mood::TooFast(60_000)]);
    world.room.mood("eyes/1", &[Mood::TooFast(60_000)]);
    world.run(90.0).await;
    let started = world.room.began("card")[0];
    for key in ["a", "b", "c"] {
        assert!(world.room.began(key)[0] - started < 2.0, "{key}");
    }
    for key in ["card", "eyes/1"] {
        let tries = world.room.began(key);
        assert!(tries[tries.len() - 1] - tries[tries.len() - 2] >= 60.0, "{key}: {tries:?}");
    }
    assert_eq!(world.room.state().messages[0].text, "new");
    assert_eq!(world.room.state().reactions, ["eyes/1"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_tried_less_and_less_often_in_its_lane() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Lost { done: false, after: 1 }; 9]);
    world.run(300.0).await;
    let tries = world.room.began("a");
    let waits: Vec<f64> = tries.windows(2).map(|pair| (pair[1] - pair[0]).round()).collect();
    assert_eq!(waits, [0.0, 1.0, 2.0, 3.0, 6.0, 13.0, 26.0, 30.0, 30.0]);
    assert_eq!(world.room.keys("C1"), ["card", "a", "b"]);
    assert!(world.room.began("c")[0] - tries[0] < 1.0);
    assert!(world.room.began("eyes/1")[0] - tries[0] < 1.0);
    assert_eq!(world.room.began("card").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_slows_only_its_channel() {
    let world = with_every_lane().await;
    world.room.mood("a", &[Mood::Slow(14_000)]);
    world.run(20.0).await;
    let started = world.room.began("a")[0];
    for key in ["c", "eyes/1"] {
        assert!(world.room.began(key)[0] - started < 1.0, "{key}");
    }
    assert!(world.room.began("card")[1] - started < 1.0);
    assert!(world.room.began("b")[0] - started >= 14.0, "posts of one channel stay in order");
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_never_overtakes_the_call_for_the_older() {
    let world = World::new();
    world.room.mood("a", &[Mood::Slow(10_000)]);
    world.put("C1", &[("a", said("1"))]).await;
    let newer = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.put("C1", &[("a", said("2"))]).await;
        world.put("C1", &[("a", said("3"))]).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    };
    world.run_while(newer).await;
    let state = world.room.state();
    assert_eq!(state.messages.len(), 1);
    assert_eq!((state.messages[0].text.as_str(), state.messages[0].edits), ("3", 1));
}

#[tokio::test(start_paused = true)]
async fn a_few_reactions_go_at_once() {
    let world = World::new();
    let keys: Vec<String> = (0..20).map(|number| format!("eyes/{number}")).collect();
    keys.iter().for_each(|key| world.room.mood(key, &[Mood::Slow(1000)]));
    let posts: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), eyes())).collect();
    world.put("C1", &posts).await;
    world.run(5.5).await;
    assert_eq!(world.room.state().reactions.len(), 20);
    assert_eq!(world.room.state().most_reactions, 4);
}
