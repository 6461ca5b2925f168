//! The use case of `GetSummary`.

use gantry_client::Channel;
use gantry_proto::shop;
use tonic::{Request, Response, Status};

use crate::template::v1::{
    Count, GetSummaryRequest, GetSummaryResponse, template_service_server::TemplateService,
};

/// Counts the resources of each called service.
#[derive(Clone, Debug)]
pub(crate) struct GetSummary {
    pub(crate) title: String,
    pub(crate) user: Channel,      // [user]
    pub(crate) order: Channel,     // [order]
    pub(crate) inventory: Channel, // [inventory]
}

#[tonic::async_trait]
impl TemplateService for GetSummary {
    async fn get_summary(
        &self,
        _: Request<GetSummaryRequest>,
    ) -> Result<Response<GetSummaryResponse>, Status> {
        let mut counts = Vec::new();
        // [user]
        let total = users(&self.user).await?;
        counts.push(Count { what: "users".to_owned(), total });
        // [/user]
        // [order]
        let total = orders(&self.order).await?;
        counts.push(Count { what: "orders".to_owned(), total });
        // [/order]
        // [inventory]
        let total = products(&self.inventory).await?;
        counts.push(Count { what: "products".to_owned(), total });
        // [/inventory]
        Ok(Response::new(GetSummaryResponse { title: self.title.clone(), counts }))
    }
}

// [user]
async fn users(channel: &Channel) -> Result<i32, Status> {
    use shop::user::v1::{ListUsersRequest, user_service_client::UserServiceClient};
    let request = ListUsersRequest { page_size: 1, include_total: true, ..Default::default() };
    let response = UserServiceClient::new(channel.clone()).list_users(request).await;
    Ok(response.map_err(|status| failed("user", &status))?.get_ref().total_size())
}

// [/user]
// [order]
async fn orders(channel: &Channel) -> Result<i32, Status> {
    use shop::order::v1::{ListOrdersRequest, order_service_client::OrderServiceClient};
    let request = ListOrdersRequest { page_size: 1, include_total: true, ..Default::default() };
    let response = OrderServiceClient::new(channel.clone()).list_orders(request).await;
    Ok(response.map_err(|status| failed("order", &status))?.get_ref().total_size())
}

// [/order]
// [inventory]
async fn products(channel: &Channel) -> Result<i32, Status> {
    use shop::inventory::v1::{
        ListProductsRequest, inventory_service_client::InventoryServiceClient,
    };
    let request = ListProductsRequest { page_size: 1, include_total: true, ..Default::default() };
    let response = InventoryServiceClient::new(channel.clone()).list_products(request).await;
    Ok(response.map_err(|status| failed("inventory", &status))?.get_ref().total_size())
}

// [/inventory]
/// Maps every failure of a called service to UNAVAILABLE: this service's caller did nothing wrong.
fn failed(service: &str, status: &Status) -> Status {
    Status::unavailable(format!("call to {service} failed: {}", status.message()))
}
