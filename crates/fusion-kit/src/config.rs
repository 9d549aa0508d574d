//! What the environment and the `.env` file of the current folder say. The only place that reads them.

mod change;
mod desktop;
mod dotenv;
mod edited;
mod profile;
mod toml_file;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fusion_api_types::SettingView;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use change::{ended_badly, no_editor};
use dotenv::Variables;
pub(crate) use profile::Flags;

/// Settings from the environment; a variable that is set there wins over `.env`. An empty one
/// counts as not set.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `OPENROUTER_API_KEY`.
    pub(crate) openrouter_key: Option<SecretString>,
    /// `FUSION_BASE_URL`: the server behind the provider `openai-compatible`.
    pub(crate) base_url: Option<String>,
    /// `FUSION_API_KEY`: its key, when it wants one.
    pub(crate) base_url_key: Option<SecretString>,
    /// `MOCK_URL`: the server that answers while `bench` measures.
    pub(crate) mock_url: Option<String>,
    /// `PG_URL`: the server on which `bench` makes a database.
    pub(crate) pg_url: Option<SecretString>,
    /// `DATABASE_URL`: where everything is stored when not in the data directory.
    pub(crate) database_url: Option<SecretString>,
    /// `REDIS_URL`: the server that carries messages among processes, when there is one.
    pub(crate) redis_url: Option<SecretString>,
    /// `FUSION_REDIS_NAMESPACE`: what the names of its channels begin with.
    pub(crate) redis_namespace: Option<String>,
    /// `FUSION_MASTER_KEY`: what credentials are sealed with, instead of a key file.
    pub(crate) master_key: Option<SecretString>,
    /// `FUSION_MASTER_KEY_OLD`: the key before it, during a rekey.
    pub(crate) master_key_old: Option<SecretString>,
    /// `FUSION_MASTER_KEY_FILE`, else `fusion-kit/master.key` in the user's folder for settings;
    /// `None` when the user has none.
    pub(crate) master_key_file: Option<PathBuf>,
    /// `FUSION_AGENTS_AT_ONCE`, as written: how many agents work at once.
    pub(crate) agents_at_once: Option<String>,
    /// How it takes part where several processes share the work.
    pub(crate) node: NodeWords,
    /// `FUSION_UNRESPONSIVE_SECONDS`, as written: how long an agent at work may show no progress.
    pub(crate) unresponsive_seconds: Option<String>,
    /// `FUSION_METRICS_SECONDS`, as written: how often what agents at work use is sampled.
    pub(crate) metrics_seconds: Option<String>,
    /// How long what is past is kept.
    pub(crate) kept: KeptWords,
    /// `API_HOST`: the address to serve at when `--host` does not name one.
    pub(crate) api_host: Option<String>,
    /// `API_PORT`, as written: the port to serve at when `--port` does not name one.
    pub(crate) api_port: Option<String>,
    /// `API_ALLOWED_HOSTS`: further names of the server, between commas.
    pub(crate) api_allowed_hosts: Option<String>,
    /// `API_CORS_ORIGINS`: the other sites whose pages may call the server, between commas.
    pub(crate) api_cors_origins: Option<String>,
    /// `API_REQUESTS_PER_MINUTE`, as written: how many requests of each token are answered.
    pub(crate) api_requests_per_minute: Option<String>,
    /// `FUSION_SERVER`: the server to ask when `--server` names none. Only the environment itself
    /// counts: a `.env` may have come with somebody else's files, and the token would go there.
    pub(crate) server_url: Option<String>,
    /// `FUSION_TOKEN`: the token for that server.
    pub(crate) server_token: Option<SecretString>,
    /// `FUSION_INBOX_LIMIT`, as written: how many messages may wait for one agent.
    pub(crate) inbox_limit: Option<String>,
    /// `FUSION_MAX_HOPS`, as written: how many messages may go to and fro between agents.
    pub(crate) max_hops: Option<String>,
    /// `FUSION_KIT_DATA_DIR`: the data directory when `--data-dir` does not name one.
    pub(crate) data_dir: Option<PathBuf>,
    /// `WORKSPACES_ROOT`: the folder of all workspaces.
    pub(crate) workspaces_root: Option<PathBuf>,
    /// `FUSION_KIT_AGENT_UIDS`, as written: the user ids of agents when started as root.
    pub(crate) agent_uids: Option<String>,
    /// `HOME`: the folder of the operator.
    pub(crate) home: Option<PathBuf>,
    /// Who works on this machine, and what they want always.
    pub(crate) of_user: OfUser,
    /// `VISUAL`, else `EDITOR`: a command that edits; never of `.env`.
    pub(crate) editor: Option<String>,
    /// `FUSION_KIT_SANDBOX`, as written: `off` gives the sandbox up. Only the environment itself
    /// counts: a `.env` may have come with somebody else's files.
    pub(crate) sandbox: Option<String>,
    /// `FUSION_KIT_LOG`: what to log, in the form of `tracing-subscriber`'s filters.
    pub(crate) log: Option<String>,
    /// `NO_COLOR` is set and not empty.
    pub(crate) no_color: bool,
    /// `TERM` is `dumb`.
    pub(crate) dumb_terminal: bool,
    /// Why `.env` was not read, when it is there.
    pub(crate) dotenv_fault: Option<String>,
    /// The variables of `.env`.
    dotenv: BTreeMap<String, SecretString>,
    /// Every setting, secrets masked.
    settings: Vec<SettingView>,
}

