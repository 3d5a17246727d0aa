//! Walking a listing to its end. A listing is complete or an error (invariant 3).

use std::future::Future;

use super::call::Caller;
use super::classify::{Class, Failure};

/// A listing that does not end is cut off here: two million entries of the smallest page.
const PAGES_MAX: usize = 40_000;

/// Collects every entry. `page` gets the token of the page, nothing for the first.
pub async fn all<T, Fut>(
    caller: &Caller,
    operation: &'static str,
    page: impl Fn(Option<String>) -> Fut,
) -> Result<Vec<T>, Failure>
where
    Fut: Future<Output = Result<(Vec<T>, Option<String>), Failure>>,
{
    let mut entries = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let (more, next) = page(token.clone()).await?;
        entries.extend(more);
        match next.filter(|t| !t.is_empty()) {
            None => return Ok(entries),
            Some(next) if Some(&next) == token.as_ref() => {
                return Err(caller.failure(operation, Class::Invalid, "the listing repeats its page token"));
            }
            next => token = next,
        }
    }
    Err(caller.failure(operation, Class::Invalid, format!("the listing did not end after {PAGES_MAX} pages")))
}
