use std::time::Duration;

use fusion_testkit::S3Server;
use fusion_workspaces_s3::{S3Depot, S3Place};

/// A bucket that is there.
pub(crate) const BUCKET: &str = "fusion";

/// How long a request of these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A place in a bucket of a server, with the right key.
pub(crate) fn place(endpoint: &str, bucket: &str) -> S3Place {
    S3Place {
        bucket: bucket.to_owned(),
        prefix: "some/prefix".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        key_id: S3Server::KEY_ID.into(),
        key: S3Server::KEY.into(),
        session: None,
    }
}

pub(crate) fn depot(endpoint: &str, bucket: &str) -> S3Depot {
    S3Depot::new(&place(endpoint, bucket), PATIENCE).unwrap()
}
