//! The work of `serve`: the API on a data directory that this process owns.

mod address;
mod announcement;
mod browser;
mod detached;
mod ending;
mod token;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api::{Listening, Names, Options, Parts, Settings, SignIns};
use fusion_api_types::{Problem, ProblemKind, ServerReady, SignInLink};
use fusion_cli::{Audience, Ready, ServeRequest, Server};
use fusion_coordination::Postman;
use fusion_core::{ApiToken, Clock, Moment, NodeRole, error_chain};
use fusion_persistence::Reader;
use fusion_persistence_sql::SqlStore;
use fusion_providers::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::backend::LocalBackend;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::master_key;
use crate::problems;
use crate::providers::Desk;
use crate::signals::{hang_ups, stop_server_on_signal};
use crate::system::{SystemClock, SystemIds};
use crate::webhooks::postman;
use crate::wiring::{Duties, Engine};

use announcement::Announcement;
pub(crate) use announcement::write_whole_as;
use ending::Wishes;
pub(crate) use token::read as read_token;

#[async_trait]
impl Server for LocalBackend {
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem> {
        let address = address::of(request, self.config())?;
        let data_dir = self.data_dir()?;
        let listening = Listening::at(address)
            .await
            .map_err(|error| address::taken(address, &error))?;
        let registry = self.registry_of(&[]);
        let engine = self
            .serving_engine(&data_dir, Arc::clone(&registry), duties(request))
            .await?;
        let served = self
            .serve_on(
                &engine,
                Place {
                    data_dir: &data_dir,
                    registry,
                    answers: request.api,
                    sign_in: request.audience == Audience::Person,
                    open: request.open,
                },
                listening,
                ready,
            )
            .await;
        engine.close().await;
        served
    }

    async fn start_server(
        &self,
        request: &ServeRequest,
        place: &[OsString],
    ) -> Result<Option<ServerReady>, Problem> {
        self.start_detached(request, place).await
    }

    async fn open_browser(&self) -> Result<(), Problem> {
        let link = self.sign_in_link().await?;
        let opened = browser::open(&link, &self.data_dir()?, self.config()).await;
        opened.map_err(|why| Problem::new(ProblemKind::Unavailable, why))
    }

    async fn stop_server(&self, within: Duration, at_once: bool) -> Result<ServerReady, Problem> {
        self.stop_owner(within, at_once).await
    }

    async fn sign_in_link(&self) -> Result<SignInLink, Problem> {
        let remote = self.serving()?;
        let made = remote.client().post("/sessions/codes", &json!({})).await?;
        Ok(SignInLink::new(remote.client().url(), &made))
    }
}

/// What this process does among those that share the work.
fn duties(request: &ServeRequest) -> Duties {
    let roles = [
        (request.api, NodeRole::Api),
        (request.worker, NodeRole::Worker),
    ];
    let roles = roles.into_iter().filter(|(has, _)| *has);
    Duties {
        roles: roles.map(|(_, role)| role).collect(),
        capacity: request.capacity,
    }
}

/// What is served.
struct Place<'a> {
    data_dir: &'a DataDir,
    registry: Arc<Registry>,
    /// Requests are answered.
    answers: bool,
    /// A person wants to be shown how to sign in.
    sign_in: bool,
    /// A browser is to be signed in.
    open: bool,
}

impl LocalBackend {
    async fn serve_on(
        &self,
        engine: &Engine,
        place: Place<'_>,
        listening: Listening,
        ready: &mut dyn Ready,
    ) -> Result<(), Problem> {
        let Place {
            data_dir,
            registry,
            answers,
            sign_in,
            open,
        } = place;
        // The API tells a client at once that the database is away; the engine waits for it.
        let store = engine.store().clone().into_inner();
        let desk = Desk::new(self.clone(), registry, engine.redis());
        for row in master_key::stored(&store).await? {
            desk.show(&row);
        }
        let (token_file, token) = token::file(data_dir, engine.coordinator(), &store).await?;
        let address = listening.address();
        let told = told(answers.then_some(address), &token_file, data_dir);
        let working = Working::new(engine, self.config());
        // Once it can be told to end; withdrawn before the data directory is given up.
        let _announced = Announcement::write(data_dir, &told)?;
        if !answers {
            drop(listening);
            let idle = |stop: CancellationToken| stop.cancelled_owned();
            return working
                .until_stopped(idle, |_| async { ready.ready(&told, None) })
                .await;
        }
        let (changes, settings) = watch::channel(settings(address, self.config())?);
        let options = Options {
            settings,
            origins: address::origins(self.config())?,
            version: told.version.clone(),
            machine: crate::wiring::machine(self.config())?,
            data_dir: data_dir.path().to_path_buf(),
        };
        let sign_ins = SignIns::default();
        let parts = self.parts(engine, store, desk, sign_ins.clone());
        // Elsewhere than on this machine the server is not called by the address that it listens at.
        let is_here = address.ip().is_loopback();
        let maker = (&sign_ins, &token);
        let link = first_link(sign_in && is_here, maker, engine, &told.url).await;
        // Each works once.
        let for_browser = first_link(open && is_here, maker, engine, &told.url).await;
        let reloading = engine.spawn(reload_at_hang_up(address, changes));
        let serving = |stop| fusion_api::serve(listening, parts, options, stop);
        let greet = |stop: CancellationToken| async move {
            ready.ready(&told, link.as_ref())?;
            let opening = self.sign_browser_in(for_browser, data_dir);
            if open && let Some(Err(why)) = stop.run_until_cancelled(opening).await {
                ready.not_opened(&why);
            }
            Ok(())
        };
        let ended = working.until_stopped(serving, greet).await;
        reloading.abort();
        browser::forget(data_dir);
        ended
    }
}

