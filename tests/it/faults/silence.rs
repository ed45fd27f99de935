//! A server that falls silent: comments are life, nothing else is waited for beyond the limit.

use codebutler::scripted::ScriptedFault;

use super::*;

const WELL: &str = "it spoke again";

fn once(fault: ScriptedFault, number: usize) -> ScriptedReply {
    if number == 0 { ScriptedReply::fault(fault) } else { ScriptedReply::text(WELL) }
}

static CASES: &[Case] = &[
    case("silent from the beginning", 2, WELL, |_, n| once(ScriptedFault::Silent, n)),
    case("silent in the middle", 2, WELL, |_, n| once(ScriptedFault::Stall, n)),
    case("slow and alive", 1, WELL, |_, _| {
        // Longer in all than the limit, each pause far shorter.
        ScriptedReply::text(WELL).with_fault(ScriptedFault::SlowChunks(Duration::from_millis(800)))
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_given_up_and_slowness_is_not() {
    let mut world = World::with_script(script(CASES, false)).await;
    world.global["timing"]["stallMs"] = json!(4_000);
    play(&world, CASES, false).await;
}
