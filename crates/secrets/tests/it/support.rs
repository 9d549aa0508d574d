use fusion_secrets::{MasterKey, Place, Vault};

pub(crate) const PLACE: Place<'_> = Place {
    table: "providers",
    row: "019ab3c4-0000-7000-8000-000000000000",
    field: "credentials",
};

/// A key whose bytes are all different.
pub(crate) const CANARY: [u8; 32] = [
    0xc1, 0x0a, 0x9f, 0x33, 0x5e, 0xe7, 0x12, 0x84, 0xbb, 0x6d, 0x41, 0xf8, 0x27, 0x90, 0xd5, 0x7c,
    0x03, 0xae, 0x68, 0x1d, 0xf2, 0x59, 0x86, 0xcb, 0x34, 0x7f, 0xe0, 0x15, 0xa2, 0x4b, 0x98, 0xd6,
];

pub(crate) fn canary_digits() -> String {
    data_encoding::HEXLOWER.encode(&CANARY)
}

pub(crate) fn canary() -> MasterKey {
    MasterKey::parse(&canary_digits().into()).unwrap()
}

pub(crate) fn vault() -> Vault {
    Vault::new(MasterKey::generate().unwrap(), Vec::new())
}
