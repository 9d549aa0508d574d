//! Signs the browser of this machine in, when that is asked for.
//!
//! The link is not handed over as an argument, where every user of the machine could read it: the browser
//! is given a file that only this user can read, which leads there.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use fusion_api_types::SignInLink;

use super::announcement::write_whole;
use crate::config::Config;
use crate::data_dir::DataDir;

/// What opens a browser on most systems, where no other command is set.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

/// What the shell says of a command that is not there.
const NOT_THERE: i32 = 127;

/// How long it is waited for what opens a browser; one that stays longer is one.
const WITHIN: Duration = Duration::from_secs(3);

/// Has the browser follow a link.
///
/// # Errors
/// Why it does not, in a few words.
pub(super) async fn open(
    link: &SignInLink,
    data_dir: &DataDir,
    config: &Config,
) -> Result<(), String> {
    let file = data_dir.sign_in_page();
    write_whole(&file, page(&link.url).as_bytes())
        .map_err(|error| format!("can't write {}: {error}", file.display()))?;
    let chosen = config.of_user.browser.as_deref();
    let openers = chosen.map_or_else(|| OPENERS.to_vec(), |chosen| vec![chosen]);
    for opener in openers {
        let environment = &config.of_user.desktop;
        let ended = fusion_workspaces::browse(opener, environment, &file, WITHIN).await;
        match ended.map_err(|error| fusion_core::error_chain(&error))? {
            Some(0) => return Ok(()),
            Some(NOT_THERE) if chosen.is_none() => {}
            Some(code) => return Err(format!("'{opener}' ended with exit code {code}")),
            None => return Err(format!("a signal ended '{opener}'")),
        }
    }
    Err(format!(
        "there is neither {}; set BROWSER to a command that opens one",
        OPENERS.join(" nor ")
    ))
}

/// Takes the page away that leads to a server which has ended.
pub(super) fn forget(data_dir: &DataDir) {
    match fs::remove_file(data_dir.sign_in_page()) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(%error, "the page that led to the sign-in stays behind");
        }
        Ok(()) | Err(_) => {}
    }
}

/// A page that leads on at once.
fn page(url: &str) -> String {
    let url = url
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0;url={url}\">\n<title>fusion-kit</title>\n\
         <a href=\"{url}\">Sign in to fusion-kit</a>\n"
    )
}
