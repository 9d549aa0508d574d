use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{Cost, Timestamp, Usage};
use rust_decimal::Decimal;

use super::{Figures, Meter, Tally};
use crate::double::{Answer, Double, Heard, limited, look_up, request, server, turn};
use crate::{
    Ability, Catalog, CostSource, DeltaSink, ModelInfo, ModelRequest, NoDeltas, NoObserver, Notice,
    Price, Provider, QuotaInfo, QuotaLimit, QuotaSource, QuotaUnit, Result, Turn, TurnRequest,
};

const SECOND: Duration = Duration::from_secs(1);

const USED: Usage = Usage {
    turns: 1,
    input_tokens: 10,
    output_tokens: 5,
    cost: Cost::from_picos(7),
};

/// Answers with no cost, has a price, and tells a quota with each answer.
#[derive(Debug, Default)]
struct Told(Mutex<u32>);

#[async_trait]
impl Provider for Told {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: Some(Price {
                input_token: Cost::from_picos(100),
                output_token: Cost::from_picos(1_000),
                request: Cost::ZERO,
            }),
            tools: Ability::Unknown,
            json_schema: Ability::Unknown,
        })
    }

    async fn send_message(&self, request: &TurnRequest<'_>, _: &dyn DeltaSink) -> Result<Turn> {
        *self.0.lock().unwrap() += 1;
        let usage = Usage {
            cost: Cost::ZERO,
            ..USED
        };
        Ok(turn(request.model, usage))
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(self.told_quota().unwrap())
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }

    /// 10 calls a minute; the window begins anew after the tenth.
    fn told_quota(&self) -> Option<QuotaInfo> {
        let used = Decimal::from(*self.0.lock().unwrap() % 10);
        let limit = QuotaLimit {
            unit: QuotaUnit::Requests,
            window: Some("minute".into()),
            limit: Some(10.into()),
            remaining: Some(Decimal::from(10) - used),
            used: None,
            resets_at: None,
            source: QuotaSource::Headers,
            told_at: Timestamp::UNIX_EPOCH,
        };
        Some(QuotaInfo {
            limits: vec![limit],
        })
    }
}

fn metered<P: Provider>(inner: P) -> (Meter<P>, Tally) {
    let tally = Tally::default();
    let meter = Meter::new(
        inner,
        "mine",
        Decimal::new(8, 1),
        Arc::new(NoObserver),
        tally.clone(),
    );
    (meter, tally)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_counted_with_its_tokens_money_and_time() {
    let double = Double::new([
        Answer::using(USED).after(4 * SECOND),
        Answer::no(server(500)).after(SECOND),
        Answer::no(limited(None)),
        Answer::using(USED).after(3 * SECOND),
    ]);
    let (meter, tally) = metered(double);
    for _ in 0..4 {
        let _answer = meter.send_message(&request("m", "a"), &NoDeltas).await;
    }
    let figures = tally.figures();
    assert_eq!(
        figures,
        Figures {
            calls: 0,
            attempts: 4,
            failures: 2,
            limited: 1,
            usage: Usage {
                turns: 2,
                input_tokens: 20,
                output_tokens: 10,
                cost: Cost::from_picos(14),
            },
            time: 8 * SECOND,
            longest: 4 * SECOND,
        }
    );
    assert_eq!(figures.mean(), 2 * SECOND);
}

#[tokio::test]
async fn a_turn_tells_who_served_it_and_its_own_cost_stays() {
    let mut own = turn("m", USED);
    own.cost_source = CostSource::Provider;
    let (meter, _) = metered(Told::default());
    meter.spawn_agent(&look_up("m")).await.unwrap();
    let served = meter.completed(own.clone(), "m");
    own.served_by = Some("mine".into());
    assert_eq!(served, own);
}

#[tokio::test]
async fn a_cost_that_nobody_told_is_computed_from_the_price_and_marked() {
    let (meter, tally) = metered(Told::default());
    let unpriced = meter.send_message(&request("m", "a"), &NoDeltas).await;
    assert_eq!(unpriced.unwrap().cost_source, CostSource::Unknown);
    meter.spawn_agent(&look_up("m")).await.unwrap();
    let priced = meter
        .send_message(&request("m", "a"), &NoDeltas)
        .await
        .unwrap();
    assert_eq!(priced.cost_source, CostSource::Computed);
    assert_eq!(priced.usage.cost, Cost::from_picos(6_000));
    assert_eq!(tally.figures().usage.cost, Cost::from_picos(6_000));
}

#[tokio::test]
async fn a_quota_that_is_nearly_used_is_told_once_in_each_window() {
    let heard = Arc::<Heard>::default();
    let observer = Arc::<Heard>::clone(&heard);
    let meter = Meter::new(
        Told::default(),
        "mine",
        Decimal::new(8, 1),
        observer,
        Tally::default(),
    );
    let mut told = Vec::new();
    for call in 1..=20 {
        meter
            .send_message(&request("m", "a"), &NoDeltas)
            .await
            .unwrap();
        meter.get_quota_info().await.unwrap();
        if heard.all().len() > told.len() {
            told.push(call);
        }
    }
    assert_eq!(told, [8, 18]);
    assert_eq!(
        heard.all()[0],
        Notice::QuotaWarning {
            provider: "mine".into(),
            unit: QuotaUnit::Requests,
            window: Some("minute".into()),
            limit: 10.into(),
            remaining: 2.into(),
        }
    );
}
