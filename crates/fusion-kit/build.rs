//! Keeps the list of addresses that the loader adjusts at each start short: 36 KB in place of 2.5 MB, all
//! of which every process reads and keeps resident
//! (`DT_RELR`, <https://gabi.xinuos.com/elf/06-reloc.html>).
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is told by its environment what it builds, and starts a tool to ask for a version"
)]

use std::env;
use std::process::Command;

/// The first glibc whose loader reads such a list, as major and minor number.
const READS_IT: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if is_for_this_machine() && of_this_machine().is_some_and(|version| version >= READS_IT) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program is built for the system it is built on: nothing is known of others.
fn is_for_this_machine() -> bool {
    let of = |name| env::var(name).unwrap_or_default();
    of("CARGO_CFG_TARGET_ENV") == "gnu" && of("HOST") == of("TARGET")
}

/// The version of glibc here.
fn of_this_machine() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let told = String::from_utf8(told.ok()?.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}
