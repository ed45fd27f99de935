//! The sweep: the full story is told once undisturbed, and then once for each point at which it can be cut, with a
//! crash exactly there. What comes of it must be the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dice::Dice;
use super::fate::{BEGIN, Fate};
use super::invariants::{Outcome, check, outcome, tail};
use super::people::Step;
use super::stories;
use super::world::{Reads, Setup, World};

/// The stories that are swept; the full one first.
const STORIES: [Story; 14] = [
    FULL,
    (stories::question, GREEN),
    (stories::changed, GREEN),
    (stories::follow_up, GREEN),
    (stories::cancelled, GREEN),
    (stories::closed, GREEN),
    (stories::pushed_to, GREEN),
    (stories::closed_there, GREEN),
    (stories::merged_there, GREEN),
    (stories::capped, GREEN),
    (stories::stopped_at_cap, GREEN),
    (stories::consulted, GREEN),
    (stories::circling, GREEN),
    // What fails as it failed before is merged all the same.
    (stories::changed, RED),
];

const FULL: Story = (stories::full, GREEN);

/// What a person does, and the repository's checks.
type Story = (fn(usize) -> Vec<Step>, &'static [&'static str]);

/// Checks that succeed, the first after a while; and one that never does.
pub const GREEN: &[&str] = &["sleep 20", "grep -q You .codebutler/prompts/pm.md"];
const RED: &[&str] = &["exit 3 a test: FAILED"];

/// Tells a story under a fate.
fn tell(story: Story, fate: &Fate) -> Result<Outcome, String> {
    tell_in(Reads::Enough, story, fate)
}

/// The same with models that read so much.
fn tell_in(reads: Reads, (story, checks): Story, fate: &Fate) -> Result<Outcome, String> {
    let stories = vec![(story(1), BEGIN + 1_000)];
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    let mut world = World::new(Setup { stories, fate: fate.clone(), seed: 1, unkind: false, coders: 3, reads, checks });
    world.run()?;
    let remains = world.remains();
    let mut broken = check(&world, &remains);
    let repeats: u32 = world.people.actors.iter().map(|actor| actor.repeats).sum();
    if repeats > 0 {
        broken.push(format!("people had to say {repeats} things again"));
    }
    if broken.is_empty() { Ok(outcome(&world, &remains)) } else { Err(broken.join("\n")) }
}

/// What cuts a story.
#[derive(Clone, Copy)]
enum Cut {
    /// The program dies.
    Crash,
    /// The machine's power fails: what the store has not flushed is gone, too.
    Power,
}

/// The story with cuts at these points; an error has the trace. Without an expected outcome only the invariants count.
fn survive(story: Story, how: Cut, cuts: Vec<u64>, expected: Option<&Outcome>) -> Result<(), String> {
    let fate = Fate::new(cuts.clone(), None);
    fate.keep_trace();
    match how {
        Cut::Crash => {}
        Cut::Power => fate.darken(),
    }
    let named = |broken: String| format!("cut at {cuts:?}:\n{broken}\n{}\n", tail(&fate, 120));
    match tell(story, &fate) {
        Err(broken) => Err(named(broken)),
        Ok(_) if fate.crashes() == 0 => Err(named("it was never cut".to_owned())),
        Ok(came) => match expected {
            Some(expected) if came != *expected => {
                Err(named(difference(&format!("{expected:#?}"), &format!("{came:#?}"))))
            }
            Some(_) | None => Ok(()),
        },
    }
}

/// The lines that differ.
fn difference(expected: &str, came: &str) -> String {
    let diff = similar::TextDiff::from_lines(expected, came);
    diff.unified_diff().context_radius(1).to_string()
}

/// Cuts a story at all these places; gives the failures.
fn sweep(story: Story, how: Cut, cuts: Vec<Vec<u64>>, expected: Option<&Outcome>) -> Vec<String> {
    in_parallel(&cuts, |cuts| survive(story, how, cuts.clone(), expected))
}

/// Runs all on some threads, a world in each; gives the failures.
pub fn in_parallel<T: Sync>(all: &[T], run: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(broken) = run(one) {
                        failures.lock().expect("no panic").push(broken);
                    }
                }
            });
        }
    });
    failures.into_inner().expect("no panic")
}

fn undisturbed(story: Story) -> (Outcome, u64) {
    let fate = Fate::new(Vec::new(), None);
    fate.keep_trace();
    match tell(story, &fate) {
        Ok(outcome) => (outcome, fate.points()),
        Err(broken) => panic!("{broken}\n{}", tail(&fate, 300)),
    }
}

