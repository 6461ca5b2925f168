//! Queue of log lines, and the thread that writes them.
//!
//! Logging must not block, but a write to a pipe that nobody reads blocks after 64 KiB. So callers
//! append to a bounded queue in memory, and a thread outside of the runtime writes it. If the queue
//! is full, lines are dropped and counted; one line reports the count when there is room again.
//!
//! The queue is one buffer, which the writer swaps for an empty one. A line costs its caller one
//! copy. One write covers all queued lines.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::Level;

use crate::{
    dropped::{self, Reason},
    limit::{INTERVAL, Limiter},
    line::{Line, Style},
};

/// Capacity of the queue in bytes. The writer may hold a second buffer of this size.
const CAPACITY: usize = 4 * 1024 * 1024;

/// Bytes of the queue reserved for warnings and errors.
const RESERVED: usize = CAPACITY / 4;

/// Time that an idle writer waits for more lines after the first, to write them together.
const GATHER: Duration = Duration::from_millis(1);

/// Retry interval for an output in nonblocking mode that accepts no more bytes.
const RETRY: Duration = Duration::from_millis(10);

/// Maximum capacity in bytes of an emptied buffer. Larger buffers are shrunk.
const KEPT: usize = 64 * 1024;

/// Sender of the queue. When it is dropped, the writer writes the rest and ends.
#[derive(Debug)]
pub(crate) struct Output {
    queue: Arc<Queue>,
}

/// Queue between loggers and the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Condvar,
    /// Wakes the threads that wait for a flush.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Number of lines dropped since the writer took the last batch.
    dropped: u64,
    /// True while the writer waits for lines.
    idle: bool,
    /// True while the writer holds a batch.
    writing: bool,
    /// True while a thread waits for a flush.
    flushing: bool,
    closed: bool,
}

impl Output {
    /// Starts the writer.
    ///
    /// # Errors
    /// The error of the operating system if the thread cannot be started.
    pub(crate) fn start(
        writer: impl Write + Send + 'static,
        style: Style,
        limiter: Arc<Limiter>,
    ) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let writer = Writer { writer, style, limiter, torn: false, unreported: 0 };
        let of_writer = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&of_writer))?;
        Ok(Self { queue })
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_one();
    }
}

impl Queue {
    /// Queues a line, or drops it if there is no room.
    pub(crate) fn push(&self, level: Level, line: &str) {
        let room = if level <= Level::WARN { CAPACITY } else { CAPACITY - RESERVED };
        let mut state = self.lock();
        if state.lines.len() + line.len() > room {
            state.dropped += 1;
            dropped::count(Reason::QueueFull, 1);
            return;
        }
        state.lines.extend_from_slice(line.as_bytes());
        if mem::take(&mut state.idle) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, for at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let mut state = self.lock();
        state.flushing = true;
        self.filled.notify_one();
        let waited = self
            .emptied
            .wait_timeout_while(state, limit, |state| state.writing || !state.lines.is_empty());
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.flushing = false;
    }

    /// Waits for lines, at most until `until`, and swaps them for the empty `batch`. Returns the
    /// number of lines dropped since the last call, or None if the queue is closed and empty.
    fn take(&self, batch: &mut Vec<u8>, until: Instant) -> Option<u64> {
        batch.clear();
        batch.shrink_to(KEPT);
        let mut state = self.lock();
        state.writing = false;
        if state.flushing {
            self.emptied.notify_all();
        }
        while state.lines.is_empty() && !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.idle = true;
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle = false;
            if !state.lines.is_empty() && !state.flushing {
                drop(state);
                thread::sleep(GATHER);
                state = self.lock();
            }
        }
        if state.closed && state.lines.is_empty() {
            return None;
        }
        mem::swap(&mut state.lines, batch);
        state.writing = true;
        Some(mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State of the writer thread.
struct Writer<W> {
    writer: W,
    style: Style,
    limiter: Arc<Limiter>,
    /// True if the last write failed, possibly within a line.
    torn: bool,
    /// Number of dropped lines that no line has reported yet.
    unreported: u64,
}

impl<W: Write> Writer<W> {
    fn run(mut self, queue: &Queue) {
        let mut batch = Vec::new();
        let mut report_at = Instant::now() + INTERVAL;
        while let Some(dropped) = queue.take(&mut batch, report_at) {
            self.unreported += dropped;
            let now = Instant::now();
            if now >= report_at {
                report_at = now + INTERVAL;
                for line in self.limiter.report(now) {
                    batch.extend_from_slice(self.style.render(&line).as_bytes());
                }
            }
            self.write(&mut batch);
        }
    }

    /// Writes the batch, then a line with the number of dropped lines.
    fn write(&mut self, batch: &mut Vec<u8>) {
        if self.torn && !batch.is_empty() {
            batch.insert(0, b'\n');
        }
        let (torn, lines) = (self.torn, batch.len());
        if self.unreported > 0 {
            let note = Line::own(Level::WARN, &format!("{} lines dropped", self.unreported));
            batch.extend_from_slice(self.style.render(&note).as_bytes());
        }
        let written = batch.len() - write_all(&mut self.writer, batch).len();
        if let Some(last) = written.checked_sub(1) {
            self.torn = batch[last] != b'\n';
        }
        if written == batch.len() {
            self.unreported = 0;
            return;
        }
        let lost = &batch[written.max(usize::from(torn)).min(lines)..lines];
        let lost = lost.iter().filter(|byte| **byte == b'\n').count() as u64;
        dropped::count(Reason::WriteFailed, lost);
        self.unreported += lost;
    }
}

/// Writes `bytes` and returns the rest that could not be written.
fn write_all<'a>(writer: &mut impl Write, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return bytes,
            Ok(written) => bytes = &bytes[written.min(bytes.len())..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that shares the pipe set it to nonblocking mode.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(_) => return bytes,
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
