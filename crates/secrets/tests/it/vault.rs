use data_encoding::HEXLOWER;
use fusion_core::{Coded, ErrorCode, Sealed};
use fusion_secrets::{Error, KeyId, MasterKey, Place, Vault};
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use crate::support::{PLACE, canary, vault};

/// [`PLACE`]'s value "sk-0123456789", sealed with the canary key and the nonce 00..17 (hex) by
/// another implementation.
const STORED: &str = "\
    012642ac5a8816c3e9000102030405060708090a0b0c0d0e0f1011121314151617a1bdcd1b1dce5e196a10ac\
    4fdb39856440ca6c9c3587619421e0c4042f";

/// What "content" is called by who has the canary key.
const NAMED: &str = "be6253095d4af9709b79e6019fe597e67303282efac8d7116db676107a4bfa50";

fn changed(sealed: &Sealed, change: impl FnOnce(&mut Vec<u8>)) -> Sealed {
    let mut bytes = sealed.as_bytes().to_vec();
    change(&mut bytes);
    Sealed::from_bytes(bytes)
}

#[test]
fn what_was_stored_by_the_first_version_opens_forever() {
    let stored = Sealed::from_bytes(HEXLOWER.decode(STORED.as_bytes()).unwrap());
    assert_eq!(KeyId::of(&stored), Some(canary().id()));
    let opened = Vault::new(canary(), Vec::new()).open(PLACE, &stored);
    assert_eq!(opened.unwrap().expose_secret(), "sk-0123456789");
}

#[test]
fn a_value_opens_at_its_own_place_only() {
    let vault = vault();
    let sealed = vault.seal(PLACE, &"sk-1".into()).unwrap();
    let elsewhere = [
        Place {
            table: "api_tokens",
            ..PLACE
        },
        Place {
            row: "019ab3c4-0000-7000-8000-000000000001",
            ..PLACE
        },
        Place {
            field: "metadata",
            ..PLACE
        },
        // The same letters in a row, parted in another way.
        Place {
            table: "provider",
            row: "s019ab3c4-0000-7000-8000-000000000000",
            ..PLACE
        },
        Place {
            table: PLACE.row,
            row: PLACE.table,
            ..PLACE
        },
    ];
    for place in elsewhere {
        let refused = vault.open(place, &sealed).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{place}");
        assert_eq!(refused.code(), ErrorCode::Internal);
    }
    let opened = vault.open(PLACE, &sealed).unwrap();
    assert_eq!(opened.expose_secret(), "sk-1");
}

#[test]
fn the_same_value_is_never_sealed_to_the_same_bytes() {
    let vault = vault();
    let [one, two] = [(), ()].map(|()| vault.seal(PLACE, &"sk-1".into()).unwrap());
    assert_ne!(one, two);
}

#[test]
fn a_foreign_key_is_named_with_the_way_out() {
    let (mine, theirs) = (vault(), vault());
    let sealed = theirs.seal(PLACE, &"sk-1".into()).unwrap();
    let refused = mine.open(PLACE, &sealed).unwrap_err();
    let Error::WrongKey { sealed_with, have } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((*sealed_with, *have), (theirs.key_id(), mine.key_id()));
    let said = format!(
        "a stored credential was sealed with the key {}, and the key in use is {}: set FUSION_MASTER_KEY to the key it was sealed with, or restore the key file",
        theirs.key_id(),
        mine.key_id()
    );
    assert_eq!(refused.to_string(), said);
    assert_eq!(refused.code(), ErrorCode::Denied);
}

#[test]
fn older_keys_open_and_the_current_one_seals() {
    let [old, new] = [(), ()].map(|()| MasterKey::generate().unwrap());
    let sealed = Vault::new(old.clone(), Vec::new()).seal(PLACE, &"sk-1".into());
    let sealed = sealed.unwrap();
    let both = Vault::new(new.clone(), vec![old.clone()]);
    assert_eq!(both.open(PLACE, &sealed).unwrap().expose_secret(), "sk-1");
    let again = both.seal(PLACE, &"sk-1".into()).unwrap();
    assert_eq!(KeyId::of(&sealed), Some(old.id()));
    assert_eq!(KeyId::of(&again), Some(new.id()));
    assert!(both.knows(&old.id()) && both.knows(&new.id()));
    assert!(!both.knows(&canary().id()));
}

