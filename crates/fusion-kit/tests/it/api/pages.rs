//! The pages of the server, in a real browser.

use std::path::PathBuf;

use serde_json::json;

use super::client::{Request, Serving};
use crate::browser::{Tab, chromium};
use crate::support::Project;

/// What the page says about how it went.
const TOLD: &str = "document.getElementById('told')?.textContent";

/// What is kept of the sign-in.
const KEPT: &str = "sessionStorage.getItem('fusion-kit.token')";

async fn link(project: &Project) -> String {
    let link = project.run(["dashboard", "--json"]).await.expect(0).json();
    link["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_signs_one_tab_in_until_it_signs_out() {
    let Some(chromium) = chromium() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let page = format!("http://{}/sign-in", serving.address);
    let link = link(&project).await;
    let mut tab = Tab::open(chromium).await;

    tab.go(&link).await;
    tab.until(TOLD, json!("You are signed in.")).await;
    assert_eq!(
        tab.value("location.href").await,
        json!(page),
        "the code is gone"
    );
    let shown = "[...document.querySelectorAll('#name, #scope')].map(it => it.textContent)";
    let tokens = serving.get("/api/v1/tokens").await.expect(200).json();
    let may = "look, start and change work, and look after providers and tokens";
    assert_eq!(
        tab.value(shown).await,
        json!([tokens["tokens"][0]["name"], may])
    );
    let secret = tab.value(KEPT).await;
    let secret = secret.as_str().unwrap();
    assert_eq!(tab.value("document.cookie").await, json!(""));

    tab.reload().await;
    tab.until(TOLD, json!("You are signed in.")).await;
    let used = "the code is unknown, was used or is older than ten minutes";
    tab.go(&link).await;
    let words = format!("That link does nothing: {used}. You are still signed in.");
    tab.until(TOLD, json!(words)).await;
    assert_eq!(tab.value("location.href").await, json!(page));

    tab.value("document.getElementById('sign-out').click()")
        .await;
    tab.until(TOLD, json!("You are signed out.")).await;
    assert_eq!(tab.value(KEPT).await, json!(null));
    let look = Request::new(serving.address, "GET", "/api/v1/runs")
        .header("Authorization", &format!("Bearer {secret}"));
    look.send().await.expect(401);

    tab.new_tab().await;
    tab.go(&link).await;
    tab.until(TOLD, json!(format!("Not signed in: {used}.")))
        .await;
    let command = "document.querySelector('#signed-out:not([hidden]) code')?.textContent";
    assert_eq!(tab.value(command).await, json!("fusion-kit dashboard"));

    let asked = tab.told("Network.requestWillBeSent").into_iter();
    let asked: Vec<&str> = asked
        .map(|asked| asked["request"]["url"].as_str().unwrap())
        .collect();
    let own = format!("http://{}/", serving.address);
    assert!(
        asked.len() > 5 && asked.iter().all(|url| url.starts_with(&own)),
        "{asked:?}"
    );
    let code = link.rsplit_once('=').unwrap().1;
    assert!(asked.iter().all(|url| !url.contains(code)), "{asked:?}");
    assert_eq!(
        tab.told("Runtime.exceptionThrown"),
        Vec::<&serde_json::Value>::new()
    );
}

#[tokio::test]
async fn a_newer_link_takes_the_place_of_an_older_one() {
    let Some(chromium) = chromium() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut tab = Tab::open(chromium).await;
    tab.go(&link(&project).await).await;
    tab.until(TOLD, json!("You are signed in.")).await;
    let before = tab.value(KEPT).await;
    tab.go(&link(&project).await).await;
    tab.until(&format!("{KEPT} !== {before}"), json!(true))
        .await;
    let revoked = |tokens: &serde_json::Value| {
        let revoked = tokens["tokens"].as_array().unwrap().iter();
        revoked
            .filter(|token| !token["revoked_at"].is_null())
            .count()
            == 1
    };
    serving.until("/api/v1/tokens", revoked).await;
    tab.until(TOLD, json!("You are signed in.")).await;
}

#[tokio::test]
async fn nothing_that_is_written_into_the_page_runs() {
    let Some(chromium) = chromium() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut tab = Tab::open(chromium).await;
    tab.go(&format!("http://{}/sign-in", serving.address)).await;
    tab.until(TOLD, json!("Nobody is signed in here.")).await;
    let plant = "try { \
        const planted = document.createElement('script'); \
        planted.append('window.ran = 1'); \
        document.body.append(planted); \
    } catch {}; typeof window.ran";
    assert_eq!(tab.value(plant).await, json!("undefined"));
    let markup = "try { document.body.innerHTML = '<img src=x onerror=\"window.ran = 1\">' } \
                  catch (refused) { refused.name }";
    assert_eq!(tab.value(markup).await, json!("TypeError"));
}

/// The part of the reference about an operation.
fn part(method: &str, path: &str) -> String {
    format!("document.querySelector('section[data-method=\"{method}\"][data-path=\"{path}\"]')")
}

/// Fills the form of an operation of the reference and sends it: gives what is shown of the answer.
async fn tried(tab: &mut Tab, part: &str, fields: &[(&str, &str)]) -> String {
    let open = format!("{part}.querySelector('form') || {part}.querySelector('button').click()");
    tab.value(&open).await;
    for (name, value) in fields {
        let fill = format!(
            "{part}.querySelector('form').elements['{name}'].value = {}",
            json!(value)
        );
        tab.value(&fill).await;
    }
    tab.value(&format!("{part}.querySelector('form').requestSubmit()"))
        .await;
    let whole = format!(
        "/\\d{{3}} .*\\n\\n/.test({part}.querySelector('pre').textContent) && \
         {part}.querySelector('[name=stop]').hidden"
    );
    tab.until(&whole, json!(true)).await;
    let shown = tab
        .value(&format!("{part}.querySelector('pre').textContent"))
        .await;
    shown.as_str().unwrap().to_owned()
}

/// The reference, in a tab that was signed in.
async fn reference(project: &Project, chromium: PathBuf) -> Tab {
    let mut tab = Tab::open(chromium).await;
    tab.go(&link(project).await).await;
    tab.until(TOLD, json!("You are signed in.")).await;
    tab.value("document.querySelector('a[href=reference]').click()")
        .await;
    let words = "You are signed in: what is tried here is done as you.";
    tab.until(TOLD, json!(words)).await;
    tab
}

#[tokio::test]
async fn what_is_tried_on_the_reference_is_done_as_who_signed_in() {
    let Some(chromium) = chromium() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut tab = reference(&project, chromium).await;
    let create = part("POST", "/api/v1/projects");
    let body = json!({ "name": "shop", "budget_tokens": 9 }).to_string();
    let answer = tried(&mut tab, &create, &[("body", &body)]).await;
    let made = serving.get("/api/v1/projects").await.expect(200).json();
    let made = &made["projects"][0];
    assert_eq!(
        json!([made["name"], made["budget_tokens"]]),
        json!(["shop", 9])
    );
    let (head, shown) = answer.split_once("\n\n").unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!((head, &shown), ("201 application/json", made));

    let id = made["id"].as_str().unwrap();
    let get = part("GET", "/api/v1/projects/{id}");
    let answer = tried(&mut tab, &get, &[("id", id)]).await;
    let (head, shown) = answer.split_once("\n\n").unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!((head, &shown), ("200 application/json ETag: \"1\"", made));

    let change = part("PATCH", "/api/v1/projects/{id}");
    let stale = [
        ("id", id),
        ("body", "{\"description\":\"d\"}"),
        ("If-Match", "\"7\""),
    ];
    let answer = tried(&mut tab, &change, &stale).await;
    assert!(
        answer.starts_with("412 application/problem+json"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_sign_in_nothing_is_done_on_the_reference() {
    let Some(chromium) = chromium() else {
        return;
    };
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut tab = reference(&project, chromium).await;
    let list = part("GET", "/api/v1/tokens");
    let answer = tried(&mut tab, &list, &[("limit", "1")]).await;
    let tokens = serving
        .get("/api/v1/tokens?limit=1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        tokens["tokens"][0]["name"]
            .as_str()
            .unwrap()
            .split(' ')
            .next(),
        Some("browser")
    );
    let (_, shown) = answer.split_once("\n\n").unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!(shown, tokens);

    tab.new_tab().await;
    tab.go(&format!("http://{}/reference", serving.address))
        .await;
    let words = "Nobody is signed in here: open the link that `fusion-kit dashboard` prints in this \
                 tab, then come back.";
    tab.until(TOLD, json!(words)).await;
    let answer = tried(&mut tab, &list, &[]).await;
    assert!(
        answer.starts_with("401 application/problem+json"),
        "{answer}"
    );
    assert_eq!(
        tab.told("Runtime.exceptionThrown"),
        Vec::<&serde_json::Value>::new()
    );
    let own = format!("http://{}/", serving.address);
    let asked = tab.told("Network.requestWillBeSent").into_iter();
    let mut asked = asked.map(|asked| asked["request"]["url"].as_str().unwrap());
    assert!(asked.all(|url| url.starts_with(&own)));
}
