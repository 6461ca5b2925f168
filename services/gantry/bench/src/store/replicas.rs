//! Three processes on one PostgreSQL beside one, on the same processors.

use std::{sync::Arc, time::Duration};

use super::{
    delay::Proxy,
    engine::{Engine, Set, Store},
    goods::Goods,
    plan::Call,
    seed::Seed,
    stack::Stack,
};
use crate::{
    args::RunArgs,
    contender::{Contender, compete},
    error::BenchError,
    progress,
    row::{Bound::AtLeast, Row, Target::Ratio},
    up::Up,
};

/// Delay of each request to the database.
const DELAY: Duration = Duration::from_millis(5);

/// Connections of each pool behind the delay.
const CONNECTIONS: u32 = 2;

/// Number of concurrent callers: more than the three processes have connections that write.
const AT_ONCE: usize = 16;

const CALLS: [Call; 2] = [Call::CreateOrder, Call::PlaceOrder];

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    progress("  stored rows");
    let seed = Seed::default();
    let store = Store::start(Engine::Postgres).await?;
    let set = store.make("suite", seed).await?;
    let goods = Arc::new(Goods::new(seed));
    let mut rows = Vec::new();
    {
        let near = Processes::start(&set, "near").await?;
        rows.extend(near.measure(run, seed, &goods, "3 processes", 0.9).await?);
    }
    let Some(server) = &store.server else { return Ok(rows) };
    let proxy = Proxy::start(server.socket(), DELAY).await.map_err(BenchError::Replica)?;
    let away = Processes::start(&set.behind(proxy.address, CONNECTIONS), "away").await?;
    let name = "3 processes, 5 ms from the database, pools of 2";
    rows.extend(away.measure(run, seed, &goods, name, 2.0).await?);
    Ok(rows)
}

/// Three processes, each with all services. The services of a process call each other.
struct Processes {
    set: Set,
    suites: [Up; 3],
}

impl Processes {
    async fn start(set: &Set, name: &str) -> Result<Self, BenchError> {
        let [first, second, third] = [1, 2, 3].map(|number| set.shared(&format!("{name}{number}")));
        let (first, second, third) = (first?, second?, third?);
        let suites = [first.up("").await?, second.up("").await?, third.up("").await?];
        Ok(Self { set: set.clone(), suites })
    }

    async fn measure(
        &self,
        run: &RunArgs,
        seed: Seed,
        goods: &Arc<Goods>,
        name: &str,
        least: f64,
    ) -> Result<Vec<Row>, BenchError> {
        let [first, second, third] = &self.suites;
        let stack = |suites: &[&Up]| Stack::new(suites, &self.set.keys(), seed.users, goods);
        let (three, one) = (stack(&[first, second, third])?, stack(&[first])?);
        let mut rows = Vec::new();
        for call in CALLS {
            let name = format!("PostgreSQL, {name}: {}", call.name());
            progress(&format!("  {name}"));
            let contender =
                |stack: &Stack| Contender::new(vec![stack.clone().of(call)]).at_once(AT_ONCE);
            let (mut ours, mut theirs) = (contender(&three), contender(&one));
            compete(run, &mut [&mut ours, &mut theirs]).await?;
            let row = Row::new(name, "calls/s", &ours.rate);
            let row = row.against("1 process", &ours.rate, &theirs.rate);
            rows.push(row.target(Ratio(AtLeast(least))));
        }
        Ok(rows)
    }
}
