//! Whatever bytes a caller sends, a server answers and is never at fault.
//!
//! Few rounds by default; `./test fuzz 100000` for long.

use gantry_contract_fuzz::rounds;
use tonic::{Code, Status};

use crate::{
    process::Suite,
    raw::{Raw, fuzz, methods},
    shop::Shop,
};

/// Codes with which a server says that it, or nobody, knows what is wrong.
const OURS: [Code; 4] = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unimplemented];

/// What no message to a caller contains.
const LEAKS: [&str; 6] = ["panicked", "SELECT ", "INSERT ", "sqlx", ".rs:", "/src/"];

fn is_the_callers(status: &Status, what: &str) {
    assert!(!OURS.contains(&status.code()), "{what}: {status:?}");
    let leak = LEAKS.iter().find(|leak| status.message().contains(**leak));
    assert!(leak.is_none(), "{what}: {status:?}");
}

#[tokio::test]
async fn whatever_the_message_every_method_answers_and_is_never_at_fault() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (raw, mut fuzz) = (Raw::open(&suite).await, fuzz());
    let mut token = shop.admin.clone();
    for seed in 0..rounds(30) {
        // A long run outlives a token.
        if seed % 100 == 99 {
            token = shop.log_in("admin@gantry.local", &suite.admin_password()).await.unwrap();
        }
        for method in methods() {
            fuzz.seed(seed);
            let message = fuzz.bytes(&method.request);
            let what = format!("{} with seed {seed}", method.path);
            is_the_callers(&raw.call(&method, &message, Some(&token)).await, &what);
            // The same bytes where a frame should be.
            is_the_callers(&raw.send(&method, message, Some(&token)).await, &what);
        }
    }
    assert!(!suite.process.log().contains("panicked"), "{}", suite.process.log());
    // Others are served as before.
    shop.one_confirmed_order().await;
}
