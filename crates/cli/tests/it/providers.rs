//! What `provider` asks for and prints.

use fusion_cli::{Command, ProviderCommand, Size};
use serde_json::{Value, json};

use crate::support::{
    Ended, Fake, Streams, answering, check_snapshot, fusion_kit, fusion_kit_on, problem,
};

fn provider(name: &str, key: &str, enabled: bool) -> Value {
    json!({
        "name": name, "type": "openrouter", "base_url": "https://openrouter.ai/api/v1",
        "source": "stored", "key": key, "enabled": enabled,
        "allow_plain_http": false, "allow_private_addresses": false,
        "requests_per_minute": 60, "tokens_per_minute": null, "max_concurrent": 4,
        "models": 312, "models_read_at": "2026-11-23T11:00:05Z",
        "created_at": "2026-11-23T10:00:00Z",
    })
}

fn built_in() -> Value {
    json!({
        "name": "scripted", "type": "scripted", "base_url": null,
        "source": "built_in", "key": "none", "enabled": true,
        "allow_plain_http": false, "allow_private_addresses": false,
        "requests_per_minute": null, "tokens_per_minute": null, "max_concurrent": null,
        "models": null, "models_read_at": null, "created_at": null,
    })
}

fn limit(unit: &str, figures: [Option<&str>; 3]) -> Value {
    let [remaining, limit, used] = figures;
    json!({
        "unit": unit, "window": "monthly", "limit": limit, "remaining": remaining, "used": used,
        "resets_at": "2026-12-01T00:00:00Z", "source": "key", "told_at": "2026-11-23T12:00:00Z",
    })
}

fn test_report(quota: &Value, fault: Option<&str>) -> Value {
    json!({
        "provider": "openrouter", "asked": "openai/gpt-5-mini", "answered": "openai/gpt-5-mini-0901",
        "latency_ms": 1_840,
        "usage": { "turns": 1, "input_tokens": 12, "output_tokens": 1, "cost_usd": "0.0000049" },
        "cost_source": "provider", "quota": quota, "quota_fault": fault,
    })
}

fn model(id: &str, name: &str, price: Option<&str>) -> Value {
    json!({
        "id": id, "name": name, "context_length": 131_072, "max_output_tokens": null,
        "input_usd_per_million": price, "output_usd_per_million": price, "request_usd": null,
        "tools": "yes", "json_schema": "unknown",
    })
}

fn models() -> Value {
    json!({
        "provider": "openrouter", "read_at": "2026-11-23T11:00:05Z", "kept": true, "total": 2,
        "models": [
            model("qwen/qwen3-coder", "Qwen: Qwen3 Coder", Some("0.22")),
            model("any/variable", "Priced by the call", None),
        ],
    })
}

fn server(name: &str, added: bool) -> Value {
    json!({
        "base_url": "http://127.0.0.1:11434/v1", "type": "ollama", "models": ["tiny"],
        "needs_key": false, "name": name, "added": added,
    })
}

fn found(added: bool) -> Fake {
    Fake {
        report: json!({ "ports": [11_434], "servers": [server("ollama", added)] }),
        added: json!({ "provider": provider("ollama", "none", true), "replaced": false }),
        ..Fake::default()
    }
}

fn done(out: &str) -> Ended {
    Ended {
        code: 0,
        out: out.to_owned(),
        err: String::new(),
    }
}

const WINDOW: Streams = Streams::ErrWindow(Size {
    columns: 80,
    rows: 24,
});

