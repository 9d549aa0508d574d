//! Workspaces with real directories, real processes and, as root, real other users.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod bombs;
#[cfg(test)]
mod create;
#[cfg(test)]
mod custody;
#[cfg(test)]
mod files;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod loose;
#[cfg(test)]
mod place;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod run;
#[cfg(test)]
mod search;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod show;
#[cfg(test)]
mod snapshot;
