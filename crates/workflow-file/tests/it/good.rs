//! Files without a fault.

use fusion_core::{
    AgentSpec, Assignee, Budget, FlowRule, InputSpec, InputType, ModelChoice, SandboxSpec,
    StepSpec, StuckSpec, ToolGroup, WorkflowDefinition, WorkspaceSpec,
};
use fusion_workflow_file::{parse, render};
use serde_json::{Map, Value, json};

pub(crate) const FEATURE: &str = include_str!("files/feature.yaml");

fn input(kind: InputType, default: Option<Value>, description: &str) -> InputSpec {
    InputSpec {
        kind,
        required: default.is_none(),
        default,
        description: description.into(),
    }
}

fn agent(model: &str, capability: &str) -> AgentSpec {
    AgentSpec {
        provider: "openrouter".into(),
        model: model.into(),
        capabilities: [capability].into_iter().collect(),
        count: 1,
        instructions: String::new(),
        tools: vec![],
        max_turns: 20,
        max_repeats: 6,
        context_tokens: None,
        max_tokens: None,
        temperature: None,
        fallback_models: vec![],
        provider_options: Map::new(),
        sandbox: SandboxSpec::default(),
        workspace: WorkspaceSpec::default(),
        when_stuck: StuckSpec::default(),
        budget: Budget::default(),
        web_hosts: vec![],
        subscriptions: vec![],
    }
}

fn choice(provider: &str, model: &str) -> ModelChoice {
    ModelChoice {
        provider: provider.into(),
        model: model.into(),
    }
}

fn budget(usd: Option<&str>, tokens: Option<u64>) -> Budget {
    Budget {
        usd: usd.map(|usd| usd.parse().unwrap()),
        tokens,
    }
}

