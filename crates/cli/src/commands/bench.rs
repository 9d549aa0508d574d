//! `bench`.

use fusion_api_types::{BenchReport, Problem};

use crate::args::BenchArgs;
use crate::backend::{Backend, BenchRequest};
use crate::exit::Exit;
use crate::session::Session;

/// `bench`: a line for people, then one for programs.
pub(crate) async fn bench(
    bench: &BenchArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = BenchRequest {
        row: bench.row,
        number: bench.number,
        at_once: bench.at_once,
        store: bench.store,
        llm: bench.llm,
        via_api: bench.via.is_some(),
    };
    let report = backend.bench(&request).await?;
    if !session.is_machine() {
        session.print(&told(&report))?;
    }
    session.print_json(&report)?;
    Ok(Exit::Done)
}

fn told(report: &BenchReport) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people; there are no more than 1,000,000 units"
    )]
    let units = report.units as f64;
    let each = match report.bytes_per_agent {
        Some(bytes) => format!("{bytes} bytes each"),
        None => format!(
            "{:.0} a second, {:.3} ms of CPU each",
            units / report.wall,
            report.cpu_total / units * 1_000.0
        ),
    };
    format!(
        "{}: {} units, {} at once, in {:.3} s; {each}; {:.1} MB\n",
        report.w, report.units, report.conc, report.wall, report.maxrss_mb
    )
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_row_is_told_by_its_rate_and_one_of_agents_by_their_memory() {
        let mut report = fusion_api_types::BenchReport {
            peer: "fusion-kit".to_owned(),
            w: "W3".to_owned(),
            n: 100,
            conc: 4,
            store: "memory".to_owned(),
            llm: "none".to_owned(),
            units: 100,
            llm_calls: 300,
            steps: 300,
            wall: 0.5,
            cpu: 0.1,
            srv_cpu: [("postgres".to_owned(), 0.1)].into(),
            cpu_total: 0.2,
            rss_mb: 20.0,
            maxrss_mb: 21.25,
            write_bytes: 0,
            bytes_per_agent: None,
        };
        assert_eq!(
            told(&report),
            "W3: 100 units, 4 at once, in 0.500 s; 200 a second, 2.000 ms of CPU each; 21.2 MB\n"
        );
        report.bytes_per_agent = Some(2_048);
        assert_eq!(
            told(&report),
            "W3: 100 units, 4 at once, in 0.500 s; 2048 bytes each; 21.2 MB\n"
        );
    }
}
