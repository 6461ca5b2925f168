//! CreateProduct, GetProduct, BatchGetProducts, ListProducts.

use gantry_common_testing::{
    Folder, eventually,
    repository::{execute, open_file},
};
use gantry_inventory::outbound::sql::MIGRATIONS;
use gantry_proto::{
    google::r#type::Money,
    shop::inventory::v1::{
        BatchGetProductsRequest, CreateProductRequest, GetProductRequest, ListProductsRequest,
    },
};
use tonic::Code;
use tonic_types::StatusExt;

use super::{Running, create, euros, id, new_id, refused, reserve, wrong_fields};

#[tokio::test]
async fn a_product_is_created_and_read_back() {
    let running = Running::start().await;
    let made = running.stock("WIDGET-1", 5).await;
    assert_eq!((made.sku.as_str(), made.name.as_str()), ("WIDGET-1", "The WIDGET-1"));
    assert_eq!(made.price, Some(euros(19, 990_000_000)));
    assert_eq!((made.stock, made.reserved), (5, 0));
    assert!(made.create_time.is_some() && made.create_time == made.update_time);
    assert_eq!(running.product("WIDGET-1").await, made);
}

#[tokio::test]
async fn a_repeated_creation_returns_the_current_product() {
    let running = Running::start().await;
    let request = create("a", 5);
    let mut client = running.client.clone();
    client.create_product(running.by_admin(request.clone())).await.unwrap();
    running.reserve(reserve(id(), &[("a", 2)])).await.unwrap();
    let again = client.create_product(running.by_admin(request.clone())).await.unwrap();
    assert_eq!((again.get_ref().stock, again.get_ref().reserved), (3, 2));

    let other = CreateProductRequest { stock: 6, ..request };
    let reused = client.create_product(running.by_admin(other));
    refused(reused, Code::AlreadyExists, "REQUEST_ID_REUSED").await;
    let taken = client.clone().create_product(running.by_admin(create("a", 1))).await;
    let status = refused(async { taken }, Code::AlreadyExists, "SKU_TAKEN").await;
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, "a");
}

#[tokio::test]
async fn a_currency_is_upper_cased_and_limits_the_decimals() {
    let running = Running::start().await;
    let price = |currency: &str, units, nanos| {
        let currency_code = currency.to_owned();
        let price = Some(Money { currency_code, units, nanos });
        running.by_admin(CreateProductRequest { price, ..create(&new_id(), 1) })
    };
    let made = running.client.clone().create_product(price("kwd", 1, 5_000_000)).await.unwrap();
    assert_eq!(made.into_inner().price.unwrap().currency_code, "KWD");
    for (currency, units, nanos, field) in [
        ("EUR", 1, 5_000_000, "price.nanos"),
        ("JPY", 1, 500_000_000, "price.nanos"),
        ("EURO", 1, 0, "price.currency_code"),
        ("", 1, 0, "price.currency_code"),
        ("EUR", -1, 0, "price"),
        ("EUR", 1, -10_000_000, "price"),
        ("EUR", i64::MAX, 0, "price"),
    ] {
        let mut client = running.client.clone();
        let call = client.create_product(price(currency, units, nanos));
        let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), [field], "{currency} {units} {nanos}");
    }
}

#[tokio::test]
async fn all_violations_are_reported_at_once() {
    let running = Running::start().await;
    let wrong = CreateProductRequest {
        sku: "a b".to_owned(),
        name: String::new(),
        price: None,
        stock: -1,
        request_id: "1".to_owned(),
    };
    let mut client = running.client.clone();
    let call = client.create_product(running.by_admin(wrong));
    let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["name", "price", "request_id", "sku", "stock"]);
}

#[tokio::test]
async fn a_name_with_control_characters_is_refused() {
    let running = Running::start().await;
    // SQLite would count only the characters before a NUL.
    for name in ["\0", "tea\nlevel=error", "\u{1b}[31mtea"] {
        let wrong = CreateProductRequest { name: name.to_owned(), ..create("a", 1) };
        let mut client = running.client.clone();
        let call = client.create_product(running.by_admin(wrong));
        let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), ["name"], "{name:?}");
    }
}

#[tokio::test]
async fn violations_of_the_domain_are_reported_at_once() {
    let running = Running::start().await;
    let price = Some(Money { currency_code: "EURO".to_owned(), units: 1, nanos: 0 });
    let wrong = CreateProductRequest { name: "tea\n".to_owned(), price, ..create("a", 1) };
    let mut client = running.client.clone();
    let call = client.create_product(running.by_admin(wrong));
    let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["name", "price.currency_code"]);
}

