//! What `agent` asks for and prints.

use serde_json::{Value, json};

use crate::support::{
    Ended, Fake, answering, check_snapshot, completed_run, failed_run, fusion_kit,
};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn agent(name: &str, state: &str) -> Value {
    json!({
        "id": ID, "name": name, "state": state, "paused": null, "ending": null, "run": null,
        "project": null, "provider": "openrouter", "model": "some/model",
        "capabilities": ["coding", "review"], "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:01Z", "last_heartbeat": null,
    })
}

fn detail() -> Value {
    let mut detail = agent("writer", "paused");
    let more = json!({
        "paused": "next_step", "last_heartbeat": "2026-11-23T12:00:02Z",
        "instructions": "You write.\u{1b}[31m", "tools": ["files", "shell"], "hosts": ["docs.rs"],
        "grants": { "network": "full", "read": ["/srv/data"], "write": [], "env": [], "limits": { "cpu": 60 } }, "max_turns": 20,
        "subscriptions": ["review.*"], "metadata": { "team": "red" },
        "sandbox": { "sandbox": "on", "layers": [
            { "name": "landlock", "in_force": true, "detail": "" },
            { "name": "namespaces", "in_force": false, "detail": "not allowed" },
        ] },
        "workspace": { "path": "/data/w", "exists": true, "uid": 50001, "archive": null, "error": null },
        "task": { "id": "t", "run": "r", "step": "task", "state": "queued", "started_at": null },
        "inbox": 1, "tasks_completed": 2, "tasks_failed": 0,
        "usage": { "turns": 3, "input_tokens": 1000, "output_tokens": 204, "cost_usd": "0.0042" },
    });
    for (name, value) in more.as_object().unwrap() {
        detail[name] = value.clone();
    }
    detail
}

