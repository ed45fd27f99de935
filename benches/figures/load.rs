//! The section `load`: hundreds of threads at once, one that floods, a thousand that sleep, fifty that work.

use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use crate::crowd::{Crowd, Said};
use crate::script::CODER;
use crate::support::fake_slack::SHOP;
use crate::{Figure, median, ms, print, process, quantile, turns};

const THREADS: usize = 500;
const EACH: usize = 4;
/// Repositories over which they are spread: Slack takes one post a second in each channel.
const CHANNELS: usize = 10;
/// Messages of the one who floods, and how many a second.
const FLOOD: usize = 1_500;
const FLOOD_RATE: u32 = 300;
/// Others who speak meanwhile, a quarter of a second apart.
const OTHERS: usize = 20;
const APART: Duration = Duration::from_millis(250);
const SLEEPERS: usize = 1_000;
const WORKERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(600);

/// All of it, or the parts that are named; each is printed when it is known.
pub async fn load(wanted: impl Fn(&str) -> bool) {
    if wanted("steady") {
        for repositories in [1, CHANNELS] {
            print(&steady(repositories).await);
        }
    }
    if wanted("burst") {
        print(&burst().await);
    }
    if wanted("flood") {
        print(&flood().await);
    }
    if wanted("sleepers") {
        print(&sleepers().await);
    }
    if wanted("workers") {
        print(&workers().await);
    }
}

fn notes(_: &ScriptedRequest) -> ScriptedReply {
    ScriptedReply::text("Noted.")
}

/// What each thread says, thread by thread.
fn chatter(crowd: &Crowd, mut pause: impl FnMut()) -> Vec<Said> {
    let mut said = Vec::new();
    for thread in 0..THREADS {
        let channel = &crowd.channels[thread % crowd.channels.len()];
        let first = crowd.say(channel, &format!("message 0 of {thread}"), None);
        let root = first.ts.clone();
        said.push(first);
        for number in 1..EACH {
            pause();
            said.push(crowd.say(channel, &format!("message {number} of {thread}"), Some(&root)));
        }
        pause();
    }
    said
}

async fn acked(crowd: &Crowd, said: &[Said]) {
    crowd.until("every ack", PATIENCE, || crowd.acks(said).len() == said.len()).await;
}

async fn decided(crowd: &Crowd) {
    crowd.until("every answer", PATIENCE, || crowd.all_decided()).await;
}

/// 500 messages a second: what the acks take when no queue builds up before them.
async fn steady(repositories: usize) -> Vec<Figure> {
    let crowd = Crowd::new(repositories, notes).await;
    let flushes = process::flushes(crowd.world.folder.path());
    let daemon = crowd.start().await;
    let cpu = process::cpu(daemon.pid());
    let begun = Instant::now();
    let mut due = 0;
    let said = tokio::task::block_in_place(|| {
        chatter(&crowd, || {
            due += 1;
            let moment = begun + Duration::from_millis(2) * due;
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        })
    });
    acked(&crowd, &said).await;
    let acks = crowd.acks(&said);
    decided(&crowd).await;
    let cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    let answers = crowd.answers(&said);
    daemon.kill();
    let line = |what: &str, value: String| {
        Figure::new(
            format!("2,000 messages in 500 threads of {repositories} repositories, 500 a second: {what}"),
            value,
        )
    };
    vec![
        line("a bare fdatasync just before", three(&flushes)),
        line("event to ack", three(&acks)),
        line("message to the commit of its answer", three(&answers)),
        line("processor time until every answer was committed", seconds(cpu)),
    ]
}

/// Everything at once.
async fn burst() -> Vec<Figure> {
    let crowd = Crowd::new(CHANNELS, notes).await;
    let daemon = crowd.start().await;
    let cpu = process::cpu(daemon.pid());
    let begun = Instant::now();
    let said = chatter(&crowd, || {});
    let written = begun.elapsed();
    acked(&crowd, &said).await;
    let (acked, acks) = (begun.elapsed(), crowd.acks(&said));
    crowd.until("every 👀", PATIENCE, || crowd.all_have(&said, "eyes")).await;
    let seen = begun.elapsed();
    decided(&crowd).await;
    let decided = begun.elapsed();
    let decided_cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    let answers = crowd.answers(&said);
    crowd.until("every ✅", PATIENCE, || crowd.all_have(&said, "white_check_mark")).await;
    let done = begun.elapsed();
    let cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    let peak = process::peak(daemon.pid());
    let posts = crowd.world.slack.look(|state| state.messages.iter().filter(|message| message.bot.is_some()).count());
    crowd.world.no_violations();
    daemon.stop();
    let line = |what: &str, value: String| Figure::new(format!("2,000 messages in 500 threads at once: {what}"), value);
    vec![
        line("written to the sockets within", ms(written)),
        line("event to ack", three(&acks)),
        line("all acked after", ms(acked)),
        line("all 👀 after", seconds(seen)),
        line("all answers committed after", seconds(decided)),
        line("message to the commit of its answer", three(&answers)),
        line("processor time until then", seconds(decided_cpu)),
        line(&format!("all {posts} answers posted and all ✅ after (Slack's pace holds)"), seconds(done)),
        line("processor time in all", seconds(cpu)),
        line("most memory", format!("{peak:.1} MiB")),
    ]
}

