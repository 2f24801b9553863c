//! Where the last messages went: nearly every publisher says the same address again and again, and comparing is less work
//! than looking up.

use super::routes::{Address, Route};

/// An address that is not the one kept is kept every so often only: who publishes to many in turn is not to pay for it.
const KEEP_EVERY: u32 = 64;

#[derive(Default)]
pub struct Latest {
    kept: Option<Kept>,
    /// Others since something was kept.
    others: u32,
}

struct Kept {
    exchange_len: u8,
    octets: Box<[u8]>,
    /// The headers, where the route depends on them.
    headers: Option<Box<[u8]>>,
    route: Route,
}

impl Latest {
    /// The route, if it is the one kept. `headers` is asked only where the route depends on them.
    #[inline]
    pub fn get<'h>(&self, address: Address<'_>, headers: impl FnOnce() -> &'h [u8]) -> Option<&Route> {
        let kept = self.kept.as_ref()?;
        let is_it = kept.exchange_len == address.exchange_len
            && *kept.octets == *address.octets
            && kept.headers.as_deref().is_none_or(|kept| *kept == *headers());
        is_it.then_some(&kept.route)
    }

    /// This is where a message goes that `get` did not know.
    #[inline]
    pub fn note(&mut self, address: Address<'_>, headers: Option<&[u8]>, route: &Route) {
        if self.others.is_multiple_of(KEEP_EVERY) {
            self.kept = Some(Kept {
                exchange_len: address.exchange_len,
                octets: address.octets.into(),
                headers: headers.map(Box::from),
                route: route.clone(),
            });
        }
        self.others = self.others.wrapping_add(1);
    }

    pub fn forget(&mut self) {
        *self = Latest::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(octets: &[u8]) -> Address<'_> {
        Address { exchange_len: 1, octets }
    }

    fn knows(latest: &Latest, octets: &[u8], headers: &'static [u8]) -> bool {
        latest.get(address(octets), || headers).is_some()
    }

    #[test]
    fn the_first_is_kept_until_many_others_came() {
        let mut latest = Latest::default();
        let route = Route::To(None);
        latest.note(address(b"xa"), None, &route);
        assert!(knows(&latest, b"xa", b"any") && !knows(&latest, b"xb", b""));
        assert!(latest.get(Address { exchange_len: 2, octets: b"xa" }, || b"").is_none());
        for _ in 1..KEEP_EVERY {
            latest.note(address(b"xb"), None, &route);
            assert!(knows(&latest, b"xa", b""));
        }
        latest.note(address(b"xb"), None, &route);
        assert!(!knows(&latest, b"xa", b"") && knows(&latest, b"xb", b""));
        latest.forget();
        assert!(!knows(&latest, b"xb", b""));
        latest.note(address(b"xc"), None, &route);
        assert!(knows(&latest, b"xc", b""));
    }

    #[test]
    fn headers_count_where_the_route_depends_on_them() {
        let mut latest = Latest::default();
        latest.note(address(b"xa"), Some(b"h"), &Route::To(None));
        assert!(knows(&latest, b"xa", b"h") && !knows(&latest, b"xa", b""));
    }
}