#[tokio::test]
async fn a_batch_keeps_its_order_or_names_unknown_skus() {
    let running = Running::start().await;
    for sku in ["a", "b", "c"] {
        running.stock(sku, 1).await;
    }
    let batch = |skus: &[&str]| {
        let skus = skus.iter().map(|sku| (*sku).to_owned()).collect();
        let request = running.by_admin(BatchGetProductsRequest { skus });
        let mut client = running.client.clone();
        async move { client.batch_get_products(request).await }
    };
    let found = batch(&["c", "a", "b"]).await.unwrap().into_inner().products;
    let skus: Vec<_> = found.iter().map(|product| product.sku.as_str()).collect();
    assert_eq!(skus, ["c", "a", "b"]);

    let status = refused(batch(&["z", "a", "y"]), Code::NotFound, "PRODUCT_NOT_FOUND").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["skus"], "z,y");
    for (wrong, field) in [(&[][..], "skus"), (&["a", "a"], "skus[1]"), (&["a,b"], "skus[0]")] {
        let status = refused(batch(wrong), Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), [field]);
    }
}

#[tokio::test]
async fn an_unknown_product_is_not_found() {
    let running = Running::start().await;
    let mut client = running.client.clone();
    let call = client.get_product(running.by_admin(GetProductRequest { sku: "nope".to_owned() }));
    let status = refused(call, Code::NotFound, "PRODUCT_NOT_FOUND").await;
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, "nope");
}

#[tokio::test]
async fn pages_list_each_product_once_by_sku() {
    let running = Running::start().await;
    for sku in ["b", "C", "a", "1", "d"] {
        running.stock(sku, 1).await;
    }
    let mut client = running.client.clone();
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListProductsRequest { page_size: 2, page_token, include_total: true };
        let page = client.list_products(running.by_admin(request)).await.unwrap().into_inner();
        assert_eq!(page.total_size, Some(5));
        pages.push(page.products.into_iter().map(|product| product.sku).collect::<Vec<_>>());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [vec!["1", "C"], vec!["a", "b"], vec!["d"]]);

    let all = client.list_products(running.by_admin(ListProductsRequest::default())).await;
    let all = all.unwrap().into_inner();
    assert_eq!((all.products.len(), all.total_size), (5, None));
    for (wrong, field) in [
        (ListProductsRequest { page_size: -1, ..Default::default() }, "page_size"),
        (ListProductsRequest { page_token: "x".to_owned(), ..Default::default() }, "page_token"),
    ] {
        let call = client.list_products(running.by_admin(wrong));
        let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), [field]);
    }
}

#[tokio::test]
async fn products_and_requests_survive_a_restart() {
    let running = Running::start().await;
    let request = create("a", 5);
    let mut client = running.client.clone();
    client.create_product(running.by_admin(request.clone())).await.unwrap();
    let reservation = id();
    running.reserve(reserve(reservation, &[("a", 2)])).await.unwrap();

    let running = Running::from(running.it.restart().await);
    assert_eq!(running.counts("a").await, (3, 2));
    running.commit(reservation).await.unwrap();
    // The key of the fingerprints is stored, so the request is still recognised.
    let again = running.client.clone().create_product(running.by_admin(request)).await.unwrap();
    assert_eq!((again.get_ref().stock, again.get_ref().reserved), (3, 0));
}

#[tokio::test]
async fn a_request_record_expires_after_a_day() {
    let running = Running::start().await;
    let request = create("a", 5);
    let mut client = running.client.clone();
    client.create_product(running.by_admin(request.clone())).await.unwrap();
    let running = changed(running, AGE_RECORDS).await;

    // The purge at the start runs beside the first calls.
    let rejected = || async {
        let mut client = running.client.clone();
        client.create_product(running.by_admin(request.clone())).await.err()
    };
    let status = eventually("the purge", rejected).await;
    refused(async { Err::<(), _>(status) }, Code::AlreadyExists, "SKU_TAKEN").await;
}

#[tokio::test]
async fn a_name_that_breaks_a_newer_rule_stays_readable() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    let renamed = "UPDATE products SET name = 'two' || char(10) || 'lines'";
    let running = changed(running, renamed).await;
    assert_eq!(running.product("a").await.name, "two\nlines");
}

/// Ages every request record by a day and a second.
const AGE_RECORDS: &str = "UPDATE request_records SET create_time = create_time - 86401000000";

/// Restarts the service, and changes its only row in between.
async fn changed(running: Running, statement: &'static str) -> Running {
    let change = async |folder: &Folder| {
        let database = open_file(&folder.database(), &MIGRATIONS).await;
        assert_eq!(execute(&database, statement).await.unwrap(), 1);
        database.close().await;
    };
    running.it.restart_after(change).await.into()
}
