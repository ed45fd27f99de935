//! Fault schedules: from a seed, several people with different wishes, and everything that can go wrong for some hours.
//! Then it stops, and everything must come to rest with nothing lost and nothing doubled.
//!
//! `CODEBUTLER_SEEDS=1000` tries more of them, `CODEBUTLER_SEED=7` one, with all that happened.

use super::dice::Dice;
use super::fate::{BEGIN, Fate, Weather};
use super::invariants::{check, tail};
use super::people::Step;
use super::stories;
use super::sweep::{asked, in_parallel, tell_log};
use super::world::{Reads, Setup, World};

const MINUTE: i64 = 60_000;

/// What a seed stands for.
fn setup(seed: u64) -> Setup {
    let mut dice = Dice::new(seed);
    let count = usize::try_from(3 + dice.below(6)).expect("few");
    let stories = (1..=count).map(|number| (story(&mut dice, number), BEGIN + dice.between(0, 90 * MINUTE))).collect();
    let windows = |dice: &mut Dice, longest: i64| {
        let window = |dice: &mut Dice| {
            let from = BEGIN + dice.between(0, 120 * MINUTE);
            (from, from + dice.between(1, longest))
        };
        (0..dice.below(3)).map(|_| window(dice)).collect::<Vec<_>>()
    };
    // Of its own: what came later leaves the schedules of the others as they were.
    let mut later = Dice::new(seed.rotate_left(41));
    let mut later_still = Dice::new(seed.rotate_left(53));
    let weather = Weather {
        calm_from: BEGIN + dice.between(60 * MINUTE, 240 * MINUTE),
        crash: *dice.pick(&[0, 2, 5, 10]),
        power: *dice.pick(&[0, 300, 1000]),
        trouble: *dice.pick(&[0, 20, 80, 150]),
        slow: *dice.pick(&[0, 10, 40]),
        model: *dice.pick(&[0, 30, 100]),
        outages: windows(&mut dice, 10 * MINUTE),
        store: windows(&mut dice, 5 * MINUTE),
        unread: windows(&mut later, 3 * MINUTE),
        slips: *later.pick(&[0, 0, 5, 20]),
        refused: windows(&mut later, 10 * MINUTE),
        full: windows(&mut later, 10 * MINUTE),
        dice: Dice::new(dice.roll()),
        later: Dice::new(later.roll()),
    };
    let coders = u32::try_from(1 + dice.below(3)).expect("few");
    let reads = *later_still.pick(&[Reads::Enough, Reads::Listed(4_000), Reads::Refused(12_000)]);
    Setup { stories, fate: Fate::new(Vec::new(), Some(weather)), seed, unkind: true, coders, reads }
}

fn story(dice: &mut Dice, number: usize) -> Vec<Step> {
    match dice.below(11) {
        0 | 1 => stories::full(number),
        2 => stories::question(number),
        3 => stories::changed(number),
        4 => stories::follow_up(number),
        5 => stories::cancelled(number),
        6 => stories::closed(number),
        7 => stories::robbed(number),
        8 => stories::pushed_to(number),
        9 => stories::closed_there(number),
        _ => stories::merged_there(number),
    }
}

/// What came of a seed: a hash of all that happened, and how often it was cut.
struct Told {
    digest: u64,
    crashes: u32,
}

fn tell(seed: u64, traced: bool) -> Result<Told, String> {
    let setup = setup(seed);
    let fate = setup.fate.clone();
    if traced {
        fate.keep_trace();
    }
    let mut world = World::new(setup);
    let ended = world.run();
    if traced {
        println!("{}", tail(&fate, usize::MAX));
    }
    ended?;
    let broken = check(&world, &world.remains());
    if !broken.is_empty() {
        return Err(broken.join("\n"));
    }
    Ok(Told { digest: fate.digest(), crashes: fate.crashes() })
}

#[test]
fn nothing_is_lost_and_nothing_doubled_whatever_goes_wrong() {
    if let Ok(seed) = std::env::var("CODEBUTLER_SEED") {
        let seed = seed.parse().expect("CODEBUTLER_SEED is a number");
        tell(seed, true).unwrap_or_else(|broken| panic!("seed {seed}:\n{broken}"));
        return;
    }
    let seeds: Vec<u64> = (1..=asked("CODEBUTLER_SEEDS", 100)).collect();
    let crashes = std::sync::atomic::AtomicU32::new(0);
    let failures = in_parallel(&seeds, |seed| {
        let told = std::panic::catch_unwind(|| tell(*seed, false)).unwrap_or_else(|_| Err("a panic".to_owned()));
        let told = told.map_err(|broken| {
            format!(
                "seed {seed} (CODEBUTLER_SEED={seed} cargo test --lib simulation::faults -- --nocapture):\n{broken}\n"
            )
        })?;
        crashes.fetch_add(told.crashes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    });
    tell_log(&format!("{} seeds with {crashes:?} crashes, {} failed", seeds.len(), failures.len()));
    assert!(failures.is_empty(), "{} of {} seeds failed:\n{}", failures.len(), seeds.len(), failures.join("\n"));
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [3, 5, 8] {
        let digests = [tell(seed, false), tell(seed, false)].map(|told| told.map(|told| told.digest));
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
