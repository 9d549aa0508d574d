//! A benchmark that takes no time.

use async_trait::async_trait;
use fusion_api_types::{BenchReport, Problem};
use fusion_cli::{BenchRequest, Benchmarks};

use super::Fake;

#[async_trait]
impl Benchmarks for Fake {
    async fn bench(&self, request: &BenchRequest) -> Result<BenchReport, Problem> {
        self.ask(format!("{request:?}"))?;
        Ok(serde_json::from_value(self.report.clone()).unwrap())
    }
}
