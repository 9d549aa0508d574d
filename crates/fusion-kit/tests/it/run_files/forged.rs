//! Files that no export writes.

mod rows;

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use fusion_workspaces::{Member, Source, Summed, write_bundle};
use serde_json::{Value, json};

use super::{FILE, ONE, elsewhere, exported, import, kept, members};
use crate::support::Project;

/// What is done to a list.
type Forge<'f> = &'f dyn Fn(&mut Vec<u8>);

/// Members with their names, in the order of a file.
type Members = Vec<(String, Vec<u8>)>;

/// The members in the order of a file.
fn ordered(project: &Project) -> Members {
    let mut all = members(&project.path().join(FILE));
    let manifest: Value = serde_json::from_slice(&all["manifest.json"]).unwrap();
    let names = manifest["members"].as_array().unwrap().iter();
    let names = names.map(|one| one["name"].as_str().unwrap().to_owned());
    let names: Vec<String> = ["manifest.json".to_owned()]
        .into_iter()
        .chain(names)
        .collect();
    let take = |name: String| {
        let content = all.remove(&name).unwrap();
        (name, content)
    };
    names.into_iter().map(take).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut summed = Summed::new(bytes);
    std::io::copy(&mut summed, &mut std::io::sink()).unwrap();
    summed.finish().1
}

/// Makes the manifest say what is in it.
fn honest(members: &mut [(String, Vec<u8>)]) {
    let listed: Vec<Value> = members[1..]
        .iter()
        .map(|(name, content)| json!({ "name": name, "bytes": content.len(), "sha256": sha256(content) }))
        .collect();
    change(&mut members[0].1, "/members", &json!(listed));
}

fn write(project: &Project, members: &[(String, Vec<u8>)]) {
    let members = members.iter().map(|(name, content)| {
        let mut from = tempfile::tempfile().unwrap();
        from.write_all(content).unwrap();
        from.rewind().unwrap();
        let bytes = u64::try_from(content.len()).unwrap();
        Member {
            name: name.clone(),
            bytes,
            from: Source::Open(from),
        }
    });
    let to = File::create(project.path().join(FILE)).unwrap();
    write_bundle(members.collect(), to).unwrap();
}

/// Puts a value into the first row of a list.
fn change(list: &mut Vec<u8>, pointer: &str, value: &Value) {
    let text = String::from_utf8(list.clone()).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (above, last) = pointer.rsplit_once('/').unwrap();
    let above = lines[0].pointer_mut(above).unwrap();
    above[last] = value.clone();
    let lines = lines.iter().map(|line| format!("{line}\n"));
    *list = lines.collect::<String>().into_bytes();
}

/// The import of what is there is refused, and nothing is there that was not before.
async fn refused(project: &Project, place: &str, says: &str) {
    let before = project.contents();
    let done = project.run(["run", "import", FILE]).await;
    assert_eq!(done.code, Some(2), "{place}: {done:?}");
    assert!(done.stderr.contains(says), "{place}: {}", done.stderr);
    assert!(project.contents() == before, "{place} left something");
}

#[tokio::test]
async fn damaged_and_shortened_files_are_refused_and_leave_nothing() {
    let from = exported().await;
    let to = elsewhere(&from);
    let bytes = fs::read(to.path().join(FILE)).unwrap();
    let places = [0, 1, bytes.len() / 4, bytes.len() / 2, bytes.len() - 1];
    for length in places {
        to.write(FILE, &bytes[..length]);
        refused(&to, &format!("cut at {length}"), "no whole export").await;
    }
    for place in &places[2..] {
        let mut changed = bytes.clone();
        changed[*place] ^= 1;
        to.write(FILE, changed);
        refused(&to, &format!("byte {place}"), "no whole export").await;
    }
    let mut longer = bytes.clone();
    longer.push(0);
    to.write(FILE, longer);
    refused(&to, "longer", "something after its end").await;
    // Nothing of all that is in the way.
    to.write(FILE, bytes);
    assert_eq!(import(&to).await["already"], false);
}

#[tokio::test]
async fn what_its_manifest_does_not_say_is_refused() {
    let from = exported().await;
    let to = elsewhere(&from);
    let whole = ordered(&from);
    let other = |change: &dyn Fn(&mut Members)| {
        let mut members = whole.clone();
        change(&mut members);
        write(&to, &members);
    };
    other(&|all| all[2].1.push(b'\n'));
    refused(&to, "a longer list", "not those that its manifest names").await;
    other(&|all| all[2].1[20] ^= 1);
    refused(&to, "another list", "the SHA-256 of runs.jsonl is another").await;
    other(&|all| drop(all.pop()));
    refused(&to, "a missing file", "are missing").await;
    other(&|all| all.swap(3, 4));
    refused(&to, "another order", "not those that its manifest names").await;
    other(&|all| drop(all.remove(0)));
    refused(&to, "no manifest", "does not begin with a manifest").await;
    for name in [
        "../../evil",
        "/tmp/evil",
        "artifacts/../../evil",
        "artifacts/x",
    ] {
        other(&|all| {
            all.push(("evil".to_owned(), b"x".to_vec()));
            honest(all);
            let place = format!("/members/{}/name", all.len() - 2);
            change(&mut all[0].1, &place, &json!(name));
        });
        refused(&to, name, "names what no export has").await;
    }
    other(&|all| change(&mut all[0].1, "/format", &json!(2)));
    refused(&to, "a newer format", "has the format 2").await;
    other(&|all| change(&mut all[0].1, "/format", &json!(0)));
    refused(&to, "no format", "none that there was").await;
}

