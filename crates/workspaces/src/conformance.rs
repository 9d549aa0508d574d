//! The rules every [`Depot`] must keep, as tests: `depot_conformance!(make)` in a test module turns each
//! rule into a test of its own. `make` gives a fresh depot which no other test uses, and what has to live
//! as long as it does.

use std::io;

use crate::{Depot, Shelf};

/// Makes one test of each rule of this module.
#[macro_export]
macro_rules! depot_conformance {
    ($make:expr) => {
        $crate::depot_conformance!(@tests $make;
            what_was_put_is_read_by_its_name
            a_name_has_the_content_that_was_put_last
            what_is_longer_than_the_limit_is_refused
            what_was_removed_is_gone_and_may_be_removed_again
            a_cleared_shelf_takes_nothing_from_its_neighbours
            a_cleared_owner_takes_nothing_from_others
            many_are_put_read_and_removed_as_one_by_one
            owners_are_those_with_something_there
            it_can_be_proven_and_that_leaves_nothing
        );
    };
    (@tests $make:expr; $($rule:ident)*) => {$(
        #[test]
        fn $rule() {
            let (depot, _kept) = $make();
            $crate::conformance::$rule(&depot).unwrap();
        }
    )*};
}

const ONE: Shelf<'_> = Shelf {
    owner: "owner-1",
    writer: "writer-1",
};

/// Another writer for the same owner.
const TWO: Shelf<'_> = Shelf {
    owner: "owner-1",
    writer: "writer-10",
};

/// An owner whose name begins with that of the other.
const OTHER: Shelf<'_> = Shelf {
    owner: "owner-10",
    writer: "writer-1",
};

/// More than any content of these rules has.
const LIMIT: u64 = 16 * 1024 * 1024;

/// What there is under a name, if any.
fn there(depot: &dyn Depot, shelf: Shelf<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    match depot.get(shelf, name, LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Nothing, little and more than fits into one message.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn what_was_put_is_read_by_its_name(depot: &dyn Depot) -> io::Result<()> {
    let large: Vec<u8> = (0..=250).cycle().take(5 << 20).collect();
    let contents = [
        ("none", vec![]),
        ("little", vec![0, 255, 10]),
        ("large", large),
    ];
    for (name, content) in &contents {
        depot.put(ONE, name, content)?;
    }
    depot.sync(ONE)?;
    for (name, content) in contents {
        assert!(there(depot, ONE, name)? == Some(content), "{name}");
    }
    assert_eq!(there(depot, ONE, "other")?, None);
    assert_eq!(there(depot, TWO, "little")?, None);
    assert_eq!(there(depot, OTHER, "little")?, None);
    Ok(())
}

/// The same with a shorter content, and of two shelves each its own.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn a_name_has_the_content_that_was_put_last(depot: &dyn Depot) -> io::Result<()> {
    depot.put(ONE, "a", b"the first")?;
    depot.put(ONE, "a", b"next")?;
    depot.put(TWO, "a", b"of two")?;
    assert_eq!(there(depot, ONE, "a")?, Some(b"next".to_vec()));
    assert_eq!(there(depot, TWO, "a")?, Some(b"of two".to_vec()));
    Ok(())
}

/// At the limit it is read.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn what_is_longer_than_the_limit_is_refused(depot: &dyn Depot) -> io::Result<()> {
    depot.put(ONE, "a", &[7; 100])?;
    assert_eq!(depot.get(ONE, "a", 100)?, vec![7; 100]);
    let refused = depot.get(ONE, "a", 99).map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::FileTooLarge));
    Ok(())
}

/// And its neighbour stays.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn what_was_removed_is_gone_and_may_be_removed_again(depot: &dyn Depot) -> io::Result<()> {
    depot.put(ONE, "a", b"a")?;
    depot.put(ONE, "ab", b"ab")?;
    for _ in 0..2 {
        depot.remove(ONE, "a")?;
        assert_eq!(there(depot, ONE, "a")?, None);
    }
    assert_eq!(there(depot, ONE, "ab")?, Some(b"ab".to_vec()));
    Ok(())
}

