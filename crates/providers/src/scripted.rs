//! A pretend model whose answers stand in a file; everything else of a run is real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    Ability, Catalog, CostSource, Delta, DeltaSink, Error, FinishReason, ModelInfo, ModelRequest,
    Price, Provider, QuotaInfo, Result, ToolCall, Turn, TurnRequest, estimate_usage,
};

mod script;

use script::{Answer, Script};

/// Answers from a script: the model's name is the path of a YAML file. The answer of turn n of
/// a step is the n-th of that step in the file, so a repeated turn gets the same answer, also in
/// another process after a crash.
///
/// ```yaml
/// version: 1
/// delay: 300ms              # how long each answer takes: ms, s or m; nothing by default
/// steps:
///   plan:
///     - text: "I write the file."
///       tool_calls:
///         - { name: write_file, arguments: { path: a.txt, content: "hi" } }
///     - text: "Done."
/// ```
///
/// Work that is begun anew (another attempt or round) has the entry `plan#2`, an item of a list
/// `plan[0]`, both `plan[0]#2`, where the file has such entries; else that of the step.
///
/// `spawn_agent` reads the file; the turns use what was read, so that a change of the file in
/// the middle of a run is not seen. Tokens are estimated from what was really sent, and the
/// cost is known to be zero.
#[derive(Debug, Default)]
pub struct Scripted {
    read: Mutex<BTreeMap<PathBuf, Arc<Script>>>,
}

impl Scripted {
    async fn load(&self, path: &Path) -> Result<Arc<Script>> {
        let script = Arc::new(Script::read(path).await?);
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), Arc::clone(&script));
        Ok(script)
    }

    async fn script(&self, path: &Path) -> Result<Arc<Script>> {
        let read = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        match read {
            Some(script) => Ok(script),
            None => self.load(path).await,
        }
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        let given = request.base_dir.join(request.model);
        let path = tokio::fs::canonicalize(&given)
            .await
            .map_err(|source| script::unreadable(&given, source))?;
        let model = path.to_str().ok_or_else(|| Error::Script {
            at: path.display().to_string(),
            problem: "the path of a script must be UTF-8".to_owned(),
            source: None,
        })?;
        self.load(&path).await?.check_steps(request.steps)?;
        Ok(ModelInfo {
            model: model.to_owned(),
            scripted: true,
            context_length: None,
            max_output_tokens: None,
            price: Some(Price::FREE),
            tools: Ability::Yes,
            json_schema: Ability::Yes,
        })
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let script = self.script(Path::new(request.model)).await?;
        let answer = script.answer(request.place.step, request.place.turn)?;
        // Even a wait of nothing would cost a tick of the timer, about a millisecond.
        if !script.delay.is_zero() {
            tokio::time::sleep(script.delay).await;
        }
        if !answer.text.is_empty() {
            deltas.take(Delta::Text(&answer.text));
        }
        Ok(turn(request, answer))
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    /// A script is named by its path: there is no list.
    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }
}

fn turn(request: &TurnRequest<'_>, answer: &Answer) -> Turn {
    let tool_calls: Vec<ToolCall> = answer
        .tool_calls
        .iter()
        .enumerate()
        .map(|(index, call)| ToolCall {
            id: ToolCall::made_up_id(request.place.turn, index),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        })
        .collect();
    Turn {
        finish_reason: if tool_calls.is_empty() {
            FinishReason::Stop
        } else {
            FinishReason::ToolCalls
        },
        usage: estimate_usage(request, &answer.text, &tool_calls),
        text: answer.text.clone(),
        tool_calls,
        reasoning: None,
        tokens_are_estimated: true,
        cost_source: CostSource::Provider,
        served_by: None,
        model: request.model.to_owned(),
        generation_id: None,
    }
}

#[cfg(test)]
mod tests;
