//! What becomes of pieces in a bucket.

use std::io::ErrorKind;
use std::time::Instant;

use fusion_testkit::S3Server;
use fusion_workspaces::Depot as _;
use fusion_workspaces_s3::S3Place;

use crate::support::{BUCKET, PATIENCE, SHELF, SHORT, cut_after, depot, files, opened, place};

#[test]
fn objects_are_below_the_prefix_and_in_their_bucket() {
    let server = S3Server::start(&[BUCKET, "other"]).unwrap();
    depot(&server.at(), BUCKET).put(SHELF, "a", b"a").unwrap();
    let mut at = place(&server.at(), "other");
    at.prefix = String::new();
    let without = opened(&at, PATIENCE).unwrap();
    without.put(SHELF, "b", b"b").unwrap();
    assert_eq!(
        [BUCKET, "other"].map(|name| files(&server.bucket(name))),
        [
            ["some/prefix/snapshots/owner/writer/a"],
            ["snapshots/owner/writer/b"]
        ]
    );
    assert_eq!(without.place().to_str(), Some("s3://other"));
    let named = depot(&server.at(), BUCKET);
    assert_eq!(named.place().to_str(), Some("s3://fusion/some/prefix"));
}

#[test]
fn two_prefixes_of_a_bucket_know_nothing_of_each_other() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let one = depot(&server.at(), BUCKET);
    let mut at = place(&server.at(), BUCKET);
    // It begins as the other does.
    at.prefix = "some/prefix-2".to_owned();
    let two = opened(&at, PATIENCE).unwrap();
    one.put(SHELF, "a", b"of one").unwrap();
    assert_eq!(two.owners().unwrap(), Vec::<String>::new());
    two.put(SHELF, "a", b"of two").unwrap();
    one.clear_owner(SHELF.owner).unwrap();
    assert_eq!(two.get(SHELF, "a", 10).unwrap(), b"of two");
    assert_eq!(one.owners().unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_larger_than_a_part_of_an_upload_is_put_whole() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let depot = opened(&place(&server.at(), BUCKET), PATIENCE * 6).unwrap();
    // Parts of an upload have 5 MiB at least.
    let large: Vec<u8> = (0..=250).cycle().take(12 << 20).collect();
    depot.put(SHELF, "large", &large).unwrap();
    let found = depot.get(SHELF, "large", 12 << 20).unwrap();
    assert!(found == large);
    let limited = depot.get(SHELF, "large", (12 << 20) - 1);
    assert_eq!(limited.unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn an_upload_that_broke_off_is_seen_by_nobody() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let whole = depot(&server.at(), BUCKET);
    whole.put(SHELF, "old", b"as it was").unwrap();
    let way = cut_after(&server.at(), 512 << 10);
    let cut = opened(&place(&way, BUCKET), SHORT).unwrap();
    let content = vec![7; 1 << 20];
    for name in ["old", "new"] {
        cut.put(SHELF, name, &content).unwrap_err();
    }
    let many = vec![("new".to_owned(), content)];
    cut.put_all(SHELF, many).unwrap_err();
    assert_eq!(whole.get(SHELF, "old", 1 << 21).unwrap(), b"as it was");
    let missing = whole.get(SHELF, "new", 1 << 21).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(
        files(&server.bucket(BUCKET)),
        ["some/prefix/snapshots/owner/writer/old"]
    );
}

#[test]
fn more_pieces_than_a_list_has_are_put_at_once_and_cleared() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let depot = depot(&server.at(), BUCKET);
    let names: Vec<String> = (0..1100).map(|number| format!("piece-{number}")).collect();
    let pieces = names
        .iter()
        .map(|name| (name.clone(), name.clone().into_bytes()));
    depot.put_all(SHELF, pieces.collect()).unwrap();
    let found = depot.get_all(SHELF, &names, 100).unwrap();
    assert!(
        found
            == names
                .iter()
                .map(|name| name.clone().into_bytes())
                .collect::<Vec<_>>()
    );
    depot.clear(SHELF).unwrap();
    assert_eq!(files(&server.bucket(BUCKET)), Vec::<String>::new());
}

#[test]
fn an_address_has_a_bucket_and_a_prefix() {
    let named = [
        "s3://b",
        "s3://b/",
        "s3://b/p/q/",
        "s3://",
        "s3:///p",
        "s3://b/p//q",
        "s3://b/../q",
        "/mnt/b",
    ];
    let found = named.map(S3Place::named);
    let none = None;
    assert_eq!(
        found,
        [
            Some(("b", "")),
            Some(("b", "")),
            Some(("b", "p/q")),
            none,
            none,
            none,
            none,
            none
        ]
    );
}

#[test]
fn a_proof_takes_little_time_and_leaves_nothing() {
    let server = S3Server::start(&[BUCKET]).unwrap();
    let depot = depot(&server.at(), BUCKET);
    let begun = Instant::now();
    depot.preflight("id").unwrap();
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(files(&server.bucket(BUCKET)), Vec::<String>::new());
}
