//! Check that a contract belongs to the called service, by their names.
//!
//! A contract does not name the process that serves it, but shares words with it: `user`, `users`,
//! `user-service` and `shop-user-eu1` serve `shop.user.v1.UserService`. A contract without any word
//! of the called service is another team's. A client of it would work, but silently without its
//! timeouts and retries.

/// Words without a meaning, in many names.
const NOTHING: &[&str] = &["service", "svc", "server", "api", "grpc", "rpc", "app", "prod"];

/// Returns true if a gRPC service, by its full name, belongs to the service of this name.
pub(crate) fn is_served_by(grpc_service: &str, service: &str) -> bool {
    let offered = words(grpc_service);
    words(service).iter().any(|word| offered.contains(word))
}

/// Returns the words of a name in lower case: the parts between marks, whole and split at capitals.
/// Leaves out meaningless words, trailing digits and the plural.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words = parts.flat_map(|part| capitals(part).into_iter().chain([part]));
    words.map(word).filter(|word| word.len() > 1 && !NOTHING.contains(&&**word)).collect()
}

fn word(part: &str) -> String {
    let small = part.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let bare =
        NOTHING.iter().find_map(|end| small.strip_suffix(end).filter(|bare| !bare.is_empty()));
    let bare = bare.unwrap_or(&small);
    bare.strip_suffix('s').unwrap_or(bare).to_owned()
}

/// Splits `UserService` into `User` and `Service`.
fn capitals(part: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = vec![0];
    let letters = part.as_bytes();
    starts.extend(
        (1..letters.len()).filter(|&at| {
            letters[at].is_ascii_uppercase() && !letters[at - 1].is_ascii_uppercase()
        }),
    );
    starts.push(letters.len());
    // Cut at letters of one byte only.
    starts.windows(2).filter_map(|pair| part.get(pair[0]..pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_words() {
        for (service, grpc_service) in [
            ("user", "shop.user.v1.UserService"),
            ("users", "shop.user.v1.UserService"),
            ("user-service", "shop.user.v1.UserService"),
            ("userservice", "acme.UserService"),
            ("user_svc.eu", "acme.UserService"),
            ("user2", "acme.Users"),
            ("shop-user-eu1", "shop.user.v1.UserService"),
            ("USER", "shop.user.v1.UserService"),
            ("echo", "test.Echo"),
            ("echo", "Echo"),
            ("order-history", "acme.OrderHistory"),
            ("orderhistory", "acme.OrderHistory"),
            ("bench", "gantry.bench.v1.BenchService"),
        ] {
            assert!(is_served_by(grpc_service, service), "{service} serves {grpc_service}");
        }
    }

    #[test]
    fn a_service_of_other_words_is_anothers() {
        for (service, grpc_service) in [
            ("user", "bank.account.v1.AccountService"),
            ("user-service", "bank.account.v1.AccountService"),
            ("order-api-v1", "bank.account.v1.AccountApi"),
            ("user", "shop.inventory.v1.InventoryService"),
            ("service", "acme.Service"),
            ("", "acme.Service"),
            ("é", "acme.É"),
        ] {
            assert!(!is_served_by(grpc_service, service), "{service} and {grpc_service}");
        }
    }
}