#[test]
fn the_longest_value_is_64_kib() {
    let vault = vault();
    let longest = SecretString::from("x".repeat(64 * 1024));
    let sealed = vault.seal(PLACE, &longest).unwrap();
    let opened = vault.open(PLACE, &sealed).unwrap();
    assert_eq!(opened.expose_secret(), longest.expose_secret());

    let refused = vault.seal(PLACE, &"x".repeat(64 * 1024 + 1).into());
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the value for {PLACE} has 65537 bytes: a credential has at most 65536")
    );
    assert_eq!(refused.code(), ErrorCode::InvalidInput);
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let vault = vault();
    let sealed = vault.seal(PLACE, &"sk-1".into()).unwrap();
    let newer = changed(&sealed, |bytes| bytes[0] = 2);
    let refused = vault.open(PLACE, &newer).unwrap_err();
    assert!(matches!(refused, Error::UnknownFormat { format: 2, .. }));
    assert_eq!(KeyId::of(&newer), None);
}

#[test]
fn no_shorter_and_no_longer_piece_of_a_value_opens() {
    let vault = vault();
    let sealed = vault.seal(PLACE, &"sk-1".into()).unwrap();
    for length in 0..sealed.as_bytes().len() {
        let cut = changed(&sealed, |bytes| bytes.truncate(length));
        let refused = vault.open(PLACE, &cut).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{length}");
    }
    let grown = changed(&sealed, |bytes| bytes.push(0));
    let refused = vault.open(PLACE, &grown).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }));
}

#[test]
fn a_piece_of_a_file_may_be_long_and_of_any_kind_and_opens_at_its_place_only() {
    let vault = vault();
    let piece = vec![0xff; Vault::MAX_PIECE];
    let sealed = vault.seal_piece(PLACE, &piece).unwrap();
    assert_eq!(vault.open_piece(PLACE, &sealed).unwrap(), piece);
    let elsewhere = Place {
        field: "another",
        ..PLACE
    };
    let refused = vault.open_piece(elsewhere, &sealed).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    let longer = vec![0; Vault::MAX_PIECE + 1];
    let refused = vault.seal_piece(PLACE, &longer).unwrap_err();
    assert!(matches!(refused, Error::TooLong { .. }), "{refused}");
}

#[test]
fn a_name_tells_contents_apart_for_who_has_the_key_and_nobody_else() {
    let (one, other) = (Vault::new(canary(), Vec::new()), vault());
    // HMAC-SHA-256 of the domain and the content, by another implementation.
    assert_eq!(one.name_of(b"content"), NAMED);
    assert_ne!(one.name_of(b"content"), one.name_of(b"Content"));
    assert_ne!(one.name_of(b"content"), other.name_of(b"content"));
}

proptest! {
    #[test]
    fn whatever_was_sealed_comes_back(
        value in any::<String>(),
        [table, row, field] in any::<[String; 3]>(),
    ) {
        let place = Place { table: &table, row: &row, field: &field };
        let vault = vault();
        let sealed = vault.seal(place, &value.as_str().into()).unwrap();
        let opened = vault.open(place, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &value);
    }

    #[test]
    fn a_change_of_any_byte_is_refused(
        value in ".{0,40}",
        byte in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let vault = vault();
        let sealed = vault.seal(PLACE, &value.as_str().into()).unwrap();
        let byte = byte.index(sealed.as_bytes().len());
        let damaged = changed(&sealed, |bytes| bytes[byte] ^= flip);
        let refused = vault.open(PLACE, &damaged).unwrap_err();
        let named = match byte {
            0 => matches!(refused, Error::UnknownFormat { .. }),
            1..9 => matches!(refused, Error::WrongKey { .. }),
            _ => matches!(refused, Error::Damaged { .. }),
        };
        prop_assert!(named, "byte {}: {:?}", byte, refused);
    }

    #[test]
    fn bytes_of_any_kind_are_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(vault().open(PLACE, &Sealed::from_bytes(bytes)).is_err());
    }
}
