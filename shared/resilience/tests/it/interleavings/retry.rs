//! Retry budget.

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU32, Ordering};
}

#[path = "../../../src/retry/budget.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod budget;

use loom::{sync::Arc, thread};

use budget::Budget;

#[test]
fn no_token_of_the_budget_is_lost_or_made_up() {
    loom::model(|| {
        // 2 tokens: the first failure still allows a retry, the second does not.
        let budget = Arc::new(Budget::try_new(4, 1.0).unwrap());
        budget.failed();
        let [one, two] = [(), ()].map(|()| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.failed())
        });
        budget.succeeded();
        one.join().unwrap();
        two.join().unwrap();
        // 3, then +1 at any moment and -1 twice: never full, so nothing is cut off.
        assert_eq!(budget.tokens(), 2.0);
        assert!(!budget.allows());
    });
}

#[test]
fn exactly_the_failures_above_half_may_be_retried() {
    loom::model(|| {
        let budget = Arc::new(Budget::try_new(4, 1.0).unwrap());
        let fail = |budget: &Arc<Budget>| {
            let budget = Arc::clone(budget);
            thread::spawn(move || budget.failed())
        };
        let (one, two) = (fail(&budget), fail(&budget));
        let allowed = [one.join().unwrap(), two.join().unwrap(), budget.failed(), budget.failed()];
        assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 1);
        assert_eq!(budget.tokens(), 0.0);
    });
}