#[tokio::test]
async fn each_command_asks_for_what_it_was_told() {
    let backend = Fake::refusing(problem("away"));
    for (line, expected) in [
        ("list", "list"),
        ("show a", "show a"),
        ("test a", "test a None"),
        ("test a --model m", "test a Some(\"m\")"),
        ("models a", "models a false"),
        ("models a --refresh --search x", "models a true"),
        ("quota a", "quota a"),
        ("enable a", "switch a true"),
        ("disable a", "switch a false"),
        ("remove a", "remove a false"),
        ("remove a --force", "remove a true"),
        ("detect", "detect []"),
        ("detect --port 1 --port 2 -y", "detect [1, 2]"),
        (
            "add a",
            "add NewProvider { name: \"a\", vendor: None, base_url: None, key_env: None, \
             allow_plain_http: false, allow_private_addresses: false, requests_per_minute: None, \
             tokens_per_minute: None, max_concurrent: None, replace: false } with None",
        ),
        (
            "add a --type t --base-url u --key-env K --allow-plain-http --allow-private-addresses \
             --requests-per-minute 1 --tokens-per-minute 2 --max-concurrent 3 --replace",
            "add NewProvider { name: \"a\", vendor: Some(\"t\"), base_url: Some(\"u\"), \
             key_env: Some(\"K\"), allow_plain_http: true, allow_private_addresses: true, \
             requests_per_minute: Some(1), tokens_per_minute: Some(2), max_concurrent: Some(3), \
             replace: true } with None",
        ),
    ] {
        let said = fusion_kit(&format!("provider {line}"), &backend).await;
        assert_eq!(
            (said.code, said.err.as_str()),
            (10, "error: away\n"),
            "{line}"
        );
        let asked = backend.asked.lock().unwrap().pop();
        assert_eq!(asked.as_deref(), Some(expected), "{line}");
    }
}

#[tokio::test]
async fn what_may_be_a_key_is_refused_and_not_repeated() {
    let backend = Fake::default();
    for line in [
        "provider add a sk-canary",
        "provider add a --key sk-canary",
        "provider add a --key=sk-canary",
        "provider add a --api-key sk-canary",
    ] {
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 2, "{line}");
        assert!(
            said.err.contains("a key is never an argument"),
            "{line}: {said:?}"
        );
        assert!(!format!("{said:?}").contains("canary"), "{line}: {said:?}");
    }
    assert!(backend.asked.lock().unwrap().is_empty());
}

#[test]
fn figures_out_of_range_are_refused() {
    for (option, figure) in [
        ("--requests-per-minute", "0"),
        ("--requests-per-minute", "1000001"),
        ("--tokens-per-minute", "0"),
        ("--max-concurrent", "10001"),
        ("--max-concurrent", "many"),
    ] {
        let line = ["fusion-kit", "provider", "add", "a", option, figure];
        let refused = fusion_cli::parse(line).unwrap_err().to_string();
        assert!(refused.contains(option), "{refused}");
    }
    let cli = fusion_cli::parse(["fusion-kit", "provider", "models", "a"]).unwrap();
    let Command::Provider(provider) = cli.command else {
        panic!("not a provider");
    };
    assert!(matches!(provider.command, ProviderCommand::Models(models) if !models.refresh));
}

#[tokio::test]
async fn a_key_is_asked_for_unseen_and_an_empty_one_is_none() {
    for (typed, expected) in [("sk-typed", "with Some(\"sk-typed\")"), ("  ", "with None")] {
        let backend = Fake {
            typed: vec![typed],
            problem: Some(problem("away")),
            ..Fake::default()
        };
        let said = fusion_kit_on(WINDOW, "provider add a", &backend).await;
        assert_eq!(said.err, "key: error: away\n");
        let asked = backend.asked.into_inner().unwrap();
        assert!(asked[0].ends_with(expected), "{asked:?}");
    }
}

#[tokio::test]
async fn providers_are_listed_and_shown() {
    let list = json!({ "providers": [
        provider("fast", "stored", true), provider("slow", "missing", true),
        provider("team", "stored", false), built_in(),
    ]});
    let listed = fusion_kit("provider list", &answering(list.clone())).await;
    let shown = fusion_kit(
        "provider show fast",
        &answering(provider("fast", "stored", true)),
    )
    .await;
    check_snapshot("providers.txt", &format!("{}\n{}", listed.out, shown.out));
    let json = fusion_kit("provider list --json", &answering(list.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), list);
}

#[tokio::test]
async fn figures_of_a_provider_are_told_and_unknown_ones_as_unknown() {
    let quota = json!([
        limit("credit", [Some("74.5"), Some("100"), Some("25.5")]),
        limit("requests", [None, None, Some("3")]),
    ]);
    let mut all = String::new();
    for (line, report) in [
        ("provider test openrouter", test_report(&quota, None)),
        ("provider test openrouter", test_report(&json!([]), None)),
        (
            "provider test openrouter",
            test_report(&json!([]), Some("it failed (500)")),
        ),
        (
            "provider quota openrouter",
            json!({ "provider": "openrouter", "limits": quota }),
        ),
        (
            "provider quota openrouter",
            json!({ "provider": "openrouter", "limits": [] }),
        ),
        ("provider models openrouter", models()),
        ("provider models openrouter --search coder", models()),
    ] {
        let said = fusion_kit(line, &answering(report)).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        all.push_str(&format!("$ fusion-kit {line}\n{}\n", said.out));
    }
    check_snapshot("provider-figures.txt", &all);
}

