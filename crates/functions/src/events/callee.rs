//! Whose events these are: the queue of a function, and the function of a queue.

use super::event::Event;
use crate::Functions;
use crate::catalog::EventRules;
use client::Key;
use managed::Queue;

/// A function that is deleted and made again is another one, with another uid, and gets nothing of what was meant for
/// the first.
pub(super) fn queue_name(namespace: &str, object: &str, uid: &str) -> String {
    format!("lambda/{namespace}/{object}/{uid}")
}

/// Namespace, object and uid.
pub(super) fn function_of(queue: &str) -> Option<(&str, &str, &str)> {
    let mut parts = queue.strip_prefix("lambda/")?.split('/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

pub(super) fn namespace_of(queue: &Queue) -> &str {
    function_of(queue.name()).map_or("default", |(namespace, ..)| namespace)
}

impl Functions {
    /// The rules for an event, if there still is what it was sent to.
    pub(super) fn rules(&self, event: &Event, queue: &Queue) -> Option<EventRules> {
        let (namespace, object, uid) = function_of(queue.name())?;
        let rules = self.catalog.event_rules(&Key::new(namespace, object), event.qualifier.as_deref())?;
        (rules.uid == uid).then_some(rules)
    }

    /// The reserved concurrency of a function.
    pub(super) fn reserved(&self, namespace: &str, object: &str) -> Option<u32> {
        self.catalog.get(&Key::new(namespace, object))?.reserved_concurrency
    }

    /// Whether this very function exists.
    pub(super) fn knows(&self, namespace: &str, object: &str, uid: &str) -> bool {
        let function = self.catalog.get(&Key::new(namespace, object));
        function.is_some_and(|function| function.definition.uid == uid)
    }
}
