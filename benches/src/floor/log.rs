//! The writes: one thread that commits what waits, and tells everybody after COMMIT.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result};
use rusqlite::{Connection, Transaction, params};
use tokio::sync::oneshot;

/// Jobs in one transaction.
const AT_ONCE: usize = 64;

/// The file of steps.
pub(super) struct Log {
    jobs: Sender<Job>,
}

/// Something to write.
struct Job {
    what: What,
    done: oneshot::Sender<()>,
}

enum What {
    Begin,
    End(String),
}

const SCHEMA: &str = "
CREATE TABLE tasks (id INTEGER PRIMARY KEY, state TEXT NOT NULL, fence INTEGER NOT NULL, output TEXT);
CREATE TABLE journal (id INTEGER PRIMARY KEY, request TEXT NOT NULL, outcome TEXT);
CREATE TABLE runs (id INTEGER PRIMARY KEY, open INTEGER NOT NULL, tokens INTEGER NOT NULL);
CREATE TABLE events (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO runs VALUES (1, 0, 0);";

impl Log {
    pub(super) fn open(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
        connection.execute_batch(SCHEMA)?;
        let (jobs, waiting) = channel();
        std::thread::spawn(move || write(connection, &waiting));
        Ok(Self { jobs })
    }

    /// A task is taken, and what it is about to do is noted.
    pub(super) async fn begin(&self) -> Result<()> {
        self.written(What::Begin).await
    }

    /// What came of it.
    pub(super) async fn end(&self, said: String) -> Result<()> {
        self.written(What::End(said)).await
    }

    async fn written(&self, what: What) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.jobs
            .send(Job { what, done })
            .ok()
            .context("the writer is gone")?;
        is_done.await.context("a write failed")
    }
}

/// Ends with the last sender, or with the first failure: then nobody is told any more.
fn write(mut connection: Connection, waiting: &Receiver<Job>) -> Result<()> {
    while let Ok(first) = waiting.recv() {
        let more = waiting.try_iter().take(AT_ONCE - 1);
        let jobs: Vec<Job> = std::iter::once(first).chain(more).collect();
        let transaction = connection.transaction()?;
        for job in &jobs {
            match &job.what {
                What::Begin => begin(&transaction)?,
                What::End(said) => end(&transaction, said)?,
            }
        }
        transaction.commit()?;
        for job in jobs {
            // Who no longer waits needs no answer.
            job.done.send(()).ok();
        }
    }
    Ok(())
}

fn begin(transaction: &Transaction<'_>) -> Result<()> {
    let request = r#"{"model":"mock","messages":2,"hash":"5f2b0c6d8e1a4f7390bb1d2c3e4f5061"}"#;
    for (sql, values) in [
        (
            "INSERT INTO tasks (state, fence) VALUES ('running', ?1)",
            params!["1"],
        ),
        (
            "INSERT INTO journal (request) VALUES (?1)",
            params![request],
        ),
        (
            "INSERT INTO events (type, data) VALUES ('task.started', ?1)",
            params![request],
        ),
    ] {
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

fn end(transaction: &Transaction<'_>, said: &str) -> Result<()> {
    let newest = "(SELECT max(id) FROM";
    for (sql, values) in [
        (
            format!("UPDATE journal SET outcome = ?1 WHERE id = {newest} journal)"),
            params![said],
        ),
        (
            format!("UPDATE tasks SET state = 'completed', output = ?1 WHERE id = {newest} tasks)"),
            params![said],
        ),
        (
            "UPDATE runs SET open = open + 1, tokens = tokens + ?1 WHERE id = 1".to_owned(),
            params![29],
        ),
        (
            "INSERT INTO events (type, data) VALUES ('task.completed', ?1)".to_owned(),
            params![said],
        ),
    ] {
        transaction.prepare_cached(&sql)?.execute(values)?;
    }
    Ok(())
}
