//! Steps that are tried again, done again, done for each entry of a list, or are commands; and steps
//! whose failure does not end the run.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::crash::{die_at, go_on, result};
use crate::support::{Project, states, step, wait_for};

/// A file whose agent `w` answers from `script.yaml`, with these steps.
fn flow(agent: &str, steps: &str) -> String {
    format!(
        "
version: 1
name: flow
inputs: {{ list: {{ type: array, default: [1, 2, 3] }} }}
agents:
  w: {{ provider: scripted, model: script.yaml{agent} }}
steps:
{steps}
"
    )
}

/// Answers of steps: the name of each, then its texts.
fn script(steps: &[(&str, &[&str])]) -> String {
    let mut script = "version: 1\nsteps:\n".to_owned();
    for (name, texts) in steps {
        script.push_str(&format!("  {name}:\n"));
        for text in *texts {
            script.push_str(&format!("    - text: {}\n", json!(text)));
        }
    }
    script
}

/// Runs it to its end; gives what is shown of it.
async fn run(workflow: &str, script: &str, code: i32) -> Value {
    let project = Project::with(workflow, script);
    project.run(["run", "flow.yaml"]).await.expect(code);
    project.shown().await
}

const MISFIT: [&str; 2] = ["no", "still no"];

const GOOD: &str = r#"{ "ok": true }"#;

const BAD: &str = r#"{ "ok": false }"#;

const OUTPUTS: &str = "outputs: { ok: { type: boolean } }";

#[tokio::test]
async fn a_step_that_failed_is_tried_again_and_told_why() {
    let steps = format!(
        "  - {{ id: s, agent: w, prompt: 'Try ${{{{ attempt }}}}.', {OUTPUTS},
      retry: {{ max_attempts: 3, delay: 1s }} }}"
    );
    let answers = [
        ("s", &MISFIT[..]),
        ("\"s#2\"", &MISFIT),
        ("\"s#3\"", &[GOOD]),
    ];
    let project = Project::with(&flow("", &steps), &script(&answers));
    let ended = project.run(["run", "flow.yaml"]).await.expect(0);
    assert!(ended.stderr.contains("attempt 2 of 3"), "{}", ended.stderr);
    let shown = project.shown().await;
    let done = step(&shown, "s");
    assert_eq!(done["outputs"], json!({ "ok": true }));
    assert_eq!(
        (&done["attempts"], &done["error"]),
        (&json!(3), &Value::Null)
    );
    let seqs: Vec<&Value> = done["journal"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["seq"])
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_step_is_tried_no_more_often_than_it_says_and_not_at_all_where_that_is_useless() {
    let steps = format!(
        "  - {{ id: s, agent: w, prompt: x, {OUTPUTS}, retry: {{ max_attempts: 2, delay: 1s }} }}
  - {{ id: t, agent: w, prompt: '${{{{ inputs.list[9] }}}}', retry: {{ max_attempts: 9, delay: 24h }} }}"
    );
    let answers = [("s", &MISFIT[..]), ("t", &["x"])];
    let shown = run(&flow("", &steps), &script(&answers), 6).await;
    assert_eq!(step(&shown, "s")["attempts"], 2);
    assert_eq!(step(&shown, "t")["attempts"], 1);
    assert_eq!(states(&shown), [("s", "failed"), ("t", "failed")]);
}

