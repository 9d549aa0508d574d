//! A stored provider as its row keeps it, and as the client over HTTP wants it.

use fusion_core::{AuthType, ProviderConfig, nearest};
use fusion_providers_http::{Format, Options, Vendor, vendor, vendors};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the row keeps in its metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    pub(crate) allow_plain_http: bool,
    pub(crate) allow_private_addresses: bool,
    /// Calls at once at most.
    pub(crate) max_concurrent: Option<u32>,
}

impl Extra {
    /// Of a row. What can't be read counts as not set: nothing is allowed by it.
    pub(crate) fn of(row: &ProviderConfig) -> Self {
        serde_json::from_value(row.metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn to_json(self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

/// What a row says, understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    vendor: &'static Vendor,
    extra: Extra,
}

impl Settings {
    /// Of a row; what is wrong with it otherwise.
    pub(crate) fn of(row: &ProviderConfig) -> Result<Self, String> {
        let vendor = vendor(&row.provider_type).ok_or_else(|| {
            format!(
                "its type '{}' is not known to this fusion-kit",
                row.provider_type
            )
        })?;
        Ok(Self {
            vendor,
            extra: Extra::of(row),
        })
    }

    /// How it is reached.
    pub(crate) fn options(self, row: &ProviderConfig, key: Option<SecretString>) -> Options {
        let has_key = key.is_some();
        let options = Options::of(self.vendor, Some(row.api_endpoint.clone()), key);
        Options {
            name: row.name.clone(),
            // A stored key comes from no variable: errors must not send anybody there.
            key_variable: options.key_variable.filter(|_| !has_key),
            allow_plain_http: self.extra.allow_plain_http,
            allow_private_addresses: self.extra.allow_private_addresses,
            ..options
        }
    }
}

/// How a vendor wants to be asked.
pub(crate) const fn auth_type(vendor: &Vendor, has_key: bool) -> AuthType {
    match vendor.format {
        _ if !has_key => AuthType::None,
        Format::ChatCompletions => AuthType::BearerToken,
        Format::AnthropicMessages => AuthType::ApiKey,
    }
}

/// The vendor of this name, or the way out.
pub(crate) fn known_vendor(name: &str) -> Result<&'static Vendor, String> {
    vendor(name).ok_or_else(|| {
        let names = || vendors().iter().map(|vendor| vendor.name);
        let known: Vec<&str> = names().collect();
        let known = format!("the known ones are {}", known.join(", "));
        match nearest(name, names()) {
            Some(near) => format!("did you mean '{near}'? {known}"),
            None => known,
        }
    })
}
