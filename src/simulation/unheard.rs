//! A message that was stored although the chat was told that it was not: it comes again, is known, and must be read all
//! the same.

use super::fate::{BEGIN, Fate};
use super::stories;
use super::world::{Reads, Setup, World};

#[test]
fn what_was_stored_without_anybody_hearing_of_it_is_read_without_a_further_word() {
    let fate = Fate::new(Vec::new(), None);
    fate.keep_trace();
    fate.fail_at("store.accept.after");
    let stories = vec![(stories::question(1), BEGIN)];
    let mut world = World::new(Setup {
        stories,
        fate: fate.clone(),
        seed: 1,
        unkind: false,
        coders: 3,
        reads: Reads::Enough,
        checks: vec![],
    });
    let ended = world.run();
    let trace = fate.trace().join("\n");
    assert_eq!((ended, world.lives, world.people.actors[0].repeats), (Ok(()), 1, 0), "{trace}");
    assert!(trace.contains("delivery 1 try 1"), "the chat was not told that it failed:\n{trace}");
    assert_eq!(world.remains().waiting, 0);
}
