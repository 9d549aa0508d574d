//! Runs against a model server: what it is asked, and what its faults and its words lead to.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{Project, contents, states, step};

/// The environment variables of keys, with keys that must turn up nowhere.
const KEYS: [(&str, &str); 2] = [
    ("FUSION_API_KEY", "sk-fusion-6c1f0a7e"),
    ("OPENROUTER_API_KEY", "sk-or-94d2b85c"),
];

/// A model server that knows one model and answers turns with `answers`.
pub(crate) async fn server(model: &str, answers: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    let models = json!({ "object": "list", "data": [{ "id": model, "object": "model" }] });
    Mock::given(method("GET"))
        .and(path("/v1/models"))
        .respond_with(ResponseTemplate::new(200).set_body_json(models))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .respond_with(answers)
        .mount(&server)
        .await;
    server
}

/// One answer after the other; the last one again and again.
pub(crate) struct InTurn(AtomicUsize, Vec<ResponseTemplate>);

impl InTurn {
    pub(crate) fn new(answers: impl IntoIterator<Item = ResponseTemplate>) -> Self {
        Self(AtomicUsize::new(0), answers.into_iter().collect())
    }
}

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        self.1[turn.min(self.1.len() - 1)].clone()
    }
}

fn message(message: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "gen-1", "object": "chat.completion", "model": "tiny",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": message }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107 },
    }))
}

pub(crate) fn text(text: &str) -> ResponseTemplate {
    message(&json!({ "role": "assistant", "content": text }))
}

fn command(command: &str) -> ResponseTemplate {
    let arguments = json!({ "command": command }).to_string();
    message(&json!({
        "role": "assistant", "content": null,
        "tool_calls": [{ "id": "call-1", "type": "function",
                         "function": { "name": "run_command", "arguments": arguments } }],
    }))
}

pub(crate) async fn turns_asked(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let turns = requests.iter().filter(|it| it.method == "POST");
    turns.map(|it| it.body_json().unwrap()).collect()
}

/// A step of one agent with a shell at the model server.
const SHELL: &str = "
version: 1
name: flow
agents:
  worker: { provider: openai-compatible, model: tiny, tools: [shell] }
steps:
  - { id: work, agent: worker, prompt: Work. }
";