#[tokio::test]
async fn on_a_terminal_a_test_says_that_it_waits() {
    for (line, says) in [
        ("provider test fast", "asking fast ...\n"),
        ("provider test fast --quiet", ""),
    ] {
        let backend = answering(test_report(&json!([]), None));
        let said = fusion_kit_on(WINDOW, line, &backend).await;
        assert_eq!((said.code, said.err.as_str()), (0, says), "{line}");
    }
}

#[tokio::test]
async fn what_was_done_is_told_with_the_next_step() {
    let added = Fake {
        added: json!({ "provider": provider("fast", "stored", true), "replaced": false }),
        ..Fake::default()
    };
    assert_eq!(
        fusion_kit("provider add fast --data-dir d", &added).await,
        done(
            "✓ added fast: openrouter at https://openrouter.ai/api/v1, its key is stored encrypted\n\
             test it: fusion-kit provider test fast --data-dir d\n\
             use it in a workflow file: provider: fast\n"
        )
    );
    let switched = |enabled| answering(provider("fast", "stored", enabled));
    assert_eq!(
        fusion_kit("provider disable fast", &switched(false)).await,
        done(
            "✓ fast is disabled: runs that need it are refused\n\
             undo it: fusion-kit provider enable fast\n"
        )
    );
    assert_eq!(
        fusion_kit("provider enable fast", &switched(true)).await,
        done("✓ fast is enabled\n")
    );
    assert_eq!(
        fusion_kit(
            "provider remove fast",
            &answering(json!({ "name": "fast" }))
        )
        .await,
        done("✓ removed fast\n")
    );
}

#[tokio::test]
async fn without_a_terminal_detect_says_how_to_add_a_server_and_adds_none() {
    let backend = found(false);
    assert_eq!(
        fusion_kit("provider detect", &backend).await,
        done(
            "· ollama at http://127.0.0.1:11434/v1 (tiny)\n  \
             add it: fusion-kit provider add ollama --type ollama --base-url http://127.0.0.1:11434/v1\n"
        )
    );
    assert_eq!(backend.asked.into_inner().unwrap(), ["detect []"]);
    let nothing = answering(json!({ "ports": [11_434, 8000], "servers": [] }));
    let said = fusion_kit("provider detect", &nothing).await;
    assert!(
        said.out
            .starts_with("no model server answers on the ports 11434, 8000")
    );
}

#[tokio::test]
async fn detect_adds_what_a_person_or_an_option_says_and_nothing_twice() {
    let is = "✓ ollama at http://127.0.0.1:11434/v1 (tiny)\n  \
              is the provider ollama: fusion-kit provider test ollama\n";
    for (typed, line, adds) in [
        ("y", "provider detect", true),
        ("", "provider detect", false),
        ("no", "provider detect", false),
        ("no", "provider detect --yes", true),
    ] {
        let backend = Fake {
            typed: vec![typed, "no key"],
            ..found(false)
        };
        let said = fusion_kit_on(WINDOW, line, &backend).await;
        assert_eq!(said.code, 0);
        assert_eq!(said.out == is, adds, "{line} {typed}: {said:?}");
        assert_eq!(
            backend.asked.into_inner().unwrap().len(),
            if adds { 2 } else { 1 }
        );
    }
    let known = found(true);
    assert_eq!(fusion_kit("provider detect --yes", &known).await, done(is));
    assert_eq!(known.asked.into_inner().unwrap(), ["detect []"]);
}

#[tokio::test]
async fn a_search_too_long_is_refused() {
    let line = format!("provider models a --search {}", "x".repeat(201));
    let said = fusion_kit(&line, &answering(models())).await;
    assert_eq!(said.code, 2);
    assert_eq!(
        said.err,
        "error: the text to search for has more than 200 characters\n"
    );
}
