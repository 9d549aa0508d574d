//! A planted key and a planted value are searched for in everything that can be shown.

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use fusion_core::Sealed;
use fusion_secrets::{Error, KeyFile, KeyId, MasterKey, Vault};
use secrecy::SecretString;

use crate::support::{CANARY, PLACE, canary, canary_digits, vault};

const VALUE: &str = "sk-canary-MTIzNDU2Nzg5MDEyMzQ1Njc4OTA";

/// Bytes of a secret in a row that give it away.
const PIECE: usize = 6;

/// Does not compile when the type has the trait.
macro_rules! assert_lacks {
    ($($type:ty: $trait:path;)*) => {$(
        const _: fn() = || {
            trait Twofold<Way> {
                fn pick() {}
            }
            struct Second;
            impl<T: ?Sized> Twofold<()> for T {}
            impl<T: ?Sized + $trait> Twofold<Second> for T {}
            let _ = <$type as Twofold<_>>::pick;
        };
    )*};
}

assert_lacks! {
    MasterKey: std::fmt::Display;
    MasterKey: serde::Serialize;
    KeyFile: std::fmt::Display;
    KeyFile: serde::Serialize;
    Vault: std::fmt::Display;
    Vault: serde::Serialize;
    Sealed: std::fmt::Display;
    Sealed: serde::Serialize;
    Sealed: serde::Deserialize<'static>;
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

/// Everything that an error can show.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {}", debug(error));
    let mut cause = error.source();
    while let Some(source) = cause {
        write!(text, " {source} {source:?}").unwrap();
        cause = source.source();
    }
    text
}

/// The forms that a piece of a secret may turn up in.
fn forms(piece: &[u8]) -> Vec<String> {
    let list = format!("{piece:?}");
    let list = list.trim_matches(['[', ']']).to_owned();
    // Base64 digits that do not depend on what stands after the piece.
    let mut forms = vec![list, HEXLOWER.encode(piece)];
    for encoding in [BASE64, BASE64URL] {
        let digits = encoding.encode(piece);
        forms.push(digits.chars().take(PIECE * 8 / 6).collect());
    }
    if let Ok(raw) = std::str::from_utf8(piece) {
        forms.push(raw.to_owned());
    }
    forms
}

#[track_caller]
fn assert_hides(shown: &str, secret: &[u8]) {
    // Hex digits may be capitals, and lists may be spread over lines.
    let words: Vec<_> = shown.split_whitespace().collect();
    let flat = words.join(" ").to_lowercase();
    for piece in secret.windows(PIECE) {
        for form in forms(piece) {
            let found = flat.contains(&form.to_lowercase());
            assert!(!found, "{form:?} is in {shown}");
        }
    }
}

#[test]
fn the_search_finds_a_secret_in_every_form() {
    for told in [
        format!("{CANARY:?}"),
        format!("{CANARY:#?}"),
        format!("{CANARY:02X?}").replace(", ", ""),
        BASE64.encode(&CANARY),
        canary_digits(),
        VALUE.replace("sk-", ""),
    ] {
        let found = std::panic::catch_unwind(|| {
            assert_hides(&told, &CANARY);
            assert_hides(&told, VALUE.as_bytes());
        });
        assert!(found.is_err(), "{told}");
    }
}

#[test]
fn debug_of_every_type_hides_key_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    fs::write(&path, canary_digits()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let mut file = KeyFile::load(&path).unwrap();
    let vault = Vault::new(canary(), vec![canary()]);
    let sealed = vault.seal(PLACE, &VALUE.into()).unwrap();
    let mut all = vec![
        debug(&canary()),
        debug(&canary().id()),
        canary().id().to_string(),
        debug(&file),
        debug(&vault),
        debug(&sealed),
        debug(&KeyId::of(&sealed)),
        debug(&PLACE),
        debug(&vault.open(PLACE, &sealed).unwrap()),
    ];
    file.stage().unwrap();
    all.push(debug(&file));
    for shown in all {
        assert_hides(&shown, &CANARY);
        assert_hides(&shown, VALUE.as_bytes());
    }
}

#[test]
fn a_sealed_value_holds_neither_key_nor_value() {
    let sealed = Vault::new(canary(), Vec::new()).seal(PLACE, &VALUE.into());
    let sealed = sealed.unwrap();
    for secret in [CANARY.as_slice(), VALUE.as_bytes()] {
        for piece in secret.windows(PIECE) {
            let found = sealed.as_bytes().windows(PIECE).any(|part| part == piece);
            assert!(!found, "{piece:?}");
        }
    }
}

#[test]
fn no_error_tells_a_key_or_a_value() {
    let mine = Vault::new(canary(), Vec::new());
    let sealed = mine.seal(PLACE, &VALUE.into()).unwrap();
    let cut = Sealed::from_bytes(sealed.as_bytes()[..60].to_vec());
    let mut newer = sealed.as_bytes().to_vec();
    newer[0] = 9;
    let long = SecretString::from(VALUE.repeat(2_000));
    let nearly = format!("{}x", canary_digits());
    let mut errors = vec![
        MasterKey::parse(&nearly.as_str().into()).unwrap_err(),
        MasterKey::parse(&VALUE.into()).unwrap_err(),
        vault().open(PLACE, &sealed).unwrap_err(),
        mine.open(PLACE, &cut).unwrap_err(),
        mine.open(PLACE, &Sealed::from_bytes(newer)).unwrap_err(),
        mine.seal(PLACE, &long).unwrap_err(),
    ];

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for (text, mode) in [(&canary_digits(), 0o644), (&nearly, 0o600)] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        errors.push(KeyFile::load(&path).unwrap_err());
    }
    fs::write(&path, canary_digits()).unwrap();
    let mut stale = KeyFile::load(&path).unwrap();
    KeyFile::load(&path).unwrap().stage().unwrap();
    errors.push(stale.retire().unwrap_err());
    fs::remove_file(&path).unwrap();
    errors.push(stale.stage().unwrap_err());

    for error in errors {
        assert_hides(&shown(&error), &CANARY);
        assert_hides(&shown(&error), VALUE.as_bytes());
    }
}