/// Also not where a name begins with another.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn a_cleared_shelf_takes_nothing_from_its_neighbours(depot: &dyn Depot) -> io::Result<()> {
    for shelf in [ONE, TWO, OTHER] {
        depot.put(shelf, "a", b"a")?;
        depot.put(shelf, "b", b"b")?;
    }
    for _ in 0..2 {
        depot.clear(ONE)?;
        assert_eq!(there(depot, ONE, "a")?, None);
        assert_eq!(there(depot, ONE, "b")?, None);
    }
    for shelf in [TWO, OTHER] {
        assert_eq!(there(depot, shelf, "a")?, Some(b"a".to_vec()));
    }
    Ok(())
}

/// Also not where a name begins with another.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn a_cleared_owner_takes_nothing_from_others(depot: &dyn Depot) -> io::Result<()> {
    for shelf in [ONE, TWO, OTHER] {
        depot.put(shelf, "a", b"a")?;
    }
    for _ in 0..2 {
        depot.clear_owner(ONE.owner)?;
        assert_eq!(there(depot, ONE, "a")?, None);
        assert_eq!(there(depot, TWO, "a")?, None);
    }
    assert_eq!(there(depot, OTHER, "a")?, Some(b"a".to_vec()));
    Ok(())
}

/// And the one that is missing or too long is told.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn many_are_put_read_and_removed_as_one_by_one(depot: &dyn Depot) -> io::Result<()> {
    let names: Vec<String> = (0..50).map(|number| format!("piece-{number}")).collect();
    let contents: Vec<Vec<u8>> = (0..50).map(|number| vec![number; 100]).collect();
    let pieces = names.iter().cloned().zip(contents.iter().cloned());
    depot.put_all(ONE, pieces.collect())?;
    depot.sync(ONE)?;
    assert!(depot.get_all(ONE, &names, 100)? == contents);
    assert_eq!(there(depot, ONE, "piece-7")?, Some(vec![7; 100]));
    let kind = |refused: io::Result<Vec<Vec<u8>>>| refused.map_err(|error| error.kind());
    let too_long = kind(depot.get_all(ONE, &names, 99));
    assert_eq!(too_long, Err(io::ErrorKind::FileTooLarge));
    let (left, gone) = names.split_at(10);
    for _ in 0..2 {
        depot.remove_all(ONE, gone)?;
        let missing = kind(depot.get_all(ONE, &names, 100));
        assert_eq!(missing, Err(io::ErrorKind::NotFound));
    }
    let found = depot.get_all(ONE, left, 100)?;
    assert!(contents.starts_with(&found) && found.len() == left.len());
    depot.put_all(ONE, Vec::new())?;
    depot.remove_all(ONE, &[])?;
    assert_eq!(depot.get_all(ONE, &[], 100)?, Vec::<Vec<u8>>::new());
    Ok(())
}

/// In order, each once.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn owners_are_those_with_something_there(depot: &dyn Depot) -> io::Result<()> {
    assert_eq!(depot.owners()?, Vec::<String>::new());
    for shelf in [OTHER, ONE, TWO] {
        depot.put(shelf, "a", b"a")?;
    }
    assert_eq!(depot.owners()?, [ONE.owner, OTHER.owner]);
    depot.clear_owner(ONE.owner)?;
    assert_eq!(depot.owners()?, [OTHER.owner]);
    Ok(())
}

/// As often as one likes.
///
/// # Errors
/// The depot failed.
///
/// # Panics
/// The rule is broken.
pub fn it_can_be_proven_and_that_leaves_nothing(depot: &dyn Depot) -> io::Result<()> {
    for _ in 0..2 {
        depot.preflight("0-a")?;
        assert_eq!(depot.owners()?, Vec::<String>::new());
    }
    Ok(())
}
