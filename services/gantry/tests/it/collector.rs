//! A real OpenTelemetry collector, rotel, and the spans and metrics that it received.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    load::eventually,
    process::{Process, free_address},
};

/// Running collector, which prints all that it receives.
pub struct Collector {
    process: Process,
    grpc: SocketAddr,
    http: SocketAddr,
    folder: TempDir,
}

/// Received span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty for the root of a trace.
    pub parent: String,
    pub name: String,
    pub kind: String,
    pub attributes: BTreeMap<String, String>,
    /// Attributes of its resource.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    pub fn service(&self) -> &str {
        &self.resource["service.name"]
    }

    /// Returns service, kind and name in one text.
    pub fn label(&self) -> String {
        format!("{} {} {}", self.service(), self.kind, self.name)
    }
}

impl Collector {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_address(), free_address());
        let process = run(folder.path(), grpc, http);
        Self { process, grpc, http, folder }
    }

    /// Returns the settings of a process that exports every trace to it over gRPC, soon.
    pub fn settings(&self) -> Vec<(String, String)> {
        self.settings_of("grpc", self.grpc)
    }

    /// Returns the same over HTTP.
    pub fn settings_over_http(&self) -> Vec<(String, String)> {
        self.settings_of("http/protobuf", self.http)
    }

    fn settings_of(&self, protocol: &str, address: SocketAddr) -> Vec<(String, String)> {
        let endpoint = format!("http://{address}");
        let settings = [
            ("OTLP__ENDPOINT", &*endpoint),
            ("OTLP__PROTOCOL", protocol),
            ("TRACES__EXPORTER", "otlp"),
            ("TRACES__SAMPLE_RATIO", "1.0"),
            ("TRACES__INTERVAL", "100ms"),
        ];
        let named = |(key, value): (&str, &str)| (format!("GANTRY_TELEMETRY__{key}"), value.into());
        settings.map(named).into()
    }

    /// Returns everything that it printed.
    pub fn printed(&self) -> String {
        self.process.log()
    }

    /// Returns the received spans.
    pub fn spans(&self) -> Vec<Span> {
        spans_in(&self.printed())
    }

    /// Waits until the received spans fulfil a condition, and returns them.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = Vec::new();
        eventually(what, || {
            spans = self.spans();
            holds(&spans)
        })
        .await;
        spans
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn start_again(&mut self) {
        self.process = run(self.folder.path(), self.grpc, self.http);
    }

    /// Stops it without closing its connections.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Continues after [`hang`](Self::hang).
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

fn run(folder: &Path, grpc: SocketAddr, http: SocketAddr) -> Process {
    let mut command = Command::new(agent());
    command.arg("start").args(["--exporter", "blackhole"]);
    command.args(["--otlp-grpc-endpoint", &grpc.to_string()]);
    command.args(["--otlp-http-endpoint", &http.to_string()]);
    command.args(["--debug-log", "traces", "--debug-log", "metrics"]);
    command.args(["--debug-log-verbosity", "detailed"]);
    command.arg("--pid-file").arg(folder.join("pid"));
    let mut process = Process::start(&mut command, &folder.join("received"));
    process.until("open ports", || [grpc, http].iter().all(|to| TcpStream::connect(to).is_ok()));
    process
}

/// Returns the collector's program, which a Python package contains.
fn agent() -> PathBuf {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let find = "import importlib.util; print(importlib.util.find_spec('rotel').origin)";
    let output = Command::new(python).args(["-c", find]).output().unwrap();
    let package = String::from_utf8(output.stdout).unwrap();
    Path::new(package.trim()).with_file_name("rotel-agent")
}

/// Reads the spans from the collector's text.
fn spans_in(text: &str) -> Vec<Span> {
    /// Attributes that the following lines list.
    #[derive(PartialEq)]
    enum In {
        Resource,
        Span,
        Other,
    }
    let (mut spans, mut resource) = (Vec::<Span>::new(), BTreeMap::new());
    let mut within = In::Other;
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim().to_owned();
        if line.starts_with("ResourceSpans #") {
            (resource, within) = (BTreeMap::new(), In::Other);
        } else if line == "Resource attributes:" {
            within = In::Resource;
        } else if line.starts_with("ScopeSpans") {
            within = In::Other;
        } else if line.starts_with("Span #") {
            spans.push(Span { resource: resource.clone(), ..Span::default() });
            within = In::Other;
        } else if line == "Attributes:" && !spans.is_empty() {
            within = In::Span;
        } else if let Some((key, value)) =
            line.strip_prefix("     -> ").and_then(|line| line.split_once(": "))
        {
            let value = value.split_once('(').map_or(value, |(_, value)| value);
            let value = value.strip_suffix(')').unwrap_or(value).to_owned();
            match (&within, spans.last_mut()) {
                (In::Resource, _) => drop(resource.insert(key.to_owned(), value)),
                (In::Span, Some(span)) => drop(span.attributes.insert(key.to_owned(), value)),
                _ => {}
            }
        } else if let Some(span) = spans.last_mut() {
            match key.trim() {
                "Trace ID" => span.trace = value,
                "Parent ID" => span.parent = value,
                "ID" => span.id = value,
                "Name" => span.name = value,
                "Kind" => span.kind = value.replace("SPAN_KIND_", "").to_lowercase(),
                _ => {}
            }
        }
    }
    spans
}

/// Returns the edges between the spans of a trace: the labels of parent and child. The parent of a root
/// is empty, that of a span whose parent was not received is `?`.
pub fn edges<'a>(spans: impl IntoIterator<Item = &'a Span> + Clone) -> BTreeSet<(String, String)> {
    let labels: BTreeMap<_, _> =
        spans.clone().into_iter().map(|span| (span.id.as_str(), span.label())).collect();
    let edge = |span: &Span| {
        let parent = match span.parent.as_str() {
            "" => String::new(),
            parent => labels.get(parent).cloned().unwrap_or_else(|| "?".to_owned()),
        };
        (parent, span.label())
    };
    spans.into_iter().map(edge).collect()
}

#[test]
fn the_collectors_text_is_read() {
    let text = "ResourceSpans #0\nResource SchemaURL: \nResource attributes:\n     -> service.name: \
                Str(order)\nScopeSpans #0\nScopeSpans SchemaURL: \nInstrumentationScope gantry \n\
                Span #0\n    Trace ID       : 0f\n    Parent ID      : 01\n    ID             : 02\n    \
                Name           : a.b.C/D\n    Kind           : SPAN_KIND_SERVER\nStart time: 0\nEnd \
                time: 0\nAttributes:\n     -> server.port: Int(80)\nSpan #1\n    ID             : 03\n";
    let spans = spans_in(text);
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].label(), "order server a.b.C/D");
    assert_eq!((&*spans[0].trace, &*spans[0].parent, &*spans[0].id), ("0f", "01", "02"));
    assert_eq!(spans[0].attributes, BTreeMap::from([("server.port".into(), "80".into())]));
}