/// The number of runs that a variable asks for, or the default.
pub fn asked(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Prints a line that the test harness does not swallow, so that every log of a run says how much was tried.
pub fn tell_log(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn report(what: &str, all: usize, failures: &[String]) {
    tell_log(&format!("{what}: survived {}/{all}", all - failures.len()));
    let shown: Vec<&str> = failures.iter().take(3).map(String::as_str).collect();
    assert!(failures.is_empty(), "{what}: {} of {all} failed; the first:\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn every_story_comes_to_its_end_undisturbed() {
    for story in STORIES {
        let (outcome, points) = undisturbed(story);
        assert!(points > 20, "{outcome:#?}");
        assert_eq!(undisturbed(story), (outcome, points), "the same again");
    }
}

#[test]
fn the_full_story_survives_a_crash_at_every_point() {
    let (expected, points) = undisturbed(FULL);
    let cuts: Vec<Vec<u64>> = (1..=points).map(|point| vec![point]).collect();
    let failures = sweep(FULL, Cut::Crash, cuts, Some(&expected));
    report("the sweep", usize::try_from(points).expect("few"), &failures);
}

#[test]
fn the_full_story_survives_a_power_failure_at_every_point() {
    let (expected, points) = undisturbed(FULL);
    let cuts: Vec<Vec<u64>> = (1..=points).map(|point| vec![point]).collect();
    let failures = sweep(FULL, Cut::Power, cuts, Some(&expected));
    report("the sweep of power failures", usize::try_from(points).expect("few"), &failures);
}

/// Pairs of cuts, the second soon after the first.
fn doubles(points: u64, seed: u64) -> Vec<Vec<u64>> {
    let mut dice = Dice::new(seed);
    let pairs = (0..asked("CODEBUTLER_DOUBLES", 100)).map(|_| (1 + dice.below(points), 1 + dice.below(40)));
    pairs.map(|(first, then)| vec![first, first + then]).collect()
}

#[test]
fn the_full_story_survives_a_second_crash_soon_after_the_first() {
    let (expected, points) = undisturbed(FULL);
    let cuts = doubles(points, 2);
    let all = cuts.len();
    report("double crashes", all, &sweep(FULL, Cut::Crash, cuts, Some(&expected)));
}

#[test]
fn the_full_story_survives_a_second_power_failure_soon_after_the_first() {
    let (expected, points) = undisturbed(FULL);
    let cuts = doubles(points, 3);
    let all = cuts.len();
    report("double power failures", all, &sweep(FULL, Cut::Power, cuts, Some(&expected)));
}

#[test]
fn the_other_stories_survive_crashes_at_many_points() {
    the_other_stories_survive(Cut::Crash);
}

#[test]
fn the_other_stories_survive_power_failures_at_many_points() {
    the_other_stories_survive(Cut::Power);
}

fn the_other_stories_survive(how: Cut) {
    for (number, story) in STORIES.into_iter().enumerate().skip(1) {
        let (expected, points) = undisturbed(story);
        let mut dice = Dice::new(number as u64);
        let cuts: Vec<Vec<u64>> = (0..asked("CODEBUTLER_CUTS", 30)).map(|_| vec![1 + dice.below(points)]).collect();
        let all = cuts.len();
        // How far the work is when it is stopped and closed depends on the time that a crash takes.
        let stopped = [5, 10];
        let expected = (!stopped.contains(&number)).then_some(&expected);
        report(&format!("story {number}"), all, &sweep(story, how, cuts, expected));
    }
}

/// Tells the long talk to models that read little, cut at every third point from `first` on.
fn long_talk_survives(reads: Reads, first: u64) {
    let told = |cuts: Vec<u64>| {
        let fate = Fate::new(cuts, None);
        fate.keep_trace();
        let told = tell_in(reads, (stories::long_talk, GREEN), &fate);
        let told = told.map_err(|broken| format!("cut at {:?}:\n{broken}\n{}\n", fate.points(), tail(&fate, 120)));
        told.map(|outcome| (outcome, fate.points()))
    };
    let (outcome, points) = told(Vec::new()).unwrap_or_else(|broken| panic!("{broken}"));
    let shortened = format!("{outcome:?}").matches("to go on (").count();
    assert!(shortened >= 1, "it was never too long: {outcome:#?}");
    let cuts: Vec<u64> = (first..=points).step_by(3).collect();
    let failures = in_parallel(&cuts, |cut| told(vec![*cut]).map(drop));
    report(&format!("the long talk with {reads:?}, {shortened} times shortened"), cuts.len(), &failures);
}

#[test]
fn a_talk_that_grows_too_long_survives_a_crash_anywhere() {
    long_talk_survives(Reads::Listed(3_000), 1);
}

#[test]
fn a_talk_that_the_server_refuses_as_too_long_survives_a_crash_anywhere() {
    long_talk_survives(Reads::Refused(9_000), 2);
}
