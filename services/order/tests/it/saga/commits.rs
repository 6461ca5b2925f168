//! Number of commits that a placed order costs.

use std::path::Path;

use gantry_order::domain::Status;

use super::fakes::{On, TestOrder};

/// Counts the commits in a SQLite write-ahead log that was never checkpointed: the frames that carry
/// the size of the database (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
fn commits(wal: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let wal = std::fs::read(wal).unwrap();
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let page = usize::try_from(number(&wal[8..12])).unwrap();
    let salts = &wal[16..24];
    let frames = wal[HEADER..].chunks_exact(FRAME_HEADER + page);
    // Frames of an earlier use of the file have other salts.
    let frames = frames.take_while(|frame| frame[8..16] == *salts);
    frames.filter(|frame| number(&frame[4..8]) != 0).count()
}

#[tokio::test]
async fn a_placed_order_takes_at_most_ten_commits() {
    let order = TestOrder::of(On::Sqlite, 3).await;
    let wal = order.wal();
    // A process that opens the log ends all leases, in a commit that no order costs.
    drop(order.log().await);
    let before = commits(&wal);
    assert_eq!(order.run().await.0, Status::Confirmed);
    // A claim, five appends for four steps, and the confirmation.
    let carried = commits(&wal) - before;
    assert_eq!(carried, 7);
    // One places the order and begins the saga; the inventory reserves and commits.
    assert!(1 + carried + 2 <= 10);
}
