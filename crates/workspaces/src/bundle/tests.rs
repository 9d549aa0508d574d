use std::io::{Seek as _, Write as _};

use tar::{Builder, EntryType, Header};

use super::*;

const LIMITS: BundleLimits = BundleLimits {
    members: 3,
    bytes: 1_000,
};

type Found = Vec<(String, Vec<u8>)>;

fn member(name: &str, content: &[u8]) -> Member {
    let mut spool = Spool::within(&std::env::temp_dir()).unwrap();
    spool.write_all(content).unwrap();
    spool.finish().unwrap().named(name).0
}

fn whole() -> Vec<u8> {
    let mut packed = Vec::new();
    let members = vec![member("one", b"1"), member("a/two", &[7; 700])];
    write_bundle(members, &mut packed).unwrap();
    packed
}

fn read(bytes: &[u8]) -> Result<Found, String> {
    let mut found = Vec::new();
    read_bundle(bytes, LIMITS, |name, size, content| {
        let mut text = Vec::new();
        content.read_to_end(&mut text)?;
        assert_eq!(u64::try_from(text.len()).unwrap(), size);
        found.push((name.to_owned(), text));
        Ok(())
    })
    .map(|()| found)
    .map_err(|error| error.to_string())
}

fn packed(raw: &[u8]) -> Vec<u8> {
    zstd::encode_all(raw, 1).unwrap()
}

/// A bundle with one entry of a kind.
fn with(kind: EntryType, size: u64, path: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path);
    header.set_cksum();
    let mut tar = Builder::new(Vec::new());
    let content = vec![0; usize::try_from(size.min(10)).unwrap()];
    tar.append(&header, content.as_slice()).unwrap();
    packed(&tar.into_inner().unwrap())
}

#[test]
fn what_was_put_in_comes_out_in_its_order() {
    let wanted = vec![
        ("one".to_owned(), b"1".to_vec()),
        ("a/two".to_owned(), vec![7; 700]),
    ];
    assert_eq!(read(&whole()), Ok(wanted));
}

#[test]
fn every_cut_and_every_change_is_found() {
    let (packed, wanted) = (whole(), read(&whole()));
    for length in 0..packed.len() {
        read(&packed[..length]).unwrap_err();
    }
    for place in 0..packed.len() {
        let mut changed = packed.clone();
        changed[place] ^= 0x10;
        let found = read(&changed);
        // Some bits of the head of a frame mean nothing.
        assert!(found.is_err() || found == wanted, "byte {place}");
    }
}

#[test]
fn what_is_no_plain_content_is_refused() {
    use EntryType::{Directory, GNULongName, Link, Regular, Symlink, XHeader};
    for kind in [Directory, GNULongName, Link, Symlink, XHeader] {
        let refused = read(&with(kind, 0, b"one")).unwrap_err();
        assert_eq!(refused, "it has a member that is no plain content");
    }
    // What a name leads to is nobody's concern: it is compared, and never a place.
    let wanted = vec![("../../one".to_owned(), Vec::new())];
    assert_eq!(read(&with(Regular, 0, b"../../one")), Ok(wanted));
    let refused = read(&with(Regular, 0, b"o ne")).unwrap_err();
    assert_eq!(refused, "it has a member whose name is none of ours");
}

#[test]
fn what_is_beyond_a_limit_is_refused_before_it_is_read() {
    let huge = read(&with(EntryType::Regular, 1 << 40, b"one")).unwrap_err();
    assert_eq!(huge, "it has more than 1000 bytes in all");
    let mut many = Vec::new();
    let members = ["a", "b", "c", "d"].map(|name| member(name, b""));
    write_bundle(members.into(), &mut many).unwrap();
    assert_eq!(read(&many).unwrap_err(), "it has more than 3 members");
    // A frame that wants 128 MiB to be unpacked.
    let mut wide = Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&vec![0; 1 << 21]).unwrap();
    read(&wide.finish().unwrap()).unwrap_err();
}

#[test]
fn nothing_comes_after_the_end() {
    let mut twice = whole();
    twice.extend(whole());
    assert_eq!(read(&twice).unwrap_err(), "it has something after its end");
    let raw = zstd::decode_all(whole().as_slice()).unwrap();
    let mut more = raw.clone();
    more.extend([1; 512]);
    let refused = read(&packed(&more)).unwrap_err();
    assert_eq!(refused, "it has something after its last member");
    let mut padded = raw.clone();
    padded.extend([0; 8_704]);
    assert_eq!(read(&packed(&padded)), read(&whole()));
    let mut endless = raw;
    endless.resize(1 << 20, 0);
    let refused = read(&packed(&endless)).unwrap_err();
    assert_eq!(refused, "it has something after its last member");
}

#[test]
fn a_content_that_is_shorter_than_it_was_said_to_be_makes_no_bundle() {
    let mut short = member("one", b"12345");
    let Source::Open(from) = &mut short.from else {
        panic!("a spool is open");
    };
    from.seek(io::SeekFrom::Start(2)).unwrap();
    write_bundle(vec![short], io::sink()).unwrap_err();
}
