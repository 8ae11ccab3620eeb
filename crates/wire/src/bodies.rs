//! How many bytes of request bodies the door holds at a time. A body is read before its signature can be checked, so whoever
//! reaches the door can send one, also a function that means harm. Counted as the bytes come, in all and of each instance.

use crate::FromInstance;
use http::request::Parts;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The largest request: an archive of 50 MiB in base64 and what belongs to it, the limit that AWS names.
pub const REQUEST_BYTES_MAX: usize = 70_167_211;

/// Of requests from the host, until their signature has held: seven of the largest. What runs then is bounded by concurrency.
const OUTSIDE_BYTES_MAX: usize = 512 << 20;

/// Of requests from all instances, until they are answered.
const INSIDE_BYTES_MAX: usize = 512 << 20;

/// Of those from one instance: one of the largest.
const INSTANCE_BYTES_MAX: usize = REQUEST_BYTES_MAX;

#[derive(Default)]
pub struct Bodies {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    outside: usize,
    inside: usize,
    instances: HashMap<String, usize>,
}

/// What one request holds; given back when it is dropped.
pub struct Share {
    bodies: Arc<Bodies>,
    instance: Option<String>,
    bytes: usize,
}

impl Bodies {
    /// What a request may take of memory, and all of those from where it comes.
    pub fn of(self: &Arc<Self>, parts: &Parts) -> Share {
        let from = parts.extensions.get::<FromInstance>().map(|FromInstance(instance)| instance.clone());
        self.share(from)
    }

    /// Nothing yet, for a request from this instance or from the host.
    fn share(self: &Arc<Self>, instance: Option<String>) -> Share {
        Share { bodies: self.clone(), instance, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes so many bytes more; false when there is no room for them.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let mut held = self.bodies.lock();
        match &self.instance {
            None if held.outside + bytes > OUTSIDE_BYTES_MAX => return false,
            None => held.outside += bytes,
            Some(instance) => {
                let own = held.instances.get(instance).copied().unwrap_or(0) + bytes;
                if own > INSTANCE_BYTES_MAX || held.inside + bytes > INSIDE_BYTES_MAX {
                    return false;
                }
                held.instances.insert(instance.clone(), own);
                held.inside += bytes;
            }
        }
        self.bytes += bytes;
        true
    }

    pub fn is_outside(&self) -> bool {
        self.instance.is_none()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.lock();
        let Some(instance) = self.instance.take() else {
            held.outside -= self.bytes;
            return;
        };
        held.inside -= self.bytes;
        if let Some(own) = held.instances.get_mut(&instance) {
            *own -= self.bytes;
            if *own == 0 {
                held.instances.remove(&instance);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_share_and_the_host_its_own() {
        let bodies: Arc<Bodies> = Arc::default();
        let of = |name: &str| bodies.share(Some(name.to_owned()));
        let mut one = of("one");
        assert!(one.grow(REQUEST_BYTES_MAX - 10) && one.grow(10));
        let mut second = of("one");
        assert!(!second.grow(1), "one of the largest is all that an instance may have");
        let mut others: Vec<_> = (0..6).map(|number| of(&number.to_string())).collect();
        assert!(others.iter_mut().all(|share| share.grow(REQUEST_BYTES_MAX)));
        assert!(!of("last").grow(REQUEST_BYTES_MAX), "all of them together are bounded");
        let mut host = bodies.share(None);
        assert!(host.grow(OUTSIDE_BYTES_MAX) && !bodies.share(None).grow(1), "and so is the host, by itself");
        drop((one, others, host));
        assert!(second.grow(REQUEST_BYTES_MAX) && bodies.share(None).grow(OUTSIDE_BYTES_MAX));
        drop(second);
        let held = bodies.lock();
        assert_eq!((held.outside, held.inside, held.instances.len()), (0, 0, 0));
    }
}
