//! What an imported run is good for, and what it is not.

use rustix::process::Signal;
use serde_json::json;

use super::{FILE, ONE, elsewhere, exported, import, newest};
use crate::api::Serving;

#[tokio::test]
async fn nothing_goes_on_from_an_imported_run() {
    let from = exported().await;
    let to = elsewhere(&from);
    import(&to).await;
    let id = newest(&to).await;
    let why = "what its agents made is not here";
    let fork = ["run", "fork", &id, "--from", "read"];
    to.run(fork).await.expect(5).says(&[why]);
    let retry = ["run", "retry", &id, "--from", "read"];
    to.run(retry).await.expect(5).says(&[why]);
    // No name of this store means the version that came with it.
    let start = ["workflow", "start", "flow"];
    to.run(start).await.expect(3);
    let listed = to
        .run(["workflow", "list", "--json"])
        .await
        .expect(0)
        .json();
    let name = listed["workflows"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("imported/"), "{name}");
    // Its script is not here, and that is not what is in the way.
    let schedule = [
        "schedule",
        "create",
        "n",
        "--cron",
        "0 3 * * *",
        "--workflow",
        name,
    ];
    for line in [&["workflow", "start", name][..], &schedule] {
        let here = to.run(line).await.expect(5);
        assert!(
            here.stderr.contains("came with an imported run"),
            "{here:?}"
        );
        let serving = Serving::on(&to).await;
        let there = to.run(line).await.expect(5);
        assert_eq!(there.stderr, here.stderr);
        serving.stop(Signal::TERM).await;
    }
}

/// Where it would be is no place to look.
#[tokio::test]
async fn a_workspace_that_is_elsewhere_has_no_path_here() {
    let from = exported().await;
    let to = elsewhere(&from);
    import(&to).await;
    let run = to.run(["run", "show", "--json"]).await.expect(0).json();
    let agent = &run["agents"][0];
    assert_eq!(agent["workspace_path"], "");
    let id = agent["id"].as_str().unwrap();
    let got = to
        .run(["agent", "get", id, "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(
        (&got["workspace"]["path"], &got["workspace"]["exists"]),
        (&json!(""), &json!(false))
    );
    let listed = to
        .run(["workspace", "list", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(listed["workspaces"][0]["path"], "");
    let text = to.run(["run", "show"]).await.expect(0).stdout;
    assert!(!text.contains("workspaces/"), "{text}");
    for line in [&["agent", "get", id][..], &["workspace", "list"]] {
        let text = to.run(line).await.expect(0).stdout;
        assert!(
            text.contains("elsewhere") && !text.contains("workspaces/"),
            "{text}"
        );
    }
}

/// It may be stored all the same: then the files that it names are needed.
#[tokio::test]
async fn the_files_of_an_import_of_which_nobody_heard_the_end_stay() {
    let from = exported().await;
    let run = from.shown().await["id"].as_str().unwrap().to_owned();
    let to = elsewhere(&from);
    let unheard = to
        .fusion_kit(["run", "import", FILE])
        .env("FAILPOINTS", "coordination::import_unheard=return")
        .finish()
        .await;
    unheard
        .expect(1)
        .says(&["it is not known whether it was done"]);
    to.run(["artifact", "get", ONE, "copy"]).await.expect(0);
    let again = import(&to).await;
    assert_eq!(
        (&again["run"]["id"], &again["already"]),
        (&json!(run), &json!(true))
    );
}
