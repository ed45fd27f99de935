//! The policy in tables, and what holds of it for any conversation.

use proptest::prelude::*;

use super::*;

const KNOWN: Context = Context { tokens: 10_000, known: true };

fn item(kind: Kind, tokens: u64) -> Item {
    Item { kind, tokens }
}

/// A conversation that begins with words of 100 tokens and has turns of a short reply and one result of this size each.
fn talk(results: &[u64]) -> Measure {
    let mut items = vec![item(Kind::User, 100)];
    for tokens in results {
        items.extend([item(Kind::Assistant, 50), item(Kind::Result, *tokens)]);
    }
    measure(items)
}

fn measure(items: Vec<Item>) -> Measure {
    Measure { fixed: 1_000, total: 1_000 + sum(&items), items, exceeded: false, cuts: 0 }
}

#[test]
fn nothing_happens_below_the_first_threshold() {
    // The room is 9,000 tokens: its 60 % are 5,400.
    assert_eq!(judge(&talk(&[800; 6]), KNOWN, 500), Verdict::Fits);
    assert_eq!(judge(&talk(&[]), KNOWN, 500), Verdict::Fits);
    assert_eq!(judge(&talk(&[90_000]), Context { tokens: 200_000, known: false }, 500), Verdict::Fits);
}

#[test]
fn old_bulky_results_become_stubs_all_at_once() {
    // 100 + 8 × 750 = 6,100: above 60 %. The first four of eight turns are old.
    assert_eq!(judge(&talk(&[700; 8]), KNOWN, 500), Verdict::Stub(vec![2, 4, 6, 8]));
    // Small ones stay: a stub would save nothing.
    let verdict = judge(&talk(&[700, 100, 700, 700, 900, 900, 900, 900]), KNOWN, 500);
    assert_eq!(verdict, Verdict::Stub(vec![2, 6, 8]));
}

#[test]
fn what_would_save_little_waits_for_the_second_threshold() {
    // Old results of 1,000 in all are less than 15 % of the room.
    assert_eq!(judge(&talk(&[500, 500, 1_000, 1_000, 1_000, 1_500]), KNOWN, 500), Verdict::Fits);
}

#[test]
fn above_the_second_threshold_the_earlier_part_is_replaced_unless_stubs_do() {
    // 100 + 10 × 750 = 7,600 of 9,000: stubs bring it to 3,820.
    assert_eq!(judge(&talk(&[700; 10]), KNOWN, 500), Verdict::Stub(vec![2, 4, 6, 8, 10, 12]));
    // The young turns alone are too much: of them those stay that fit into a quarter of the room.
    let verdict = judge(&talk(&[100, 100, 100, 100, 1_900, 1_900, 1_900, 600]), KNOWN, 500);
    assert_eq!(verdict, Verdict::Compact { from: 15, stubs: vec![] });
    // Stubs made before do not count again.
    let mut stubbed = talk(&[1_000; 8]);
    stubbed.items.iter_mut().filter(|item| item.kind == Kind::Result).for_each(|item| item.kind = Kind::Stub);
    assert_eq!(judge(&stubbed, KNOWN, 500), Verdict::Compact { from: 13, stubs: vec![] });
}

#[test]
fn a_last_turn_that_does_not_fit_is_kept_with_stubs() {
    let mut items = vec![item(Kind::User, 100), item(Kind::Assistant, 100)];
    items.extend([item(Kind::Result, 300), item(Kind::Result, 5_000), item(Kind::Result, 4_000)]);
    assert_eq!(judge(&measure(items), KNOWN, 50), Verdict::Compact { from: 1, stubs: vec![3, 4] });
}

#[test]
fn what_was_said_last_always_stays() {
    let items = vec![item(Kind::User, 3_000), item(Kind::Assistant, 4_000), item(Kind::User, 500)];
    assert_eq!(judge(&measure(items), KNOWN, 600), Verdict::Compact { from: 2, stubs: vec![] });
}

#[test]
fn what_never_fits_is_said_plainly_when_the_limit_is_known() {
    let words = measure(vec![item(Kind::User, 12_000)]);
    assert_eq!(judge(&words, KNOWN, 12_500), Verdict::Never { least: 13_000 });
    // A guess refuses nobody: the server is asked.
    assert_eq!(judge(&words, Context { known: false, ..KNOWN }, 12_500), Verdict::Fits);
    let refused = Measure { exceeded: true, ..words };
    assert_eq!(judge(&refused, Context { known: false, ..KNOWN }, 12_500), Verdict::Never { least: 13_000 });
}

