//! The depot in S3, against a server that speaks its language and against some that do not.

mod contract;
mod faults;
mod support;
