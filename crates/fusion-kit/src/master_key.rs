//! The master key: where it is, whether it opens what is stored, and its rotation.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use fusion_api_types::{CheckView, Problem, ProblemKind};
use fusion_coordination::{credentials, reseal_webhooks};
use fusion_core::{ProviderConfig, Webhook};
use fusion_persistence::{
    Error as StoreError, Page, ProviderFilter, Reader, Repository, Store, WebhookFilter,
};
use fusion_secrets::{Error, KeyFile, KeyId, MasterKey, Vault};

use crate::config::Config;
use crate::problems;

/// The variable that holds the key.
const VARIABLE: &str = "FUSION_MASTER_KEY";

/// Rows that are read at once.
const AT_ONCE: u32 = 500;

/// How often a rekey begins anew because somebody changed a provider meanwhile.
const TRIES: u32 = 10;

/// Where the master key comes from.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// From the environment.
    Variable(Vault),
    /// From a file, which is made when a key is first needed.
    File(PathBuf),
}

/// What a rekey did.
#[derive(Debug)]
pub(crate) struct Rekeyed {
    /// How many credentials were sealed with the new key.
    pub(crate) sealed_anew: u64,
    /// The key in use; `None` when none was needed yet.
    pub(crate) key: Option<KeyId>,
    /// Older keys are still in the key file.
    pub(crate) older_kept: bool,
}

impl KeySource {
    pub(crate) fn of(config: &Config) -> Result<Self, Problem> {
        match (&config.master_key, &config.master_key_old) {
            (Some(current), old) => {
                let current =
                    MasterKey::parse(current).map_err(|error| problems::of_error(&error))?;
                let old = old.as_ref().map(MasterKey::parse).transpose();
                let old = old.map_err(|error| {
                    let problem = problems::of_error(&error);
                    Problem {
                        message: problem
                            .message
                            .replacen(VARIABLE, "FUSION_MASTER_KEY_OLD", 1),
                        ..problem
                    }
                })?;
                Ok(Self::Variable(Vault::new(
                    current,
                    old.into_iter().collect(),
                )))
            }
            (None, Some(_)) => Err(Problem::new(
                ProblemKind::InvalidInput,
                "FUSION_MASTER_KEY_OLD is set, and FUSION_MASTER_KEY is not",
            )
            .with_help("set FUSION_MASTER_KEY to the key that takes its place")),
            (None, None) => config
                .master_key_file
                .clone()
                .map(Self::File)
                .ok_or_else(|| {
                    Problem::new(
                        ProblemKind::InvalidInput,
                        "there is no place for the master key: this user has no home folder",
                    )
                    .with_help(
                        "set FUSION_MASTER_KEY_FILE to a path, or FUSION_MASTER_KEY to a key",
                    )
                }),
        }
    }

    /// What names it to a person.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Variable(_) => VARIABLE.to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// What opens stored credentials.
    pub(crate) fn vault(&self) -> fusion_secrets::Result<Vault> {
        match self {
            Self::Variable(vault) => Ok(vault.clone()),
            Self::File(path) => Ok(KeyFile::load(path)?.vault()),
        }
    }

    /// What seals a first credential: makes the key file, and its folder, where there is none.
    pub(crate) fn vault_or_new(&self) -> Result<Vault, Problem> {
        let Self::File(path) = self else {
            return self.vault().map_err(|error| problems::of_error(&error));
        };
        if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).map_err(|error| {
                Problem::new(
                    ProblemKind::Unavailable,
                    format!("could not make the folder {}: {error}", folder.display()),
                )
                .with_help(
                    "the master key is kept there; FUSION_MASTER_KEY_FILE names another place",
                )
            })?;
        }
        let file = KeyFile::load_or_create(path).map_err(|error| problems::of_error(&error))?;
        Ok(file.vault())
    }

    /// Whether there is a key, and it opens every stored credential. `None` stands for credentials
    /// that could not be read.
    pub(crate) fn check(&self, stored: Option<&[ProviderConfig]>) -> CheckView {
        let sealed = stored.unwrap_or_default().iter();
        let sealed = sealed.filter(|row| row.credentials.is_some()).count();
        let vault = match self.vault() {
            Ok(vault) => vault,
            Err(Error::NoKeyFile { path }) if sealed == 0 => {
                let path = path.display();
                return right(format!("none yet; made when first needed: {path}"));
            }
            Err(error) => return wrong(&problems::of_error(&error)),
        };
        let (key, place) = (vault.key_id(), self.place());
        let Some(stored) = stored else {
            return right(format!(
                "{key} of {place}; not compared with what is stored"
            ));
        };
        match check_all(&vault, stored) {
            Err(problem) => wrong(&problem),
            Ok(0) => right(format!("{key} of {place}; {sealed} stored credentials")),
            Ok(older) => CheckView {
                fault: Some(format!(
                    "{older} of {sealed} stored credentials are sealed with an older key"
                )),
                help: Some("seal them with the current one: fusion-kit db rekey".to_owned()),
                ..right(String::new())
            },
        }
    }

    /// Seals every stored credential with a new key. After an error, and after a crash at any
    /// moment, every credential still opens, and doing it again takes it up.
    pub(crate) async fn rekey(self, store: &dyn Store, retire: bool) -> Result<Rekeyed, Problem> {
        match self {
            Self::Variable(vault) => {
                if retire {
                    return Err(Problem::new(
                        ProblemKind::InvalidInput,
                        "--retire is for a key file, and the key is in FUSION_MASTER_KEY",
                    )
                    .with_help("unset FUSION_MASTER_KEY_OLD when no database needs it any more"));
                }
                check_all(&vault, &stored(store).await?)?;
                check_webhooks(&vault, store).await?;
                Ok(Rekeyed {
                    sealed_anew: seal_anew(store, &vault).await?,
                    key: Some(vault.key_id()),
                    older_kept: false,
                })
            }
            Self::File(path) => rekey_by_file(path, store, retire).await,
        }
    }
}

