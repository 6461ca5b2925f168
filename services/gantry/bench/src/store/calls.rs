//! Calls through the whole stack, beside their statements and commits alone on the same engine, and
//! GetUser beside tonic's server.

use std::{sync::Arc, time::Duration};

use gantry_proto::shop::user::v1::{GetUserRequest, user_service_client::UserServiceClient};
use tokio::time::sleep;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{
    engine::{Engine, Set, Store},
    goods::{Goods, Kind},
    plan::Call,
    recording::{self, record},
    replay::Replay,
    seed::Seed,
    stack::Stack,
};
use crate::{
    args::RunArgs,
    callers::{Caller, Method},
    contender::{Contender, compete},
    error::BenchError,
    progress,
    replica::{Plan, Replica, Served},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::{Ratio, Value},
    },
    stats::Runs,
    up::Up,
};

/// Numbers of concurrent callers.
const AT_ONCE: [usize; 2] = [1, 32];

/// Connections of tonic's client: as many as ours opens.
const CONNECTIONS: usize = 4;

const STATEMENTS: &str = "its statements alone";
const TONIC: &str = "tonic's server with the statement";

pub(super) async fn measure(engine: Engine, run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    progress("  stored rows");
    let seed = Seed::default();
    let store = Store::start(engine).await?;
    let set = store.make("suite", seed).await?;
    let alone = store.copy("suite", "alone").await?;

    let goods = Arc::new(Goods::new(seed));
    let suite = set.up(recording::SETTINGS).await?;
    let stack = Stack::new(&[&suite], &set.keys(), seed.users, &goods)?;
    let texts = record(engine, &suite, &stack, &Call::COMPARED).await?;
    suite.stop().await?;

    let suite = set.up("").await?;
    let stack = Stack::new(&[&suite], &set.keys(), seed.users, &goods)?;
    let others = Arc::new(Goods::new(seed));
    let mut rows = Vec::new();
    for call in Call::COMPARED {
        let replay = Replay::new(call, &alone, &texts, &others).await?;
        for at_once in AT_ONCE {
            let name = format!("{}, {}, {}", engine.name(), call.name(), callers(at_once));
            progress(&format!("  {name}"));
            let stack = stack.clone().of(call);
            let (before, made) = (commits(&suite).await?, stack.made());
            let mut ours = Contender::new(vec![stack.clone()]).at_once(at_once);
            let mut theirs = Contender::new(vec![replay.clone()]).at_once(at_once);
            compete(run, &mut [&mut ours, &mut theirs]).await?;
            let row = Row::new(name.clone(), "calls/s", &ours.rate)
                .against(STATEMENTS, &ours.rate, &theirs.rate)
                .target(Ratio(AtLeast(0.5)));
            rows.push(row);
            if call == Call::PlaceOrder {
                let commits = commits(&suite).await? - before;
                let each: Runs = [commits / (stack.made() - made) as f64].into_iter().collect();
                let row = Row::new(format!("{name}: commits an order"), "", &each);
                rows.push(row.target(Value(AtMost(10.0))));
            }
        }
    }
    for at_once in AT_ONCE {
        rows.push(beside_tonic(run, &stack, &alone, at_once).await?);
    }
    Ok(rows)
}

fn callers(at_once: usize) -> String {
    match at_once {
        1 => "1 caller".to_owned(),
        at_once => format!("{at_once} callers"),
    }
}

/// Returns the commits so far, once the sagas of answered calls have ended.
async fn commits(suite: &Up) -> Result<f64, BenchError> {
    let mut before = suite.commits().await?;
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = suite.commits().await?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

async fn beside_tonic(
    run: &RunArgs,
    stack: &Stack,
    set: &Set,
    at_once: usize,
) -> Result<Row, BenchError> {
    let database = Some(set.users());
    let server =
        Replica::start(&Plan { ports: 1, served: Served::Users, database, ..Plan::default() })
            .await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address()?))?;
    let mut tonics = Vec::new();
    for _ in 0..CONNECTIONS.min(at_once) {
        let client = UserServiceClient::new(endpoint.connect().await?);
        tonics.push(Bare { client, goods: Arc::clone(&stack.goods) });
    }
    let name = format!("{}, GetUser, {}", set.engine.name(), callers(at_once));
    progress(&format!("  {name} beside tonic"));
    let mut ours = Contender::new(vec![stack.clone().of(Call::GetUser)]).at_once(at_once);
    let mut theirs = Contender::new(tonics).at_once(at_once);
    compete(run, &mut [&mut ours, &mut theirs]).await?;
    Ok(Row::new(name, "calls/s", &ours.rate)
        .against(TONIC, &ours.rate, &theirs.rate)
        .target(Ratio(AtLeast(0.85))))
}

/// Caller on tonic's channel.
#[derive(Clone)]
struct Bare {
    client: UserServiceClient<Channel>,
    goods: Arc<Goods>,
}

impl Caller for Bare {
    async fn call(&mut self, _: Method, _: u64) -> Result<u32, Status> {
        let user = self.goods.user(self.goods.next());
        let request = GetUserRequest { id: Kind::User.id(user).to_string() };
        self.client.get_user(request).await?;
        Ok(0)
    }
}
