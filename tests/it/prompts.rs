//! What a first run seeds, and which words reach which role.

use super::script::{CODER, PM};
use super::support::fake_slack::{BEN, SHOP};
use super::world::World;

/// The system prompt of the last request to a model.
fn system(world: &World, model: &str) -> String {
    let requests = world.model.requests();
    let request = requests.iter().rfind(|request| request.model == model).expect("asked");
    request.messages[0].text()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_seeds_what_is_missing_and_overwrites_nothing() {
    let world = World::new().await;
    let own = world.checkout().join(".codebutler/prompts/pm.md");
    std::fs::create_dir_all(own.parent().expect("a parent")).expect("made");
    std::fs::write(&own, "Our own PM.\n").expect("written");
    std::fs::write(world.checkout().join(".gitignore"), "/build").expect("written");
    let _daemon = world.start();
    assert_eq!(std::fs::read_to_string(&own).expect("there"), "Our own PM.\n");
    let read = |path: &str| std::fs::read_to_string(world.checkout().join(path)).unwrap_or_default();
    assert!(read(".codebutler/memory/workflows.md").contains("## bugfix\n1. PM: reproduce description"));
    for role in ["pm", "lead", "artist"] {
        let memory = read(&format!(".codebutler/memory/{role}.md"));
        assert!(memory.to_lowercase().contains("## working with other roles"), "{role}: {memory}");
    }
    let ignored = read(".gitignore");
    for line in ["/build", ".codebutler/store.db*", ".codebutler/branches/", ".codebutler/images/"] {
        assert!(ignored.lines().any(|other| other == line), "{line} is not in {ignored:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_reads_its_own_words_from_the_fetched_base_and_the_owners_edit_wins() {
    let world = World::new().await;
    let folder = world.checkout().join(".codebutler/prompts");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("shared.md"), "Shared as committed.\n").expect("written");
    std::fs::write(folder.join("coder.md"), "Coder as committed.\n").expect("written");
    std::fs::write(world.checkout().join("AGENTS.md"), "Agents, be brief.\n").expect("written");
    world.git(&["add", ".codebutler", "AGENTS.md"]);
    world.git(&["commit", "-qm", "Prompts"]);
    world.git(&["push", "-q", "origin", "main"]);
    std::fs::write(folder.join("shared.md"), "Shared as the owner is editing it.\n").expect("written");
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    let pm = system(&world, PM);
    let coder = system(&world, CODER);
    for (role, prompt) in [("PM", &pm), ("Coder", &coder)] {
        assert!(prompt.contains("as the owner is editing it") && prompt.contains("be brief"), "{role}: {prompt}");
        assert!(!prompt.contains("Shared as committed"), "{role}");
    }
    assert!(pm.contains("## bugfix") && pm.contains("# PM") && !pm.contains("Coder as committed"), "{pm}");
    assert!(coder.contains("Coder as committed.") && coder.contains("Say hi"), "{coder}");
    assert!(!coder.contains("## bugfix"), "workflows are the PM's: {coder}");
}
