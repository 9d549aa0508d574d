//! What the crate promises about whole files.

#[cfg(test)]
mod approval;
#[cfg(test)]
mod called;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files_handed_over;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod good;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod warnings;
