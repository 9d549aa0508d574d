//! `init`: a first workflow from a template.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};
use serde_json::json;

use crate::args::{InitArgs, Template};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::style::Tone;
use crate::text::{clean_line, shell_word};

/// A file of a template: its name and its content. The first one is the workflow.
type TemplateFile = (&'static str, &'static str);

const HELLO: &[TemplateFile] = &[
    (
        "hello.yaml",
        include_str!("../../../../examples/hello.yaml"),
    ),
    (
        "hello.script.yaml",
        include_str!("../../../../examples/hello.script.yaml"),
    ),
];

const PLAN_IMPLEMENT_REVIEW: &[TemplateFile] = &[
    (
        "plan-implement-review.yaml",
        include_str!("../../../../examples/plan-implement-review.yaml"),
    ),
    (
        "plan-implement-review.script.yaml",
        include_str!("../../../../examples/plan-implement-review.script.yaml"),
    ),
];

const REPO: &[TemplateFile] = &[
    ("repo.yaml", include_str!("../../templates/repo.yaml")),
    (
        "repo.script.yaml",
        include_str!("../../templates/repo.script.yaml"),
    ),
];

const EMPTY: &[TemplateFile] = &[(
    "workflow.yaml",
    include_str!("../../templates/workflow.yaml"),
)];

/// `init`.
pub(crate) async fn init(
    init: &InitArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let files = match init.template {
        Template::Hello => HELLO,
        Template::PlanImplementReview => PLAN_IMPLEMENT_REVIEW,
        Template::Repo => REPO,
        Template::Empty => EMPTY,
    };
    let is_in_one = is_in_repository(&init.dir);
    if init.template == Template::Repo && !is_in_one && !init.git {
        return Err(no_repository(&init.dir));
    }
    let mut made = write_all(&init.dir, files)?;
    let workflow = made.first().map(|path| path.display().to_string());
    let is_new = init.git && !is_in_one;
    if is_new {
        if let Err(problem) = backend.make_repository(&init.dir).await {
            take_back(&made);
            return Err(problem);
        }
        made.push(place(&init.dir, ".git"));
    }
    let verb = match init.template {
        Template::Hello | Template::PlanImplementReview | Template::Repo => "run",
        Template::Empty => "workflow validate",
    };
    let mut next = session.command(&format!(
        "{verb} {}",
        shell_word(&workflow.unwrap_or_default())
    ));
    if is_new && init.template == Template::Repo {
        // A worktree begins at a commit.
        let dir = shell_word(&init.dir.display().to_string());
        next = format!("git -C {dir} commit --allow-empty -m Begin && {next}");
    }
    if session.is_machine() {
        let names: Vec<String> = made.iter().map(|path| path.display().to_string()).collect();
        session.print_json(&json!({ "files": names, "next": next }))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for path in &made {
        text.push_str(&format!(
            "{} made {}\n",
            session.out.paint(Tone::Good, "✓"),
            clean_line(&path.display().to_string())
        ));
    }
    text.push_str(&format!("next: {next}\n"));
    session.print(&text)?;
    Ok(Exit::Done)
}

/// Writes all the files or none.
fn write_all(dir: &Path, files: &[TemplateFile]) -> Result<Vec<PathBuf>, Problem> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| place(dir, name)).collect();
    if let Some(taken) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(already_there(taken));
    }
    let new_dir = !dir.exists();
    fs::create_dir_all(dir).map_err(|error| not_writable("make the folder", dir, &error))?;
    for (done, (path, (_, content))) in paths.iter().zip(files).enumerate() {
        if let Err(problem) = write_new(path, content) {
            take_back(paths.get(..done).unwrap_or_default());
            if new_dir {
                fs::remove_dir(dir).ok();
            }
            return Err(problem);
        }
    }
    Ok(paths)
}

fn take_back(written: &[PathBuf]) {
    for file in written {
        fs::remove_file(file).ok();
    }
}

/// Whether a folder, which may not be there yet, is below one that git looks after.
fn is_in_repository(dir: &Path) -> bool {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let there = whole
        .ancestors()
        .find_map(|above| above.canonicalize().ok());
    let is_one = |above: &Path| {
        let git = above.join(".git");
        // A worktree and a submodule have a file there.
        git.is_file() || git.join("HEAD").exists()
    };
    there.is_some_and(|there| there.ancestors().any(is_one))
}

fn no_repository(dir: &Path) -> Problem {
    let shown = dir.display().to_string();
    let command = if dir == Path::new(".") {
        "fusion-kit init --template repo --git".to_owned()
    } else {
        format!(
            "fusion-kit init {} --template repo --git",
            shell_word(&shown)
        )
    };
    let text = format!("{shown} is in no git repository, and this template works on one");
    Problem::new(ProblemKind::Conflict, text)
        .with_help(format!("nothing was written; make one too with: {command}"))
}

/// Where a file goes, without a leading `./` that nobody typed.
fn place(dir: &Path, name: &str) -> PathBuf {
    if dir == Path::new(".") {
        PathBuf::from(name)
    } else {
        dir.join(name)
    }
}

fn write_new(path: &Path, content: &str) -> Result<(), Problem> {
    let mut file = File::create_new(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            already_there(path)
        } else {
            not_writable("make", path, &error)
        }
    })?;
    let written = file
        .write_all(content.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        fs::remove_file(path).ok();
        not_writable("write", path, &error)
    })
}

fn already_there(path: &Path) -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        format!("{} exists already; nothing was written", path.display()),
    )
    .with_help("name another folder: fusion-kit init DIR")
}

fn not_writable(verb: &str, path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("could not {verb} {}: {error}", path.display()),
    )
}
