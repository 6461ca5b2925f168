//! gRPC handlers of shop.order.v1: OrderService.
//!
//! Each method reads a command from a validated and authorized request, runs one use case, and
//! converts its result.

use std::time::Duration;

use gantry_common::page_by_id;
use gantry_contract::{CallContext, page::PageRequest};
use gantry_proto::shop::order::v1::{
    CreateOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order,
    PlaceOrderRequest, order_service_server::OrderService,
};
use gantry_server::{Drain, Fingerprints, authorized};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    convert,
    status::{ORDER, status},
};
use crate::application::UseCases;

/// Part of a call's remaining time that is reserved for its response.
const RESPONSE_TIME: Duration = Duration::from_millis(250);

/// Handlers of the service.
#[derive(Debug)]
pub(crate) struct Api {
    use_cases: UseCases,
    fingerprints: Fingerprints,
    drain: Drain,
}

impl Api {
    /// Creates the handlers of these use cases. `fingerprints` recognise repeated requests. Once `drain`
    /// has begun, no call waits for the outcome of its order.
    pub(crate) fn new(use_cases: UseCases, fingerprints: Fingerprints, drain: Drain) -> Self {
        Self { use_cases, fingerprints, drain }
    }
}

#[tonic::async_trait]
impl OrderService for Api {
    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let by = authorized(&request).clone();
        let new = convert::new_order(request.into_inner(), key)?;
        let created = self.use_cases.create_order.run(new, &by).await.map_err(status)?;
        Ok(Response::new(convert::order(created)))
    }

    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let by = authorized(&request).clone();
        let mut placement = convert::placement(request.into_inner(), key)?;
        placement.wait = placement.wait.min(max_wait());
        let leave = async {
            // From here on the call only waits, so another call may take its place.
            gantry_server::release_place();
            self.drain.begun().await;
        };
        let placed = self.use_cases.place_order.run(placement, &by, leave).await;
        let placed = placed.map_err(status)?;
        Ok(Response::new(convert::order(placed)))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let id = convert::order_id(&request.get_ref().id)?;
        let scope = &authorized(&request).scope;
        let found = self.use_cases.get_order.run(id, scope).await.map_err(status)?;
        Ok(Response::new(convert::order(found)))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let ListOrdersRequest { page_size, page_token, include_total } = request.get_ref();
        let page = page_by_id(PageRequest::new(ORDER, *page_size, page_token, *include_total)?)?;
        let scope = &authorized(&request).scope;
        let page = self.use_cases.list_orders.run(&page, scope).await.map_err(status)?;
        Ok(Response::new(ListOrdersResponse {
            total_size: page.total_size(),
            next_page_token: page.next_page_token,
            orders: page.items.into_iter().map(convert::order).collect(),
        }))
    }
}

/// Returns the longest wait that still leaves time for the response.
fn max_wait() -> Duration {
    match CallContext::current().and_then(|context| context.deadline) {
        Some(deadline) => {
            deadline.saturating_duration_since(Instant::now()).saturating_sub(RESPONSE_TIME)
        }
        None => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use gantry_contract::Caller;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_leaves_time_for_the_response() {
        let wait_with = async |left: Option<Duration>| {
            let deadline = left.map(|left| Instant::now() + left);
            let caller = Caller::Anonymous;
            let context = CallContext { deadline, request_id: "1".into(), caller };
            context.scope(async { max_wait() }).await
        };
        assert_eq!(wait_with(Some(Duration::from_secs(1))).await, Duration::from_millis(750));
        assert_eq!(wait_with(Some(Duration::from_millis(200))).await, Duration::ZERO);
        assert_eq!(wait_with(None).await, Duration::MAX);
    }
}
