//! The files under `examples/` do what their first lines say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use fusion_core::EventType;
use fusion_persistence::{EventFilter, EventReader, TaskReader};
use serde_json::{Value, json};

use crate::support::{Project, examples, is_root, states, step};

#[tokio::test]
async fn every_example_is_valid() {
    let project = Project::of_examples();
    let mut checked = BTreeSet::new();
    for entry in fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".yaml") && !name.ends_with(".script.yaml") {
            project
                .run(["workflow", "validate", &name])
                .await
                .expect(0)
                .says(&[]);
            checked.insert(name);
        }
    }
    let all = [
        "fan-out",
        "grants",
        "hand-over",
        "hello",
        "local-model",
        "openrouter",
        "plan-implement-review",
        "sort-table",
        "sort-tables",
        "talk",
        "translate",
        "translate-all",
    ];
    assert_eq!(checked, all.map(|name| format!("{name}.yaml")).into());
}

#[tokio::test]
async fn hello_greets_and_says_that_its_answer_is_scripted() {
    let project = Project::of_examples();
    let ended = project
        .run(["run", "hello.yaml", "-i", "name=Ada"])
        .await
        .expect(0);
    assert!(ended.stdout.contains("greeting: Hello"), "{}", ended.stdout);
    assert!(ended.stdout.contains("name: Ada"), "{}", ended.stdout);
    let said = "answers are scripted: ";
    assert!(ended.stdout.contains(said), "{}", ended.stdout);
    ended.says(&[said, "(no model is called)"]);
    assert_eq!(project.shown().await["outputs"]["name"], "Ada");
}

#[tokio::test]
async fn fan_out_writes_each_chapter_tries_again_polishes_and_counts() {
    let project = Project::of_examples();
    let run = project
        .run(["run", "fan-out.yaml", "--json"])
        .await
        .expect(0)
        .json();
    let outputs = json!({
        "titles": ["On Rust", "On bees", "On tea"],
        "preface": "Three short chapters.",
        "words": 12,
    });
    assert_eq!(run["outputs"], outputs);
    let attempts = |id| step(&run, id)["attempts"].clone();
    assert_eq!(
        (attempts("preface"), attempts("count")),
        (json!(2), json!(1))
    );
}

#[tokio::test]
async fn the_example_of_handing_over_counts_the_lines_of_what_another_wrote() {
    let project = Project::of_examples();
    let ran = ["run", "hand-over.yaml", "--json"];
    let run = project.run(ran).await.expect(0).json();
    let outputs = json!({
        "about": "Two bees and their stripes.",
        "lines": 3,
        "sha256": step(&run, "write")["files"][0]["sha256"],
    });
    assert_eq!(run["outputs"], outputs);
}

