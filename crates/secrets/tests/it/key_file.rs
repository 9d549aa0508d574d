use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use fusion_core::{Coded, ErrorCode};
use fusion_secrets::{Error, KeyFile};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::support::{canary, canary_digits};

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    (folder, path)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    chmod(path, 0o600);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_first_start_makes_a_file_of_mode_0600_and_the_next_reads_it() {
    let (folder, path) = place();
    let made = KeyFile::load_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).unwrap();
    let again = KeyFile::load_or_create(&path).unwrap();
    assert_eq!(again.key_id(), made.key_id());
    assert_eq!(KeyFile::load(&path).unwrap().key_id(), made.key_id());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_rekey_keeps_the_mode() {
    let (_folder, path) = place();
    let mut file = KeyFile::load_or_create(&path).unwrap();
    file.stage().unwrap();
    assert_eq!(mode(&path), 0o600);
    file.retire().unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_missing_file_is_made_by_load_or_create_only() {
    let (_folder, path) = place();
    let refused = KeyFile::load(&path).unwrap_err();
    assert!(matches!(&refused, Error::NoKeyFile { path: named } if *named == path));
    assert_eq!(refused.code(), ErrorCode::NotFound);
    assert!(!path.exists());
}

#[test]
fn a_missing_folder_is_told_and_not_made() {
    let (folder, _) = place();
    let path = folder.path().join("none").join("master.key");
    let refused = KeyFile::load_or_create(&path).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound);
    let said = format!("can't open the folder {}", path.parent().unwrap().display());
    assert_eq!(refused.to_string(), said);
}

#[test]
fn any_right_of_others_is_refused_with_the_way_out() {
    let (_folder, path) = place();
    KeyFile::load_or_create(&path).unwrap();
    for wide in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o660] {
        chmod(&path, wide);
        for refused in [KeyFile::load(&path), KeyFile::load_or_create(&path)] {
            let refused = refused.unwrap_err();
            let path = path.display();
            assert_eq!(
                refused.to_string(),
                format!(
                    "the key file {path} is open to other users (mode {wide:04o}): close it with `chmod 600 {path}`"
                )
            );
            assert_eq!(refused.code(), ErrorCode::Denied);
        }
    }
    for closed in [0o600, 0o400] {
        chmod(&path, closed);
        KeyFile::load(&path).unwrap();
    }
}

#[test]
fn a_link_is_refused_wherever_it_leads() {
    let (folder, path) = place();
    let target = folder.path().join("elsewhere");
    symlink(&target, &path).unwrap();
    let to_nothing = KeyFile::load_or_create(&path).unwrap_err();
    assert!(matches!(to_nothing, Error::NotAFile { .. }));
    assert!(!target.exists());
    write(&target, &canary_digits());
    for refused in [KeyFile::load(&path), KeyFile::load_or_create(&path)] {
        assert!(matches!(refused, Err(Error::NotAFile { .. })));
    }
}

#[test]
fn what_is_no_plain_file_is_refused_without_waiting_for_it() {
    let (folder, path) = place();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [path.as_path(), &socket, folder.path()] {
        let refused = KeyFile::load_or_create(path).unwrap_err();
        assert!(matches!(refused, Error::NotAFile { .. }), "{refused:?}");
        assert_eq!(refused.code(), ErrorCode::InvalidInput);
    }
}

#[test]
fn a_key_by_hand_may_have_comments_and_any_form_of_a_key() {
    let (_folder, path) = place();
    let base64 = data_encoding::BASE64.encode(&crate::support::CANARY);
    for text in [
        canary_digits(),
        format!("# mine\r\n\r\n{}\r\n", canary_digits()),
        format!("\n  {base64}\n"),
    ] {
        write(&path, &text);
        let file = KeyFile::load(&path).unwrap();
        assert_eq!((file.key_id(), file.is_staged()), (canary().id(), false));
    }
}

#[test]
fn wrong_content_is_refused_by_its_line_and_left_as_it_is() {
    let (_folder, path) = place();
    let digits = canary_digits();
    let cases = [
        (String::new(), "it holds no key"),
        ("# only words\n".to_owned(), "it holds no key"),
        (format!("{digits}\nhunter2\n"), "line 2 is not a key"),
        (format!("{digits}{digits}"), "line 1 is not a key"),
        (format!("{digits}\n\0"), "line 2 is not a key"),
        ("#".repeat(4097), "it has more than 4096 bytes"),
    ];
    for (text, fault) in cases {
        write(&path, &text);
        let refused = KeyFile::load_or_create(&path).unwrap_err();
        let said = format!(
            "the key file {} can't be used: {fault}; restore it from a copy, or remove it if no credential was stored yet",
            path.display()
        );
        assert_eq!(refused.to_string(), said);
        assert_eq!(refused.code(), ErrorCode::Internal);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// Threads stand for processes here: each opens the files itself, and neither the lock on the
/// folder nor the step into place knows the difference.
#[test]
fn starts_at_once_end_with_one_key() {
    const STARTS: usize = 8;
    for _ in 0..20 {
        let (folder, path) = place();
        let gate = Barrier::new(STARTS);
        let keys = thread::scope(|scope| {
            let start = || {
                gate.wait();
                KeyFile::load_or_create(&path).unwrap().key_id()
            };
            let starts = [(); STARTS].map(|()| scope.spawn(start));
            starts.map(|start| start.join().unwrap())
        });
        assert_eq!(keys, [KeyFile::load(&path).unwrap().key_id(); STARTS]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
