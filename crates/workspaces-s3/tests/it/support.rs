use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use fusion_testkit::S3Server;
use fusion_workspaces::Shelf;
use fusion_workspaces_s3::{S3Depot, S3Place};

/// A bucket that is there.
pub(crate) const BUCKET: &str = "fusion";

pub(crate) const SHELF: Shelf<'_> = Shelf {
    owner: "owner",
    writer: "writer",
};

/// How long a request of these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Enough for a test that waits for it to pass.
pub(crate) const SHORT: Duration = Duration::from_secs(1);

/// A place in a bucket of a server, with the right key.
pub(crate) fn place(endpoint: &str, bucket: &str) -> S3Place {
    S3Place {
        bucket: bucket.to_owned(),
        prefix: "some/prefix".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        allow_plain_http: false,
        region: None,
        key_id: S3Server::KEY_ID.into(),
        key: S3Server::KEY.into(),
        session: None,
    }
}

pub(crate) fn depot(endpoint: &str, bucket: &str) -> S3Depot {
    opened(&place(endpoint, bucket), PATIENCE).unwrap()
}

pub(crate) fn opened(place: &S3Place, patience: Duration) -> std::io::Result<S3Depot> {
    // Fails when another test did it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    S3Depot::new(place, patience)
}

/// The files below a folder, in order, by their path from there.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// An address that passes on to a server what it is sent, up to so many bytes of a connection; then it
/// breaks both off.
pub(crate) fn cut_after(server: &str, bytes: usize) -> String {
    let server = server.replace("http://", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (mut from_server, mut to_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from_server, &mut to_client).ok());
            thread::spawn(move || pass_some((client, server), bytes));
        }
    });
    format!("http://{address}")
}

fn pass_some((mut client, mut server): (TcpStream, TcpStream), bytes: usize) {
    let mut left = bytes;
    let mut piece = [0; 4096];
    while left > 0 {
        let some = left.min(piece.len());
        let read = client.read(&mut piece[..some]).unwrap_or(0);
        if read == 0 || server.write_all(&piece[..read]).is_err() {
            break;
        }
        left -= read;
    }
    for end in [client, server] {
        end.shutdown(Shutdown::Both).ok();
    }
}
