//! Faults of a database on demand, for tests: compiled in with the feature `failpoints` only.

use crate::failure::Result;

/// Fails as the point `persistence_sql::statement` says: `contended`, `lost` or `full`.
#[cfg(feature = "failpoints")]
pub(crate) fn inject(action: &'static str) -> Result<()> {
    use fusion_persistence::Error;

    use crate::failure::Failure;

    fail::fail_point!("persistence_sql::statement", |kind| {
        let source = || "a fault was asked for".into();
        Err(match kind.as_deref() {
            Some("full") => Failure::Lost(Error::DiskFull { source: source() }),
            Some("lost") => Failure::Lost(Error::Unavailable {
                action,
                source: source(),
            }),
            _ => Failure::Contended(Error::Unavailable {
                action,
                source: source(),
            }),
        })
    });
    Ok(())
}

/// Nothing fails on demand in a program for users.
#[cfg(not(feature = "failpoints"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as with the feature"
)]
pub(crate) const fn inject(_action: &'static str) -> Result<()> {
    Ok(())
}
