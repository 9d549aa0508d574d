//! From options to a provider: the one place that picks the wire format.

use std::sync::Arc;

use fusion_core::Clock;
use fusion_providers::{Error, Provider, Result};

use crate::client::ChatCompletions;
use crate::options::Options;
use crate::vendor::Format;

/// Makes the provider that these options describe; makes no connection. The clock tells when a list
/// or a quota was read.
///
/// # Errors
/// [`Error::Setup`] when the base URL, the key or a header can't be used, and for `http://` to
/// another machine that is not allowed.
pub fn provider(options: Options, clock: Arc<dyn Clock>) -> Result<Arc<dyn Provider>> {
    match options.format {
        Format::ChatCompletions => Ok(Arc::new(ChatCompletions::new(options, clock)?)),
        Format::AnthropicMessages => Err(Error::Setup {
            provider: options.name,
            problem: "this version does not speak the format of Anthropic yet".to_owned(),
            source: None,
        }),
    }
}
