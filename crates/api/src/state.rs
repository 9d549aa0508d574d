//! What every handler can reach.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use fusion_coordination::{Coordinator, Postman};
use fusion_core::{Clock, IdSource, Moment};
use fusion_messaging::Bus;
use fusion_persistence::Reader;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Door;
use crate::cors::Origins;
use crate::desk::ProviderDesk;
use crate::download;
use crate::gate;
use crate::idempotency::Turns;
use crate::kept::Kept;
use crate::limits::Limits;
use crate::live::{Deltas, Hub};
use crate::origin::Names;
use crate::problem::{Refusal, Result};
use crate::routes::Answers;
use crate::sign_in::SignIns;

/// What the API is made of.
#[derive(Clone)]
pub struct Parts {
    /// Reads. It answers at once when the database is away, so that a request is told so.
    pub reader: Arc<dyn Reader>,
    /// Changes.
    pub coordinator: Coordinator,
    /// Says that there is something new to read.
    pub bus: Arc<dyn Bus>,
    /// Tells what models are saying.
    pub deltas: Arc<Deltas>,
    /// Knows the providers.
    pub desk: Arc<dyn ProviderDesk>,
    /// Sends to webhooks.
    pub postman: Postman,
    /// Codes that sign browsers in.
    pub sign_ins: SignIns,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What may change while the server goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// By which names clients may call this server.
    pub names: Names,
    /// Requests of each token in a minute; without it nothing is limited.
    pub requests_per_minute: Option<NonZeroU32>,
}

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is in force now.
    pub settings: watch::Receiver<Settings>,
    /// Whose pages may call besides those of this server.
    pub origins: Origins,
    /// Of the program.
    pub version: String,
    /// What the machine calls itself.
    pub machine: String,
    /// The folder that holds the data; paths in definitions that name no folder begin below it.
    pub data_dir: PathBuf,
}

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) options: Options,
    pub(crate) door: Door,
    pub(crate) hub: Hub,
    pub(crate) turns: Turns,
    /// Pages as they were answered last.
    pub(crate) pages: Kept,
    /// Single rows as they were answered last.
    pub(crate) rows: Kept,
    pub(crate) limits: Limits,
    pub(crate) answers: Answers,
    /// Places for requests that are at work.
    pub(crate) room: Semaphore,
    /// Places for long answers.
    pub(crate) downloads: Arc<Semaphore>,
    /// One import of a run at a time: it may hold a file of rows in memory.
    pub(crate) imports: Arc<Semaphore>,
    /// Work that goes on when whoever asked for it is gone.
    pub(crate) works: TaskTracker,
    /// Names this start of the server.
    pub(crate) server_id: String,
    /// Is cancelled when the server begins to stop.
    pub(crate) stopping: CancellationToken,
}

impl App {
    pub(crate) fn new(parts: Parts, options: Options, stopping: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            door: Door::new(Arc::clone(&parts.reader), Arc::clone(&parts.clock)),
            hub: Hub::new(Arc::clone(&parts.reader), Arc::clone(&parts.bus)),
            turns: Turns::default(),
            pages: Kept::default(),
            rows: Kept::default(),
            limits: Limits::default(),
            answers: Answers::default(),
            room: Semaphore::new(gate::MAX_REQUESTS),
            downloads: Arc::new(Semaphore::new(download::AT_ONCE)),
            imports: Arc::new(Semaphore::new(1)),
            works: TaskTracker::new(),
            server_id: parts.ids.uuid().to_string(),
            parts,
            options,
            stopping,
        }))
    }

    pub(crate) fn reader(&self) -> &(dyn Reader + 'static) {
        self.0.parts.reader.as_ref()
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.0.parts.coordinator
    }

    /// Does it to the end, also when the client goes or its answer is given up: what was begun is not left
    /// half done.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.works.spawn(work).await {
            Ok(done) => done,
            Err(error) => Err(Refusal::internal(&error.to_string())),
        }
    }

    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: self.0.parts.clock.now(),
            ids: self.0.parts.ids.as_ref(),
        }
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
