use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXUPPER};
use fusion_core::{Coded, ErrorCode};
use fusion_secrets::{Error, MasterKey};

use crate::support::{CANARY, canary, canary_digits};

#[test]
fn a_key_is_read_from_hex_and_from_base64() {
    let texts = [
        HEXLOWER.encode(&CANARY),
        HEXUPPER.encode(&CANARY),
        BASE64.encode(&CANARY),
        BASE64_NOPAD.encode(&CANARY),
        format!("  {}\n", HEXLOWER.encode(&CANARY)),
    ];
    for text in texts {
        let key = MasterKey::parse(&text.as_str().into()).unwrap();
        assert_eq!(key.id(), canary().id(), "{text}");
    }
}

#[test]
fn what_is_not_exactly_32_bytes_is_no_key() {
    let digits = canary_digits();
    let base64 = BASE64_NOPAD.encode(&CANARY);
    let texts = [
        String::new(),
        "correct horse battery staple".to_owned(),
        HEXLOWER.encode(&CANARY[..31]),
        format!("{digits}00"),
        digits.replacen('c', "g", 1),
        digits.replacen("c1", "é", 1),
        format!("0x{digits}"),
        BASE64.encode(&CANARY[..31]),
        BASE64.encode(&[CANARY.as_slice(), &[7]].concat()),
        format!("{base64}=="),
        base64.replace('M', "!"),
    ];
    for text in texts {
        let refused = MasterKey::parse(&text.as_str().into()).unwrap_err();
        assert!(matches!(refused, Error::Malformed), "{text}");
        assert_eq!(refused.code(), ErrorCode::InvalidInput);
    }
}

/// Stored values name their key by it: another rule for ids would make every one of them foreign.
#[test]
fn the_id_of_a_key_never_changes() {
    assert_eq!(canary().id().to_string(), "2642ac5a8816c3e9");
}

#[test]
fn generated_keys_differ() {
    let [one, two] = [(), ()].map(|()| MasterKey::generate().unwrap().id());
    assert_ne!(one, two);
}
