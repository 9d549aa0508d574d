//! What `doctor --fix` puts right, and what it leaves alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::support::{Project, is_root};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

async fn doctor(project: &Project, options: &[&str]) -> Value {
    let line = ["doctor", "--json"].iter().chain(options);
    project.run(line).await.json()
}

fn faults(report: &Value) -> Vec<&Value> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .filter_map(|check| (!check["fault"].is_null()).then_some(&check["name"]))
        .collect()
}

/// A project whose server has been there and is gone, with a key.
async fn lived_in() -> Project {
    let mut project = Project::new();
    let key = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key);
    let serving = Serving::on(&project).await;
    let add = "webhook add https://hooks.example/x --name ops";
    project.run(add.split(' ')).await.expect(0);
    serving.stop(Signal::TERM).await;
    project
}

#[tokio::test]
async fn what_others_could_open_is_closed_and_told() {
    let project = lived_in().await;
    let data = project.data_dir();
    let (token, database) = (data.join("token"), data.join("fusion.db"));
    let key = project.path().join("master.key");
    open(&data, 0o777);
    open(&token, 0o644);
    open(&database, 0o664);
    open(&key, 0o640);
    let wrong = doctor(&project, &[]).await;
    assert_eq!(
        faults(&wrong),
        ["file mode", "data directory", "master key", "server"]
    );
    assert_eq!((wrong["mended"].clone(), mode(&token)), (json!([]), 0o644));

    let right = doctor(&project, &["--fix"]).await;
    assert_eq!(faults(&right), [] as [&Value; 0], "{right:#}");
    let now = [&data, &token, &database, &key].map(|path| mode(path));
    assert_eq!(now, [0o755, 0o600, 0o600, 0o600]);
    let path = |path: &Path| path.display().to_string();
    let closed = |file: &Path, before: &str| {
        format!(
            "{} is closed to other users, who could open it until now (mode {before}, now 0600)",
            path(file)
        )
    };
    let renew = "if one of them may have read it, take it away with `token revoke`, remove the file and start the server anew";
    assert_eq!(
        right["mended"],
        json!([
            format!(
                "other users can no longer write in {} (mode 0777, now 0755)",
                path(&data)
            ),
            format!("{}: {renew}", closed(&token, "0644")),
            closed(&database, "0664"),
            closed(&key, "0640"),
        ])
    );
    let again = doctor(&project, &["--fix"]).await;
    assert_eq!(again["mended"], json!([]));
}

#[tokio::test]
async fn what_a_killed_server_left_is_removed_and_what_a_living_one_has_is_not() {
    let project = lived_in().await;
    let (announced, page) = (
        project.data_dir().join("server.json"),
        project.data_dir().join("sign-in.html"),
    );
    let serving = Serving::on(&project).await;
    fs::write(&page, "x").unwrap();
    let beside = doctor(&project, &["--fix"]).await;
    assert_eq!(beside["mended"], json!([]));
    assert!(announced.exists() && page.exists());
    serving.stop(Signal::KILL).await;
    assert!(announced.exists());
    let after = doctor(&project, &["--fix"]).await;
    let told = format!(
        "removed what a server left that is gone: {}, {}",
        announced.display(),
        page.display()
    );
    assert_eq!(after["mended"], json!([told]));
    assert!(!announced.exists() && !page.exists());
}

#[tokio::test]
async fn a_missing_gitignore_is_made_in_a_folder_of_our_own_only() {
    let project = lived_in().await;
    let ignored = project.data_dir().join(".gitignore");
    fs::remove_file(&ignored).unwrap();
    let own = project.data_dir().join("notes.txt");
    fs::write(&own, "mine").unwrap();
    assert_eq!(doctor(&project, &["--fix"]).await["mended"], json!([]));
    assert!(!ignored.exists());
    fs::remove_file(&own).unwrap();
    let told = format!(
        "made {}, so that git leaves tokens and rows out",
        ignored.display()
    );
    assert_eq!(doctor(&project, &["--fix"]).await["mended"], json!([told]));
    assert_eq!(fs::read_to_string(&ignored).unwrap(), "*\n");
}

#[tokio::test]
async fn a_link_is_not_followed_and_where_nothing_is_nothing_is_made() {
    let project = Project::new();
    let before = project.contents();
    assert_eq!(doctor(&project, &["--fix"]).await["mended"], json!([]));
    assert_eq!(project.contents(), before);

    let project = lived_in().await;
    let (token, elsewhere) = (project.data_dir().join("token"), project.path().join("t"));
    fs::rename(&token, &elsewhere).unwrap();
    open(&elsewhere, 0o644);
    symlink(&elsewhere, &token).unwrap();
    let left = doctor(&project, &["--fix"]).await;
    assert_eq!((&left["mended"], mode(&elsewhere)), (&json!([]), 0o644));
    assert_eq!(faults(&left), ["server"]);
}

/// Opens what `doctor --fix` would close, and takes away what it would make; gives the rights of each.
fn opened(data: &Path) -> [(PathBuf, u32); 3] {
    let all = [
        (data.to_path_buf(), 0o777),
        (data.join("token"), 0o644),
        (data.join("fusion.db"), 0o664),
    ];
    for (path, mode) in &all {
        open(path, *mode);
    }
    fs::remove_file(data.join(".gitignore")).unwrap();
    fs::write(data.join("server.json"), "{}").unwrap();
    all
}

fn is_as_it_was(data: &Path, before: &[(PathBuf, u32)]) {
    for (path, before) in before {
        assert_eq!(mode(path), *before, "{}", path.display());
    }
    let left = ["server.json", ".gitignore"].map(|name| data.join(name).exists());
    assert_eq!(left, [true, false]);
}

#[tokio::test]
async fn nothing_is_touched_in_a_data_directory_that_is_a_link() {
    let project = lived_in().await;
    let (data, elsewhere) = (project.data_dir(), project.path().join("elsewhere"));
    fs::rename(&data, &elsewhere).unwrap();
    symlink(&elsewhere, &data).unwrap();
    let before = opened(&elsewhere);
    let left = doctor(&project, &["--fix"]).await;
    assert_eq!(left["mended"], json!([]));
    let with_slash = format!("{}/", data.display());
    let left = doctor(&project, &["--fix", "--data-dir", &with_slash]).await;
    assert_eq!(left["mended"], json!([]));
    is_as_it_was(&elsewhere, &before);
}

#[tokio::test]
async fn nothing_is_touched_in_a_data_directory_of_another_user() {
    if !is_root() {
        eprintln!("skipped: only root gives a folder to another user");
        return;
    }
    let project = lived_in().await;
    let data = project.data_dir();
    let before = opened(&data);
    chown(&data, Some(65_534), Some(65_534)).unwrap();
    let left = doctor(&project, &["--fix"]).await;
    assert_eq!(left["mended"], json!([]));
    is_as_it_was(&data, &before);
}

#[tokio::test]
async fn a_file_with_a_second_name_keeps_its_rights() {
    let project = lived_in().await;
    let (token, second) = (project.data_dir().join("token"), project.path().join("t"));
    fs::hard_link(&token, &second).unwrap();
    open(&token, 0o644);
    let left = doctor(&project, &["--fix"]).await;
    assert_eq!((&left["mended"], mode(&second)), (&json!([]), 0o644));
}