#[tokio::test]
async fn the_example_of_another_workflow_runs_it_once_for_each_language() {
    let project = Project::of_examples();
    let store = ["workflow", "create", "translate.yaml"];
    let run = ["run", "translate-all.yaml", "--json"];
    project
        .run(&run[..2])
        .await
        .expect(2)
        .says(&["there is no stored workflow 'translate'"]);
    project.run(store).await.expect(0);
    let run = project.run(run).await.expect(0).json();
    let outputs = json!({
        "sentence": "Bees hum.",
        "translations": [
            "German: (the sentence in that language)",
            "French: (the sentence in that language)",
        ],
    });
    assert_eq!(run["outputs"], outputs);
    assert_eq!(step(&run, "translate")["runs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_example_of_files_of_another_workflow_has_each_table_sorted_by_a_run() {
    let project = Project::of_examples();
    let store = ["workflow", "create", "sort-table.yaml"];
    project.run(store).await.expect(0);
    let ran = ["run", "sort-tables.yaml", "--json"];
    let run = project.run(ran).await.expect(0).json();
    let outputs = json!({ "lines": ["anna,3", "bert,4", "york,2", "zoe,1"] });
    assert_eq!(run["outputs"], outputs);
    assert_eq!(step(&run, "sort")["runs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_main_example_hands_work_from_agent_to_agent() {
    let project = Project::of_examples();
    let run = project
        .run(["run", "plan-implement-review.yaml", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(
        states(&run),
        [
            ("plan", "completed"),
            ("implement", "completed"),
            ("review", "completed")
        ]
    );
    assert_eq!(run["scripted"], true);
    assert_eq!(run["outputs"]["approved"], true);
    assert_eq!(totals(&run), sum_of_steps(&run));

    let (store, id) = project.store().await;
    let events = store
        .events_after(&EventFilter::of_run(id), 0, 1_000)
        .await
        .unwrap();
    let of_steps: Vec<(EventType, Value)> = events
        .iter()
        .filter(|event| {
            [EventType::TaskStarted, EventType::TaskCompleted].contains(&event.event.event_type)
        })
        .map(|event| (event.event.event_type, event.event.data["step"].clone()))
        .collect();
    let in_order = ["plan", "implement", "review"].map(|step| {
        [EventType::TaskStarted, EventType::TaskCompleted].map(|kind| (kind, json!(step)))
    });
    assert_eq!(of_steps, in_order.concat());

    let tasks = store.tasks_of_run(id).await.unwrap();
    let prompt_of = |name: &str| {
        let task = tasks.iter().find(|task| task.name == name).unwrap();
        task.input_artifacts["prompt"].as_str().unwrap().to_owned()
    };
    let handed_on = |from: &str, output: &str| {
        let outputs = &step(&run, from)["outputs"];
        outputs[output].as_str().unwrap().trim().to_owned()
    };
    let acceptance = handed_on("plan", "acceptance");
    assert!(prompt_of("implement").contains(&acceptance));
    for task in step(&run, "plan")["outputs"]["tasks"].as_array().unwrap() {
        assert!(prompt_of("implement").contains(task.as_str().unwrap()));
    }
    assert!(prompt_of("review").contains(&acceptance));
    assert!(prompt_of("review").contains(&handed_on("implement", "summary")));
    assert!(prompt_of("review").contains(&handed_on("implement", "source")));
    assert!(prompt_of("review").contains("projects/wordcount/test.sh"));
}

#[tokio::test]
async fn the_main_example_really_writes_files_and_really_checks_them() {
    let project = Project::of_examples();
    project
        .run(["run", "plan-implement-review.yaml"])
        .await
        .expect(0)
        .says(&[
            "plan       completed",
            "implement  completed",
            "review     completed",
        ]);
    let run = project.shown().await;

    let made = step(&run, "implement")["artifacts"].as_array().unwrap();
    let program = made
        .iter()
        .find(|path| path.as_str().unwrap().ends_with("/wordcount.sh"))
        .unwrap();
    let written = fs::read_to_string(program.as_str().unwrap()).unwrap();
    assert_eq!(
        written.trim(),
        step(&run, "implement")["outputs"]["source"]
            .as_str()
            .unwrap()
            .trim()
    );
    // The first try really failed and the second really passed, and so did the check.
    let journal = step(&run, "implement")["journal"].as_array().unwrap();
    let exit_codes: Vec<&Value> = journal
        .iter()
        .filter(|entry| entry["name"] == "run_command")
        .map(|entry| &entry["outcome"]["exit_code"])
        .collect();
    assert_eq!(exit_codes, [1, 0]);
    let check = journal.last().unwrap();
    assert_eq!(
        (&check["name"], &check["outcome"]["passed"]),
        (&json!("verify"), &json!(true))
    );
    let review = step(&run, "review")["artifacts"][0].as_str().unwrap();
    assert!(fs::read_to_string(review).unwrap().contains("Approved."));
}

#[tokio::test]
async fn each_agent_has_a_workspace_of_its_own_closed_to_others() {
    let project = Project::of_examples();
    project
        .run(["run", "plan-implement-review.yaml"])
        .await
        .expect(0);
    let run = project.shown().await;
    let workspaces: Vec<&Path> = run["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| Path::new(agent["workspace_path"].as_str().unwrap()))
        .collect();
    let mut owners = BTreeSet::new();
    for workspace in &workspaces {
        let meta = fs::metadata(workspace).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o700, "{workspace:?}");
        assert!(workspace.starts_with(project.data_dir()), "{workspace:?}");
        for part in [".agent", "projects", "logs", ".env"] {
            assert!(workspace.join(part).exists(), "{workspace:?} {part}");
        }
        owners.insert(meta.uid());
    }
    assert_eq!(BTreeSet::from_iter(&workspaces).len(), 3);
    assert_eq!(owners.len(), if is_root() { 3 } else { 1 });
}

#[tokio::test]
async fn the_openrouter_example_without_a_key_names_the_variable() {
    let project = Project::of_examples();
    let before = project.contents();
    project
        .run(["run", "openrouter.yaml", "-i", "topic=bees"])
        .await
        .expect(4)
        .says(&["openrouter needs a key", "help: set OPENROUTER_API_KEY"]);
    assert_eq!(project.contents(), before);
}

fn totals(run: &Value) -> [u64; 3] {
    ["turns", "input_tokens", "output_tokens"].map(|field| run["usage"][field].as_u64().unwrap())
}

fn sum_of_steps(run: &Value) -> [u64; 3] {
    let steps = run["steps"].as_array().unwrap();
    steps.iter().fold([0; 3], |sum, step| {
        let of_step = totals(step);
        std::array::from_fn(|n| sum[n] + of_step[n])
    })
}

#[tokio::test]
async fn the_agent_of_grants_reads_one_folder_more_and_writes_none() {
    let mut project = Project::of_examples();
    let folder = project.path().join("notes");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("one"), "a\nb\n").unwrap();
    // As root, agents are users of their own: they read what all may read.
    for (path, mode) in [(&folder, 0o777), (&folder.join("one"), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let folder = folder.canonicalize().unwrap().display().to_string();
    project.set("FOLDER", folder.clone());
    let ran = ["run", "grants.yaml", "-i", "folder=notes"];
    project.run(ran).await.expect(0);
    let run = project.shown().await;
    let said = &step(&run, "count")["journal"][1]["outcome"]["content"];
    assert_eq!(said, "2\nit can't be written\n[exit code 0]");
    let granted = json!({
        "network": "none",
        "read": [folder],
        "write": [],
        "env": ["FOLDER"],
        "limits": { "memory": 512 << 20, "processes": 32, "cpu": 60, "file_size": 10 << 20 },
    });
    assert_eq!(run["agents"][0]["grants"], granted);
    let shown = project.run(["run", "show"]).await.expect(0).stdout;
    let line = format!(
        "granted to counter: read {folder}; variables FOLDER; limits cpu 60s, file_size 10MiB, \
         memory 512MiB, processes 32\n"
    );
    assert!(shown.contains(&line), "{shown}");
}

#[tokio::test]
async fn a_grant_that_can_not_be_given_is_told_with_its_place_and_nothing_is_stored() {
    let mut project = Project::of_examples();
    let missing = project
        .run(["run", "grants.yaml", "-i", "folder=nowhere"])
        .await
        .expect(5);
    missing.says(&[
        "grants.yaml:23:14",
        "can't give to commands",
        "No such file",
    ]);
    // The folder of the project holds the data directory.
    project
        .run(["run", "grants.yaml", "-i", "folder=."])
        .await
        .expect(5)
        .says(&["grants.yaml:23:14", "is in it, which is kept from commands"]);
    let notes = project.path().join("notes");
    fs::create_dir(&notes).unwrap();
    let unset = ["run", "grants.yaml", "-i", "folder=notes"];
    let unset = project.run(unset).await.expect(5);
    unset.says(&[
        "grants.yaml:24:13",
        "the variable FOLDER can't be given to commands",
    ]);
    project.set("FOLDER", "x");
    let list = project.run(["run", "list", "--json"]).await;
    assert!(!list.stdout.contains("grants"), "{}", list.stdout);
}
