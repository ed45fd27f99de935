//! Files go up in steps and are found again.

use super::*;

#[tokio::test]
async fn a_file_goes_up_in_two_steps_and_is_found_again() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let file = |name: &str, syntax: &str| Post::File {
        role: Some("Coder".into()),
        name: name.into(),
        syntax: syntax.into(),
        content: "fn main() {}\n".into(),
    };
    chat.post(&thread(&root), "file/1", &file("main.rs", "rust")).await.expect("uploaded");
    chat.post(&thread(&root), "file/2", &file("main.zig", "zig")).await.expect("uploaded without highlighting");
    slack.fail_next("files.completeUploadExternal", Fault::LoseAnswer);
    let lost = chat.post(&thread(&root), "file/3", &file("notes", "")).await;
    assert!(matches!(lost, Err(ChatError::Unreachable(_))), "{lost:?}");
    let shared: Vec<_> = slack
        .thread(&root)
        .into_iter()
        .skip(1)
        .map(|message| {
            let file = message.files[0].clone();
            let shown = message.blocks[0]["text"]["text"].as_str().unwrap_or_default().to_owned();
            (message.ts, shown, file.title, file.syntax, file.content)
        })
        .collect();
    let content = Some("fn main() {}\n".to_owned());
    for (n, (name, syntax)) in [("main.rs", Some("rust")), ("main.zig", None), ("notes", None)].into_iter().enumerate()
    {
        let (ts, shown, title, seen_syntax, seen) = &shared[n];
        assert_eq!((shown, title.as_str()), (&format!("*Coder:* `{name}`"), name));
        assert_eq!((seen_syntax.as_deref(), seen), (syntax, &content));
        let found = chat.find(&thread(&root), &format!("file/{}", n + 1)).await.expect("looked");
        assert_eq!(found, Some(MessageTs::new(ts.as_str())));
    }
}
