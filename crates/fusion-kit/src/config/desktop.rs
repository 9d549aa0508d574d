//! What a browser is given of the environment.

use std::collections::BTreeMap;

/// The variables by which programs find the desktop of a user.
const DESKTOP: [&str; 26] = [
    "BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_SESSION",
    "DISPLAY",
    "GNOME_DESKTOP_SESSION_ID",
    "HOME",
    "KDE_FULL_SESSION",
    "KDE_SESSION_VERSION",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "USER",
    "WAYLAND_DISPLAY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
    "XAUTHORITY",
    "XDG_CONFIG_HOME",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
];

/// Those of them that are set.
pub(super) fn of(environment: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let set = DESKTOP.iter();
    set.filter_map(|name| Some(((*name).to_owned(), environment(name)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_browser_is_given_the_desktop_and_no_key() {
        let environment = |name: &str| Some(format!("{name} of mine"));
        let given = super::of(environment);
        assert_eq!(given["DISPLAY"], "DISPLAY of mine");
        let is_ours = |name: &&String| {
            name.contains("KEY") || name.contains("TOKEN") || name.contains("FUSION")
        };
        assert_eq!(given.keys().find(is_ours), None);
    }
}
