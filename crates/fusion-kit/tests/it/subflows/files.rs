//! Files that go into runs below and come out of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{below, store};
use crate::crash::{die_at, go_on, result};
use crate::nodes::cluster::Cluster;
use crate::support::{Project, said, states, step};

const SCRIPT: &str = r#"
version: 1
steps:
  make:
    - tool_calls:
        - { name: write_file, arguments: { path: projects/one, content: "1\n" } }
        - { name: write_file, arguments: { path: projects/two, content: "2\n" } }
    - text: made
  read:
    - tool_calls: [{ name: read_file, arguments: { path: artifacts/table/projects/one } }]
    - text: seen
  say: [{ text: said }]
"#;

/// The SHA-256 of `1` and `2`, each with the end of a line.
const ONE: &str = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";
const TWO: &str = "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3";

/// Reads the files that it is given, and gives back what it made of them.
const COUNT: &str = "
version: 1
name: count
inputs: { table: files, more: { type: files, required: false } }
agents: { r: { provider: scripted, model: script.yaml, tools: [files] } }
steps:
  - { id: read, agent: r, takes: table, prompt: Read. }
  - id: sum
    needs: read
    takes: [table, more]
    repeatable: true
    run: 'mkdir -p out && cat ${{ inputs.table | map(attribute=\"path\") | join(\" \") }} | tee out/all'
    artifacts: 'out/*'
artifacts: sum
outputs:
  seen: '${{ steps.sum.outputs.output }}'
  more: '${{ inputs.more | length }}'
";

/// Hands on what it is given, and what comes back.
const PASS: &str = "
version: 1
name: pass
inputs: { all: files }
steps: [{ id: call, workflow: count, with: { table: '${{ inputs.all }}' } }]
artifacts: [call]
outputs: { seen: '${{ steps.call.outputs.seen }}' }
";

/// A file whose agent `maker` makes two files in the first step; after that it has these steps.
fn flow(steps: &str) -> String {
    format!(
        "
version: 1
name: flow
agents: {{ maker: {{ provider: scripted, model: script.yaml, tools: [files] }} }}
steps:
  - {{ id: make, agent: maker, prompt: Make., artifacts: 'projects/*' }}
{steps}
"
    )
}

/// Through two levels, and back into a command.
const BACK: &str = "
  - { id: call, needs: make, workflow: pass, with: { all: '${{ steps.make.files }}' } }
  - { id: last, needs: call, takes: call, repeatable: true,
      run: 'cat ${{ steps.call.files[0].path }}' }
outputs: { last: '${{ steps.last.outputs.output }}', files: '${{ steps.call.files }}' }";

async fn project(steps: &str) -> Project {
    let project = Project::with(&flow(steps), SCRIPT);
    for text in [COUNT, PASS] {
        store(&project, text).await;
    }
    project
}

fn file(path: &str, sha256: &str, bytes: u64) -> Value {
    json!({ "path": path, "sha256": sha256, "bytes": bytes })
}

#[tokio::test]
async fn files_go_down_through_two_levels_and_come_back() {
    let project = project(BACK).await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    let [middle] = below(&project, &shown).await.try_into().unwrap();
    let [inner] = below(&project, &middle).await.try_into().unwrap();
    let inner = inner["id"].as_str().unwrap();
    let inner = said(&project, &format!("run show {inner} --json")).await;
    let inner = inner.expect(0).json();
    let table = [
        file("artifacts/table/projects/one", ONE, 2),
        file("artifacts/table/projects/two", TWO, 2),
    ];
    assert_eq!(inner["inputs"], json!({ "table": table, "more": [] }));
    assert_eq!(inner["outputs"], json!({ "seen": "1\n2\n", "more": 0 }));
    let journal = step(&inner, "read")["journal"].to_string();
    assert!(journal.contains("1\\n"), "{journal}");
    let made = &step(&inner, "sum")["files"][0];
    assert_eq!(made["path"], "out/all");
    let hash = made["sha256"].as_str().unwrap();
    let call = step(&shown, "call");
    assert_eq!(call["files"], json!([file("call/sum/out/all", hash, 4)]));
    // They are in no workspace of the run above.
    assert_eq!(call["artifacts"], json!([]));
    let placed = file("artifacts/call/call/sum/out/all", hash, 4);
    assert_eq!(
        shown["outputs"],
        json!({ "last": "1\n2\n", "files": [placed] })
    );
}

