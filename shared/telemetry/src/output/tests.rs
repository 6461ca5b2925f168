use std::{collections::VecDeque, sync::mpsc};

use super::*;
use crate::settings::Format;

/// Guard against a hanging test. Longer than any test takes on a busy machine.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Result of one write.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Accepts at most this number of bytes.
    Take(usize),
    Fail(io::ErrorKind),
}

/// Writer that performs one step per write, and then accepts everything. Its first write blocks
/// until it is released.
struct Scripted {
    gate: Option<mpsc::Receiver<()>>,
    steps: VecDeque<Step>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = self.gate.take() {
            let _ = gate.recv();
        }
        let most = match self.steps.pop_front() {
            None => bytes.len(),
            Some(Step::Take(most)) => most.min(bytes.len()),
            Some(Step::Fail(kind)) => return Err(kind.into()),
        };
        self.written.lock().unwrap().extend(&bytes[..most]);
        Ok(most)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    output: Output,
    open: mpsc::Sender<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    /// Starts a log whose writer blocks until it is released.
    fn start(steps: &[Step]) -> Self {
        let (open, gate) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let steps = steps.iter().copied().collect();
        let writer = Scripted { gate: Some(gate), steps, written: Arc::clone(&written) };
        let style = Style { format: Format::Json, colours: false, service: "user".to_owned() };
        let output = Output::start(writer, style, Arc::default()).unwrap();
        Self { output, open, written }
    }

    fn push(&self, level: Level, line: &str) {
        self.output.queue.push(level, line);
    }

    /// Releases the writer and returns all lines when they are written.
    fn lines(&self) -> Vec<String> {
        let _ = self.open.send(());
        self.output.queue.flush(TEST_TIMEOUT);
        let written = String::from_utf8(self.written.lock().unwrap().clone()).unwrap();
        written.lines().map(str::to_owned).collect()
    }
}

/// Parses the number in a line about dropped lines.
fn dropped(note: &str) -> usize {
    let note: serde_json::Value = serde_json::from_str(note).unwrap();
    assert_eq!((&note["level"], &note["service"]), (&"warn".into(), &"user".into()));
    note["message"].as_str().unwrap().strip_suffix(" lines dropped").unwrap().parse().unwrap()
}

#[test]
fn lines_are_written_whole_and_in_order() {
    let log = Log::start(&[Step::Take(1), Step::Fail(io::ErrorKind::Interrupted), Step::Take(3)]);
    for n in 0..1000 {
        log.push(Level::INFO, &format!("line {n}\n"));
    }
    let expected: Vec<_> = (0..1000).map(|n| format!("line {n}")).collect();
    assert_eq!(log.lines(), expected);
}

#[test]
fn a_full_queue_drops_lines_and_reports_their_number() {
    let log = Log::start(&[]);
    let line = format!("{}\n", "x".repeat(1023));
    // Three times the capacity, while the writer is blocked.
    let pushed = 3 * CAPACITY / line.len();
    for _ in 0..pushed {
        log.push(Level::INFO, &line);
    }
    // Two notes if the writer starts while lines are dropped already.
    let (notes, lines): (Vec<_>, Vec<_>) =
        log.lines().into_iter().partition(|line| line.contains("lines dropped"));
    let dropped: usize = notes.iter().map(|note| dropped(note)).sum();
    assert!(dropped > 0);
    assert_eq!(lines.len() + dropped, pushed);
    assert!(lines.len() <= 2 * CAPACITY / line.len(), "{}", lines.len());
}

#[test]
fn a_flood_of_other_lines_leaves_room_for_warnings() {
    let log = Log::start(&[]);
    let line = format!("{}\n", "x".repeat(1023));
    for _ in 0..3 * CAPACITY / line.len() {
        log.push(Level::INFO, &line);
    }
    log.push(Level::WARN, "a warning\n");
    log.push(Level::ERROR, "an error\n");
    let lines = log.lines();
    assert!(lines.contains(&"a warning".to_owned()) && lines.contains(&"an error".to_owned()));
}

#[test]
fn a_write_that_would_block_is_retried() {
    let again = Step::Fail(io::ErrorKind::WouldBlock);
    let log = Log::start(&[again, Step::Take(2), again]);
    log.push(Level::INFO, "one line\n");
    assert_eq!(log.lines(), ["one line"]);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let full = Step::Fail(io::ErrorKind::StorageFull);
    let log = Log::start(&[Step::Take(4), full]);
    log.push(Level::INFO, "one line\n");
    assert_eq!(log.lines(), ["one "]);
    log.push(Level::INFO, "another\n");
    let lines = log.lines();
    // The interrupted line is terminated, and the count follows in the next write.
    assert_eq!(lines[..2], ["one ", "another"]);
    assert_eq!(dropped(&lines[2]), 1);
}

#[test]
fn a_blocked_writer_does_not_delay_the_end() {
    let log = Log::start(&[]);
    log.push(Level::INFO, "one line\n");
    log.output.queue.flush(Duration::from_millis(20));
    assert!(log.written.lock().unwrap().is_empty());
    assert_eq!(log.lines(), ["one line"]);
}
