//! What every adapter of the repository must do, run on each of them.

mod sqlite;
mod suite;

/// Runs every test of the suite on the repository that `$open` opens; it returns what
/// must live as long as the repository, and the repository.
macro_rules! repository_contract {
    ($open:path: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (_alive, repository) = $open().await;
                $crate::repository::suite::$test(&repository).await;
            }
        )*
    };
}
use repository_contract;
