//! The first token: made at the first start, so that nobody has to sign in on a machine of their own,
//! and nobody else can.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fusion_api::{hash_of, new_secret};
use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{Ask, Coordinator};
use fusion_core::{ApiToken, ApiTokenId, Clock, IdSource, TokenScope};
use fusion_persistence::{Page, Repository, TokenFilter};
use fusion_persistence_sql::SqlStore;
use secrecy::{ExposeSecret, SecretString};

use super::announcement::{unwritable, write_whole};
use crate::data_dir::DataDir;
use crate::problems;
use crate::system::{SystemClock, SystemIds};

/// The longest file that can hold a token.
const LONGEST: u64 = 1_024;

/// The token of a data directory; `None` where there is none.
///
/// # Errors
/// Others can read it, or it can't be read.
pub(crate) fn read(data_dir: &DataDir) -> Result<Option<SecretString>, Problem> {
    let file = data_dir.token();
    let found = match fs::metadata(&file) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(&file, &error.to_string())),
    };
    if found.mode() & 0o077 != 0 {
        let problem = unreadable(&file, "others can read it, so that it protects nothing");
        return Err(problem.with_help(format!(
            "take the server's token away with DELETE /api/v1/tokens/ID and remove the file; the \
             next start makes another: rm {}",
            fusion_cli::shell_word(&file.to_string_lossy())
        )));
    }
    if !found.is_file() || found.len() > LONGEST {
        return Err(unreadable(&file, "it is no file with a token"));
    }
    let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error.to_string()))?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| SecretString::from(text)))
}

/// The file with a token that the store knows, and what the store knows of it; both are made where they
/// are missing.
pub(super) async fn file(
    data_dir: &DataDir,
    coordinator: &Coordinator,
    store: &SqlStore,
) -> Result<(PathBuf, ApiToken), Problem> {
    let file = data_dir.token();
    let secret = match read(data_dir)? {
        Some(secret) => secret,
        None => {
            let secret = new_secret().map_err(|error| {
                Problem::new(
                    ProblemKind::Unavailable,
                    format!("the system gives no random bytes: {error}"),
                )
            })?;
            let line = SecretString::from(format!("{}\n", secret.expose_secret()));
            write_whole(&file, line.expose_secret().as_bytes())
                .map_err(|error| unwritable(&file, &error))?;
            secret
        }
    };
    let hash = hash_of(secret.expose_secret());
    let filter = TokenFilter {
        hash: Some(hash.clone()),
        name: None,
    };
    let known = store.list(&filter, Page::first(1)).await;
    let known = known.map_err(|error| problems::of_store(&error))?;
    let token = match known.into_iter().next() {
        Some(token) => token,
        // Of another database, or never stored: a process died between the two.
        None => store_it(coordinator, hash).await?,
    };
    Ok((file, token))
}

async fn store_it(coordinator: &Coordinator, hash: String) -> Result<ApiToken, Problem> {
    let id = SystemIds::new().uuid();
    let row = ApiToken {
        id: ApiTokenId::from_uuid(id),
        // Several data directories may share a database: each has a token of its own.
        name: format!("local {id}"),
        hash,
        scope: TokenScope::Admin,
        created_at: SystemClock.now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        issuer: None,
        version: 1,
    };
    let stored = coordinator.create_record(row.clone(), Ask::default()).await;
    stored.map_err(|error| problems::of_engine(&error))?;
    Ok(row)
}

fn unreadable(file: &Path, why: &str) -> Problem {
    Problem::new(
        ProblemKind::Denied,
        format!("can't use the token in {}: {why}", file.display()),
    )
}
