//! From options to a provider.

use std::sync::Arc;

use fusion_core::Clock;
use fusion_providers::{Provider, Result};

use crate::client::HttpProvider;
use crate::options::Options;

/// Makes the provider that these options describe; makes no connection. The clock tells when a list
/// or a quota was read.
///
/// # Errors
/// [`fusion_providers::Error::Setup`] when the base URL, the key or a header can't be used, and for `http://` to
/// another machine that is not allowed.
pub fn provider(options: Options, clock: Arc<dyn Clock>) -> Result<Arc<dyn Provider>> {
    Ok(Arc::new(HttpProvider::new(options, clock)?))
}
