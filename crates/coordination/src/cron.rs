//! When a schedule is due: five fields of cron, in a time zone.

use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use fusion_core::Timestamp;

/// The longest text of cron, in bytes; no time zone has a name of that length.
const MAX_TEXT: usize = 200;

/// A text of cron in a time zone.
///
/// A time of one minute and one hour (`30 2 * * *`) comes once on each day that it is meant for: at the first
/// moment after the gap where clocks are set over it, and the first time where they are set back. Any other
/// text follows the clock: what falls into the gap is left out, and what is there twice comes twice.
#[derive(Debug, Clone)]
pub struct Recurrence {
    cron: Cron,
    zone: Tz,
}

/// What is wrong with when a schedule is to be due.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceFault {
    /// The text of cron can't be read.
    #[error("'{cron}' is not five fields of cron: {why}")]
    Cron {
        /// The text, or its beginning.
        cron: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such day, such as the 31st of February.
    #[error("'{cron}' never comes")]
    Never {
        /// The text of cron.
        cron: String,
    },
    /// There is no such time zone.
    #[error("there is no time zone '{0}': write one such as Europe/Berlin or UTC")]
    Zone(String),
}

impl Recurrence {
    /// Reads both.
    ///
    /// # Errors
    /// One of them can't be read, or both, or there is never an occurrence after `now`.
    pub fn parse(cron: &str, zone: &str, now: Timestamp) -> Result<Self, Vec<RecurrenceFault>> {
        let read_zone: Result<Tz, _> = zone.parse();
        let read_zone = read_zone.map_err(|_| RecurrenceFault::Zone(shown(zone)));
        match (read(cron), read_zone) {
            (Ok(read), Ok(zone)) => {
                let recurrence = Self { cron: read, zone };
                match recurrence.after(now) {
                    Some(_) => Ok(recurrence),
                    None => Err(vec![RecurrenceFault::Never {
                        cron: cron.to_owned(),
                    }]),
                }
            }
            (read, zone) => Err(read.err().into_iter().chain(zone.err()).collect()),
        }
    }

    /// The first occurrence after a moment.
    #[must_use]
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let there = moment.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&there, false).ok()?;
        Some(next.to_utc())
    }

    /// The last occurrence up to now, when `first` is one that nobody has dealt with.
    #[must_use]
    pub fn latest(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        let there = now.with_timezone(&self.zone);
        let last = self.cron.find_previous_occurrence(&there, true).ok();
        last.map_or(first, |last| last.to_utc().max(first))
    }
}