#[test]
fn a_refused_conversation_is_cut_at_once_and_more_each_time() {
    let refused = |cuts| Measure { exceeded: true, cuts, ..talk(&[300; 8]) };
    assert_eq!(judge(&refused(0), KNOWN, 500), Verdict::Compact { from: 5, stubs: vec![] });
    assert_eq!(judge(&refused(1), KNOWN, 500), Verdict::Compact { from: 15, stubs: vec![] });
    assert_eq!(judge(&refused(2), KNOWN, 500), Verdict::Compact { from: 17, stubs: vec![] });
    assert!(matches!(judge(&refused(3), KNOWN, 500), Verdict::Never { .. }));
}

fn any_items() -> impl Strategy<Value = Vec<Item>> {
    let turn = (1_u64..3_000, prop::collection::vec(1_u64..9_000, 0..4), prop::option::of(1_u64..2_000));
    (1_u64..4_000, prop::collection::vec(turn, 0..30)).prop_map(|(words, turns)| {
        let mut items = vec![item(Kind::User, words)];
        for (text, results, said) in turns {
            items.push(item(Kind::Assistant, text));
            items.extend(results.into_iter().map(|tokens| item(Kind::Result, tokens)));
            items.extend(said.map(|tokens| item(Kind::User, tokens)));
        }
        items
    })
}

/// The conversation after what the verdict says.
fn carried_out(measure: &Measure, verdict: &Verdict, facts: u64) -> Measure {
    let stubbed = |stubs: &[usize], from: usize| {
        let stub =
            |index: usize| if stubs.contains(&index) { item(Kind::Stub, STUB_TOKENS) } else { measure.items[index] };
        (from..measure.items.len()).map(stub).collect::<Vec<_>>()
    };
    let items = match verdict {
        Verdict::Stub(stubs) => stubbed(stubs, 0),
        Verdict::Compact { from, stubs } => {
            let mut items = vec![item(Kind::User, facts)];
            for kept in stubbed(stubs, *from) {
                match items.last_mut() {
                    Some(last) if last.kind == Kind::User && kept.kind == Kind::User => last.tokens += kept.tokens,
                    _ => items.push(kept),
                }
            }
            items
        }
        Verdict::Fits | Verdict::Never { .. } => measure.items.clone(),
    };
    let total = measure.fixed + sum(&items);
    Measure { fixed: measure.fixed, items, total, exceeded: false, cuts: measure.cuts + 1 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_ends_below_the_limit_or_says_that_nothing_helps(
        items in any_items(),
        facts in 100_u64..6_000,
        context in 3_000_u64..60_000,
        known in any::<bool>(),
        exceeded in any::<bool>(),
    ) {
        let context = Context { tokens: context, known };
        let mut now = Measure { exceeded, ..measure(items) };
        let mut compactions = 0;
        for _ in 0..10 {
            let verdict = judge(&now, context, facts);
            match &verdict {
                Verdict::Fits => {
                    prop_assert!(!known || now.total < context.tokens || least(&now, facts) < context.tokens);
                    let room = context.tokens.saturating_sub(now.fixed);
                    let below = now.total - now.fixed < room * COMPACT_AT / 100;
                    // Above it only where nothing could be made shorter any more.
                    prop_assert!(below || replacement(&now, room * KEPT / 100, room * AFTER / 100, facts).is_none());
                    return Ok(());
                }
                Verdict::Never { .. } => return Ok(()),
                Verdict::Stub(stubs) => {
                    prop_assert!(stubs.iter().all(|index| now.items[*index].kind == Kind::Result));
                }
                Verdict::Compact { from, stubs } => {
                    compactions += 1;
                    prop_assert!(*from > 0);
                    // Whole turns: what stays begins with the model's message, or is what was said after the last.
                    let begins = now.items.get(*from).is_none_or(|item| item.kind != Kind::Result);
                    prop_assert!(begins && stubs.iter().all(|index| index >= from));
                    let said_last = now.items.iter().rposition(|item| item.kind != Kind::User).map_or(0, |at| at + 1);
                    prop_assert!(*from <= said_last, "what was said last stays");
                }
            }
            let next = carried_out(&now, &verdict, facts);
            prop_assert!(next.total < now.total, "{verdict:?}: {} → {}", now.total, next.total);
            now = next;
        }
        prop_assert!(false, "it never ends; {compactions} compactions");
    }

    #[test]
    fn what_was_replaced_is_not_replaced_again_without_anything_new(
        items in any_items(), facts in 100_u64..2_000, context in 20_000_u64..200_000
    ) {
        let context = Context { tokens: context, known: true };
        let now = measure(items);
        let verdict = judge(&now, context, facts);
        if matches!(verdict, Verdict::Compact { .. }) {
            let next = carried_out(&now, &verdict, facts);
            let again = judge(&next, context, facts);
            prop_assert!(!matches!(again, Verdict::Compact { .. } | Verdict::Stub(_)), "{again:?}");
        }
    }
}