#[tokio::test]
async fn each_entry_of_a_list_of_files_goes_to_a_run_of_its_own() {
    let steps = "
  - id: each
    needs: make
    workflow: count
    foreach: ${{ steps.make.files }}
    with: { table: '${{ steps.make.files[0] }}', more: ['${{ item }}'] }
  - { id: last, needs: each, takes: each, run: 'cat artifacts/each/*/sum/out/all' }
outputs: { last: '${{ steps.last.outputs.output }}' }";
    let project = project(steps).await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    assert_eq!(shown["outputs"], json!({ "last": "1\n1\n" }));
    let files = json!([file("0/sum/out/all", ONE, 2), file("1/sum/out/all", ONE, 2)]);
    assert_eq!(step(&shown, "each")["files"], files);
    let mut more = Vec::new();
    for run in below(&project, &shown).await.iter().rev() {
        let id = run["id"].as_str().unwrap();
        let run = said(&project, &format!("run show {id} --json")).await;
        more.push(run.expect(0).json()["inputs"]["more"].clone());
    }
    more.sort_by_key(ToString::to_string);
    let given =
        |name: &str, hash| json!([file(&format!("artifacts/more/projects/{name}"), hash, 2)]);
    let mut wanted = [given("one", ONE), given("two", TWO)];
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(more, wanted);
}

/// A run of this makes more than half of the files that a step may have.
const MANY: &str = "
version: 1
name: many
steps:
  - { id: fill, run: 'mkdir -p out && for i in $(seq 5001); do echo > out/$i; done', artifacts: 'out/*' }
artifacts: fill
";

#[tokio::test]
async fn a_list_whose_runs_have_too_many_files_together_fails() {
    let project = project("  - { id: each, workflow: many, foreach: '${{ [1, 2] }}' }").await;
    store(&project, MANY).await;
    let why = "the runs of its `foreach` made too much: 10002 files are more than 10000, which is the limit";
    let failed = project.run(["run", "flow.yaml"]).await.expect(6);
    failed.says(&[why]);
    let shown = project.shown().await;
    let each = step(&shown, "each");
    assert_eq!(
        (&each["state"], &each["error"]),
        (&json!("failed"), &json!(why))
    );
    assert_eq!(each["files"], Value::Null);
    for below in below(&project, &shown).await {
        assert_eq!(below["state"], "completed");
    }
}

#[tokio::test]
async fn a_run_is_given_no_file_that_no_step_above_it_made() {
    let told = format!("[{}]", file("artifacts/make/projects/one", TWO, 2));
    let script = format!("{SCRIPT}  guess: [{{ text: '{{\"files\": {told}}}' }}]\n");
    let steps = "
  - id: guess
    agent: maker
    needs: make
    prompt: x
    outputs: { files: { type: array } }
  - id: call
    needs: guess
    workflow: count
    with: { table: '${{ steps.guess.outputs.files }}', more: '${{ steps.make.files }}' }
    on_failure: continue
  - id: text
    needs: guess
    workflow: count
    with: { table: '${{ steps.guess.status }}' }
    on_failure: continue
  - { id: again, agent: maker, needs: guess, prompt: x, artifacts: 'projects/*' }
  - id: twice
    needs: again
    workflow: count
    with: { table: ['${{ steps.make.files }}', '${{ steps.again.files }}'] }
    on_failure: continue";
    let project = project(steps).await;
    let again = r#"  again:
    - tool_calls: [{ name: write_file, arguments: { path: projects/one, content: "other" } }]
    - text: made
"#;
    project.write("script.yaml", format!("{script}{again}"));
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    let error = |id| step(&shown, id)["error"].as_str().unwrap().to_owned();
    assert_eq!(
        [error("call"), error("text"), error("twice")],
        [
            "the input 'table' has a file that no step before this one made: \
             artifacts/make/projects/one",
            "the input 'table' must be a list of files, each with `path` and `sha256`, as `steps.STEP.files` gives it",
            "two files of the input 'table' are called projects/one: hand them to two inputs",
        ]
    );
    assert_eq!(below(&project, &shown).await, [json!(null); 0]);
}

#[tokio::test]
async fn a_workflow_that_needs_files_is_run_by_a_step_only() {
    let project = project("").await;
    let why = "the input 'table' is of files, which only a step of another workflow hands over";
    let bare = ["workflow", "start", "count"];
    project.run(bare).await.expect(2).says(&[why]);
    let list = format!("table=[{}]", file("artifacts/make/projects/one", ONE, 2));
    let given = ["workflow", "start", "count", "-i", &list];
    project.run(given).await.expect(2).says(&[why]);
}