fn rule(from: &[&str], to: &[&str], topics: &[&str]) -> FlowRule {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    FlowRule {
        from: texts(from),
        to: texts(to),
        topics: texts(topics),
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn step(id: &str, assignee: Assignee, prompt: &str) -> StepSpec {
    StepSpec {
        timeout_seconds: 1_800,
        ..StepSpec::new(id, assignee, prompt)
    }
}

fn critic() -> AgentSpec {
    AgentSpec {
        tools: vec![ToolGroup::Files],
        max_tokens: Some(2_000),
        temperature: Some(0.2),
        fallback_models: vec![
            choice("openrouter", "anthropic/claude-haiku-4.5"),
            choice("openai-compatible", "qwen3"),
        ],
        provider_options: object(&json!({
            "provider": {"sort": "price", "zdr": true},
            "top_p": 0.9,
        })),
        budget: budget(None, Some(50_000)),
        subscriptions: vec!["review.*".into(), "broadcast.all".into()],
        ..agent("openai/gpt-5-mini", "review")
    }
}

fn feature() -> WorkflowDefinition {
    let sonnet = "anthropic/claude-sonnet-4.5";
    WorkflowDefinition {
        name: "feature".into(),
        description: "Plan, build and review one change.".into(),
        inputs: [
            ("issue".into(), input(InputType::String, None, "")),
            ("size".into(), input(InputType::Integer, None, "")),
            (
                "labels".into(),
                input(InputType::Array, Some(json!(["bug"])), "Where it belongs."),
            ),
        ]
        .into(),
        agents: [
            (
                "planner".into(),
                AgentSpec {
                    instructions: "You plan. Answer with a short list of tasks.".into(),
                    ..agent(sonnet, "planning")
                },
            ),
            (
                "coder".into(),
                AgentSpec {
                    tools: vec![ToolGroup::Files, ToolGroup::Shell],
                    max_turns: 40,
                    ..agent(sonnet, "coding")
                },
            ),
            ("critic".into(), critic()),
        ]
        .into(),
        steps: vec![
            StepSpec {
                outputs: [(
                    "tasks".into(),
                    json!({"type": "array", "items": {"type": "string"}}),
                )]
                .into(),
                ..step(
                    "plan",
                    Assignee::Capabilities(["planning"].into_iter().collect()),
                    "Plan this change: ${{ inputs.issue }}",
                )
            },
            StepSpec {
                needs: vec!["plan".into()],
                artifacts: vec!["projects/**".into()],
                verify: vec!["sh ./check.sh".into()],
                timeout_seconds: 90,
                priority: -3,
                approval: None,
                ..step(
                    "build",
                    Assignee::Agent("coder".into()),
                    "Do, of size ${{ inputs.size }}:\n${{ steps.plan.outputs.tasks }}\n",
                )
            },
            StepSpec {
                needs: vec!["build".into()],
                condition: Some("${{ steps.build.status == 'completed' }}".into()),
                outputs: [("approved".into(), json!({"type": "boolean"}))].into(),
                ..step(
                    "review",
                    Assignee::Agent("critic".into()),
                    "Review ${{ steps.build.artifacts | join(', ') }} \
                     after ${{ steps.plan.outputs['tasks'][1:] }}",
                )
            },
        ],
        outputs: [
            ("report".into(), "${{ steps.review.outputs }}".into()),
            ("run".into(), "${{ run.id }} of ${{ workflow.name }}".into()),
        ]
        .into(),
        budget: budget(Some("2.5"), Some(2_000_000)),
        artifacts: Vec::new(),
        total_budget: budget(Some("100"), None),
        message_flow: Some(vec![
            rule(&["planner", "coder"], &["critic"], &["review.*"]),
            rule(&["critic"], &[], &[]),
        ]),
    }
}

#[test]
fn every_key_of_a_yaml_file_arrives_in_the_definition() {
    assert_eq!(parse(FEATURE), Ok(feature()));
}

#[test]
fn the_same_file_as_json_gives_the_same_definition() {
    let text = json!({
        "version": 1,
        "name": "small",
        "agents": {"a": {"provider": "p", "model": "m"}},
        "steps": [
            {"id": "one", "agent": "a", "prompt": "Say \"${{ 1 + 1 }}\".\n"},
            {"id": "two", "agent": "a", "needs": ["one"], "if": true, "prompt": "${{ steps.one.outputs.text }}"},
        ],
    });
    let agent = AgentSpec {
        provider: "p".into(),
        capabilities: Default::default(),
        ..agent("m", "")
    };
    let first = StepSpec {
        timeout_seconds: 1_200,
        ..step(
            "one",
            Assignee::Agent("a".into()),
            "Say \"${{ 1 + 1 }}\".\n",
        )
    };
    let second = StepSpec {
        needs: vec!["one".into()],
        condition: Some("true".into()),
        timeout_seconds: 1_200,
        ..step(
            "two",
            Assignee::Agent("a".into()),
            "${{ steps.one.outputs.text }}",
        )
    };
    let expected = WorkflowDefinition {
        name: "small".into(),
        description: String::new(),
        inputs: [].into(),
        agents: [("a".into(), agent)].into(),
        steps: vec![first, second],
        outputs: [].into(),
        budget: Budget::default(),
        artifacts: Vec::new(),
        total_budget: Budget::default(),
        message_flow: None,
    };
    assert_eq!(parse(&text.to_string()), Ok(expected.clone()));
    assert_eq!(parse(&format!("{text:#}")), Ok(expected));
}

#[test]
fn an_anchor_can_stand_for_a_repeated_value() {
    let text = "version: 1\nname: n\nagents:\n  a: &a { provider: p, model: m }\n  b: *a\n\
                steps:\n  - { id: one, agent: b, prompt: hi }\n";
    let definition = parse(text).unwrap();
    assert_eq!(definition.agents["a"], definition.agents["b"]);
}

#[test]
fn what_the_static_check_lets_through_has_a_value_at_run_time() {
    let context = json!({
        "inputs": {"issue": "bees", "size": 3, "labels": ["bug"]},
        "steps": {
            "plan": {"status": "completed", "outputs": {"tasks": ["a", "b"]}, "artifacts": []},
            "build": {"status": "completed", "outputs": {"text": "done"}, "artifacts": ["x", "y"]},
            "review": {"status": "completed", "outputs": {"approved": true}, "artifacts": []},
        },
        "run": {"id": "run_1"},
        "workflow": {"name": "feature"},
    });
    let definition = feature();
    let prompts: Vec<Value> = definition
        .steps
        .iter()
        .map(|step| render(&step.prompt, &context).unwrap())
        .collect();
    assert_eq!(
        prompts,
        [
            json!("Plan this change: bees"),
            json!("Do, of size 3:\n[\"a\",\"b\"]\n"),
            json!("Review x, y after [\"b\"]"),
        ]
    );
    assert_eq!(
        render(&definition.outputs["report"], &context),
        Ok(json!({"approved": true}))
    );
}
