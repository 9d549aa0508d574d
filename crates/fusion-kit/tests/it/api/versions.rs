//! New versions of a workflow over the API, and versions that go away.

use serde_json::json;

use super::client::Serving;
use super::runs::{start, store};
use crate::support::Project;

#[tokio::test]
async fn only_who_has_read_the_newest_version_writes_the_next_and_what_runs_use_stays() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let first = store(&serving, &project, "hello.yaml").await;
    let path = format!("/api/v1/workflows/{}", first["id"].as_str().unwrap());
    let tag = serving.get(&path).await.expect(200).headers["etag"].clone();
    let source = first["source"].as_str().unwrap();
    let next = json!({ "source": format!("{source}\n# two\n") });
    let put = |path: &str, tag: &str, body: &serde_json::Value| {
        let request = serving.request("PUT", path).header("If-Match", tag);
        request.json(body)
    };
    let without = serving.request("PUT", &path).json(&next).send().await;
    assert_eq!(without.expect(428).json()["error"], "precondition_required");
    put(&path, "\"99\"", &next).send().await.expect(412);
    let renamed = json!({ "source": source.replace("name: hello", "name: other") });
    let renamed = put(&path, &tag, &renamed).send().await.expect(400).json();
    assert_eq!(renamed["errors"][0]["pointer"], "/source");
    let second = put(&path, &tag, &next).send().await.expect(200).json();
    assert_eq!(
        json!([second["version"], second["name"]]),
        json!([2, first["name"]])
    );
    // Who has read the first version only is too late.
    let third = json!({ "source": format!("{source}\n# three\n") });
    let late = put(&path, &tag, &third).send().await.expect(412).json();
    assert_eq!(late["error"], "changed");
    let run = start(&serving, &project, "hello.yaml").await;
    serving
        .until(&format!("/api/v1/runs/{run}"), |run| {
            run["state"] == "completed"
        })
        .await;
    let listed = serving.get("/api/v1/workflows?name=hello").await;
    let listed = listed.expect(200).json();
    let used = listed["workflows"][0]["id"].as_str().unwrap();
    let used = format!("/api/v1/workflows/{used}");
    serving.request("DELETE", &used).send().await.expect(409);
    let unused = format!("/api/v1/workflows/{}", second["id"].as_str().unwrap());
    serving.request("DELETE", &unused).send().await.expect(204);
    serving.get(&unused).await.expect(404);
}