#[tokio::test]
async fn another_run_under_the_same_ids_is_a_conflict() {
    let from = exported().await;
    let to = elsewhere(&from);
    import(&to).await;
    let mut members = ordered(&from);
    change(&mut members[2].1, "/outputs", &json!({ "said": "lies" }));
    honest(&mut members);
    write(&to, &members);
    let before = to.run(["run", "show", "--json"]).await.stdout;
    let done = to.run(["run", "import", FILE]).await.expect(5);
    done.says(&["is there already, and is another than the file's"]);
    // Under another id of the run, its agents are those of another run here.
    let id = "019ab3c4-0000-7000-8000-000000000000";
    let mut members = ordered(&from);
    let old = serde_json::from_slice::<Value>(&members[0].1).unwrap()["run"].clone();
    for (_, content) in &mut members[..9] {
        let text = String::from_utf8(content.clone()).unwrap();
        *content = text.replace(old.as_str().unwrap(), id).into_bytes();
    }
    honest(&mut members);
    write(&to, &members);
    let done = to.run(["run", "import", FILE]).await.expect(5);
    done.says(&["agent ", "is there already"]);
    assert_eq!(to.run(["run", "show", "--json"]).await.stdout, before);
}

/// That an entry of a journal is here as one of another run is found by the commit, when the kept files are
/// there already.
#[tokio::test]
async fn an_import_that_the_store_refuses_leaves_no_file_of_its_own() {
    let from = exported().await;
    let to = elsewhere(&from);
    import(&to).await;
    let mut members = ordered(&from);
    let ids = members[2..5].iter().flat_map(|(_, list)| ids(list));
    let ids: Vec<String> = ids.collect();
    for (number, id) in ids.iter().enumerate() {
        let new = format!("019ab3c4-0000-7000-8000-{number:012}");
        for (_, content) in &mut members[..9] {
            let text = String::from_utf8(content.clone()).unwrap();
            *content = text.replace(id, &new).into_bytes();
        }
    }
    honest(&mut members);
    write(&to, &members);
    let files = || {
        let mut all = kept(&to);
        all.retain(|_, bytes| bytes.is_some());
        all.into_keys().collect::<Vec<PathBuf>>()
    };
    let before = files();
    let one = before.iter().find(|path| path.ends_with(ONE)).unwrap();
    let refused = async || {
        let refused = to.run(["run", "import", FILE]).await.expect(5);
        refused.says(&["a part of the run", "is there already"]);
    };
    // What was there before stays.
    refused().await;
    assert_eq!(files(), before);
    // What was not goes again, but for what a run here names.
    fs::remove_file(one).unwrap();
    refused().await;
    assert_eq!(files(), before);
}

/// The ids of the rows of a list.
fn ids(list: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(list).unwrap().lines();
    let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].clone();
    lines
        .map(|line| id(line).as_str().unwrap().to_owned())
        .collect()
}

/// Each is one statement, or hundreds of bytes of memory, for few bytes of a file.
#[tokio::test]
async fn what_takes_more_than_it_looks_like_is_refused() {
    let from = exported().await;
    let to = elsewhere(&from);
    let whole = ordered(&from);
    let lists: Vec<Value> = (0..1_000_001).map(|_| json!([])).collect();
    let row = |list: usize| serde_json::from_slice::<Value>(first_line(&whole[list].1)).unwrap();
    let (task, entry) = (row(4), row(5));
    let mut twice = entry.clone();
    twice["id"] = json!("019ab3c4-0000-7000-8000-000000000001");
    let needs = json!([task["id"], task["id"]]);
    let many: Vec<&Value> = (0..100_001).map(|_| &task["id"]).collect();
    let numbers: Vec<Value> = (0..2_000_001).map(|_| json!(1)).collect();
    let cases: [(usize, Forge<'_>, &str); 5] = [
        (
            2,
            &|list| change(list, "/outputs/numbers", &json!(numbers)),
            "values in its rows",
        ),
        (
            2,
            &|list| change(list, "/outputs/lists", &json!(lists)),
            "lists and objects in its rows",
        ),
        (
            4,
            &|list| change(list, "/dependencies", &needs),
            "needs another twice",
        ),
        (
            5,
            &|list| list.extend(format!("{twice}\n").bytes()),
            "two entries in one place",
        ),
        (
            4,
            &|list| change(list, "/dependencies", &json!(many)),
            "too many rows",
        ),
    ];
    for (list, forge, says) in cases {
        let mut members = whole.clone();
        forge(&mut members[list].1);
        honest(&mut members);
        write(&to, &members);
        refused(&to, says, says).await;
    }
}

fn first_line(list: &[u8]) -> &[u8] {
    list.split(|byte| *byte == b'\n').next().unwrap()
}
