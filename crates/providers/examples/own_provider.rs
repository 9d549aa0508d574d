//! A provider of your own, for something that no wire format over HTTP reaches: this one says back
//! what it was told.

use async_trait::async_trait;
use fusion_core::Usage;
use fusion_providers::{
    Ability, Catalog, CostSource, DeltaSink, Error, FinishReason, Message, ModelInfo, ModelRequest,
    NoDeltas, Price, Provider, QuotaInfo, Registry, Result, Turn, TurnPlace, TurnRequest,
    estimate_usage,
};

/// The one model that there is.
const MODEL: &str = "parrot";

/// Says back what it was told.
#[derive(Debug)]
struct Parrot;

#[async_trait]
impl Provider for Parrot {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        if request.model != MODEL {
            return Err(Error::UnknownModel {
                provider: "parrot".to_owned(),
                model: request.model.to_owned(),
                nearest: Some(MODEL.to_owned()),
            });
        }
        Ok(ModelInfo {
            model: MODEL.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: Some(Price::FREE),
            tools: Ability::No,
            json_schema: Ability::No,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        let text = match request.messages.last() {
            Some(Message::User { text }) => text.clone(),
            _ => String::new(),
        };
        let usage = Usage {
            turns: 1,
            ..estimate_usage(request, &text, &[])
        };
        Ok(Turn {
            text,
            tool_calls: Vec::new(),
            reasoning: None,
            finish_reason: FinishReason::Stop,
            usage,
            tokens_are_estimated: true,
            cost_source: CostSource::Computed,
            served_by: None,
            model: MODEL.to_owned(),
            generation_id: None,
        })
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }
}

/// Registers it under a name, finds it by the name and asks it, as the agent runtime does.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let registry = Registry::default();
    registry.register("parrot", std::sync::Arc::new(Parrot));
    let request = TurnRequest {
        model: MODEL,
        system: "",
        messages: &[Message::User {
            text: "hello".to_owned(),
        }],
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: false,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "greet",
            turn: 1,
            agent: "a",
            key: "greet-1",
        },
    };
    let turn = registry
        .get("parrot")?
        .send_message(&request, &NoDeltas)
        .await?;
    assert_eq!(turn.text, "hello");
    Ok(())
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