#[tokio::test]
async fn agents_are_asked_for_as_they_were_typed() {
    for (line, answer, wanted) in [
        (
            "agent spawn --name w --model m",
            json!({ "agents": [] }),
            "NewAgents { name: \"w\", count: None, provider: None, model: \"m\", capabilities: [], \
             tools: [], hosts: [], instructions: None, max_turns: None, max_cost: None, project: None, \
             workspace: Directory { template: None } }",
        ),
        (
            "agent spawn --name w --model m --provider p --count 3 --capabilities coding,review \
             --tools files,web --host docs.rs --instructions Write. --max-turns 7 --max-cost 2 --project red \
             --workspace worktree:../a@b/site@main",
            json!({ "agents": [] }),
            "NewAgents { name: \"w\", count: Some(3), provider: Some(\"p\"), model: \"m\", \
             capabilities: [\"coding\", \"review\"], tools: [\"files\", \"web\"], hosts: \
             [\"docs.rs\"], instructions: Some(\"Write.\"), max_turns: Some(7), \
             max_cost: Some(\"2\"), project: Some(\"red\"), \
             workspace: Worktree { repository: \"../a@b/site\", revision: Some(\"main\") } }",
        ),
        (
            "agent list --state idle,paused --run r --project red --limit 5",
            json!({ "agents": [] }),
            "AgentQuery { states: [\"idle\", \"paused\"], all: false, run: Some(\"r\"), project: \
             Some(\"red\"), limit: 5 }",
        ),
        ("agent get w", detail(), "show w"),
        ("agent pause w", agent("w", "paused"), "pause w next_step"),
        (
            "agent pause w --at now",
            agent("w", "paused"),
            "pause w now",
        ),
        ("agent resume w", agent("w", "idle"), "resume w"),
        (
            "agent update w --model n --tools= --max-turns 3 --max-cost 4",
            agent("w", "idle"),
            "update w AgentChanges { provider: None, model: Some(\"n\"), capabilities: None, tools: \
             Some([]), instructions: None, max_turns: Some(3), max_cost: Some(\"4\") }",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn who_is_to_end_and_what_is_shown_of_a_log_is_asked_as_it_was_typed() {
    for (line, answer, wanted) in [
        (
            "agent terminate a b --workspace archive",
            json!({ "agents": [], "left": [] }),
            "terminate Named([\"a\", \"b\"]) archive",
        ),
        (
            "agent terminate --all",
            json!({ "agents": [], "left": [] }),
            "terminate Standing([]) keep",
        ),
        (
            "agent terminate --all --state idle,error",
            json!({ "agents": [], "left": [] }),
            "terminate Standing([\"idle\", \"error\"]) keep",
        ),
        (
            "agent logs w --limit 3 --follow",
            json!({ "entries": [] }),
            "logs w LogQuery { limit: 3, since: None, follow: true }",
        ),
        (
            "agent logs w --since 10m",
            json!({ "entries": [] }),
            "logs w LogQuery { limit: 50, since: Some(Ago(600s)), follow: false }",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn a_restart_tells_who_goes_on_and_who_does_later() {
    let backend = answering(json!({ "agents": [agent("a", "idle"), agent("b", "paused")] }));
    let said = fusion_kit("agent restart a b --at now", &backend).await;
    let told =
        "a goes on: it is · idle\nb is ! paused: it goes on when the call in flight has ended\n";
    assert_eq!((said.code, said.out.as_str()), (0, told));
    assert_eq!(
        *backend.asked.lock().unwrap(),
        ["restart [\"a\", \"b\"] now"]
    );
}

#[tokio::test]
async fn what_is_not_one_wish_is_refused() {
    for (line, told) in [
        ("agent spawn --name w", "were not provided"),
        (
            "agent spawn --name w --model m --count 0",
            "is not in 1..=1000",
        ),
        ("agent terminate", "were not provided"),
        ("agent terminate --all w", "cannot be used with"),
        ("agent terminate w --state idle", "cannot be used with"),
        ("agent terminate --state idle", "were not provided"),
        ("agent update w", "were not provided"),
        ("agent send w", "were not provided"),
        (
            "agent list --state lost",
            "[possible values: spawning, idle",
        ),
    ] {
        let said = fusion_kit(line, &Fake::default()).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(told), "{line}: {}", said.err);
    }
}

#[tokio::test]
async fn agents_are_shown_with_their_true_state() {
    let mut of_run = agent("planner", "working");
    of_run["run"] = json!("run-1");
    let mut going = agent("old", "paused");
    going["ending"] = json!("remove");
    let list = json!({ "agents": [detail(), of_run, going, agent("gone", "terminated")] });
    let said = fusion_kit("agent list", &answering(list.clone())).await;
    check_snapshot("agent-list.txt", &said.out);
    let said = fusion_kit("agent get writer", &answering(detail())).await;
    check_snapshot("agent-get.txt", &said.out);
    let said = fusion_kit("agent get writer --json", &answering(detail())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), detail());
    let make = "make one with: fusion-kit agent spawn --name NAME --provider PROVIDER --model MODEL \
                --data-dir d\n";
    let ended = "no agent lives; see those that have ended with: fusion-kit agent list --all \
                 --data-dir d\n";
    for (line, err) in [
        ("agent list --data-dir d", format!("{ended}{make}")),
        (
            "agent list --all --data-dir d",
            format!("no such agents; {make}"),
        ),
    ] {
        let none = fusion_kit(line, &answering(json!({ "agents": [] }))).await;
        let wanted = Ended {
            code: 0,
            out: String::new(),
            err,
        };
        assert_eq!(none, wanted);
    }
}

#[tokio::test]
async fn one_that_could_not_be_ended_is_told_and_the_command_fails() {
    let mut ended = agent("writer", "terminated");
    ended["ending"] = json!("archive");
    let left = json!([{ "id": ID, "name": "coder", "why": "the disk is full" }]);
    let report = json!({ "agents": [ended, agent("other", "terminated")], "left": left });
    let line = "agent terminate --all --workspace archive";
    let said = fusion_kit(line, &answering(report)).await;
    let wanted = Ended {
        code: 1,
        out: "writer is - terminated; its workspace is archived\n\
              other is - terminated; its workspace is kept\n"
            .to_owned(),
        err: format!("error: coder ({ID}) has not ended: the disk is full\n"),
    };
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn what_an_agent_did_is_a_line_for_each_effect() {
    let entry = |kind: &str, name: &str, request: Value, outcome: Value| {
        json!({
            "run": "r", "task": "t", "step": "task", "seq": 1, "kind": kind, "name": name,
            "state": "finished", "effect": "read", "attempts": 1, "request": request,
            "outcome": outcome, "usage": { "turns": 0, "input_tokens": 0, "output_tokens": 0,
            "cost_usd": "0" }, "started_at": "2026-11-23T12:00:00Z",
            "finished_at": "2026-11-23T12:00:00.500Z",
        })
    };
    let answer = json!({ "answer": { "text": "Let me\nlook." } });
    let entries = json!([
        entry("turn", "some/model", json!({}), answer),
        entry(
            "tool",
            "list_files",
            json!({ "path": "." }),
            json!({ "ok": true })
        ),
    ]);
    let log = json!({ "entries": entries });
    let said = fusion_kit("agent logs w", &answering(log.clone())).await;
    assert_eq!(
        said.out,
        "2026-11-23 13:00:00 task turn some/model finished 0.5s  Let me look.\n\
         2026-11-23 13:00:00 task tool list_files finished 0.5s  {\"path\":\".\"} → {\"ok\":true}\n"
    );
    let said = fusion_kit("agent logs w --json", &answering(log.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), log);
    let said = fusion_kit("agent logs w --json --follow", &answering(log)).await;
    let lines = said.out.lines().map(|l| serde_json::from_str(l).unwrap());
    assert_eq!(Value::Array(lines.collect()), entries);
}

#[tokio::test]
async fn who_is_attached_to_an_agent_hears_of_what_failed_and_of_what_goes_on() {
    let none = json!({ "entries": [] });
    let went_on = "stopped keeps what it was sent, and a server goes on with it; see it again, and \
                   without a server go on, with: fusion-kit agent attach stopped --data-dir d\n";
    let backend = answering(none.clone());
    fusion_kit("agent attach w --limit 3", &backend).await;
    assert_eq!(*backend.asked.lock().unwrap(), ["attach w 3"]);
    for (agent, code, err) in [
        ("w", 0, ""),
        ("failing", 6, "run 1 did not end well: boom\n"),
        ("stopped", 130, went_on),
    ] {
        let line = format!("agent attach {agent} --data-dir d");
        let said = fusion_kit(&line, &answering(none.clone())).await;
        let wanted = Ended {
            code,
            out: String::new(),
            err: err.to_owned(),
        };
        assert_eq!(said, wanted);
    }
}

fn sent(result: impl serde::Serialize) -> Value {
    json!({
        "message": ID, "agent": ID, "name": "writer", "state": "idle", "run": "run-1",
        "result": result,
    })
}

#[tokio::test]
async fn who_waits_for_an_agent_gets_its_result_and_its_exit_code() {
    let backend = answering(sent(Value::Null));
    let said = fusion_kit("agent send writer Write a haiku.", &backend).await;
    assert_eq!(
        *backend.asked.lock().unwrap(),
        ["send writer Write a haiku. false"]
    );
    assert_eq!(
        said.out,
        format!(
            "sent {ID} to writer, which does it in run run-1\n\
             see how it goes: fusion-kit run show run-1\n\
             without a server nobody works on it until: fusion-kit resume run-1\n"
        )
    );
    for (run, code) in [(completed_run(), 0), (failed_run(), 6)] {
        let report = sent(&run);
        let said = fusion_kit("agent send writer Go. --wait", &answering(report.clone())).await;
        assert_eq!(said.code, code);
        assert!(
            said.out.contains("look closer: fusion-kit run show"),
            "{}",
            said.out
        );
        let said = fusion_kit(
            "agent send writer Go. --wait --json",
            &answering(report.clone()),
        )
        .await;
        assert_eq!(said.code, code);
        assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), report);
    }
}

#[tokio::test]
async fn the_path_of_a_workspace_is_printed_alone_as_long_as_it_is_there() {
    let said = fusion_kit("workspace path writer", &answering(detail())).await;
    let wanted = Ended {
        code: 0,
        out: "/data/w\n".to_owned(),
        err: String::new(),
    };
    assert_eq!(said, wanted);
    let json = fusion_kit("workspace path writer --json", &answering(detail())).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json, json!({ "agent": ID, "path": "/data/w" }));
    let mut gone = detail();
    gone["workspace"]["exists"] = json!(false);
    gone["workspace"]["archive"] = json!("/data/w.tar");
    let said = fusion_kit("workspace path writer", &answering(gone)).await;
    let wanted = Ended {
        code: 3,
        out: String::new(),
        err:
            "error: the workspace of 'writer' is not there\nhelp: it was packed into /data/w.tar\n"
                .to_owned(),
    };
    assert_eq!(said, wanted);
}

/// What `agent get` and `agent terminate` answer alike.
fn leaving(task: &str) -> Value {
    let mut answer = detail();
    answer["task"]["state"] = json!(task);
    answer["agents"] = json!([]);
    answer["left"] = json!([]);
    answer
}

#[tokio::test]
async fn every_agent_is_held_and_one_at_work_is_waited_for_before_it_is_ended() {
    let (pause, look) = (format!("pause {ID} next_step"), format!("show {ID}"));
    let backend = answering(leaving("queued"));
    let said = fusion_kit("agent terminate w --grace 30s", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "show w",
            pause.as_str(),
            look.as_str(),
            "terminate Named([\"w\"]) keep"
        ]
    );
    let backend = answering(leaving("running"));
    let said = fusion_kit("agent terminate w --grace 1s", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let asked = backend.asked.lock().unwrap().clone();
    let looks = asked.iter().filter(|asked| **asked == look).count();
    assert!(looks > 1, "{asked:?}");
    assert_eq!(asked[..2], ["show w", pause.as_str()]);
    assert_eq!(asked.last().unwrap(), "terminate Named([\"w\"]) keep");
    for line in [
        "agent terminate w --grace 30s --force",
        "agent terminate --all --state idle --grace 30s",
    ] {
        assert_eq!(fusion_kit(line, &backend).await.code, 2, "{line}");
    }
    let backend = answering(leaving("running"));
    let said = fusion_kit("agent terminate w --force", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(
        *backend.asked.lock().unwrap(),
        ["terminate Named([\"w\"]) keep"]
    );
}