#[tokio::test]
async fn a_failure_ends_skips_or_lets_go_on_what_needs_the_step() {
    let steps = format!(
        "  - {{ id: a, agent: w, prompt: x, {OUTPUTS}, on_failure: continue }}
  - {{ id: b, agent: w, prompt: x, {OUTPUTS}, on_failure: skip }}
  - {{ id: after_a, agent: w, needs: a, if: \"steps.a.status == 'failed'\", prompt: '${{{{ steps.a.error }}}}' }}
  - {{ id: after_b, agent: w, needs: b, prompt: x }}"
    );
    let answers = [
        ("a", &MISFIT[..]),
        ("b", &MISFIT),
        ("after_a", &["mended"]),
        ("after_b", &["x"]),
    ];
    let project = Project::with(&flow("", &steps), &script(&answers));
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    assert_eq!(
        states(&shown),
        [
            ("a", "failed"),
            ("b", "failed"),
            ("after_a", "completed"),
            ("after_b", "cancelled")
        ]
    );
    assert_eq!(
        step(&shown, "after_b")["cancel_reason"],
        "dependency_skipped"
    );
    assert_eq!(shown["state"], "completed");
}

#[tokio::test]
async fn a_list_is_done_by_several_agents_and_joined_in_its_order() {
    let steps = "
  - { id: each, agent: w, foreach: '${{ inputs.list }}', prompt: '${{ index }} ${{ item }}' }
  - { id: none, agent: w, foreach: '${{ [] }}', prompt: x }
  - { id: sum, agent: w, needs: [each, none], prompt: \"${{ steps.each.outputs | map(attribute='text') | join }}\" }";
    let answers = [
        ("each", &["z"][..]),
        ("\"each[0]\"", &["x"]),
        ("\"each[1]\"", &["y"]),
        ("none", &["never"]),
        ("sum", &["done"]),
    ];
    let shown = run(&flow(", count: 2", steps), &script(&answers), 0).await;
    let texts = json!([{ "text": "x" }, { "text": "y" }, { "text": "z" }]);
    assert_eq!(step(&shown, "each")["outputs"], texts);
    assert_eq!(step(&shown, "none")["outputs"], json!([]));
    assert_eq!(
        (&shown["steps_completed"], &shown["steps_total"]),
        (&json!(6), &json!(6))
    );
    let names: Vec<&Value> = shown["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["name"])
        .collect();
    assert_eq!(names, ["w-1", "w-2"]);
}

#[tokio::test]
async fn a_failed_item_fails_its_step_unless_the_step_bears_it() {
    let steps = format!(
        "  - {{ id: strict, agent: w, foreach: '${{{{ inputs.list }}}}', prompt: x, {OUTPUTS} }}
  - {{ id: after, agent: w, needs: strict, prompt: x }}
  - {{ id: lenient, agent: w, foreach: '${{{{ inputs.list }}}}', prompt: x, {OUTPUTS}, on_failure: continue }}"
    );
    let answers = [
        ("strict", &[GOOD][..]),
        ("\"strict[0]\"", &MISFIT),
        ("lenient", &[GOOD]),
        ("\"lenient[1]\"", &MISFIT),
        ("after", &["x"]),
    ];
    let shown = run(&flow("", &steps), &script(&answers), 6).await;
    let strict = step(&shown, "strict");
    let why = strict["error"].as_str().unwrap();
    assert!(why.starts_with("item 0 failed: "), "{why}");
    assert_eq!(step(&shown, "after")["cancel_reason"], "dependency_failed");
    let lenient = step(&shown, "lenient");
    let made = json!([{ "ok": true }, null, { "ok": true }]);
    assert_eq!(
        (&lenient["state"], &lenient["outputs"]),
        (&json!("completed"), &made)
    );
}

#[tokio::test]
async fn a_step_is_repeated_until_it_is_good_and_no_longer_than_it_says() {
    let steps = format!(
        "  - {{ id: good, agent: w, prompt: '${{{{ round }}}} ${{{{ previous }}}}', {OUTPUTS}, repeat: {{ until: outputs.ok, max: 3 }} }}
  - {{ id: bad, agent: w, prompt: x, {OUTPUTS}, repeat: {{ until: outputs.ok, max: 2 }} }}
  - {{ id: borne, agent: w, prompt: x, {OUTPUTS}, repeat: {{ until: outputs.ok, max: 2, on_max: continue }} }}"
    );
    let answers = [
        ("good", &[BAD][..]),
        ("\"good#2\"", &[GOOD]),
        ("bad", &[BAD]),
        ("borne", &[BAD]),
    ];
    let shown = run(&flow("", &steps), &script(&answers), 6).await;
    let of = |name| {
        let step = step(&shown, name);
        (
            step["state"].clone(),
            step["attempts"].clone(),
            step["outputs"].clone(),
        )
    };
    assert_eq!(
        of("good"),
        (json!("completed"), json!(2), json!({ "ok": true }))
    );
    assert_eq!(of("bad"), (json!("failed"), json!(2), Value::Null));
    assert_eq!(
        of("borne"),
        (json!("completed"), json!(2), json!({ "ok": false }))
    );
    let why = step(&shown, "bad")["error"].as_str().unwrap().to_owned();
    assert_eq!(why, "`until: outputs.ok` is false after 2 rounds");
}

#[tokio::test]
async fn a_command_runs_where_it_says_and_gives_its_exit_code_and_output() {
    let steps = "
  - { id: write, agent: w, prompt: x }
  - { id: own, run: 'ls projects; echo $((20 + 22)) | tee projects/made', artifacts: 'projects/*', verify: 'test -s projects/made' }
  - { id: shared, needs: write, run: cat projects/note, workspace: { shared_with: write } }
  - { id: broken, run: 'echo lost >&2; exit 3', on_failure: continue }
  - { id: after, needs: broken, run: 'echo ${{ steps.broken.outputs.exit_code }} ${{ steps.broken.status }}' }";
    let answers = "
version: 1
steps:
  write:
    - tool_calls: [{ name: write_file, arguments: { path: projects/note, content: hello } }]
    - text: done
";
    let shown = run(&flow(", tools: [files]", steps), answers, 0).await;
    let output = |name| step(&shown, name)["outputs"].clone();
    assert_eq!(output("own"), json!({ "exit_code": 0, "output": "42\n" }));
    assert_eq!(
        output("shared"),
        json!({ "exit_code": 0, "output": "hello" })
    );
    assert_eq!(
        output("broken"),
        json!({ "exit_code": 3, "output": "lost\n" })
    );
    assert_eq!(
        output("after"),
        json!({ "exit_code": 0, "output": "3 failed\n" })
    );
    let made = step(&shown, "own")["artifacts"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(made.ends_with("projects/made"), "{made}");
    let why = step(&shown, "broken")["error"].as_str().unwrap().to_owned();
    assert_eq!(why, "the command ended with exit code 3: lost");
}

#[tokio::test]
async fn a_command_that_was_cut_off_is_not_run_again_unless_it_may_be() {
    let steps = |more: &str| {
        let waits = "test -e projects/begun && echo again || { touch projects/begun; sleep 600; }";
        flow("", &format!("  - {{ id: s, run: '{waits}'{more} }}"))
    };
    for (more, code, output) in [
        ("", 6, Value::Null),
        (", repeatable: true", 0, json!("again\n")),
        (", retry: { max_attempts: 5, delay: 1s }", 6, Value::Null),
    ] {
        let project = Project::with(&steps(more), "version: 1\nsteps: {}\n");
        let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
        let begun = || {
            let processes = project.processes();
            processes
                .iter()
                .any(|line| line.contains(": sleep 600"))
                .then_some(())
        };
        wait_for("the command to run", begun).await;
        running.signal(Signal::KILL);
        running.finish().await;
        project.run(["resume", "--quiet"]).await.expect(code);
        let shown = project.shown().await;
        let step = step(&shown, "s");
        assert_eq!(step["outputs"]["output"], output, "{more}");
        if code != 0 {
            let why = step["error"].as_str().unwrap();
            assert!(
                why.starts_with("the outcome of the command is unknown"),
                "{why}"
            );
            assert_eq!(step["journal"][0]["state"], "unknown");
        }
    }
}

/// Everything that begins a task anew or makes new ones, in as few commits as can be.
fn all_at_once() -> Project {
    let steps = format!(
        "  - {{ id: each, agent: w, foreach: '${{{{ [1, 2] }}}}', max_parallel: 1, prompt: x, {OUTPUTS},
      retry: {{ max_attempts: 2, delay: 1s }} }}
  - {{ id: good, agent: w, needs: each, prompt: x, {OUTPUTS}, repeat: {{ until: outputs.ok, max: 2 }} }}
  - {{ id: bad, needs: good, run: 'exit 3', on_failure: continue, repeatable: true }}
  - {{ id: last, needs: bad, run: 'echo ${{{{ steps.each.outputs | length }}}} > projects/made; cat projects/made',
      repeatable: true, artifacts: projects/made }}"
    );
    let answers = [
        ("each", &[GOOD][..]),
        ("\"each[0]\"", &MISFIT),
        ("\"each[0]#2\"", &[GOOD]),
        ("good", &[BAD]),
        ("\"good#2\"", &[GOOD]),
    ];
    Project::with(&flow("", &steps), &script(&answers))
}

#[tokio::test]
async fn lists_rounds_attempts_and_commands_survive_a_death_at_every_commit() {
    let whole = all_at_once();
    whole.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let wanted = result(&whole).await;
    assert_eq!(wanted["steps"]["last"]["outputs"]["output"], "2\n");
    for (point, least) in [
        ("persistence_sql::after_commit", 20),
        ("agents::after_effect", 6),
    ] {
        let mut deaths = 0;
        for passing in 0.. {
            let project = all_at_once();
            let command = ["run", "flow.yaml", "--quiet"];
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            go_on(&project, "flow.yaml").await;
            let place = format!("death at {point}, passing {passing}");
            assert_eq!(result(&project).await, wanted, "{place}");
            let shown = project.shown().await;
            assert_eq!(shown["steps_total"], 6, "{place}");
        }
        assert!(deaths >= least, "{point} was reached {deaths} times");
    }
}
