//! The files of `deploy/` start commands that there are, with settings that there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// A setting is one that the document of the commands tells about.
#[track_caller]
fn is_setting(name: &str) {
    let told = read("docs/commands.md");
    assert!(told.contains(&format!("`{name}`")), "{name} is no setting");
}

#[track_caller]
fn is_command<'a>(words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<&str> = ["fusion-kit"].into_iter().chain(words).collect();
    if let Err(error) = fusion_cli::parse(&words) {
        panic!("{words:?}: {error}");
    }
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn the_compose_file_starts_the_server_with_settings_it_has() {
    let compose: Value = serde_saphyr::from_str(&read("deploy/compose.yaml")).unwrap();
    let server = &compose["services"]["server"];
    is_command(texts(&server["command"]));
    let environment = server["environment"].as_object().unwrap();
    environment.keys().for_each(|name| is_setting(name));
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (volume, _) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(volumes.contains_key(volume), "{name}: {volume}");
        }
    }
    for needed in server["depends_on"].as_object().unwrap().keys() {
        let service = &compose["services"][needed];
        assert!(service["healthcheck"].is_object(), "{needed}");
    }
    let dockerfile = server["build"]["dockerfile"].as_str().unwrap();
    assert!(read(dockerfile).contains("ENTRYPOINT"));
}

#[test]
fn the_unit_starts_the_server_with_settings_it_has() {
    let unit = read("deploy/fusion-kit.service");
    let mut settings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in unit.lines() {
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        let (name, value) = line.split_once('=').expect("a line is NAME=value");
        settings.entry(name).or_default().push(value);
    }
    let mut words = settings["ExecStart"][0].split(' ');
    assert!(words.next().unwrap().ends_with("/fusion-kit"));
    is_command(words);
    for variable in &settings["Environment"] {
        is_setting(variable.split_once('=').unwrap().0);
    }
    // systemd makes the folder that the command names.
    let folder = format!("/var/lib/{}", settings["StateDirectory"][0]);
    assert!(settings["ExecStart"][0].contains(&format!("--data-dir {folder} ")));
}

#[test]
fn the_image_starts_the_server_with_settings_it_has() {
    let file = read("deploy/Dockerfile");
    let instruction = |name: &str| {
        let line = file.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
    };
    let list = |text: &str| -> Vec<String> { serde_json::from_str(text).unwrap() };
    assert_eq!(list(instruction("ENTRYPOINT")), ["fusion-kit"]);
    let command = list(instruction("CMD"));
    is_command(command.iter().map(String::as_str));
    for variable in instruction("ENV").split(' ') {
        is_setting(variable.split_once('=').unwrap().0);
    }
    let (_, check) = file.split_once("HEALTHCHECK").unwrap();
    let check = check.lines().next().unwrap();
    let check = list(check.get(check.find('[').unwrap()..).unwrap());
    is_command(check.iter().skip(1).map(String::as_str));
}