/// One user floods a thread; what others notice of it.
async fn flood() -> Vec<Figure> {
    // A model that takes its time, so that the flood is not answered line by line.
    let pauses = ScriptedFault::SlowChunks(Duration::from_millis(50));
    let slow =
        move |_: &ScriptedRequest| ScriptedReply { fault: Some(pauses.clone()), ..ScriptedReply::text("Noted.") };
    let crowd = Crowd::new(1, slow).await;
    let flushes = process::flushes(crowd.world.folder.path());
    let daemon = crowd.start().await;
    let quiet = others(&crowd).await;
    decided(&crowd).await;
    let (quiet_acks, quiet_answers) = (crowd.acks(&quiet), crowd.answers(&quiet));
    let cpu = process::cpu(daemon.pid());
    let root = crowd.say(SHOP, "flood", None).ts;
    let flooding = async {
        let mut beat = tokio::time::interval(Duration::from_secs(1) / FLOOD_RATE);
        let mut said = Vec::new();
        for number in 0..FLOOD {
            beat.tick().await;
            said.push(crowd.say(SHOP, &format!("flood {number}"), Some(&root)));
        }
        said
    };
    let (flood, meanwhile) = tokio::join!(flooding, others(&crowd));
    acked(&crowd, &flood).await;
    decided(&crowd).await;
    let cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    let (acks, answers) = (crowd.acks(&meanwhile), crowd.answers(&meanwhile));
    let (flood_acks, flood_answers) = (crowd.acks(&flood), crowd.answers(&flood));
    daemon.kill();
    let line =
        |what: &str, value: String| Figure::new(format!("1,500 messages into one thread, 300 a second: {what}"), value);
    vec![
        line("a bare fdatasync just before", three(&flushes)),
        line("the others' event to ack, before it and during it", format!("{}; {}", three(&quiet_acks), three(&acks))),
        line(
            "the others' message to the commit of its answer, before it and during it",
            format!("{}; {}", three(&quiet_answers), three(&answers)),
        ),
        line("the flood's own event to ack", three(&flood_acks)),
        line("the flood's own message to the commit of its answer", three(&flood_answers)),
        line("processor time", seconds(cpu)),
    ]
}

/// Others open threads, one after the other.
async fn others(crowd: &Crowd) -> Vec<Said> {
    let mut said = Vec::new();
    for number in 0..OTHERS {
        said.push(crowd.say(SHOP, &format!("other {number}"), None));
        tokio::time::sleep(APART).await;
    }
    said
}

/// What threads cost that nobody speaks in.
async fn sleepers() -> Vec<Figure> {
    let mut crowd = Crowd::new(1, notes).await;
    crowd.world.global["timing"]["workerIdleMs"] = json!(200);
    let daemon = crowd.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process::resident(daemon.pid());
    let mut said = Vec::new();
    for number in 0..SLEEPERS {
        said.push(crowd.say(SHOP, &format!("sleeper {number}"), None));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    acked(&crowd, &said).await;
    decided(&crowd).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = process::resident(daemon.pid());
    // Their answers wait for Slack's pace meanwhile, one a second.
    let cpu = process::cpu(daemon.pid());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    daemon.stop();
    let daemon = crowd.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = process::resident(daemon.pid());
    daemon.kill();
    vec![
        Figure::new("resident before 1,000 threads, after all went to sleep", format!("{before:.1}, {after:.1} MiB")),
        Figure::new("… and after a new start with them", format!("{again:.1} MiB")),
        Figure::new("processor time per second while some 1,000 answers wait for Slack's pace", ms(cpu / 10)),
    ]
}

/// What threads cost in which a Coder waits for its model.
async fn workers() -> Vec<Figure> {
    let script = |request: &ScriptedRequest| {
        if request.model == CODER { ScriptedReply::fault(ScriptedFault::Stall) } else { turns::pm(request) }
    };
    let mut crowd = Crowd::new(CHANNELS, script).await;
    crowd.world.global["limits"] = json!({ "maxConcurrentThreads": WORKERS });
    let daemon = crowd.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process::resident(daemon.pid());
    for number in 0..WORKERS {
        let said = crowd.say(&crowd.channels[number % CHANNELS], "please do something", None);
        crowd.world.press(&said.ts, "plan_approve").await;
    }
    let world = &crowd.world;
    let at_work = || world.model.times().len() >= 2 * WORKERS;
    crowd.until("fifty calls of Coders", PATIENCE, at_work).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = process::resident(daemon.pid());
    let cpu = process::cpu(daemon.pid());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let cpu = process::cpu(daemon.pid()).saturating_sub(cpu);
    daemon.kill();
    vec![
        Figure::new("resident before and while 50 Coders wait for their model", format!("{before:.1}, {after:.1} MiB")),
        Figure::new("processor time per second meanwhile", ms(cpu / 5)),
    ]
}

/// Median, 99 % and the longest.
fn three(times: &[Duration]) -> String {
    format!("{}, {}, {}", ms(median(times)), ms(quantile(times, 0.99)), ms(quantile(times, 1.0)))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
