//! Credentials of providers: sealed for their row and its base URL, so that they open there and
//! nowhere else. Who can write to the database can't send a key to a server of their own.

use fusion_core::{Change, Decision, ProviderConfig, Sealed};
use fusion_persistence::Batch;
use fusion_secrets::{KeyId, Place, Result, Vault};
use secrecy::SecretString;

/// Seals a credential for the row of a provider, as long as its base URL stays the same.
///
/// # Errors
/// It is too long, or the system gave no random bytes.
pub fn seal(vault: &Vault, provider: &ProviderConfig, credential: &SecretString) -> Result<Sealed> {
    let (row, field) = (provider.id.to_string(), field(provider));
    vault.seal(place(&row, &field), credential)
}

/// Opens the credential of a provider; `None` when it has none.
///
/// # Errors
/// No key of the vault has sealed it, or it is not what was sealed for this row and base URL.
pub fn open(vault: &Vault, provider: &ProviderConfig) -> Result<Option<SecretString>> {
    let (row, field) = (provider.id.to_string(), field(provider));
    let sealed = provider.credentials.as_ref();
    sealed
        .map(|sealed| vault.open(place(&row, &field), sealed))
        .transpose()
}

/// Providers whose credentials are sealed with an older key of the vault, sealed with its current
/// one: all of them in one batch, which is refused when one of them has changed since it was read.
///
/// # Errors
/// One of them can't be opened or sealed; which one, the error says.
pub fn reseal(vault: &Vault, providers: Vec<ProviderConfig>) -> Result<Resealed> {
    let mut decision = Decision::default();
    for mut provider in providers {
        // What is sealed with the current key is opened too: a credential that can't be opened
        // must stop a rekey, not outlive the key that could have opened it.
        let Some(credential) = open(vault, &provider)? else {
            continue;
        };
        if provider.credentials.as_ref().and_then(KeyId::of) == Some(vault.key_id()) {
            continue;
        }
        provider.credentials = Some(seal(vault, &provider, &credential)?);
        decision = decision.with(Change::update(provider));
    }
    Ok(Resealed {
        count: decision.changes.len(),
        batch: Batch::free(decision),
    })
}

/// What a rekey writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Resealed {
    /// How many credentials are in the batch.
    pub count: usize,
    /// To be committed.
    pub batch: Batch,
}

fn field(provider: &ProviderConfig) -> String {
    format!("credentials for {}", provider.api_endpoint)
}

fn place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place {
        table: "provider_configs",
        row,
        field,
    }
}

#[cfg(test)]
mod tests {
    use fusion_core::{
        AuthType, Change, ProviderConfig, ProviderId, RateLimits, Row, Sealed, Timestamp,
    };
    use fusion_secrets::{Error, KeyId, MasterKey, Vault};
    use secrecy::{ExposeSecret, SecretString};
    use serde_json::json;

    use super::{open, reseal, seal};

    fn id(number: u128) -> ProviderId {
        format!("00000000-0000-7000-8000-{number:012}")
            .parse()
            .unwrap()
    }

    fn provider(number: u128, credentials: Option<Sealed>) -> ProviderConfig {
        ProviderConfig {
            id: id(number),
            name: format!("provider-{number}"),
            api_endpoint: "https://example.org/v1".to_owned(),
            auth_type: AuthType::BearerToken,
            credentials,
            model_catalog: json!([]),
            rate_limits: RateLimits::default(),
            provider_type: "openai-compatible".to_owned(),
            custom_adapter: None,
            created_at: Timestamp::UNIX_EPOCH,
            enabled: true,
            metadata: json!({}),
            version: 1,
        }
    }

    fn sealed(vault: &Vault, number: u128, text: &str) -> ProviderConfig {
        let row = provider(number, None);
        let credential = SecretString::from(text.to_owned());
        let sealed = seal(vault, &row, &credential).unwrap();
        provider(number, Some(sealed))
    }

    fn opened(vault: &Vault, provider: &ProviderConfig) -> Option<String> {
        let credential = open(vault, provider).unwrap();
        credential.map(|credential| credential.expose_secret().to_owned())
    }

    #[test]
    fn a_credential_opens_in_its_own_row_only() {
        let vault = Vault::new(MasterKey::generate().unwrap(), Vec::new());
        let one = sealed(&vault, 1, "sk-one");
        assert_eq!(opened(&vault, &one).as_deref(), Some("sk-one"));
        let moved = provider(2, one.credentials);
        assert!(matches!(open(&vault, &moved), Err(Error::Damaged { .. })));
        assert_eq!(opened(&vault, &provider(3, None)), None);
    }

    #[test]
    fn a_credential_does_not_follow_its_provider_to_another_base_url() {
        let vault = Vault::new(MasterKey::generate().unwrap(), Vec::new());
        let elsewhere = ProviderConfig {
            api_endpoint: "https://example.net/v1".to_owned(),
            ..sealed(&vault, 1, "sk-one")
        };
        assert!(matches!(
            open(&vault, &elsewhere),
            Err(Error::Damaged { .. })
        ));
    }

    #[test]
    fn only_what_an_older_key_sealed_is_sealed_anew() {
        let (old, new) = (
            MasterKey::generate().unwrap(),
            MasterKey::generate().unwrap(),
        );
        let before = Vault::new(old.clone(), Vec::new());
        let vault = Vault::new(new.clone(), vec![old]);
        let rows = vec![
            sealed(&before, 1, "sk-one"),
            provider(2, None),
            sealed(&vault, 3, "sk-three"),
        ];
        let resealed = reseal(&vault, rows).unwrap();
        assert_eq!(resealed.count, 1);
        let [Change::Update(Row::Provider(written))] = &resealed.batch.decision.changes[..] else {
            panic!("{resealed:?}");
        };
        assert_eq!(
            written.credentials.as_ref().and_then(KeyId::of),
            Some(new.id())
        );
        let after = Vault::new(new, Vec::new());
        assert_eq!(opened(&after, written).as_deref(), Some("sk-one"));
    }

    #[test]
    fn a_rekey_stops_at_a_credential_that_no_key_opens() {
        let lost = Vault::new(MasterKey::generate().unwrap(), Vec::new());
        let vault = Vault::new(MasterKey::generate().unwrap(), Vec::new());
        let rows = vec![sealed(&vault, 1, "sk-one"), sealed(&lost, 2, "sk-two")];
        assert!(matches!(reseal(&vault, rows), Err(Error::WrongKey { .. })));
    }
}