#[tokio::test]
async fn the_local_model_example_chains_three_answers() {
    let server = server(
        "qwen-coder-0.5b",
        InTurn::new([
            text("Bees dance."),
            text("They do so at noon."),
            text("Dances"),
        ]),
    )
    .await;
    let project = Project::of_examples();
    let run = project
        .fusion_kit(["run", "local-model.yaml", "-i", "topic=bees", "--json"])
        .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
        .finish()
        .await
        .expect(0)
        .json();
    assert_eq!(
        run["outputs"],
        json!({ "title": "Dances", "text": "They do so at noon." })
    );
    assert_eq!(
        run["usage"],
        json!({ "turns": 3, "input_tokens": 300, "output_tokens": 21, "cost_usd": "0" })
    );
    assert_eq!(run["scripted"], false);
    let asked = turns_asked(&server).await;
    let expected = [
        "List three short facts about bees.",
        "Write two sentences about bees. Use these facts:\nBees dance.\n",
        "Give a title of at most eight words for this text:\nThey do so at noon.\n",
    ];
    for (asked, prompt) in asked.iter().zip(expected) {
        assert_eq!(asked["model"], "qwen-coder-0.5b");
        assert_eq!(asked["max_tokens"], 160);
        assert_eq!(asked["temperature"], 0.0);
        assert_eq!(asked.get("tools"), None);
        let messages = asked["messages"].as_array().unwrap();
        assert_eq!(messages[0]["role"], "system");
        let said = messages[0]["content"].as_str().unwrap();
        assert!(
            said.contains("You answer briefly and in plain English."),
            "{said}"
        );
        assert_eq!(
            messages[1..],
            [json!({ "role": "user", "content": prompt })]
        );
    }
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn a_model_that_the_server_lacks_is_told_with_the_nearest_name() {
    let server = server("qwen-coder-1.5b", InTurn::new([text("x")])).await;
    let project = Project::of_examples();
    let before = project.contents();
    project
        .fusion_kit(["run", "local-model.yaml", "-i", "topic=bees"])
        .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
        .finish()
        .await
        .expect(5)
        .says(&[
            "openai-compatible has no model 'qwen-coder-0.5b'",
            "local-model.yaml:20:12",
            "did you mean 'qwen-coder-1.5b'?",
        ]);
    assert_eq!(project.contents(), before);
}

#[tokio::test]
async fn settings_come_from_dot_env_and_the_environment_wins() {
    let server = server("tiny", InTurn::new([text("done")])).await;
    let project = Project::with(SHELL, "");
    let url = format!("{}/v1", server.uri());
    let settings = format!("FUSION_BASE_URL={url}\nFUSION_KIT_DATA_DIR=kept\nWORKSPACES_ROOT=\n");
    project.write(".env", settings);
    project.run(["run", "flow.yaml"]).await.expect(0);
    assert!(project.path().join("kept/fusion.db").exists());
    assert!(!project.data_dir().exists());

    project
        .fusion_kit(["run", "flow.yaml"])
        .env("FUSION_BASE_URL", "http://127.0.0.1:9/v1")
        .finish()
        .await
        .expect(10)
        .says(&["can't be reached at http://127.0.0.1:9/v1"]);
}

#[tokio::test]
async fn a_server_that_fails_again_and_again_makes_the_step_wait_and_loses_nothing() {
    let dying = ResponseTemplate::new(500).set_body_string("the tensor is lost");
    let answers = [vec![command("true")], vec![dying; 9], vec![text("done")]].concat();
    let server = server("tiny", InTurn::new(answers)).await;
    let project = Project::with(SHELL, "");
    let call = |arguments: &[&str]| {
        project
            .fusion_kit(arguments)
            .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
    };
    call(&["run", "flow.yaml"])
        .finish()
        .await
        .expect(10)
        .says(&[
            "error: step 'work' has to wait: openai-compatible failed (500): the tensor is lost",
            "nothing that was done is lost; go on with: fusion-kit resume ",
        ]);
    assert_eq!(
        turns_asked(&server).await.len(),
        10,
        "one turn, then three tries of the step with three calls each"
    );
    let run = project.shown().await;
    assert_eq!(run["interrupted"], true);
    assert_eq!(states(&run), [("work", "queued")]);
    call(&["resume"]).finish().await.expect(0);
    let run = project.shown().await;
    assert_eq!(states(&run), [("work", "completed")]);
    let journal = step(&run, "work")["journal"].as_array().unwrap().iter();
    let began: Vec<(&str, u64)> = journal
        .map(|entry| {
            (
                entry["kind"].as_str().unwrap(),
                entry["attempts"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(began, [("turn", 1), ("tool", 1), ("turn", 4)]);
}

#[tokio::test]
async fn a_refused_key_is_no_failure_of_the_step() {
    let refused = ResponseTemplate::new(401).set_body_json(json!({ "error": { "message": "no" } }));
    let server = server("tiny", InTurn::new([refused])).await;
    let project = Project::with(SHELL, "");
    project
        .fusion_kit(["run", "flow.yaml"])
        .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
        .finish()
        .await
        .expect(4)
        .says(&["has to wait"]);
    assert_eq!(states(&project.shown().await), [("work", "queued")]);
    assert_eq!(turns_asked(&server).await.len(), 1);
}

#[tokio::test]
async fn a_request_that_the_server_does_not_take_fails_the_step() {
    let wrong = ResponseTemplate::new(400).set_body_string("too many words");
    let server = server("tiny", InTurn::new([wrong])).await;
    let project = Project::with(SHELL, "");
    project
        .fusion_kit(["run", "flow.yaml"])
        .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
        .finish()
        .await
        .expect(6)
        .says(&[
            "error: step 'work' failed: ",
            "too many words",
            "help: look closer: fusion-kit run show ",
        ]);
    let run = project.shown().await;
    assert_eq!(run["state"], "failed");
    assert_eq!(states(&run), [("work", "failed")]);
}

#[tokio::test]
async fn keys_turn_up_nowhere_but_at_the_server() {
    // The agent looks for them where it can, and the server throws the key back.
    let looking = "env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true";
    let [(_, key), _] = KEYS;
    let scolding = ResponseTemplate::new(400)
        .set_body_json(json!({ "error": { "message": format!("I dislike {key}") } }));
    let server = server("tiny", InTurn::new([command(looking), scolding])).await;
    let project = Project::with(SHELL, "");
    let mut call = project
        .fusion_kit(["run", "flow.yaml", "-vvv"])
        .env("FUSION_BASE_URL", format!("{}/v1", server.uri()))
        .env("FUSION_KIT_LOG", "trace");
    for (name, key) in KEYS {
        call = call.env(name, key);
    }
    let ended = call.finish().await.expect(6);
    let run = project.shown().await;
    let seen = step(&run, "work")["journal"][1]["outcome"]["content"]
        .as_str()
        .unwrap();
    assert!(seen.contains("HOME=") && seen.contains("PATH="), "{seen}");

    let requests = server.received_requests().await.unwrap();
    let sent = requests.last().unwrap().headers["authorization"]
        .to_str()
        .unwrap();
    assert_eq!(sent, format!("Bearer {key}"));
    for (name, key) in KEYS {
        assert!(
            !ended.stdout.contains(key) && !ended.stderr.contains(key),
            "{name}"
        );
        for (path, bytes) in contents(project.path()) {
            let bytes = bytes.unwrap_or_default();
            let found = bytes.windows(key.len()).any(|part| part == key.as_bytes());
            assert!(!found, "{name} is in {}", path.display());
        }
    }
}

const CHOOSING: &str = "
version: 1
name: flow
inputs:
  who: { type: string }
  model: { type: string }
agents:
  worker:
    provider: ${{ inputs.who }}
    model: ${{ inputs.model }}
    fallback_models: [\"${{ inputs.model }}-2\"]
steps:
  - { id: work, agent: worker, prompt: Work. }
";

#[tokio::test]
async fn inputs_choose_the_provider_and_the_model_and_a_resumed_run_keeps_them() {
    let refused = ResponseTemplate::new(401).set_body_json(json!({ "error": "no" }));
    let server = server("tiny", InTurn::new([refused, text("done")])).await;
    let mut project = Project::with(CHOOSING, "");
    project.set("FUSION_BASE_URL", format!("{}/v1", server.uri()));
    let chosen = ["-i", "who=openai-compatible", "-i", "model=tiny"];
    let run = [&["run", "flow.yaml"], chosen.as_slice()].concat();
    project.run(run).await.expect(4);
    let run = project.run(["resume", "--json"]).await.expect(0).json();
    assert_eq!(step(&run, "work")["outputs"], json!({ "text": "done" }));
    let agent = &run["agents"][0];
    assert_eq!(
        (&agent["provider"], &agent["model"]),
        (&json!("openai-compatible"), &json!("tiny"))
    );
    let asked: Vec<Value> = turns_asked(&server).await;
    let models: Vec<&Value> = asked.iter().map(|turn| &turn["model"]).collect();
    assert_eq!(models, ["tiny", "tiny"]);
}
