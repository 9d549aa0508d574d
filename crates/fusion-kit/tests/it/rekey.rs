//! `db rekey` and what `verify` says of the master key.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fusion_coordination::credentials;
use fusion_core::{AuthType, ProviderConfig, ProviderId, RateLimits, Timestamp};
use fusion_persistence::{Page, ProviderFilter, Repository, WriteRepository};
use fusion_persistence_sql::{Location, SqlStore};
use fusion_secrets::{KeyFile, KeyId, MasterKey, Vault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::own_store::{OwnStore, file};
use crate::support::Project;

/// A key as `FUSION_MASTER_KEY` gives it.
pub(crate) const OLD: &str = "6f1d3c58a9b27e04d5f8c3a1907b6e2d4c8f5a13b0e97d264f8a1c3e5b7d9f02";

/// Another one.
pub(crate) const NEW: &str = "c4a7e19f3b5d80262e8f4a6c1d9b7053e2f5c8a4170b6d9e3f1c5a8274e0d6b9";

pub(crate) fn vault(key: &str) -> Vault {
    let key = MasterKey::parse(&SecretString::from(key.to_owned())).unwrap();
    Vault::new(key, Vec::new())
}

/// A provider with a sealed credential.
pub(crate) fn provider(vault: &Vault, number: u128, credential: &str) -> ProviderConfig {
    let id = ProviderId::from_uuid(Uuid::from_u128(number));
    let credential = SecretString::from(credential.to_owned());
    let row = ProviderConfig {
        id,
        name: format!("provider-{number}"),
        api_endpoint: "https://example.org/v1".to_owned(),
        auth_type: AuthType::BearerToken,
        credentials: None,
        model_catalog: json!([]),
        rate_limits: RateLimits::default(),
        provider_type: "openai-compatible".to_owned(),
        custom_adapter: None,
        created_at: Timestamp::UNIX_EPOCH,
        enabled: true,
        metadata: json!({}),
        version: 1,
    };
    let sealed = credentials::seal(vault, &row, &credential).unwrap();
    ProviderConfig {
        credentials: Some(sealed),
        ..row
    }
}

/// Stores providers as the product does.
pub(crate) async fn store(location: &Location, providers: Vec<ProviderConfig>) {
    let store = OwnStore::at(location).await;
    for provider in providers {
        store.create(provider).await.unwrap();
    }
    store.close().await;
}

/// Every stored credential with the key that sealed it.
async fn stored(project: &Project, vault: &Vault) -> Vec<(KeyId, String)> {
    let store = SqlStore::open_to_read(&file(project))
        .await
        .unwrap()
        .unwrap();
    let rows = store
        .list(&ProviderFilter::default(), Page::first(1000))
        .await
        .unwrap();
    let mut found: Vec<(KeyId, String)> = rows
        .iter()
        .map(|row| {
            let key = KeyId::of(row.credentials.as_ref().unwrap()).unwrap();
            let opened = credentials::open(vault, row).unwrap().unwrap();
            (key, opened.expose_secret().to_owned())
        })
        .collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}

/// A project with a key file and this many credentials.
async fn with_credentials(count: u128) -> (Project, PathBuf) {
    let mut project = Project::of_examples();
    let path = project.path().join("master.key");
    project.set("FUSION_MASTER_KEY_FILE", path.display().to_string());
    project.run(["db", "migrate"]).await.expect(0);
    let vault = KeyFile::load_or_create(&path).unwrap().vault();
    let providers = (1..=count).map(|n| provider(&vault, n, &format!("sk-{n:04}")));
    store(&file(&project), providers.collect()).await;
    (project, path)
}

async fn master_key(project: &Project, code: i32) -> Value {
    let report = project.run(["verify", "--json"]).await.expect(code).json();
    let mut checks = report["checks"].as_array().unwrap().iter();
    let found = checks.find(|check| check["name"] == "master key");
    found.unwrap().clone()
}

#[tokio::test]
async fn a_rekey_seals_every_credential_anew_and_the_old_key_stays_until_it_is_retired() {
    let (project, path) = with_credentials(3).await;
    let old = KeyFile::load(&path).unwrap().key_id();
    assert_eq!(master_key(&project, 0).await["fault"], Value::Null);

    let rekeyed = project
        .run(["db", "rekey", "--json"])
        .await
        .expect(0)
        .json();
    let file = KeyFile::load(&path).unwrap();
    let new = file.key_id();
    assert_ne!(new, old);
    assert_eq!(
        (
            &rekeyed["sealed_anew"],
            &rekeyed["key"],
            &rekeyed["older_keys_kept"]
        ),
        (&json!(3), &json!(new.to_string()), &json!(true))
    );
    assert!(file.vault().knows(&old));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let retired = project.run(["db", "rekey", "--retire"]).await.expect(0);
    assert!(retired.stdout.starts_with("✓ 0 credentials sealed anew"));
    let file = KeyFile::load(&path).unwrap();
    assert_eq!((file.key_id(), file.is_staged()), (new, false));
    let expected = [1, 2, 3].map(|n| (new, format!("sk-{n:04}")));
    assert_eq!(stored(&project, &file.vault()).await, expected);
    assert_eq!(master_key(&project, 0).await["fault"], Value::Null);
}

#[tokio::test]
async fn a_database_that_shares_the_key_file_is_not_cut_off_by_a_rekey_of_another() {
    let (project, path) = with_credentials(1).await;
    let mut other = Project::of_examples();
    other.set("FUSION_MASTER_KEY_FILE", path.display().to_string());
    other.run(["db", "migrate"]).await.expect(0);
    let vault = KeyFile::load(&path).unwrap().vault();
    store(&file(&other), vec![provider(&vault, 9, "sk-other")]).await;

    project.run(["db", "rekey"]).await.expect(0);
    let told = master_key(&other, 1).await;
    assert!(
        told["fault"]
            .as_str()
            .unwrap()
            .contains("1 of 1 stored credentials are sealed with an older key")
    );
    assert!(
        told["help"]
            .as_str()
            .unwrap()
            .contains("fusion-kit db rekey")
    );
    other.run(["db", "rekey"]).await.expect(0);
    let file = KeyFile::load(&path).unwrap();
    let expected = [(file.key_id(), "sk-other".to_owned())];
    assert_eq!(stored(&other, &file.vault()).await, expected);
    assert_eq!(master_key(&other, 0).await["fault"], Value::Null);
}

#[tokio::test]
async fn a_rekey_that_dies_loses_nothing_and_is_taken_up() {
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        let (project, path) = with_credentials(2).await;
        let before = KeyFile::load(&path).unwrap().key_id();
        let died = project
            .fusion_kit(["db", "rekey", "--retire"])
            .env("FAILPOINTS", format!("{point}=return"))
            .finish()
            .await;
        assert_eq!(died.code, None, "it dies at {point}: {died:?}");
        let left = KeyFile::load(&path).unwrap();
        assert!(left.is_staged());
        let credentials = ["sk-0001", "sk-0002"];
        let found = stored(&project, &left.vault()).await;
        let opened: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(opened, credentials, "after a death at {point}");

        project.run(["db", "rekey", "--retire"]).await.expect(0);
        let file = KeyFile::load(&path).unwrap();
        assert_eq!((file.key_id(), file.is_staged()), (left.key_id(), false));
        assert_ne!(file.key_id(), before);
        let expected = credentials.map(|text| (file.key_id(), text.to_owned()));
        assert_eq!(stored(&project, &file.vault()).await, expected);
    }
}

