//! When a row of the outbox may be sent: posts at the chat's pace in their channel, versions of a progress message apart
//! from each other, and all of those together within what a chat takes. Edits that a decision needs, such as taking the
//! buttons off a card, never wait. Knows no clock; the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::ChannelId;
use crate::render::post::Post;
use crate::render::posts::is_progress_key;
use crate::store::DuePost;

/// Posts of one channel that may go out at once before its pace holds: a plan, its approval and what comes of it.
const POSTS: u32 = 10;
/// Versions of progress messages that may go out at once before theirs does.
const EDITS: u32 = 10;
/// For how many intervals it is remembered when a message was shown: as many may be in line before it.
const MEMORY: u32 = 60;

/// What was sent lately, as far as it holds back what is to be sent.
pub struct Pace {
    /// The least time between two posts of a channel, and between two versions of a progress message; zero where
    /// nothing limits.
    interval: Duration,
    posts: HashMap<ChannelId, Bucket>,
    edits: Bucket,
    /// When the progress messages of these rows were posted or edited last.
    shown: HashMap<i64, Instant>,
}

impl Pace {
    /// The pace of a chat that takes a post per `interval` and channel.
    pub fn new(interval: Duration) -> Self {
        Self { interval, posts: HashMap::new(), edits: Bucket::default(), shown: HashMap::new() }
    }

    /// Brings rows into the order in which they are tried: as they come, then new versions of progress messages,
    /// the one that has not changed for longest first, so that a busy thread takes nobody's turn.
    pub fn order(&self, due: &mut [DuePost]) {
        due.sort_by_key(|row| is_new_version(row).then(|| self.shown.get(&row.id).copied()));
    }

    /// The channels in which no post may go out now, and until when.
    pub fn held(&self, now: Instant) -> impl Iterator<Item = (&ChannelId, Instant)> {
        let wait = move |bucket: &Bucket| bucket.earliest(self.interval, POSTS, now).filter(|earliest| *earliest > now);
        self.posts.iter().filter_map(move |(channel, bucket)| Some((channel, wait(bucket)?)))
    }

    /// Takes a place for this row, or says how long to wait for one. Reactions have limits of their own, far off.
    pub fn take(&mut self, row: &DuePost, now: Instant) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        if is_new_version(row) {
            let since = self.shown.get(&row.id).map(|shown| now.saturating_duration_since(*shown));
            if let Some(since) = since.filter(|since| *since < self.interval) {
                return Err(self.interval - since);
            }
            // Slack takes 50 edits a minute, whatever their channels, where it takes a post a second in each.
            self.edits.take(self.interval * 6 / 5, EDITS, now)?;
        } else if is_post(row) {
            self.posts.entry(row.thread.channel.clone()).or_default().take(self.interval, POSTS, now)?;
        }
        if is_progress_key(&row.key) {
            self.shown.retain(|_, shown| now.saturating_duration_since(*shown) < self.interval * MEMORY);
            self.shown.insert(row.id, now);
        }
        Ok(())
    }
}

/// Whether this makes something new in the channel, which must stay in order and counts against its pace.
fn is_post(row: &DuePost) -> bool {
    row.ts.is_none() && !matches!(row.post, Post::Reaction { .. })
}

fn is_new_version(row: &DuePost) -> bool {
    row.ts.is_some() && is_progress_key(&row.key)
}