impl LocalBackend {
    fn parts(&self, engine: &Engine, store: SqlStore, desk: Desk, sign_ins: SignIns) -> Parts {
        Parts {
            reader: Arc::new(store) as Arc<dyn Reader>,
            coordinator: engine.coordinator().clone(),
            bus: Arc::clone(engine.bus()),
            deltas: self.told().deltas,
            desk: Arc::new(desk),
            postman: postman(self.config()),
            sign_ins,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::new()),
        }
    }

    /// Has the browser follow the link that was made for it, or says why not.
    async fn sign_browser_in(
        &self,
        link: Option<SignInLink>,
        data_dir: &DataDir,
    ) -> Result<(), String> {
        let link = link.ok_or("the server listens for other machines, or made no link")?;
        browser::open(&link, data_dir, self.config()).await
    }
}

/// What is said of a server, and where it listens if it does.
fn told(address: Option<SocketAddr>, token_file: &Path, data_dir: &DataDir) -> ServerReady {
    let url = address.map(|address| format!("http://{address}"));
    ServerReady {
        url: url.unwrap_or_default(),
        token_file: token_file.display().to_string(),
        data_dir: data_dir.path().display().to_string(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        log_file: None,
    }
}

/// The link of the greeting. The server serves without one, too.
async fn first_link(
    shows: bool,
    (sign_ins, token): (&SignIns, &ApiToken),
    engine: &Engine,
    url: &str,
) -> Option<SignInLink> {
    if !shows {
        return None;
    }
    let ids = SystemIds::new();
    let moment = Moment {
        now: SystemClock.now(),
        ids: &ids,
    };
    match sign_ins.code(token, engine.coordinator(), moment).await {
        Ok(made) => Some(SignInLink::new(url, &made)),
        Err(error) => {
            tracing::warn!(error = error_chain(&error), "no sign-in link was made");
            None
        }
    }
}

/// What the settings say that may change while the server goes on.
fn settings(address: SocketAddr, config: &Config) -> Result<Settings, Problem> {
    Ok(Settings {
        names: Names::new(address, &config.api_hosts()),
        requests_per_minute: address::requests_per_minute(config)?,
    })
}

/// Whether a server could be made with these settings.
///
/// # Errors
/// One is wrong, and which.
pub(crate) fn check(config: &Config) -> Result<(), Problem> {
    let request = ServeRequest {
        // How it is reached is said when it is started.
        allow_plain_http: true,
        ..ServeRequest::default()
    };
    settings(address::of(&request, config)?, config)?;
    address::origins(config).map(|_| ())
}

/// Reads the settings again at each SIGHUP: those of the file `.env`, since the environment of a
/// process stays as it is. What is wrong leaves all as it was.
async fn reload_at_hang_up(address: SocketAddr, changes: watch::Sender<Settings>) {
    let Some(mut hang_ups) = hang_ups() else {
        return;
    };
    while hang_ups.recv().await.is_some() {
        reload(address, &changes);
    }
}

fn reload(address: SocketAddr, changes: &watch::Sender<Settings>) {
    match settings(address, &Config::from_environment()) {
        Ok(settings) => {
            changes.send_replace(settings);
        }
        Err(problem) => tracing::error!(%problem, "the settings stay as they were"),
    }
}

fn broke_off(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        format!("the server broke off: {why}"),
    )
}

/// A server at work.
struct Working<'a> {
    engine: &'a Engine,
    postman: Postman,
    wishes: Wishes,
}

impl<'a> Working<'a> {
    fn new(engine: &'a Engine, config: &Config) -> Self {
        Self {
            engine,
            postman: postman(config),
            wishes: Wishes::catch(),
        }
    }

    /// Serves and drives runs until a signal comes, or the wish of `down`; then waits for both.
    async fn until_stopped<S, R>(
        self,
        serve: impl FnOnce(CancellationToken) -> S,
        ready: impl FnOnce(CancellationToken) -> R,
    ) -> Result<(), Problem>
    where
        S: Future<Output = ()> + Send + 'static,
        R: Future<Output = Result<(), Problem>> + Send,
    {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let engine = self.engine;
        engine.spawn(stop_server_on_signal(stop.clone(), ended.clone()));
        engine.spawn(self.wishes.stop(stop.clone()));
        let coordinator = engine.coordinator().clone();
        let driving = engine.spawn({
            let stop = stop.clone();
            async move { coordinator.host(&stop).await }
        });
        let delivering = engine.spawn({
            let (coordinator, stop) = (engine.coordinator().clone(), stop.clone());
            let postman = self.postman;
            async move { coordinator.deliver_webhooks(&postman, &stop).await }
        });
        let serving = engine.spawn(serve(stop.clone()));
        if let Err(problem) = ready(stop.clone()).await {
            tracing::warn!(%problem, "nobody could be told that the server is ready");
            stop.cancel();
        }
        let served = serving.await;
        stop.cancel();
        let driven = driving.await;
        let delivered = delivering.await;
        ended.cancel();
        let broke = |error: JoinError| broke_off(&error.to_string());
        served.map_err(broke)?;
        let ended = |done: fusion_coordination::Result<()>| {
            done.map_err(|error| problems::of_engine(&error))
        };
        ended(driven.map_err(broke)?)?;
        ended(delivered.map_err(broke)?)
    }
}