#[tokio::test]
async fn a_workflow_that_was_stored_again_without_files_is_refused_before_a_run() {
    let project = project(BACK).await;
    let bare = PASS.replace("artifacts: [call]\n", "");
    store(&project, &bare).await;
    let refused = project.run(["run", "flow.yaml"]).await.expect(2);
    refused.says(&["step 'call' has no files to take"]);
}

#[tokio::test]
async fn handed_over_files_survive_a_death_at_every_commit() {
    let whole = project(BACK).await;
    whole.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let wanted = result(&whole).await;
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        let mut deaths = 0;
        for passing in 0.. {
            let project = project(BACK).await;
            let command = ["run", "flow.yaml", "--quiet"];
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            go_on(&project, "flow.yaml").await;
            let place = format!("death at {point}, passing {passing}");
            assert_eq!(result(&project).await, wanted, "{place}");
        }
        assert!(deaths >= 12, "{point} was reached {deaths} times");
    }
}

/// Fails after the run below has given its files.
const FAILS: &str = "
  - { id: call, needs: make, workflow: pass, with: { all: '${{ steps.make.files }}' } }
  - { id: last, needs: call, takes: call, run: 'cat artifacts/call/call/sum/out/all; test -e go' }
outputs: { last: '${{ steps.last.outputs.output }}' }";

#[tokio::test]
async fn a_new_attempt_takes_files_over_and_repeats_no_run_below() {
    let project = project(FAILS).await;
    project.run(["run", "flow.yaml"]).await.expect(6);
    let failed = project.shown().await;
    assert_eq!(
        states(&failed),
        [
            ("make", "completed"),
            ("call", "completed"),
            ("last", "failed")
        ]
    );
    store(&project, &flow(&FAILS.replace("; test -e go", ""))).await;
    for command in ["retry", "fork"] {
        let line = format!(
            "run {command} {} --from last --latest",
            failed["id"].as_str().unwrap()
        );
        said(&project, &line).await.expect(0);
        let again = project.shown().await;
        assert_eq!(again["outputs"], json!({ "last": "1\n2\n" }));
        assert_eq!(
            step(&again, "call")["files"],
            step(&failed, "call")["files"]
        );
        assert_eq!(below(&project, &again).await, [json!(null); 0]);
    }
}

#[tokio::test]
async fn a_run_that_was_below_keeps_its_files_when_it_is_tried_again_by_itself() {
    let gated = COUNT.replace("| tee out/all", "| tee out/all; false");
    let project = project(BACK).await;
    store(&project, &gated).await;
    project.run(["run", "flow.yaml"]).await.expect(6);
    let outer = project.shown().await;
    let [middle] = below(&project, &outer).await.try_into().unwrap();
    let [inner] = below(&project, &middle).await.try_into().unwrap();
    let line = format!("run retry {}", inner["id"].as_str().unwrap());
    said(&project, &line).await.expect(6);
    let again = project.shown().await;
    assert_eq!(again["inputs"]["table"][0]["sha256"], ONE);
    // The files stay while one run names them, and go with the last.
    let kept = project.data_dir().join("artifacts/43").join(ONE);
    let delete = |run: &Value| format!("run delete {} --yes", run["id"].as_str().unwrap());
    said(&project, &delete(&outer)).await.expect(0);
    assert!(kept.exists());
    let export = format!(
        "run export {} run.tar.zst --json",
        again["id"].as_str().unwrap()
    );
    said(&project, &export).await.expect(0);
    let elsewhere = Project::new();
    let file = "run.tar.zst";
    fs::copy(project.path().join(file), elsewhere.path().join(file)).unwrap();
    said(&elsewhere, "run import run.tar.zst").await.expect(0);
    said(&elsewhere, &format!("artifact get {ONE} one"))
        .await
        .expect(0);
    said(&project, &delete(&again)).await.expect(0);
    assert!(!kept.exists());
}