#[tokio::test]
async fn a_key_in_the_environment_takes_the_place_of_an_old_one_there() {
    let mut project = Project::of_examples();
    project.run(["db", "migrate"]).await.expect(0);
    store(&file(&project), vec![provider(&vault(OLD), 1, "sk-one")]).await;
    project.set("FUSION_MASTER_KEY", NEW);
    let told = master_key(&project, 1).await;
    assert!(
        told["fault"]
            .as_str()
            .unwrap()
            .contains("was sealed with the key"),
        "{told}"
    );
    let refused = project.run(["db", "rekey"]).await.expect(4);
    refused.says(&[
        "provider 'provider-1'",
        "set FUSION_MASTER_KEY to the key it was sealed with",
    ]);

    project.set("FUSION_MASTER_KEY_OLD", OLD);
    let told = master_key(&project, 1).await;
    assert!(
        told["fault"].as_str().unwrap().contains("older key"),
        "{told}"
    );
    let rekeyed = project.run(["db", "rekey"]).await.expect(0);
    assert!(rekeyed.stdout.starts_with("✓ 1 credential sealed anew"));
    assert_eq!(master_key(&project, 0).await["fault"], Value::Null);
    let new = vault(NEW);
    assert_eq!(
        stored(&project, &new).await,
        [(new.key_id(), "sk-one".to_owned())]
    );
    project
        .run(["db", "rekey", "--retire"])
        .await
        .expect(2)
        .says(&["--retire is for a key file"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_key_is_told_with_the_way_out() {
    let (mut project, path) = with_credentials(1).await;
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let told = master_key(&project, 1).await;
    assert!(
        told["fault"].as_str().unwrap().contains("chmod 600"),
        "{told}"
    );
    fs::remove_file(&path).unwrap();
    let told = master_key(&project, 1).await;
    assert!(
        told["fault"]
            .as_str()
            .unwrap()
            .contains("restore it from a copy")
    );
    let refused = project.run(["db", "rekey"]).await.expect(3);
    refused.says(&["there is no key file", "restore it from a copy"]);
    assert!(
        !path.exists(),
        "a new key would hide that the old one is lost"
    );

    project.set("FUSION_MASTER_KEY_OLD", OLD);
    project
        .run(["db", "rekey"])
        .await
        .expect(2)
        .says(&["FUSION_MASTER_KEY_OLD is set, and FUSION_MASTER_KEY is not"]);
    project.set("FUSION_MASTER_KEY", "short");
    project
        .run(["db", "rekey"])
        .await
        .expect(2)
        .says(&["FUSION_MASTER_KEY is not a key"]);
    project.set("FUSION_MASTER_KEY", NEW);
    project.set("FUSION_MASTER_KEY_OLD", "short");
    project
        .run(["db", "rekey"])
        .await
        .expect(2)
        .says(&["FUSION_MASTER_KEY_OLD is not a key"]);
}

#[tokio::test]
async fn without_a_home_the_key_file_must_be_named() {
    let project = Project::of_examples();
    let told = master_key(&project, 1).await;
    assert!(
        told["help"]
            .as_str()
            .unwrap()
            .contains("FUSION_MASTER_KEY_FILE")
    );
    project
        .run(["run", "hello.yaml", "--quiet"])
        .await
        .expect(0);
}