async fn rekey_by_file(path: PathBuf, store: &dyn Store, retire: bool) -> Result<Rekeyed, Problem> {
    let of_keys = |error: Error| problems::of_error(&error);
    let rows = stored(store).await?;
    let mut file = match KeyFile::load(path) {
        Ok(file) => file,
        Err(Error::NoKeyFile { .. })
            if rows.iter().all(|row| row.credentials.is_none())
                && webhooks(store).await?.is_empty() =>
        {
            return Ok(Rekeyed {
                sealed_anew: 0,
                key: None,
                older_kept: false,
            });
        }
        Err(error) => return Err(of_keys(error)),
    };
    // No new key is made while there is a secret that could not get it.
    check_all(&file.vault(), &rows)?;
    check_webhooks(&file.vault(), store).await?;
    file.stage().map_err(of_keys)?;
    let sealed_anew = seal_anew(store, &file.vault()).await?;
    if retire {
        file.retire().map_err(of_keys)?;
    }
    Ok(Rekeyed {
        sealed_anew,
        key: Some(file.key_id()),
        older_kept: file.is_staged(),
    })
}

/// Until nothing is sealed with an older key: says how many were.
async fn seal_anew(store: &dyn Store, vault: &Vault) -> Result<u64, Problem> {
    let mut sealed = 0;
    for _ in 0..TRIES {
        let rows = stored(store).await?;
        let mut resealed =
            credentials::reseal(vault, rows).map_err(|error| problems::of_error(&error))?;
        let webhooks = reseal_webhooks(vault, webhooks(store).await?);
        let webhooks = webhooks.map_err(|error| problems::of_error(&error))?;
        let count = resealed.count + webhooks.changes.len();
        if count == 0 {
            return Ok(sealed);
        }
        resealed.batch.decision.merge(webhooks);
        match store.commit(resealed.batch).await {
            Ok(_) => sealed += count as u64,
            // Somebody has changed a provider since it was read.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(problems::of_store(&error)),
        }
    }
    Err(Problem::new(
        ProblemKind::Conflict,
        "the providers were changed again and again during the rekey",
    )
    .with_help("nothing is lost: repeat it when nobody works on them"))
}

/// Every provider of a database.
pub(crate) async fn stored(store: &dyn Reader) -> Result<Vec<ProviderConfig>, Problem> {
    let mut rows: Vec<ProviderConfig> = Vec::new();
    loop {
        let page = Page {
            after: rows.last().map(|row| row.id),
            limit: AT_ONCE,
        };
        let more = store
            .list(&ProviderFilter::default(), page)
            .await
            .map_err(|error| problems::of_store(&error))?;
        if more.is_empty() {
            return Ok(rows);
        }
        rows.extend(more);
    }
}

/// Every webhook of a database.
async fn webhooks(store: &dyn Reader) -> Result<Vec<Webhook>, Problem> {
    let page = Page::first(AT_ONCE);
    let rows = store.list(&WebhookFilter::default(), page).await;
    rows.map_err(|error| problems::of_store(&error))
}

/// Opens every secret of a webhook.
async fn check_webhooks(vault: &Vault, store: &dyn Reader) -> Result<(), Problem> {
    let opened = reseal_webhooks(vault, webhooks(store).await?);
    opened
        .map(|_| ())
        .map_err(|error| problems::of_error(&error))
}

/// Opens every credential; says how many are sealed with an older key.
fn check_all(vault: &Vault, stored: &[ProviderConfig]) -> Result<usize, Problem> {
    let mut older = 0;
    for row in stored {
        let opened = credentials::open(vault, row).map_err(|error| {
            let problem = problems::of_error(&error);
            Problem {
                message: format!("provider '{}': {}", row.name, problem.message),
                ..problem
            }
        })?;
        let key = row.credentials.as_ref().and_then(KeyId::of);
        if opened.is_some() && key != Some(vault.key_id()) {
            older += 1;
        }
    }
    Ok(older)
}

fn right(note: String) -> CheckView {
    CheckView {
        name: "master key".to_owned(),
        note: Some(note).filter(|note| !note.is_empty()),
        fault: None,
        help: None,
    }
}

/// The texts of keys say the way out after a colon.
fn wrong(problem: &Problem) -> CheckView {
    CheckView {
        fault: Some(problem.message.clone()),
        help: problem.help.clone(),
        ..right(String::new())
    }
}
