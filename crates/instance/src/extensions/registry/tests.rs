//! Extensions from their registration to their end, as the calls of the API move them.

use super::*;

fn events(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn kind<T: std::fmt::Debug>(result: Result<T, Refused>) -> &'static str {
    result.expect_err("a refusal").kind
}

#[test]
fn an_extension_registers_waits_and_is_told() {
    let mut registry = Registry::default();
    assert!(registry.expect("agent"));
    assert!(!registry.all_registered());
    let id = registry.register("agent", &events(&["INVOKE", "SHUTDOWN"])).expect("an identifier");
    assert!(registry.all_registered() && !registry.all_ready());
    let again = registry.register("agent", &[]).expect_err("twice");
    assert_eq!(
        again.message,
        "State transition from Registered to Registered failed for extension agent. Error: State transition is not allowed"
    );
    let mut event = registry.next(&id).expect("a call");
    assert!(registry.all_ready());
    assert_eq!(kind(registry.next(&id)), "Extension.InvalidExtensionState");
    registry.tell(Event::Invoke, "one");
    assert_eq!(event.try_recv().as_deref(), Ok("one"));
    assert!(!registry.all_ready());
    drop(registry.next(&id).expect("a call that breaks off"));
    registry.tell(Event::Invoke, "two");
    assert_eq!(registry.next(&id).expect("a call").try_recv().as_deref(), Ok("two"));
    assert!(!registry.all_ready(), "it has that event to work on");
}

#[test]
fn internal_extensions_are_not_told_of_the_end() {
    let mut registry = Registry::default();
    assert_eq!(kind(registry.register("inner", &events(&["SHUTDOWN"]))), "Extension.InvalidEventType");
    assert_eq!(kind(registry.register("inner", &events(&["invoke"]))), "Extension.InvalidEventType");
    assert_eq!(kind(registry.register("", &[])), "Extension.InvalidExtensionName");
    registry.register("inner", &events(&["INVOKE"])).expect("an identifier");
    assert_eq!(kind(registry.register("inner", &[])), "Extension.InvalidExtensionState");
    registry.close();
    assert_eq!(kind(registry.register("late", &[])), "Extension.RegistrationClosed");
}

#[test]
fn ten_are_enough() {
    let mut registry = Registry::default();
    for number in 0..9 {
        assert!(registry.expect(&number.to_string()));
    }
    registry.register("inner", &[]).expect("the tenth");
    assert_eq!(kind(registry.register("one more", &[])), "Extension.TooManyExtensions");
    assert!(!registry.expect("another"));
}

#[test]
fn who_calls_must_be_known() {
    let mut registry = Registry::default();
    registry.expect("agent");
    assert_eq!(kind(registry.next("")), "Extension.MissingExtensionIdentifier");
    assert_eq!(kind(registry.next("agent")), "Extension.InvalidExtensionIdentifier");
    let stranger = uuid::Uuid::new_v4().to_string();
    assert_eq!(kind(registry.next(&stranger)), "Extension.UnknownExtensionIdentifier");
}

#[test]
fn errors_are_kept_with_their_type() {
    let mut registry = Registry::default();
    registry.expect("agent");
    let id = registry.register("agent", &[]).expect("an identifier");
    registry.fail(&id, "Agent.NoKey", true).expect("taken");
    registry.exited("agent");
    let extension = &registry.all()[0];
    assert_eq!(
        (extension.standing, extension.error_type.as_deref()),
        (Standing::InitError, Some("Agent.NoKey"))
    );
    assert_eq!(registry.reported(), Some("Extension.InitError"));
    assert_eq!(kind(registry.fail(&id, "Agent.Late", false)), "Extension.InvalidExtensionState");
}
