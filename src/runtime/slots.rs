//! Who may work at the same time: a bounded number of places per lane, given in the order in which they were asked for.
//! One for the whole daemon, so that limits hold over all repositories.
//!
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
    /// Asks for a place in all these lanes. `changed` is notified when the place in the queue changes.
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
        self.slots.lock().place(self.number)
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
            places.grant();
        }
        // Whoever waits for one of these lanes has moved up, or may go.
        for asked in &places.claims[at..] {
            if asked.shares_a_lane_with(&gone) {
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
    /// Gives places to those who asked first. One that waits for a full lane keeps nobody from another lane.
    fn grant(&mut self) {
        let mut full: Vec<Lane> = Vec::new();
        for asked in self.claims.iter_mut().filter(|asked| !asked.granted) {
            let has_room = |(lane, limit): &Limited| {
                !full.contains(lane) && self.taken.get(lane).copied().unwrap_or_default() < *limit
            };
            if asked.lanes.iter().all(has_room) {
                asked.granted = true;
                for (lane, _) in &asked.lanes {
                    *self.taken.entry(lane.clone()).or_default() += 1;
                }
            } else {
                // Only the lanes that are full: a lane with room stays open for those who need nothing else.
                let taken = &self.taken;
                let without =
                    asked.lanes.iter().filter(|(lane, limit)| taken.get(lane).copied().unwrap_or(0) >= *limit);
                full.extend(without.map(|(lane, _)| lane.clone()));
            }
        }
    }

    fn place(&self, number: u64) -> Option<u32> {
        let at = self.claims.iter().position(|asked| asked.number == number)?;
        let own = &self.claims[at];
        if own.granted {
            return None;
        }
        let before = self.claims[..at].iter().filter(|asked| !asked.granted && asked.shares_a_lane_with(own)).count();
        Some(u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1))
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

    fn claim(slots: &Slots, lanes: Vec<Limited>) -> Claim {
        slots.claim(lanes, Arc::new(Notify::new()))
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
        assert!(futures_util::FutureExt::now_or_never(elsewhere.notified()).is_none());
    }

    proptest! {
        #[test]
        fn no_lane_is_ever_fuller_than_its_limit_and_everybody_gets_a_turn(
            steps in proptest::collection::vec((0u8..3, 0usize..8), 0..60)
        ) {
            let slots = Slots::default();
            let mut claims: Vec<(Vec<Limited>, Claim)> = Vec::new();
            for (kind, index) in steps {
                match kind {
                    0 => claims.push((coder(3), claim(&slots, coder(3)))),
                    1 => claims.push((shop(2), claim(&slots, shop(2)))),
                    _ if !claims.is_empty() => drop(claims.remove(index % claims.len())),
                    _ => {}
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
