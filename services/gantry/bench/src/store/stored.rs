//! Cost of calls with few and with many stored orders, and of a list's pages.

use std::sync::Arc;

use super::{
    engine::{Engine, Set, Store},
    goods::Goods,
    plan::Call,
    seed::Seed,
    stack::Stack,
};
use crate::{
    args::StoreArgs,
    contender::{Contender, compete},
    error::BenchError,
    progress,
    row::{Bound::AtLeast, Row, Target::Ratio},
    up::Up,
};

/// Number of the few stored orders.
const FEW: u64 = 1_000;

/// Number of concurrent callers.
const AT_ONCE: usize = 8;

/// Calls whose cost does not depend on the number of stored orders.
const CALLS: [Call; 4] = [Call::CreateOrder, Call::PlaceOrder, Call::GetOrder, Call::ListOrders];

/// Page that is compared with the first one, and its size.
const PAGE: u64 = 10_000;
const PAGE_SIZE: u64 = 20;

pub(super) async fn measure(engine: Engine, args: &StoreArgs) -> Result<Vec<Row>, BenchError> {
    let (run, many) = (&args.run, u64::from(args.stored));
    progress("  stored rows");
    let store = Store::start(engine).await?;
    let small = Stored::new(&store, "few", FEW).await?;
    let large = Stored::new(&store, "many", many).await?;
    let flat = Ratio(AtLeast(0.9));
    let mut rows = Vec::new();
    for call in CALLS {
        let name = format!("{}, {}, {many} stored orders", engine.name(), call.name());
        progress(&format!("  {name}"));
        let contender =
            |of: &Stored| Contender::new(vec![of.stack.clone().of(call)]).at_once(AT_ONCE);
        let (mut ours, mut theirs) = (contender(&large), contender(&small));
        compete(run, &mut [&mut ours, &mut theirs]).await?;
        let row = Row::new(name, "calls/s", &ours.rate);
        rows.push(row.against("1000 stored orders", &ours.rate, &theirs.rate).target(flat));
    }
    // Drafts are newer than the orders, so they are on the first pages.
    let before = many.saturating_sub(PAGE * PAGE_SIZE - large.seed.drafts).max(PAGE_SIZE);
    let page =
        |before| Contender::new(vec![large.stack.clone().listing_all(before)]).at_once(AT_ONCE);
    let (mut deep, mut first) = (page(Some(before)), page(None));
    compete(run, &mut [&mut deep, &mut first]).await?;
    let name = format!("{}, ListOrders of all users, page {PAGE}", engine.name());
    let row = Row::new(name, "calls/s", &deep.rate);
    rows.push(row.against("page 1", &deep.rate, &first.rate).target(flat));
    Ok(rows)
}

/// Suite with a number of stored orders.
struct Stored {
    seed: Seed,
    stack: Stack,
    _suite: Up,
}

impl Stored {
    async fn new(store: &Store, name: &str, orders: u64) -> Result<Self, BenchError> {
        let seed = Seed { orders, drafts: 20_000, ..Seed::default() };
        let set: Set = store.make(name, seed).await?;
        let suite = set.up("").await?;
        let goods = Arc::new(Goods::new(seed));
        let stack = Stack::new(&[&suite], &set.keys(), seed.users, &goods)?;
        Ok(Self { seed, stack, _suite: suite })
    }
}
