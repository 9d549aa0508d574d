//! Fetches pages from a real server on this machine.

#[cfg(test)]
mod pages;
#[cfg(test)]
mod post;