fn read(cron: &str) -> Result<Cron, RecurrenceFault> {
    let fault = |why| RecurrenceFault::Cron {
        cron: shown(cron),
        why,
    };
    if cron.len() > MAX_TEXT {
        return Err(fault(format!("it has more than {MAX_TEXT} bytes")));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let read = parser.parse(cron);
    read.map_err(|error| fault(error.to_string()))
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use fusion_core::Timestamp;

    use super::{Recurrence, RecurrenceFault};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn recurrence(cron: &str, zone: &str) -> Recurrence {
        Recurrence::parse(cron, zone, at("2026-01-01T00:00:00Z")).unwrap()
    }

    fn next(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let recurrence = recurrence(cron, zone);
        let mut now = at(from);
        let mut all = Vec::new();
        for _ in 0..count {
            now = recurrence.after(now).unwrap();
            all.push(now.format("%FT%RZ").to_string());
        }
        all
    }

    // Summer time begins in Berlin on 2026-03-29 at 02:00 (01:00 in UTC), and ends on 2026-10-25 at 03:00
    // (again 01:00 in UTC).

    #[test]
    fn occurrences_follow_the_clock_of_the_zone_over_changes_of_its_time() {
        assert_eq!(
            next("0 9 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T08:00Z",
                "2026-03-29T07:00Z",
                "2026-03-30T07:00Z"
            ]
        );
        assert_eq!(
            next("0 9 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T08:00Z", "2026-10-26T08:00Z"]
        );
    }

    #[test]
    fn one_time_of_the_day_comes_once_a_day_though_it_is_there_twice_or_not_at_all() {
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            [
                "2026-03-28T01:30Z",
                "2026-03-29T01:00Z",
                "2026-03-30T00:30Z"
            ]
        );
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]
        );
    }

    #[test]
    fn several_times_of_the_day_follow_the_clock_over_the_gap_and_the_hour_that_comes_twice() {
        assert_eq!(
            next("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T00:30Z", "2026-03-29T01:30Z"]
        );
        assert_eq!(
            next("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1),
            ["2026-03-30T00:00Z"]
        );
        assert_eq!(
            next("0,30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 4),
            [
                "2026-10-25T00:00Z",
                "2026-10-25T00:30Z",
                "2026-10-25T01:00Z",
                "2026-10-25T01:30Z"
            ]
        );
    }

    #[test]
    fn a_leap_day_comes_every_four_years() {
        assert_eq!(
            next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2),
            ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]
        );
    }

    #[test]
    fn a_day_of_the_month_or_of_the_week_will_do_where_both_are_given() {
        assert_eq!(
            next("0 0 13 * FRI", "UTC", "2026-02-01T00:00:00Z", 3),
            [
                "2026-02-06T00:00Z",
                "2026-02-13T00:00Z",
                "2026-02-20T00:00Z"
            ]
        );
    }

    /// Walking back finds what walking on finds, over both changes of the time and for texts of each kind.
    #[test]
    fn the_last_occurrence_up_to_a_moment_is_the_one_that_walking_on_comes_by() {
        for cron in ["30 2 * * *", "*/20 * * * *", "0,30 1-3 * * *", "15 2 * * 7"] {
            let recurrence = recurrence(cron, "Europe/Berlin");
            for day in ["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"] {
                let begin = at(&format!("{day}T00:00:00Z"));
                let mut last = begin;
                for minute in 1..2 * 24 * 60 {
                    let now = begin + chrono::TimeDelta::minutes(minute);
                    if recurrence.after(last).unwrap() <= now {
                        last = recurrence.after(last).unwrap();
                    }
                    assert_eq!(recurrence.latest(begin, now), last, "{cron} at {now}");
                }
            }
        }
    }

    #[test]
    fn of_several_that_were_missed_the_last_is_meant() {
        let hourly = recurrence("0 * * * *", "UTC");
        let first = at("2026-01-01T01:00:00Z");
        let latest = |now| hourly.latest(first, at(now));
        assert_eq!(latest("2026-01-01T01:59:59Z"), first);
        assert_eq!(latest("2026-01-01T05:00:00Z"), at("2026-01-01T05:00:00Z"));
    }

    fn refused(cron: &str, zone: &str) -> Vec<RecurrenceFault> {
        Recurrence::parse(cron, zone, at("2026-01-01T00:00:00Z")).unwrap_err()
    }

    #[test]
    fn what_can_not_be_read_or_never_comes_is_refused() {
        for cron in ["", "* * * *", "61 * * * *", "* * * * * *", "a b c d e"] {
            assert!(
                matches!(
                    refused(cron, "UTC").as_slice(),
                    [RecurrenceFault::Cron { cron: shown, .. }] if shown == cron
                ),
                "{cron}"
            );
        }
        let february = "0 0 31 2 *".to_owned();
        assert_eq!(
            refused(&february, "UTC"),
            [RecurrenceFault::Never { cron: february }]
        );
        let atlantis = RecurrenceFault::Zone("Europe/Atlantis".to_owned());
        assert_eq!(refused("* * * * *", "Europe/Atlantis"), [atlantis]);
    }

    #[test]
    fn both_are_said_where_both_are_wrong_and_no_more_of_them_than_can_be_read() {
        let long = "*".repeat(100_000);
        let faults = refused(&long, &long);
        let shown = "*".repeat(200);
        let why = "it has more than 200 bytes".to_owned();
        assert_eq!(
            faults,
            [
                RecurrenceFault::Cron {
                    cron: shown.clone(),
                    why
                },
                RecurrenceFault::Zone(shown)
            ]
        );
    }
}