/// Settings whose value is not shown.
const SECRETS: [&str; 7] = [
    "DATABASE_URL",
    "FUSION_API_KEY",
    "FUSION_MASTER_KEY",
    "FUSION_MASTER_KEY_OLD",
    "FUSION_TOKEN",
    "OPENROUTER_API_KEY",
    "REDIS_URL",
];

/// What is shown of a secret.
const MASK: &str = "(set)";

/// Notes which settings are read, and what they are.
/// What is set of a process among those that share the work.
#[derive(Debug, Clone)]
pub(crate) struct NodeWords {
    /// `FUSION_NODE_NAME`: what this process is called among those that share the work.
    pub(crate) name: Option<String>,
    /// `FUSION_LEASE_SECONDS`, as written: how long a process may be silent before others take its work.
    pub(crate) lease_seconds: Option<String>,
    /// `FUSION_DRAIN_SECONDS`, as written: how long what is under way may take to end.
    pub(crate) drain_seconds: Option<String>,
    /// `FUSION_MOST_LOSSES`, as written: how many of its processes a task may lose.
    pub(crate) most_losses: Option<String>,
    /// Where snapshots of workspaces are kept for other nodes.
    pub(crate) shared: SharedWords,
}

/// What is set of the place that all processes share.
#[derive(Debug, Clone)]
pub(crate) struct SharedWords {
    /// `FUSION_SHARED_DIR`, as written: a folder or `s3://BUCKET/PREFIX`.
    pub(crate) place: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`: the service that has the bucket.
    pub(crate) endpoint: Option<String>,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub(crate) region: Option<String>,
    /// `FUSION_SHARED_PLAIN_HTTP`, as written: `allow` lets that service be another machine without TLS.
    /// Only the environment itself counts.
    pub(crate) plain_http: Option<String>,
}

/// What is set of how long things are kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptWords {
    /// `FUSION_RETENTION_DAYS`, as written: how long events and metrics are kept.
    pub(crate) retention_days: Option<String>,
    /// `FUSION_KEEP_RUNS_DAYS`, as written: how long runs are kept that have ended.
    pub(crate) run_days: Option<String>,
}

impl KeptWords {
    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            retention_days: get("FUSION_RETENTION_DAYS"),
            run_days: get("FUSION_KEEP_RUNS_DAYS"),
        }
    }
}

impl NodeWords {
    fn read(
        get: impl Fn(&str) -> Option<String>,
        only_set: impl Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            name: get("FUSION_NODE_NAME"),
            lease_seconds: get("FUSION_LEASE_SECONDS"),
            drain_seconds: get("FUSION_DRAIN_SECONDS"),
            most_losses: get("FUSION_MOST_LOSSES"),
            shared: SharedWords {
                place: get("FUSION_SHARED_DIR"),
                endpoint: get("AWS_ENDPOINT_URL_S3").or_else(|| get("AWS_ENDPOINT_URL")),
                region: get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")),
                plain_http: only_set("FUSION_SHARED_PLAIN_HTTP"),
            },
        }
    }
}

/// What is set of the user.
#[derive(Debug, Clone)]
pub(crate) struct OfUser {
    /// `USER`: who works on this machine, for people.
    pub(crate) name: Option<String>,
    /// `FUSION_PROJECT`: the project of agents, tasks and workflows that are made without one.
    pub(crate) project: Option<String>,
    /// `FUSION_PROFILE`: the profile when `--profile` names none; not read from `.env`, for it chooses
    /// where the token goes.
    profile: Option<String>,
    /// The user's own settings; `None` when the user has no folder for them.
    settings_file: Option<PathBuf>,
    /// `BROWSER`: a command that opens a file in their browser; never of `.env`.
    pub(crate) browser: Option<String>,
    /// What a browser needs to find their desktop, and nothing else of the environment: keys are in it.
    pub(crate) desktop: BTreeMap<String, String>,
    /// Where what they edit is while they do; `None` when the user has no folder for it.
    edited_folder: Option<PathBuf>,
}

impl OfUser {
    fn read(
        get: impl Fn(&str) -> Option<String>,
        only_set: impl Fn(&str) -> Option<String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let settings = settings_folder(&environment);
        let state = user_folder(&environment, "XDG_STATE_HOME", ".local/state");
        Self {
            name: only_set("USER"),
            project: get("FUSION_PROJECT"),
            profile: only_set("FUSION_PROFILE"),
            browser: only_set("BROWSER"),
            desktop: desktop::of(&environment),
            settings_file: settings.map(|folder| folder.join("fusion-kit/config.toml")),
            edited_folder: state.map(|folder| folder.join("fusion-kit/edited")),
        }
    }
}

#[derive(Debug, Default)]
struct Noted(RefCell<BTreeMap<String, SettingView>>);

impl Noted {
    /// Notes a setting and gives its value back.
    fn note(&self, name: &str, value: Option<String>, origin: &str) -> Option<String> {
        let is_secret = SECRETS.contains(&name);
        let shown = value.clone();
        let setting = SettingView {
            name: name.to_owned(),
            origin: if value.is_some() { origin } else { "default" }.to_owned(),
            value: shown.map(|value| if is_secret { MASK.to_owned() } else { value }),
        };
        self.0.borrow_mut().insert(name.to_owned(), setting);
        value
    }
}

impl Config {
    pub(crate) fn from_environment() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        Self::read(|name| std::env::var(name).ok(), Path::new(dotenv::FILE))
    }

    /// A variable that a user or a vendor names: the key of a provider.
    pub(crate) fn variable(&self, name: &str) -> Option<SecretString> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        let value = std::env::var(name).ok().map(SecretString::from);
        let value = value.or_else(|| self.dotenv.get(name).cloned());
        value.filter(|value| !value.expose_secret().trim().is_empty())
    }

    /// Every setting by name, with where it comes from; secrets are masked.
    pub(crate) fn settings(&self) -> Vec<SettingView> {
        self.settings.clone()
    }

    /// By which names a server may be called beside its address.
    pub(crate) fn api_hosts(&self) -> Vec<String> {
        listed(self.api_allowed_hosts.as_deref())
            .map(str::to_owned)
            .collect()
    }

    /// Whose pages may call a server besides its own, as written.
    pub(crate) fn api_origins(&self) -> impl Iterator<Item = &str> {
        listed(self.api_cors_origins.as_deref())
    }

    fn read(environment: impl Fn(&str) -> Option<String>, dotenv_file: &Path) -> Self {
        Self::of(environment, dotenv::read(dotenv_file))
    }

    /// What the environment says, and a file with these variables and this fault.
    fn of(
        environment: impl Fn(&str) -> Option<String>,
        (file, dotenv_fault): (Variables, Option<String>),
    ) -> Self {
        let noted = Noted::default();
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let get = |name: &str| {
            let (value, origin) = match environment(name) {
                Some(value) => (Some(value), "environment"),
                None => (file.get(name).cloned(), "file"),
            };
            noted.note(name, value.filter(|value| !value.is_empty()), origin)
        };
        let only_set = |name: &str| noted.note(name, set(name), "environment");
        let mut config = Self {
            settings: Vec::new(),
            openrouter_key: get("OPENROUTER_API_KEY").map(SecretString::from),
            base_url: get("FUSION_BASE_URL"),
            base_url_key: get("FUSION_API_KEY").map(SecretString::from),
            mock_url: environment("MOCK_URL").filter(|value| !value.is_empty()),
            pg_url: set("PG_URL").map(SecretString::from),
            database_url: get("DATABASE_URL").map(SecretString::from),
            redis_url: get("REDIS_URL").map(SecretString::from),
            redis_namespace: get("FUSION_REDIS_NAMESPACE"),
            master_key: get("FUSION_MASTER_KEY").map(SecretString::from),
            master_key_old: get("FUSION_MASTER_KEY_OLD").map(SecretString::from),
            master_key_file: get("FUSION_MASTER_KEY_FILE")
                .map(PathBuf::from)
                .or_else(|| Some(settings_folder(&environment)?.join("fusion-kit/master.key"))),
            kept: KeptWords::read(get),
            agents_at_once: get("FUSION_AGENTS_AT_ONCE"),
            node: NodeWords::read(get, only_set),
            unresponsive_seconds: get("FUSION_UNRESPONSIVE_SECONDS"),
            metrics_seconds: get("FUSION_METRICS_SECONDS"),
            api_host: get("API_HOST"),
            api_port: get("API_PORT"),
            api_allowed_hosts: get("API_ALLOWED_HOSTS"),
            api_cors_origins: get("API_CORS_ORIGINS"),
            api_requests_per_minute: get("API_REQUESTS_PER_MINUTE"),
            server_url: only_set("FUSION_SERVER"),
            server_token: get("FUSION_TOKEN").map(SecretString::from),
            inbox_limit: get("FUSION_INBOX_LIMIT"),
            max_hops: get("FUSION_MAX_HOPS"),
            data_dir: get("FUSION_KIT_DATA_DIR").map(PathBuf::from),
            workspaces_root: get("WORKSPACES_ROOT").map(PathBuf::from),
            agent_uids: get("FUSION_KIT_AGENT_UIDS"),
            home: environment("HOME").map(PathBuf::from),
            of_user: OfUser::read(get, only_set, &environment),
            editor: only_set("VISUAL").or_else(|| only_set("EDITOR")),
            sandbox: only_set("FUSION_KIT_SANDBOX"),
            log: get("FUSION_KIT_LOG"),
            no_color: get("NO_COLOR").is_some(),
            dumb_terminal: get("TERM").is_some_and(|term| term == "dumb"),
            dotenv_fault,
            dotenv: secrets(&file),
        };
        config.settings = noted.0.into_inner().into_values().collect();
        config
    }
}

/// The entries of a list between commas.
fn listed(text: Option<&str>) -> impl Iterator<Item = &str> {
    let entries = text.unwrap_or_default().split(',');
    entries.map(str::trim).filter(|entry| !entry.is_empty())
}

fn secrets(variables: &Variables) -> BTreeMap<String, SecretString> {
    let variables = variables.iter();
    variables
        .map(|(name, value)| (name.clone(), SecretString::from(value.as_str())))
        .collect()
}

/// Where programs keep the settings of this user
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>): a relative path does not count.
fn settings_folder(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    user_folder(environment, "XDG_CONFIG_HOME", ".config")
}

/// A folder of this user: that of the variable, else one below their home.
fn user_folder(
    environment: impl Fn(&str) -> Option<String>,
    variable: &str,
    below_home: &str,
) -> Option<PathBuf> {
    let folder = |name| {
        let folder = environment(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    folder(variable).or_else(|| Some(folder("HOME")?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Config, SECRETS};

    #[test]
    fn a_dotenv_of_a_folder_above_is_not_read() {
        let above = tempfile::tempdir().unwrap();
        std::fs::write(above.path().join(".env"), "FUSION_BASE_URL=http://else").unwrap();
        let folder = above.path().join("project");
        std::fs::create_dir(&folder).unwrap();
        let config = Config::read(|_| None, &folder.join(".env"));
        assert_eq!((config.base_url, config.dotenv_fault), (None, None));
    }

    #[test]
    fn the_environment_wins_over_dotenv_and_empty_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        let text = "FUSION_KIT_DATA_DIR=data\nFUSION_BASE_URL=http://file\nWORKSPACES_ROOT=\n";
        std::fs::write(&file, text).unwrap();
        let environment = |name: &str| match name {
            "FUSION_BASE_URL" => Some("http://environment".to_owned()),
            "FUSION_KIT_LOG" => Some(String::new()),
            _ => None,
        };
        let config = Config::read(environment, &file);
        assert_eq!(config.data_dir, Some(PathBuf::from("data")));
        assert_eq!(config.base_url.as_deref(), Some("http://environment"));
        assert_eq!((config.workspaces_root, config.log), (None, None));
    }

    #[test]
    fn a_dotenv_does_not_switch_the_sandbox_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, "FUSION_KIT_SANDBOX=off\n").unwrap();
        assert_eq!(Config::read(|_| None, &file).sandbox, None);
        let environment = |name: &str| (name == "FUSION_KIT_SANDBOX").then(|| "off".to_owned());
        let config = Config::read(environment, &file);
        assert_eq!(config.sandbox.as_deref(), Some("off"));
    }

    #[test]
    fn the_key_file_is_in_the_users_folder_for_settings_unless_it_is_named() {
        let place = |set: &[(&str, &str)]| {
            let environment = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let config = Config::read(environment, Path::new("/nowhere/.env"));
            config
                .master_key_file
                .map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/me");
        assert_eq!(
            [
                place(&[]),
                place(&[home]),
                place(&[home, ("XDG_CONFIG_HOME", "settings")]),
                place(&[home, ("XDG_CONFIG_HOME", "/settings")]),
                place(&[home, ("FUSION_MASTER_KEY_FILE", "my.key")]),
            ],
            [
                None,
                Some("/home/me/.config/fusion-kit/master.key".to_owned()),
                Some("/home/me/.config/fusion-kit/master.key".to_owned()),
                Some("/settings/fusion-kit/master.key".to_owned()),
                Some("my.key".to_owned()),
            ]
        );
    }

    #[test]
    fn a_secret_setting_is_not_in_the_debug_form() {
        let secrets = [
            "OPENROUTER_API_KEY",
            "FUSION_API_KEY",
            "DATABASE_URL",
            "REDIS_URL",
            "FUSION_TOKEN",
            "FUSION_MASTER_KEY",
            "FUSION_MASTER_KEY_OLD",
        ];
        let environment = |name: &str| secrets.contains(&name).then(|| "canary".to_owned());
        let config = Config::read(environment, Path::new("/nowhere/.env"));
        assert!(config.database_url.is_some() && config.redis_url.is_some());
        assert!(!format!("{config:?}").contains("canary"));
        let shown = config.settings();
        let set = shown.iter().filter(|setting| setting.value.is_some());
        let set: Vec<_> = set
            .map(|setting| (setting.name.as_str(), setting.value.as_deref().unwrap()))
            .collect();
        assert_eq!(
            set,
            SECRETS.map(|name| (name, "(set)")),
            "masked, and all of them"
        );
    }

    #[test]
    fn a_line_that_is_no_setting_is_told_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, "FUSION_BASE_URL=http://file\nsk secret\n").unwrap();
        let config = Config::read(|_| None, &file);
        assert_eq!(config.base_url.as_deref(), Some("http://file"));
        let told = ".env has a line that is not NAME=value; the rest of it is not read";
        assert_eq!(config.dotenv_fault.as_deref(), Some(told));
        assert_eq!(
            Config::read(|_| None, Path::new("/nowhere/.env")).dotenv_fault,
            None
        );
    }
}