/// A short burst, then one per interval.
#[derive(Default)]
struct Bucket {
    /// When the next one would be due if there were no bursts.
    next: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, interval: Duration, burst: u32, now: Instant) -> Result<(), Duration> {
        if let Some(earliest) = self.earliest(interval, burst, now).filter(|earliest| *earliest > now) {
            return Err(earliest - now);
        }
        self.next = Some(self.next.map_or(now, |next| next.max(now)) + interval);
        Ok(())
    }

    /// When there is a place; `None`: it has long been there.
    fn earliest(&self, interval: Duration, burst: u32, now: Instant) -> Option<Instant> {
        self.next.map_or(now, |next| next.max(now)).checked_sub(interval * (burst - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageTs, ThreadKey};

    const SECOND: Duration = Duration::from_secs(1);

    fn row(id: i64, channel: &str, ts: Option<&str>) -> DuePost {
        let thread = ThreadKey::parse(&format!("T1/{channel}/1.1")).expect("a thread");
        let post = Post::Message { role: None, text: "text".to_owned(), buttons: Vec::new() };
        DuePost {
            id,
            thread,
            key: format!("progress/{id}"),
            post,
            revision: 1,
            ts: ts.map(MessageTs::new),
            tried: false,
            more: false,
        }
    }

    #[test]
    fn posts_of_a_channel_go_out_in_a_burst_and_then_one_per_interval() {
        let (mut pace, now) = (Pace::new(SECOND), Instant::now());
        let mut take = |channel, at| pace.take(&row(1, channel, None), at);
        assert!((0..POSTS).all(|_| take("C1", now).is_ok()));
        assert_eq!(take("C1", now), Err(SECOND));
        assert_eq!(take("C2", now), Ok(()), "another channel has a pace of its own");
        assert_eq!(take("C1", now + SECOND), Ok(()));
        assert_eq!(take("C1", now + SECOND), Err(SECOND));
        assert_eq!(take("C1", now + 60 * SECOND), Ok(()));
        let later = (0..POSTS).filter(|_| take("C1", now + 60 * SECOND).is_ok()).count();
        assert_eq!(later, POSTS as usize - 1, "no larger burst after a long rest");
    }

    #[test]
    fn versions_of_a_message_are_apart_and_hold_back_no_post() {
        let (mut pace, now) = (Pace::new(SECOND), Instant::now());
        assert_eq!(pace.take(&row(1, "C1", None), now), Ok(()));
        let soon = now + SECOND / 4;
        assert_eq!(pace.take(&row(1, "C1", Some("1.2")), soon), Err(SECOND * 3 / 4));
        assert_eq!(pace.take(&row(2, "C1", None), soon), Ok(()));
        assert_eq!(pace.take(&row(1, "C1", Some("1.2")), now + SECOND), Ok(()));
        assert_eq!(pace.take(&row(1, "C1", Some("1.2")), now + SECOND), Err(SECOND));
        let card = DuePost { key: "plan/1".to_owned(), ..row(3, "C1", Some("1.2")) };
        assert!((0..20).all(|_| pace.take(&card, now).is_ok()), "the buttons of a card are never late");
    }

    #[test]
    fn no_minute_sees_more_edits_than_slack_takes_and_no_message_starves() {
        let (mut pace, start) = (Pace::new(SECOND), Instant::now());
        let mut counts = [0; 3];
        for tick in 0..1200 {
            let now = start + tick * SECOND / 20;
            let mut due: Vec<DuePost> = (0..3).map(|id| row(id, "C1", Some("1.2"))).collect();
            pace.order(&mut due);
            for row in due {
                counts[usize::try_from(row.id).expect("small")] += usize::from(pace.take(&row, now).is_ok());
            }
        }
        let total: usize = counts.iter().sum();
        assert!((50..=60).contains(&total), "{counts:?}: 50 a minute and the first burst");
        assert!(counts.iter().all(|count| (17..=23).contains(count)), "{counts:?}");
    }

    #[test]
    fn new_posts_are_tried_first_in_their_order_then_the_message_that_is_oldest_on_the_screen() {
        let (mut pace, now) = (Pace::new(SECOND), Instant::now());
        pace.take(&row(1, "C1", Some("1.2")), now).expect("the first");
        let mut due = [row(1, "C1", Some("1.2")), row(2, "C1", Some("1.3")), row(3, "C1", None), row(4, "C1", None)];
        pace.order(&mut due);
        assert_eq!(due.map(|row| row.id), [3, 4, 2, 1]);
    }

    #[test]
    fn nothing_waits_where_nothing_limits_and_reactions_never_do() {
        let now = Instant::now();
        let mut free = Pace::new(Duration::ZERO);
        assert!((0..100).all(|_| free.take(&row(1, "C1", Some("1.2")), now).is_ok()));
        let mut pace = Pace::new(SECOND);
        let seen = Post::Reaction { ts: MessageTs::new("1.2"), name: "eyes".to_owned() };
        let seen = DuePost { post: seen, ..row(1, "C1", None) };
        assert!((0..100).all(|_| pace.take(&seen, now).is_ok()));
    }
}
