//! Threads of a channel take turns: neither a flood in one nor trouble with one holds the others.

use super::*;

const PACE: Duration = Duration::from_secs(1);

fn keys(thread: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("say/{thread}/{number}")).collect()
}

impl World {
    async fn flood(&self, thread: usize, count: usize) -> Vec<String> {
        let keys = keys(thread, count);
        let posts: Vec<(&str, Post)> = keys.iter().map(|key| (key.as_str(), said(key))).collect();
        self.put_into("C1", thread, &posts).await;
        keys
    }

    /// Which posts of a thread are there, in the order in which they came.
    fn shown(&self, thread: usize) -> Vec<String> {
        let prefix = format!("say/{thread}/");
        self.room.keys("C1").into_iter().filter(|key| key.starts_with(&prefix)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_in_one_thread_delays_another_by_no_more_than_two_paces() {
    let world = World::new();
    world.room.state().pace = PACE;
    let flood = world.flood(1, 300).await;
    let others = async {
        for thread in 2..6 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let put = Instant::now();
            world.put_into("C1", thread, &[("card", said("card"))]).await;
            while world.room.began("card").len() < thread - 1 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(put.elapsed() < 2 * PACE + PACE / 10, "{:?}", put.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(300)).await;
    };
    world.run_while(others).await;
    assert_eq!(world.shown(1), flood);
    let began = world.room.began(&flood[299])[0];
    assert!((290.0..300.0).contains(&began), "{began}: the flood itself goes on at the channel's pace");
}

#[tokio::test(start_paused = true)]
async fn threads_that_all_have_much_to_say_are_served_in_turn() {
    let world = World::new();
    world.room.state().pace = PACE;
    for thread in 1..4 {
        world.flood(thread, 30).await;
    }
    let counts = || [1, 2, 3].map(|thread| world.shown(thread).len());
    world.run(20.0).await;
    let [least, .., most] = {
        let mut counts = counts();
        counts.sort_unstable();
        counts
    };
    assert!(least >= 8 && most - least <= 2, "{:?}", counts());
    // A thread that comes later is no less served than they, and no more.
    world.flood(4, 10).await;
    world.run(40.5).await;
    assert!((8..=10).contains(&world.shown(4).len()), "{}", world.shown(4).len());
    world.run(100.0).await;
    for (thread, count) in [(1, 30), (2, 30), (3, 30), (4, 10)] {
        assert_eq!(world.shown(thread), keys(thread, count));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_always_fails_holds_only_its_thread_and_is_tried_ever_less_often() {
    let world = World::new();
    world.room.state().poison.insert("say/1/0".into());
    world.flood(1, 3).await;
    let others = async {
        for minute in 0..30 {
            let put = Instant::now();
            let key = format!("say/2/{minute}");
            world.put_into("C1", 2, &[(&key, said(&key))]).await;
            while world.room.began(&key).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(put.elapsed() < Duration::from_millis(100), "{:?}", put.elapsed());
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    world.run_while(others).await;
    assert_eq!(world.shown(2).len(), 30);
    assert!(world.shown(1).is_empty());
    let tries = world.room.began("say/1/0").len();
    assert!((55..75).contains(&tries), "{tries}: every half minute");
    world.room.state().poison.clear();
    world.run(31.0).await;
    assert_eq!(world.shown(1), keys(1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_edit_and_a_reaction_that_fail_hold_nothing_else() {
    let world = World::new();
    world.put("C1", &[("card", said("old")), ("other", said("old"))]).await;
    world.run(1.0).await;
    world.room.state().poison.insert("bad".into());
    world.room.mood("eyes/1", &[Mood::Lost { done: false, after: 1 }; 5]);
    world.put("C1", &[("card", said("bad")), ("eyes/1", eyes())]).await;
    world.run(20.0).await;
    let put = world.room.state().start.expect("it ran").elapsed().as_secs_f64();
    world.put("C1", &[("other", said("new")), ("eyes/2", eyes()), ("a", said("a"))]).await;
    world.run(20.0).await;
    for (key, call) in [("other", 1), ("eyes/2", 0), ("a", 0)] {
        assert!(world.room.began(key)[call] - put < 2.5, "{key}");
    }
    let tries = world.room.began("card").len();
    assert!((6..20).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn threads_whose_posts_hang_leave_places_for_the_others() {
    let world = World::new();
    for thread in 1..11 {
        let key = format!("say/{thread}/0");
        world.room.mood(&key, &[Mood::Lost { done: false, after: 45_000 }; 20]);
        world.put_into("C1", thread, &[(&key, said(&key))]).await;
    }
    let later = async {
        // Until all of them have failed once.
        tokio::time::sleep(Duration::from_secs(200)).await;
        for thread in 20..40 {
            let put = Instant::now();
            let key = format!("say/{thread}/0");
            world.put_into("C1", thread, &[(&key, said(&key))]).await;
            while world.room.began(&key).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(put.elapsed() < Duration::from_millis(2100), "{:?}", put.elapsed());
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    };
    world.run_while(later).await;
    assert!(world.room.state().most_posts <= PLACES);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_met_by_few_calls_however_many_threads_wait() {
    let world = World::new();
    world.room.state().down = true;
    for channel in 0..5 {
        for thread in 0..40 {
            let key = format!("say/{channel}/{thread}");
            world
                .put_into(&format!("C{channel}"), thread, &[(&key, said(&key)), (&format!("{key}/b"), said(&key))])
                .await;
        }
    }
    world.run(3600.0).await;
    let calls = |from: f64, to: f64| {
        let all = world.room.state().began.iter().map(|(_, at)| at.as_secs_f64()).collect::<Vec<_>>();
        all.into_iter().filter(|at| (from..to).contains(at)).count()
    };
    assert!(calls(0.0, 1.0) <= 5 * PLACES + 2, "{}", calls(0.0, 1.0));
    // The first try of each thread, one in two seconds, and then one look in half a minute.
    assert!(calls(0.0, 600.0) <= 340, "{}", calls(0.0, 600.0));
    assert!(calls(600.0, 3600.0) <= 130, "{}", calls(600.0, 3600.0));
    world.room.state().down = false;
    world.run(40.0).await;
    assert_eq!(world.room.state().messages.len(), 400, "all is there soon after it");
    assert_eq!(world.store.due_posts().await.expect("read"), []);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_fails_anyway_does_not_keep_others_from_finding_the_outage_over() {
    let world = World::new();
    world.room.state().poison.insert("say/1/0".into());
    world.room.state().down = true;
    for thread in 1..4 {
        world.flood(thread, 1).await;
    }
    world
        .run_while(async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            world.room.state().down = false;
            tokio::time::sleep(Duration::from_secs(100)).await;
        })
        .await;
    assert_eq!((world.shown(2).len(), world.shown(3).len()), (1, 1));
}
