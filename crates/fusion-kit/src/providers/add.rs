//! What is stored when a provider is added: the request checked, and where its key comes from.

use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{AskKey, NewProvider};
use fusion_coordination::credentials;
use fusion_core::{Moment, ProviderConfig, ProviderId, RateLimits};
use fusion_providers_http::{Options, Vendor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::settings::{Extra, Settings, auth_type, known_vendor};
use crate::config::Config;
use crate::master_key::KeySource;
use crate::problems;
use crate::system::SystemClock;
use crate::wiring::{OPENAI_COMPATIBLE, SCRIPTED};

/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// The longest base URL, in bytes.
const MAX_URL: usize = 2048;

/// The longest name of a variable, in bytes.
const MAX_VARIABLE: usize = 256;

/// The longest key, in bytes.
const MAX_KEY: usize = 8 * 1024;

/// A request to add a provider that was checked as far as it can be without the store.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    new: &'a NewProvider,
    vendor: &'static Vendor,
    base_url: String,
}

/// The key of a new provider.
#[derive(Debug)]
pub(crate) enum NewKey {
    /// It has none.
    None,
    /// That of the row that is replaced.
    Kept,
    /// This one.
    Given(SecretString),
}

impl NewKey {
    /// The key itself, where one was given now.
    pub(super) const fn given(&self) -> Option<&SecretString> {
        match self {
            Self::Given(key) => Some(key),
            Self::None | Self::Kept => None,
        }
    }

    /// A key that somebody gave.
    ///
    /// # Errors
    /// No key looks so.
    pub(super) fn of(key: &SecretString) -> Result<Self, Problem> {
        given(key)
    }
}

/// There is nobody at the terminal.
pub(super) struct NobodyToAsk;

