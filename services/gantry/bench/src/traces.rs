//! Traces in measured processes, and a collector that takes them.

use std::{future::Future, io, net::SocketAddr};

use clap::Args;
use gantry_telemetry::{Exporter, Filter, Guard, OtlpSettings, Protocol, Settings, TracesSettings};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};

use super::{
    error::BenchError,
    row::{Bound, Row, Target},
    stats::Runs,
};

/// Traces of a measured process. By default it has no subscriber.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct TraceArgs {
    /// Make spans, and export this share of the traces to the collector
    #[arg(long, value_name = "RATIO")]
    pub traces: Option<f64>,
    /// Collector over HTTP; without one nothing is exported
    #[arg(long, value_name = "IP:PORT")]
    pub collector: Option<SocketAddr>,
}

impl TraceArgs {
    /// Sets up spans, if they are wanted, and no log. Keep the guard.
    pub(super) fn init(self) -> Result<Option<Guard>, BenchError> {
        let Some(ratio) = self.traces else { return Ok(None) };
        let settings = Settings::default().filter(Filter::off());
        let settings = match self.collector {
            Some(collector) => {
                let otlp = OtlpSettings::default().protocol(Protocol::Http);
                let traces = TracesSettings::default().exporter(Exporter::Otlp).sample_ratio(ratio);
                settings.otlp(otlp.endpoint(format!("http://{collector}"))).traces(traces)
            }
            None => settings,
        };
        Ok(Some(gantry_telemetry::init(&settings, "bench")?))
    }

    /// Adds these flags to the command of a process.
    pub(super) fn add_to(self, command: &mut Command) {
        if let Some(ratio) = self.traces {
            command.args(["--traces", &ratio.to_string()]);
        }
        if let Some(collector) = self.collector {
            command.args(["--collector", &collector.to_string()]);
        }
    }
}

/// Measures the instructions of a call without a subscriber, with traces off, at 1 % and at 100 %.
pub(super) async fn measure<F>(
    side: &str,
    instructions: impl Fn(TraceArgs) -> F,
) -> Result<Vec<Row>, BenchError>
where
    F: Future<Output = Result<f64, BenchError>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::Replica)?;
    let collector = listener.local_addr().map_err(BenchError::Replica)?;
    let mut sink = JoinSet::new();
    sink.spawn(collect(listener));
    let count = async |traces, collector| -> Result<Runs, BenchError> {
        Ok([instructions(TraceArgs { traces, collector }).await?].into_iter().collect())
    };
    let bare = count(None, None).await?;
    let off = count(Some(0.0), None).await?;
    let some = count(Some(0.01), Some(collector)).await?;
    let all = count(Some(1.0), Some(collector)).await?;
    let row = |what: &str, runs: &Runs| {
        Row::new(format!("{side}: instructions a call, {what}"), "instructions", runs)
    };
    let few = Target::Ratio(Bound::AtMost(1.05));
    Ok(vec![
        row("traces off", &off).against("no spans", &off, &bare),
        row("traces at 1 %", &some).against("traces off", &some, &off).target(few),
        row("traces at 100 %", &all).against("traces off", &all, &off),
    ])
}

/// Takes every request until it is dropped.
async fn collect(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(take(stream));
    }
}

/// Answers the requests of a connection.
async fn take(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        stream.flush().await?;
    }
}
