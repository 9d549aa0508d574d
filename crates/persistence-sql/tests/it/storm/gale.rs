//! What happens to the worker processes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fusion_core::{RunId, Task, TaskId, TaskState};
use fusion_persistence::{AgentReader, Repository, TaskFilter, TaskReader};
use fusion_persistence_sql::SqlStore;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{interval, timeout};

use super::check::read;

/// Between two looks at how far the work is.
const TICK: Duration = Duration::from_millis(10);

/// The longest stop, for a worker that was stopped while it held a lock that all others need.
const LONGEST_STOP: Duration = Duration::from_secs(2);

/// Without a completion for so long, the work hangs.
const STUCK: Duration = Duration::from_secs(30);

/// What to do, and to whom.
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) ledger: PathBuf,
    pub(super) run: RunId,
    pub(super) tasks: usize,
    pub(super) processes: usize,
    pub(super) slots: usize,
    pub(super) fenced: bool,
    pub(super) stalls: usize,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Felt {
    kills: usize,
    stops: usize,
    seconds: u64,
}

pub(super) struct Gale {
    plan: Plan,
    random: u64,
    workers: Vec<Worker>,
    stopped: Option<Stopped>,
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A worker that does not know that time goes on, and what it held.
struct Stopped {
    number: usize,
    held: Vec<(TaskId, u64)>,
    since: Instant,
}

impl Gale {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut gale = Self {
            workers: Vec::new(),
            random: seed,
            stopped: None,
            plan,
        };
        gale.workers = (0..gale.plan.processes)
            .map(|number| gale.start(number))
            .collect();
        gale
    }

    /// Blows until all tasks are done and the workers have ended by themselves.
    pub(super) async fn blow(mut self, store: &SqlStore, kills: usize, stops: usize) -> Felt {
        let begun = Instant::now();
        let mut felt = Felt::default();
        let mut kills = self.moments(kills);
        let mut stops = self.moments(stops);
        let (mut done, mut moved) = (0, begun);
        let mut ticks = interval(TICK);
        while done < self.plan.tasks || self.stopped.is_some() {
            ticks.tick().await;
            self.all_live();
            let now = self.completed(store).await;
            if now > done {
                (done, moved) = (now, Instant::now());
            }
            if moved.elapsed() > STUCK {
                self.show(store, done).await;
            }
            if kills.pop_if(|due| *due <= done).is_some() {
                self.kill();
                felt.kills += 1;
            }
            self.go_on_when_overtaken(store).await;
            if self.stopped.is_none() && stops.last().is_some_and(|due| *due <= done) {
                self.stop(store).await;
                if self.stopped.is_some() {
                    stops.pop();
                    felt.stops += 1;
                }
            }
        }
        self.end().await;
        felt.seconds = begun.elapsed().as_secs();
        felt
    }

    /// Ends a storm in which nothing moves any more.
    async fn show(&self, store: &SqlStore, done: usize) -> ! {
        let mut tasks = store.tasks_of_run(self.plan.run).await.unwrap();
        tasks.retain(|task| task.state != TaskState::Completed);
        let agents = store.agents_of_run(self.plan.run).await.unwrap();
        for (agent, _) in agents {
            println!("{} {} is {}", agent.name, agent.id, agent.state);
        }
        panic!("stuck at {done} tasks: {tasks:#?}");
    }

    /// After how many completed tasks something happens, the last first.
    fn moments(&mut self, count: usize) -> Vec<usize> {
        let most_of_it = self.plan.tasks * 9 / 10;
        let mut moments: Vec<usize> = (0..count).map(|_| self.below(most_of_it)).collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        moments
    }

    /// The generator `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a process that is to be killed")]
    fn start(&mut self, number: usize) -> Worker {
        let Plan {
            slots,
            fenced,
            stalls,
            ..
        } = self.plan;
        let seed = self.next();
        let child = Command::new(env!("CARGO_BIN_EXE_fusion-storm-worker"))
            .arg("tasks")
            .args([&self.plan.url, self.plan.ledger.to_str().unwrap()])
            .args([number, slots].map(|argument| argument.to_string()))
            .args([seed.to_string(), stalls.to_string(), fenced.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Worker(child)
    }

    fn all_live(&mut self) {
        for worker in &mut self.workers {
            assert_eq!(worker.0.try_wait().unwrap(), None, "a worker gave up");
        }
    }

    async fn completed(&self, store: &SqlStore) -> usize {
        let filter = TaskFilter {
            states: vec![TaskState::Completed],
            run: Some(self.plan.run),
            ..TaskFilter::default()
        };
        usize::try_from(store.count(&filter).await.unwrap()).unwrap()
    }

    /// A random worker that is not stopped.
    fn victim(&mut self) -> usize {
        loop {
            let number = self.below(self.workers.len());
            if self.stopped.as_ref().map(|stopped| stopped.number) != Some(number) {
                return number;
            }
        }
    }

    /// Kills a worker; another one takes its place at once.
    fn kill(&mut self) {
        let number = self.victim();
        self.workers[number].0.kill().unwrap();
        self.workers[number].0.wait().unwrap();
        self.workers[number] = self.start(number);
    }

    fn signal(&self, number: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.workers[number].0), signal).unwrap();
    }

    /// Stops a worker that holds something.
    async fn stop(&mut self, store: &SqlStore) {
        let number = self.victim();
        self.signal(number, Signal::STOP);
        let held = self.held_by(number, store).await;
        if held.is_empty() {
            self.signal(number, Signal::CONT);
            return;
        }
        self.stopped = Some(Stopped {
            number,
            held,
            since: Instant::now(),
        });
    }

    async fn held_by(&self, number: usize, store: &SqlStore) -> Vec<(TaskId, u64)> {
        let lines = read(&self.plan.ledger);
        let tasks = store.tasks_of_run(self.plan.run).await.unwrap();
        let is_held = |task: &&Task| {
            let mut of_task = lines.iter().filter(|line| line.task == task.id.to_string());
            task.state == TaskState::Running
                && of_task.any(|line| {
                    line.word == "begun"
                        && (line.fence, line.process) == (task.fence, number as u64)
                })
        };
        let held = tasks.iter().filter(is_held);
        held.map(|task| (task.id, task.fence)).collect()
    }

    /// Lets a stopped worker go on once somebody else has what it held.
    async fn go_on_when_overtaken(&mut self, store: &SqlStore) {
        let Some(stopped) = &self.stopped else { return };
        let mut overtaken = stopped.since.elapsed() > LONGEST_STOP;
        for (id, fence) in &stopped.held {
            let task: Task = store.get(*id).await.unwrap();
            overtaken |= task.fence > *fence && task.state != TaskState::Queued;
        }
        if overtaken {
            self.signal(stopped.number, Signal::CONT);
            self.stopped = None;
        }
    }

    /// Ends the input of all workers: they finish what they have.
    async fn end(mut self) {
        for worker in &mut self.workers {
            drop(worker.0.stdin.take());
        }
        let waiting = tokio::task::spawn_blocking(move || {
            for worker in &mut self.workers {
                assert!(worker.0.wait().unwrap().success());
            }
        });
        timeout(STUCK, waiting).await.unwrap().unwrap();
    }
}
