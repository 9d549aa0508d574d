use crate::support::{BUCKET, depot};

fusion_workspaces::depot_conformance!(|| {
    let server = fusion_testkit::S3Server::start(&[BUCKET]).unwrap();
    (depot(&server.at(), BUCKET), server)
});
