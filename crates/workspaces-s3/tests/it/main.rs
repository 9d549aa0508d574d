//! The depot in S3, against a server that speaks its language and against some that do not.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod pieces;
#[cfg(test)]
mod support;