#[tokio::test]
async fn a_list_that_looks_as_files_do_has_no_file_of_others() {
    let project = project("").await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let maker = project.shown().await;
    let forging = |kind| {
        format!(
            "
version: 1
name: forging
inputs: {{ table: {kind} }}
agents: {{ r: {{ provider: scripted, model: script.yaml }} }}
steps:
  - {{ id: say, agent: r, prompt: Say. }}
  - {{ id: fails, needs: say, repeatable: true, run: 'false' }}
"
        )
    };
    store(&project, &forging("array")).await;
    let list = format!("table=[{}]", file("artifacts/table/projects/one", ONE, 2));
    let started = ["workflow", "start", "forging", "-i", &list];
    project.run(started).await.expect(6);
    let forged = project.shown().await;
    let id = forged["id"].as_str().unwrap();
    // The newest version takes files, and the list that the run was given is none.
    store(&project, &forging("files")).await;
    let why = "the input 'table' is of files, which only a step of another workflow hands over";
    let retry = said(&project, &format!("run retry {id} --latest")).await;
    retry.expect(2).says(&[why]);
    // Nor does it go along.
    let export = format!("run export {id} run.tar.zst");
    said(&project, &export).await.expect(0);
    let elsewhere = Project::new();
    let written = "run.tar.zst";
    fs::copy(project.path().join(written), elsewhere.path().join(written)).unwrap();
    said(&elsewhere, "run import run.tar.zst").await.expect(0);
    let [here, there] =
        [&project, &elsewhere].map(|of| of.data_dir().join("artifacts/43").join(ONE));
    assert_eq!([here.exists(), there.exists()], [true, false]);
    // Nor does it stay.
    let delete = format!("run delete {} --yes", maker["id"].as_str().unwrap());
    said(&project, &delete).await.expect(0);
    assert!(!here.exists());
}

#[tokio::test]
async fn files_of_all_levels_go_along_in_a_run_file_and_go_with_the_run() {
    let project = project(BACK).await;
    project.run(["run", "flow.yaml"]).await.expect(0);
    let outer = project.shown().await;
    let id = outer["id"].as_str().unwrap();
    said(&project, &format!("run export {id} run.tar.zst"))
        .await
        .expect(0);
    let elsewhere = Project::new();
    let file = "run.tar.zst";
    fs::copy(project.path().join(file), elsewhere.path().join(file)).unwrap();
    said(&elsewhere, "run import run.tar.zst").await.expect(0);
    let there = elsewhere.shown().await;
    assert_eq!(step(&there, "call")["files"], step(&outer, "call")["files"]);
    let all = step(&outer, "call")["files"][0]["sha256"].as_str().unwrap();
    for hash in [ONE, TWO, all] {
        said(&elsewhere, &format!("artifact get {hash} {hash}"))
            .await
            .expect(0);
    }
    for project in [&project, &elsewhere] {
        said(project, &format!("run delete {id} --yes"))
            .await
            .expect(0);
        for hash in [ONE, TWO, all] {
            let gone = said(project, &format!("artifact get {hash} gone")).await;
            gone.expect(3);
        }
    }
}

/// A server takes over a run whose files another one kept, and the run below it takes them.
#[tokio::test]
async fn servers_that_share_the_folder_of_kept_files_hand_them_over() {
    let cluster = Cluster::start().await;
    let project = cluster.project();
    let kept = project.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for name in ["one", "two"] {
        let data_dir = project.path().join(name);
        fs::create_dir(&data_dir).unwrap();
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&kept, data_dir.join("artifacts")).unwrap();
    }
    let one = cluster.node("one").await;
    project.write("script.yaml", SCRIPT);
    let asks = BACK.replacen("workflow: pass,", "workflow: pass, approval: Go on?,", 1);
    let mut flows = Vec::new();
    for source in [COUNT, PASS, &flow(&asks)] {
        let base_dir = project.path().display().to_string();
        let body = json!({ "source": source, "base_dir": base_dir });
        let made = one.post("/api/v1/workflows", &body).await.expect(201);
        flows.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let run = cluster.begin(&one, &flows[2], 1).await.remove(0);
    let path = format!("/api/v1/runs/{run}");
    let asked = |run: &Value| run["steps"][1]["waiting"].to_string().contains("Go on?");
    cluster.until(&one, &path, "it asks", asked).await;
    one.stop(Signal::TERM).await;
    let two = cluster.node("two").await;
    let inbox = said(project, "inbox --json --data-dir two").await;
    let question = inbox.expect(0).json()["items"][0]["id"].clone();
    let approve = format!("approve {} --data-dir two", question.as_str().unwrap());
    said(project, &approve).await.expect(0);
    let ended = cluster.end_of(&two, &run).await.unwrap();
    assert_eq!(ended["outputs"]["last"], "1\n2\n");
    two.stop(Signal::TERM).await;
}
