//! Where snapshots of workspaces are kept for other nodes, and what seals them.

use std::io::{self, ErrorKind};
use std::path::{PathBuf, absolute};
use std::sync::Arc;

use fusion_api_types::{CheckView, Problem, ProblemKind};
use fusion_core::IdSource as _;
use fusion_persistence_sql::Location;
use fusion_secrets::{Error, Place, Vault};
use fusion_workspaces::{Depot, FolderDepot, Prepared, Seal, SharedPlace};
use fusion_workspaces_s3::{PATIENCE, S3Depot, S3Place};

use super::node::NodeSettings;
use super::undo;
use crate::config::Config;
use crate::master_key::KeySource;
use crate::problems;
use crate::system::SystemIds;

/// The setting that names it.
const SETTING: &str = "FUSION_SHARED_DIR";

/// What stands where a sealed value names its table.
const SNAPSHOTS: &str = "workspace_snapshots";

/// What the setting says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// A folder that all nodes mount.
    Folder(PathBuf),
    /// A bucket of S3, and what the names of its objects begin with.
    Bucket(&'a str, &'a str),
}

/// The shared place beside the workspaces, which are taken away again where it can't be used.
pub(super) async fn beside(
    prepared: Prepared,
    config: &Config,
    settings: &NodeSettings,
) -> Result<(Option<SharedPlace>, Prepared), Problem> {
    match Box::pin(proven(config, settings)).await {
        Ok(shared) => Ok((shared, prepared)),
        Err(problem) => {
            undo(prepared);
            Err(problem)
        }
    }
}

/// The shared place, for a process that shares its store; it is proven that it can be written to.
async fn proven(config: &Config, settings: &NodeSettings) -> Result<Option<SharedPlace>, Problem> {
    if settings.node.is_none() {
        return Ok(None);
    }
    let Some(depot) = depot(config)? else {
        return Ok(None);
    };
    prove(&depot).await?;
    let vault = KeySource::of(config)?.vault_or_new()?;
    Ok(Some(SharedPlace::new(depot, Arc::new(Sealing(vault)))))
}

/// Whether something can be written there, read and removed, for `verify`; `None` where no place is named.
pub(crate) async fn check(config: &Config, location: &Location) -> Option<CheckView> {
    let proven = match depot(config) {
        Ok(None) => return None,
        Ok(Some(depot)) => prove(&depot).await.map(|()| {
            let place = depot.place().display();
            match location {
                Location::Server(_) => format!("written, read and removed in {place}"),
                Location::File(..) | Location::Memory => {
                    format!("written, read and removed in {place}; of no use without PostgreSQL")
                }
            }
        }),
        Err(problem) => Err(problem),
    };
    let (note, problem) = match proven {
        Ok(note) => (Some(note), None),
        Err(problem) => (None, Some(problem)),
    };
    Some(CheckView {
        name: "snapshots for other nodes".to_owned(),
        note,
        fault: problem.as_ref().map(|problem| problem.message.clone()),
        help: problem.and_then(|problem| problem.help),
    })
}

/// What the setting names, read and found to make sense.
pub(super) fn named(config: &Config) -> Result<Option<Named<'_>>, Problem> {
    let Some(text) = config.node.shared.place.as_deref() else {
        return Ok(None);
    };
    if !text.contains("://") {
        let folder = absolute(text).map_err(|error| {
            let text = format!("{SETTING} can't be used: {error}");
            Problem::new(ProblemKind::InvalidInput, text)
        })?;
        return Ok(Some(Named::Folder(folder)));
    }
    let (bucket, prefix) = S3Place::named(text).ok_or_else(|| {
        let text = format!("{SETTING} is neither a folder nor s3://BUCKET/PREFIX");
        Problem::new(ProblemKind::InvalidInput, text)
            .with_help("the service of a bucket is named by AWS_ENDPOINT_URL")
    })?;
    Ok(Some(Named::Bucket(bucket, prefix)))
}

