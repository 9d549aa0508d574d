use std::fs;
use std::sync::Barrier;
use std::thread;

use fusion_core::{Coded, ErrorCode, Sealed};
use fusion_secrets::{Error, KeyFile, KeyId};
use secrecy::ExposeSecret;

use crate::support::{PLACE, canary, canary_digits};

fn opens(file: &KeyFile, sealed: &Sealed) -> bool {
    file.vault()
        .open(PLACE, sealed)
        .is_ok_and(|value| value.expose_secret() == "sk-1")
}

fn seal(file: &KeyFile) -> Sealed {
    file.vault().seal(PLACE, &"sk-1".into()).unwrap()
}

#[test]
fn whoever_starts_between_two_steps_of_a_rekey_opens_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut file = KeyFile::load_or_create(&path).unwrap();
    let old_id = file.key_id();
    let old = seal(&file);

    file.stage().unwrap();
    let new = seal(&file);
    assert_eq!(KeyId::of(&new), Some(file.key_id()));
    assert_ne!(file.key_id(), old_id);
    let between = KeyFile::load(&path).unwrap();
    assert_eq!(
        (between.key_id(), between.is_staged()),
        (file.key_id(), true)
    );
    assert!(opens(&between, &old) && opens(&between, &new));
    assert!(opens(&file, &old) && opens(&file, &new));

    file.retire().unwrap();
    let after = KeyFile::load(&path).unwrap();
    assert_eq!((after.key_id(), after.is_staged()), (file.key_id(), false));
    for file in [&file, &after] {
        assert!(opens(file, &new));
        let refused = file.vault().open(PLACE, &old).unwrap_err();
        assert!(matches!(
            refused,
            Error::WrongKey { sealed_with, have } if sealed_with == old_id && have == file.key_id()
        ));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_rekey_that_was_cut_off_is_taken_up_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut first = KeyFile::load_or_create(&path).unwrap();
    let old = seal(&first);
    first.stage().unwrap();
    let new = seal(&first);
    let on_disk = fs::read(&path).unwrap();

    let mut second = KeyFile::load(&path).unwrap();
    second.stage().unwrap();
    assert_eq!(second.key_id(), first.key_id());
    assert_eq!(fs::read(&path).unwrap(), on_disk);
    assert!(opens(&second, &old) && opens(&second, &new));
    second.retire().unwrap();
    assert!(opens(&KeyFile::load(&path).unwrap(), &new));
}

#[test]
fn the_end_of_a_rekey_may_be_said_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut one = KeyFile::load_or_create(&path).unwrap();
    one.stage().unwrap();
    let mut two = KeyFile::load(&path).unwrap();
    one.retire().unwrap();
    one.retire().unwrap();
    two.retire().unwrap();
    assert!(!two.is_staged());
    assert_eq!(KeyFile::load(&path).unwrap().key_id(), two.key_id());
}

#[test]
fn the_end_of_an_earlier_rekey_takes_no_key_of_a_later_one_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut late = KeyFile::load_or_create(&path).unwrap();
    late.stage().unwrap();
    let sealed = seal(&late);

    let mut other = KeyFile::load(&path).unwrap();
    other.retire().unwrap();
    other.stage().unwrap();
    let refused = late.retire().unwrap_err();
    assert!(matches!(refused, Error::Changed { .. }));
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(opens(&KeyFile::load(&path).unwrap(), &sealed));
}

#[test]
fn the_end_of_a_rekey_after_another_whole_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut late = KeyFile::load_or_create(&path).unwrap();
    late.stage().unwrap();

    let mut other = KeyFile::load(&path).unwrap();
    other.retire().unwrap();
    other.stage().unwrap();
    other.retire().unwrap();
    let refused = late.retire().unwrap_err();
    assert!(matches!(refused, Error::Changed { .. }));
}

#[test]
fn a_key_that_was_added_by_hand_is_not_taken_away_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let mut file = KeyFile::load_or_create(&path).unwrap();
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(&canary_digits());
    fs::write(&path, text).unwrap();

    let refused = file.retire().unwrap_err();
    assert!(matches!(refused, Error::Changed { .. }));
    let found = KeyFile::load(&path).unwrap();
    assert!(found.vault().knows(&canary().id()));
}

#[test]
fn rekeys_at_once_agree_on_one_new_key_and_lose_none() {
    const REKEYS: usize = 8;
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let old = seal(&KeyFile::load_or_create(&path).unwrap());
        let gate = Barrier::new(REKEYS);
        let sealed = thread::scope(|scope| {
            let rekey = || {
                let mut file = KeyFile::load(&path).unwrap();
                gate.wait();
                file.stage().unwrap();
                seal(&file)
            };
            let rekeys = [(); REKEYS].map(|()| scope.spawn(rekey));
            rekeys.map(|rekey| rekey.join().unwrap())
        });
        let file = KeyFile::load(&path).unwrap();
        assert!(opens(&file, &old));
        for sealed in sealed {
            assert_eq!(KeyId::of(&sealed), Some(file.key_id()));
        }
    }
}
