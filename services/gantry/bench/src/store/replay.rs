//! Statements of a call, replayed without our code.

use std::sync::Arc;

use tonic::Status;
use uuid::Uuid;

use super::{
    engine::{Engine, Set},
    goods::{Goods, Kind},
    plan::{Call, Use},
    pools::{Bound, Pools},
    recording::Texts,
    statement::{Subject, Values},
};
use crate::{
    callers::{Caller, Method},
    error::BenchError,
};

/// Caller that replays a call.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    call: Call,
    steps: Arc<Vec<Step>>,
    goods: Arc<Goods>,
}

/// Use of a connection to one database.
#[derive(Debug)]
struct Step {
    pools: Pools,
    /// Text that begins a unit of work.
    begin: Option<&'static str>,
    statements: Vec<(&'static str, Values)>,
}

impl Replay {
    /// Creates a caller on these databases.
    ///
    /// # Errors
    /// [`BenchError::Sql`]; [`BenchError::Drift`] if the recording has no text of a statement.
    pub(super) async fn new(
        call: Call,
        set: &Set,
        texts: &Texts,
        goods: &Arc<Goods>,
    ) -> Result<Self, BenchError> {
        let mut databases: Vec<(&str, Pools)> = Vec::new();
        let mut steps = Vec::new();
        for one in call.plan() {
            let (service, begin, statements) = match *one {
                Use::Read(service, statements) => (service, None, statements),
                Use::Unit(service, begin, statements) => (service, Some(begin), statements),
            };
            let known = databases.iter().find(|(name, _)| *name == service.name);
            let pools = match known {
                Some((_, pools)) => pools.clone(),
                None => {
                    let pools = set.pools(service).await?;
                    databases.push((service.name, pools.clone()));
                    pools
                }
            };
            let made = statements.iter();
            let made = made.filter(|it| set.engine == Engine::Postgres || !it.locks);
            let missing = |head: &str| BenchError::Drift {
                call: call.name(),
                difference: format!("{head} was not made"),
            };
            let statements = made.map(|it| match texts.get(it.head) {
                Some(text) => Ok((*text, it.values)),
                None => Err(missing(it.head)),
            });
            let statements = statements.collect::<Result<_, _>>()?;
            steps.push(Step { pools, begin, statements });
        }
        Ok(Self { call, steps: steps.into(), goods: Arc::clone(goods) })
    }

    async fn run(&self, mut subject: Subject) -> Result<(), sqlx::Error> {
        for Step { pools, begin, statements } in &*self.steps {
            subject.begin();
            let bound = statements.iter().map(|(text, values)| (*text, values(&mut subject)));
            let bound: Vec<Bound> = bound.collect();
            match begin {
                None => pools.read(bound).await?,
                Some(begin) => pools.unit(begin, bound).await?,
            }
        }
        Ok(())
    }
}

impl Caller for Replay {
    async fn call(&mut self, _: Method, _: u64) -> Result<u32, Status> {
        let number = match self.call {
            Call::PlaceOrder => self.goods.draft().ok_or_else(super::stack::no_draft)?,
            Call::GetOrder => self.goods.order(),
            _ => self.goods.next(),
        };
        let order = match self.call {
            Call::PlaceOrder => Kind::Draft.id(number),
            Call::GetOrder => Kind::Order.id(number),
            _ => Uuid::now_v7(),
        };
        let subject = Subject::new(self.goods.user(number), order, self.goods.sku(number));
        let failed = |error: sqlx::Error| Status::internal(error.to_string());
        self.run(subject).await.map(|()| 0).map_err(failed)
    }
}