impl AskKey for NobodyToAsk {
    fn key(&self, _: &str) -> Option<SecretString> {
        None
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn of(new: &'a NewProvider) -> Result<Self, Problem> {
        check_name(&new.name)?;
        let vendor = vendor_of(new)?;
        let base_url = match new.base_url.as_deref().map(str::trim) {
            Some(url) if url.len() > MAX_URL => {
                return Err(wrong(format!("the base URL has more than {MAX_URL} bytes")));
            }
            Some(url) => url.to_owned(),
            None => vendor.base_url.map(str::to_owned).ok_or_else(|| {
                wrong(format!(
                    "a provider of type {} needs a base URL",
                    vendor.name
                ))
                .with_help("give it with --base-url, such as --base-url http://127.0.0.1:8080/v1")
            })?,
        };
        Ok(Self {
            new,
            vendor,
            base_url: base_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Where the key comes from: the variable that was named, the row that is replaced, the vendor's
    /// variable, a person.
    pub(crate) fn key(
        &self,
        before: Option<&ProviderConfig>,
        config: &Config,
        ask: &dyn AskKey,
    ) -> Result<NewKey, Problem> {
        if let Some(name) = &self.new.key_env {
            return given(&named_key(name, config)?);
        }
        let keyed = before.filter(|row| row.credentials.is_some());
        if keyed.is_some_and(|row| row.api_endpoint == self.base_url) {
            return Ok(NewKey::Kept);
        }
        // The vendor's own key is for the vendor's own place.
        let variable = self.vendor.key_variable;
        let variable = variable.filter(|_| self.vendor.base_url == Some(self.base_url.as_str()));
        if let Some(key) = variable.and_then(|name| config.variable(name)) {
            return given(&key);
        }
        if self.vendor.key_is_needed || self.vendor.base_url.is_none() {
            let optional = if self.vendor.key_is_needed {
                ""
            } else {
                ", nothing if it wants none"
            };
            let question = format!("key for {} (not shown{optional}): ", self.base_url);
            if let Some(key) = ask.key(&question) {
                return given(&key);
            }
        }
        if self.vendor.key_is_needed || keyed.is_some() {
            return Err(self.no_key(keyed, variable));
        }
        Ok(NewKey::None)
    }

    fn no_key(&self, keyed: Option<&ProviderConfig>, variable: Option<&str>) -> Problem {
        let message = match keyed {
            Some(row) => format!(
                "the stored key of {} belongs to {}: {} needs a key of its own",
                self.new.name, row.api_endpoint, self.base_url
            ),
            None => format!("{} needs a key and none is given", self.new.name),
        };
        let help = match variable {
            Some(variable) => format!(
                "set {variable}, or name the variable that holds the key with --key-env VAR"
            ),
            None => "name the variable that holds the key with --key-env VAR".to_owned(),
        };
        Problem::new(ProblemKind::Denied, message).with_help(help)
    }

    /// The row to store, and nothing stored yet. Makes the master key where there is none and one
    /// is needed.
    pub(crate) fn row(
        &self,
        before: Option<ProviderConfig>,
        key: &NewKey,
        config: &Config,
        moment: Moment<'_>,
    ) -> Result<ProviderConfig, Problem> {
        let new = self.new;
        let mut row = ProviderConfig {
            id: ProviderId::from_uuid(moment.ids.uuid()),
            name: new.name.clone(),
            api_endpoint: self.base_url.clone(),
            auth_type: auth_type(self.vendor, !matches!(key, NewKey::None)),
            credentials: None,
            model_catalog: Value::Array(Vec::new()),
            rate_limits: RateLimits {
                requests_per_minute: new.requests_per_minute,
                tokens_per_minute: new.tokens_per_minute,
            },
            provider_type: self.vendor.name.to_owned(),
            custom_adapter: None,
            created_at: moment.now,
            enabled: true,
            metadata: Extra {
                allow_plain_http: new.allow_plain_http,
                allow_private_addresses: new.allow_private_addresses,
                max_concurrent: new.max_concurrent,
            }
            .to_json(),
            version: 1,
        };
        if let Some(before) = before {
            row.id = before.id;
            row.created_at = before.created_at;
            row.version = before.version;
            row.credentials = before.credentials.filter(|_| matches!(key, NewKey::Kept));
        }
        self.check(&row, key)?;
        if let NewKey::Given(key) = key {
            let vault = KeySource::of(config)?.vault_or_new()?;
            let sealed = credentials::seal(&vault, &row, key);
            row.credentials = Some(sealed.map_err(|error| problems::of_error(&error))?);
        }
        Ok(row)
    }

    /// Whether a client can be made of it; where an option would allow it, which one.
    fn check(&self, row: &ProviderConfig, key: &NewKey) -> Result<(), Problem> {
        let key = match key {
            NewKey::Given(key) => Some(key.clone()),
            NewKey::None | NewKey::Kept => None,
        };
        let options = Settings::of(row).map_err(wrong)?.options(row, key);
        let make = |plain_http: bool, private: bool| {
            let options = Options {
                allow_plain_http: options.allow_plain_http || plain_http,
                allow_private_addresses: options.allow_private_addresses || private,
                ..options.clone()
            };
            fusion_providers_http::provider(options, Arc::new(SystemClock)).map(|_| ())
        };
        make(false, false).map_err(|error| {
            let problem = problems::of_error(&error);
            let help = if make(true, false).is_ok() {
                "use https://, or allow it with --allow-plain-http"
            } else if make(false, true).is_ok() {
                "if it is meant, allow it with --allow-private-addresses"
            } else {
                return problem;
            };
            problem.with_help(help)
        })
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_right = name.chars().next().is_some_and(is_plain)
        && name.chars().count() <= MAX_NAME
        && name.chars().all(|c| is_plain(c) || "-_.".contains(c));
    if !is_right {
        let shown: String = name.chars().take(MAX_NAME).collect();
        return Err(wrong(format!("'{shown}' can't be the name of a provider")).with_help(
            format!(
                "use lower-case letters, digits, '-', '_' and '.', at most {MAX_NAME}, a letter or digit first"
            ),
        ));
    }
    if name == SCRIPTED {
        return Err(wrong(format!(
            "'{SCRIPTED}' is the built-in provider of scripted answers"
        ))
        .with_help("choose another name"));
    }
    Ok(())
}

/// The vendor that was named, else that of the provider's name, else any server with a base URL.
fn vendor_of(new: &NewProvider) -> Result<&'static Vendor, Problem> {
    let given = new.vendor.as_deref();
    match (given, known_vendor(given.unwrap_or(&new.name))) {
        (_, Ok(vendor)) => Ok(vendor),
        (None, Err(_)) if new.base_url.is_some() => known_vendor(OPENAI_COMPATIBLE).map_err(wrong),
        (None, Err(help)) => Err(wrong(format!(
            "'{}' is no known vendor, so a base URL or a type is needed",
            new.name
        ))
        .with_help(format!("give --base-url URL, or --type VENDOR; {help}"))),
        (Some(given), Err(help)) => {
            let shown: String = given.chars().take(MAX_NAME).collect();
            Err(wrong(format!("there is no vendor '{shown}'")).with_help(help))
        }
    }
}

/// The key in a variable that the user named. What was typed may be the key itself by mistake, so
/// it is shown only when it looks like the name of a variable and nothing else.
fn named_key(name: &str, config: &Config) -> Result<SecretString, Problem> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > MAX_VARIABLE || !name.chars().all(is_name) {
        return Err(
            wrong("--key-env takes the name of an environment variable, not the key").with_help(
                "put the key into a variable and give its name: --key-env MY_PROVIDER_KEY",
            ),
        );
    }
    config.variable(name).ok_or_else(|| {
        let named = if name.chars().any(|c| c.is_ascii_lowercase()) {
            "the variable that --key-env names".to_owned()
        } else {
            name.to_owned()
        };
        Problem::new(ProblemKind::Denied, format!("{named} is not set"))
            .with_help("set it to the key, in the environment or in .env")
    })
}

/// A key that can be one.
fn given(key: &SecretString) -> Result<NewKey, Problem> {
    let text = key.expose_secret().trim();
    if text.len() > MAX_KEY {
        return Err(wrong(format!("the key has more than {MAX_KEY} bytes")));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(wrong(
            "the key contains white space or characters that no key has",
        ));
    }
    Ok(NewKey::Given(SecretString::from(text)))
}

fn wrong(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::InvalidInput, message)
}