/// What keeps pieces at the place that is named; nothing is asked of it yet.
fn depot(config: &Config) -> Result<Option<Arc<dyn Depot>>, Problem> {
    Ok(match named(config)? {
        None => None,
        Some(Named::Folder(folder)) => Some(Arc::new(FolderDepot::new(&folder))),
        Some(Named::Bucket(bucket, prefix)) => {
            let at = bucket_of(config, bucket, prefix)?;
            let depot = S3Depot::new(&at, PATIENCE);
            let depot = depot.map_err(|error| unusable(&format!("s3://{bucket}"), error))?;
            Some(Arc::new(depot))
        }
    })
}

/// A bucket with what opens it.
fn bucket_of(config: &Config, bucket: &str, prefix: &str) -> Result<S3Place, Problem> {
    let key = |name| {
        config.variable(name).ok_or_else(|| {
            let text = format!("{SETTING} names a bucket, and {name} is not set");
            Problem::new(ProblemKind::Denied, text).with_help(KEYS)
        })
    };
    let words = &config.node.shared;
    Ok(S3Place {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: words.endpoint.clone(),
        allow_plain_http: words.plain_http.as_deref() == Some("allow"),
        region: words.region.clone(),
        key_id: key("AWS_ACCESS_KEY_ID")?,
        key: key("AWS_SECRET_ACCESS_KEY")?,
        session: config.variable("AWS_SESSION_TOKEN"),
    })
}

/// Proves that a place can be used.
async fn prove(depot: &Arc<dyn Depot>) -> Result<(), Problem> {
    let proving = {
        let depot = Arc::clone(depot);
        let id = SystemIds::new().uuid().to_string();
        tokio::task::spawn_blocking(move || depot.preflight(&id))
    };
    let proven = proving
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    proven.map_err(|error| unusable(&depot.place().display().to_string(), error))
}

/// What opens a bucket.
const KEYS: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN of a key for a time, hold a \
     key that may list the bucket, and put, get and delete objects in it";

/// Why a place can't be used, and the way out.
fn unusable(place: &str, error: io::Error) -> Problem {
    let help = if !place.starts_with("s3://") {
        "FUSION_SHARED_DIR names a folder that every node can write to"
    } else if error.kind() == ErrorKind::PermissionDenied {
        KEYS
    } else if error.kind() == ErrorKind::NotFound {
        "make the bucket, or correct FUSION_SHARED_DIR"
    } else if error.kind() == ErrorKind::InvalidInput {
        "correct AWS_ENDPOINT_URL; FUSION_SHARED_PLAIN_HTTP=allow in the environment lets http:// name another machine"
    } else if error.kind() == ErrorKind::NotConnected || error.kind() == ErrorKind::TimedOut {
        "does the service that AWS_ENDPOINT_URL names run? without it AWS itself is asked"
    } else {
        "is AWS_REGION the region of the bucket, and AWS_ENDPOINT_URL the address of its service?"
    };
    let path = PathBuf::from(place);
    let action = "use the shared place";
    let error = fusion_workspaces::Error::Io {
        action,
        path,
        source: error,
    };
    problems::of_workspaces(&error).with_help(help)
}

/// Seals with the master key, which all nodes have.
#[derive(Debug)]
struct Sealing(Vault);

impl Seal for Sealing {
    fn name_of(&self, content: &[u8]) -> String {
        self.0.name_of(content)
    }

    fn seal(&self, owner: &str, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.0.seal_piece(place(owner, name), content);
        sealed.map_err(io::Error::other)
    }

    fn open(&self, owner: &str, name: &str, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let opened = self.0.open_piece(place(owner, name), sealed);
        opened.map_err(|error| {
            if let Error::Damaged { .. } = error {
                return io::Error::other("its bytes were changed");
            }
            if let Error::WrongKey { sealed_with, .. } = error {
                let what = format!("it is sealed with the key {sealed_with}, which is not at hand");
                return io::Error::other(what);
            }
            io::Error::other(error)
        })
    }
}

const fn place<'a>(owner: &'a str, name: &'a str) -> Place<'a> {
    Place {
        table: SNAPSHOTS,
        row: owner,
        field: name,
    }
}
