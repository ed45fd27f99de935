//! Who may work at the same time: a bounded number of places per lane, given in the order in which they were asked for.
//! One for the whole daemon, so that limits hold over all repositories.
//!
//! Who needs several lanes gets all at once or none, so that no two can wait for each other.
//! Holds nothing that must last: after a restart every run asks again. Knows no thread and no event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::agent::{Platform, Role};
use crate::ids::ChannelId;

/// What is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Runs of a role, over all repositories.
    Role(Role),
    /// Runs of the Coder in one repository.
    Coders(ChannelId),
    /// Builds of a platform on this machine.
    Builds(Platform),
}

/// A lane and how many may be in it at once.
pub type Limited = (Lane, u32);

/// The places of a daemon. Cheap to clone.
#[derive(Clone, Default)]
pub struct Slots(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    taken: BTreeMap<Lane, u32>,
    /// In the order in which they asked.
    claims: Vec<Asked>,
    last: u64,
}

struct Asked {
    number: u64,
    lanes: Vec<Limited>,
    granted: bool,
    changed: Arc<Notify>,
}

impl Slots {
    /// Asks for a place in all these lanes, each named once. `changed` is notified when the place in the queue changes.
    pub fn claim(&self, lanes: Vec<Limited>, changed: Arc<Notify>) -> Claim {
        let mut places = self.lock();
        places.last += 1;
        let number = places.last;
        places.claims.push(Asked { number, lanes, granted: false, changed });
        // Who asks looks at the answer himself, and for those before him nothing has changed.
        places.grant();
        Claim { slots: self.clone(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // A std lock: held for one look, never over an await.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, or a place in the queue for one. Dropping it gives it to the next.
pub struct Claim {
    slots: Slots,
    number: u64,
}

impl Claim {
    /// The place in the queue, from 1; `None` when it need not wait.
    pub fn place(&self) -> Option<u32> {
        self.queue().map(|(place, _)| place)
    }

    /// The place in the queue, and the first lane in which others are before it.
    pub fn queue(&self) -> Option<(u32, Lane)> {
        self.slots.lock().queue(self.number)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut places = self.slots.lock();
        let Some(at) = places.claims.iter().position(|asked| asked.number == self.number) else { return };
        let gone = places.claims.remove(at);
        if gone.granted {
            for (lane, _) in &gone.lanes {
                places.taken.entry(lane.clone()).and_modify(|taken| *taken = taken.saturating_sub(1));
            }
        }
        // Also when it had no place: others may have waited behind it.
        let went = places.grant();
        // Whoever may go now is told, and whoever has moved up: behind the one that is gone or one that goes.
        let left: Vec<&Asked> =
            places.claims.iter().filter(|asked| went.contains(&asked.number)).chain([&gone]).collect();
        for asked in &places.claims {
            let has_moved = || !asked.granted && left.iter().any(|left| asked.shares_a_lane_with(left));
            if went.contains(&asked.number) || has_moved() {
                asked.changed.notify_one();
            }
        }
    }
}

impl Asked {
    fn shares_a_lane_with(&self, other: &Self) -> bool {
        self.lanes.iter().any(|(lane, _)| other.lanes.iter().any(|(of, _)| of == lane))
    }
}

impl Places {
    /// Gives places to those who asked first; gives the numbers of those who got one. A run that waits for a full lane
    /// keeps nobody from another lane. A build keeps its turn in each of its lanes: those who need but one of them, and
    /// whose builds end at different times, could pass it for ever.
    fn grant(&mut self) -> Vec<u64> {
        let mut kept: Vec<Lane> = Vec::new();
        let mut went = Vec::new();
        for asked in self.claims.iter_mut().filter(|asked| !asked.granted) {
            let is_full = |(lane, limit): &Limited| self.taken.get(lane).copied().unwrap_or_default() >= *limit;
            if !asked.lanes.iter().any(|limited| is_full(limited) || kept.contains(&limited.0)) {
                asked.granted = true;
                went.push(asked.number);
                for (lane, _) in &asked.lanes {
                    *self.taken.entry(lane.clone()).or_default() += 1;
                }
            } else {
                let keeps = |limited: &&Limited| matches!(limited.0, Lane::Builds(_)) || is_full(limited);
                kept.extend(asked.lanes.iter().filter(keeps).map(|(lane, _)| lane.clone()));
            }
        }
        went
    }

    fn queue(&self, number: u64) -> Option<(u32, Lane)> {
        let at = self.claims.iter().position(|asked| asked.number == number)?;
        let own = &self.claims[at];
        if own.granted {
            return None;
        }
        let before = || self.claims[..at].iter().filter(|asked| !asked.granted && asked.shares_a_lane_with(own));
        let is_full = |(lane, limit): &&Limited| self.taken.get(lane).copied().unwrap_or_default() >= *limit;
        let is_kept = |(lane, _): &&Limited| before().any(|asked| asked.lanes.iter().any(|(of, _)| of == lane));
        let lanes = || own.lanes.iter();
        let (lane, _) = lanes().find(is_full).or_else(|| lanes().find(is_kept)).or_else(|| lanes().next())?;
        Some((u32::try_from(before().count()).unwrap_or(u32::MAX).saturating_add(1), lane.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coder(limit: u32) -> Vec<Limited> {
        vec![(Lane::Role(Role::Coder), limit)]
    }

    fn shop(limit: u32) -> Vec<Limited> {
        vec![(Lane::Role(Role::Coder), 3), (Lane::Coders(ChannelId::new("SHOP")), limit)]
    }

    fn builds(platforms: &[Platform]) -> Vec<Limited> {
        platforms.iter().map(|platform| (Lane::Builds(*platform), 1)).collect()
    }

    fn claim(slots: &Slots, lanes: Vec<Limited>) -> Claim {
        slots.claim(lanes, Arc::new(Notify::new()))
    }

    fn is_told(changed: &Notify) -> bool {
        futures_util::FutureExt::now_or_never(changed.notified()).is_some()
    }

    #[test]
    fn places_are_given_in_order_and_move_up() {
        let slots = Slots::default();
        let first = claim(&slots, coder(1));
        let second = claim(&slots, coder(1));
        let third = claim(&slots, coder(1));
        assert_eq!([first.place(), second.place(), third.place()], [None, Some(1), Some(2)]);
        drop(second);
        assert_eq!(third.place(), Some(1));
        drop(first);
        assert_eq!(third.place(), None);
    }

    #[test]
    fn a_full_repository_holds_up_no_other() {
        let slots = Slots::default();
        let one = claim(&slots, shop(1));
        let two = claim(&slots, shop(1));
        let other = claim(&slots, coder(3));
        assert_eq!([one.place(), two.place(), other.place()], [None, Some(1), None]);
    }

    #[tokio::test]
    async fn those_who_wait_are_told_when_something_changed_for_them() {
        let slots = Slots::default();
        let first = claim(&slots, coder(1));
        let (changed, elsewhere) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let second = slots.claim(coder(1), Arc::clone(&changed));
        let build = slots.claim(vec![(Lane::Builds(Platform::Xcode), 1)], Arc::clone(&elsewhere));
        drop(first);
        changed.notified().await;
        assert_eq!((second.place(), build.place()), (None, None));
        assert!(!is_told(&elsewhere));
    }

    #[test]
    fn a_build_of_two_platforms_gets_both_or_none_and_is_not_passed() {
        let slots = Slots::default();
        let (xcode, node) = (Lane::Builds(Platform::Xcode), Lane::Builds(Platform::Node));
        let first = claim(&slots, builds(&[Platform::Xcode]));
        let both = claim(&slots, builds(&[Platform::Xcode, Platform::Node]));
        let last = claim(&slots, builds(&[Platform::Node]));
        assert_eq!([first.queue(), both.queue(), last.queue()], [None, Some((1, xcode)), Some((2, node.clone()))]);
        drop(first);
        assert_eq!([both.queue(), last.queue()], [None, Some((1, node))]);
        drop(both);
        assert_eq!(last.queue(), None);
    }

    #[test]
    fn the_lane_that_is_waited_for_is_named() {
        let slots = Slots::default();
        let node = claim(&slots, builds(&[Platform::Node]));
        let both = claim(&slots, builds(&[Platform::Xcode, Platform::Node]));
        assert_eq!(both.queue(), Some((1, Lane::Builds(Platform::Node))));
        drop(node);
        assert_eq!(both.queue(), None);
    }

    #[test]
    fn who_goes_because_another_gave_up_is_told() {
        let slots = Slots::default();
        let changed = Arc::new(Notify::new());
        let _first = claim(&slots, builds(&[Platform::Xcode]));
        let both = claim(&slots, builds(&[Platform::Xcode, Platform::Node]));
        let node = slots.claim(builds(&[Platform::Node]), Arc::clone(&changed));
        assert_eq!((node.place(), is_told(&changed)), (Some(2), false));
        drop(both);
        assert_eq!((node.place(), is_told(&changed)), (None, true));
    }

    proptest! {
        #[test]
        fn no_lane_is_ever_fuller_than_its_limit_and_everybody_gets_a_turn(
            steps in proptest::collection::vec((0u8..9, 0usize..8), 0..60)
        ) {
            use Platform::{Go, Node, Xcode};
            let slots = Slots::default();
            let mut claims: Vec<(Vec<Limited>, Claim)> = Vec::new();
            let mut notices: Vec<(Arc<Notify>, Option<u32>)> = Vec::new();
            for (kind, index) in steps {
                let lanes = match kind {
                    0 => Some(coder(3)),
                    1 => Some(shop(2)),
                    2 => Some(builds(&[Xcode])),
                    3 => Some(builds(&[Xcode, Node])),
                    4 => Some(builds(&[Node, Go])),
                    5 => Some(builds(&[Xcode, Go])),
                    _ => None,
                };
                if let Some(lanes) = lanes {
                    let changed = Arc::new(Notify::new());
                    let claim = slots.claim(lanes.clone(), Arc::clone(&changed));
                    notices.push((changed, claim.place()));
                    claims.push((lanes, claim));
                } else if !claims.is_empty() {
                    let at = index % claims.len();
                    notices.remove(at);
                    drop(claims.remove(at));
                }
                for ((_, claim), (changed, place)) in claims.iter().zip(&mut notices) {
                    prop_assert!(is_told(changed) || claim.place() == *place, "{place:?} is now {:?}", claim.place());
                    *place = claim.place();
                }
                for platform in [Xcode, Node, Go] {
                    let builds = claims.iter()
                        .filter(|(lanes, claim)| claim.place().is_none() && lanes.contains(&(Lane::Builds(platform), 1)));
                    prop_assert!(builds.count() <= 1);
                }
                let working = |lane: &Lane| claims.iter()
                    .filter(|(lanes, claim)| claim.place().is_none() && lanes.iter().any(|(of, _)| of == lane)).count();
                prop_assert!(working(&Lane::Role(Role::Coder)) <= 3);
                prop_assert!(working(&Lane::Coders(ChannelId::new("SHOP"))) <= 2);
            }
            // The first that waits goes as soon as those who work are gone.
            while !claims.is_empty() {
                let working = claims.iter().position(|(_, claim)| claim.place().is_none());
                prop_assert!(working.is_some(), "somebody works as long as somebody waits");
                claims.remove(working.unwrap_or_default());
            }
        }
    }
}
