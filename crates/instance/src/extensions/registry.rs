//! Who is registered, and where each extension stands: the state machine of the Extensions API, version 2020-01-01. Pure
//! but for the channel on which an extension waits. Types and words of refusals are Lambda's.

use tokio::sync::oneshot;

/// Extensions of one function, as on Lambda.
pub(crate) const EXTENSIONS_MAX: usize = 10;

/// What an extension can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Invoke,
    Shutdown,
}

impl Event {
    fn read(text: &str) -> Option<Event> {
        match text {
            "INVOKE" => Some(Event::Invoke),
            "SHUTDOWN" => Some(Event::Shutdown),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Event::Invoke => "INVOKE",
            Event::Shutdown => "SHUTDOWN",
        }
    }
}

/// Where an extension stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Started,
    Registered,
    Ready,
    Running,
    InitError,
    ExitError,
    LaunchError,
    Exited,
}

impl Standing {
    /// As the EXTENSION line of the log spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Standing::Started => "Started",
            Standing::Registered => "Registered",
            Standing::Ready => "Ready",
            Standing::Running => "Running",
            Standing::InitError => "InitError",
            Standing::ExitError => "ExitError",
            Standing::LaunchError => "LaunchError",
            Standing::Exited => "Exited",
        }
    }
}

/// Why a call was refused: always with status 403.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

fn refuse<T>(kind: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { kind, message: message.into() })
}

/// One extension.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) name: String,
    id: String,
    /// It is a process of its own.
    pub(crate) external: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) standing: Standing,
    /// What it said of its failure, or the machine of its start.
    pub(crate) error_type: Option<String>,
    /// Its call for the next event.
    waiting: Option<oneshot::Sender<String>>,
    /// An event that came while no call was there to take it.
    missed: Option<String>,
}

impl Extension {
    fn new(name: &str, external: bool) -> Extension {
        Extension {
            name: name.to_owned(),
            id: uuid::Uuid::new_v4().to_string(),
            external,
            events: Vec::new(),
            standing: Standing::Started,
            error_type: None,
            waiting: None,
            missed: None,
        }
    }

    fn cannot<T>(&self, to: Standing) -> Result<T, Refused> {
        let (from, to, name) = (self.standing.as_str(), to.as_str(), &self.name);
        let reason = "State transition is not allowed";
        refuse(
            "Extension.InvalidExtensionState",
            format!("State transition from {from} to {to} failed for extension {name}. Error: {reason}"),
        )
    }

    fn tell(&mut self, text: &str) {
        let untold = match self.waiting.take() {
            Some(waiting) => waiting.send(text.to_owned()).err(),
            None => Some(text.to_owned()),
        };
        self.missed = untold;
    }
}

/// All extensions of one instance.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    extensions: Vec<Extension>,
    /// The runtime has asked for its first event: nobody registers any more.
    closed: bool,
    /// The first error that one of them reported.
    reported: Option<&'static str>,
}

impl Registry {
    /// An extension in `/opt/extensions` is being started; false when it is one too many.
    pub(super) fn expect(&mut self, name: &str) -> bool {
        self.extensions.push(Extension::new(name, true));
        self.extensions.len() <= EXTENSIONS_MAX
    }

    /// It could not be started.
    pub(super) fn launch_failed(&mut self, name: &str, error_type: &str) {
        if let Some(extension) = self.external(name) {
            extension.standing = Standing::LaunchError;
            extension.error_type = Some(error_type.to_owned());
        }
    }

    /// `register`; gives the identifier. Who is none of those that were started belongs to the runtime's process.
    pub(super) fn register(&mut self, name: &str, events: &[String]) -> Result<String, Refused> {
        if name.is_empty() {
            return refuse("Extension.InvalidExtensionName", "Empty extension name");
        }
        let external = self.external(name).is_some();
        let events = subscribed(events, external)?;
        if !external {
            self.admit_internal(name)?;
        }
        let Some(extension) = self.extensions.iter_mut().find(|extension| extension.name == name) else {
            return refuse("Extension.InvalidExtensionName", "Unknown extension");
        };
        if extension.standing != Standing::Started {
            return extension.cannot(Standing::Registered);
        }
        extension.events = events;
        extension.standing = Standing::Registered;
        Ok(extension.id.clone())
    }

    fn admit_internal(&mut self, name: &str) -> Result<(), Refused> {
        if self.closed {
            return refuse("Extension.RegistrationClosed", "Extension registration closed already");
        }
        if self.extensions.iter().any(|extension| extension.name == name) {
            return refuse("Extension.InvalidExtensionState", "Extension with this name already registered");
        }
        if self.extensions.len() >= EXTENSIONS_MAX {
            let message = format!("Extension limit ({EXTENSIONS_MAX}) reached");
            return refuse("Extension.TooManyExtensions", message);
        }
        self.extensions.push(Extension::new(name, false));
        Ok(())
    }

    /// Nobody registers any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// `event/next`; gives where the event will come.
    pub(super) fn next(&mut self, id: &str) -> Result<oneshot::Receiver<String>, Refused> {
        let extension = self.identified(id)?;
        let lost = extension.waiting.as_ref().is_some_and(oneshot::Sender::is_closed);
        match extension.standing {
            Standing::Registered | Standing::Running => {}
            // It lost its connection and asks again.
            Standing::Ready if lost || extension.missed.is_some() => {}
            _ => return extension.cannot(Standing::Ready),
        }
        let (waiting, event) = oneshot::channel();
        match extension.missed.take() {
            // The receiver is at hand.
            Some(missed) => drop(waiting.send(missed)),
            None => {
                extension.waiting = Some(waiting);
                extension.standing = Standing::Ready;
            }
        }
        Ok(event)
    }

    /// `init/error` or `exit/error`.
    pub(super) fn fail(&mut self, id: &str, error_type: &str, init: bool) -> Result<(), Refused> {
        let (to, kind) = match init {
            true => (Standing::InitError, "Extension.InitError"),
            false => (Standing::ExitError, "Extension.ExitError"),
        };
        let extension = self.identified(id)?;
        let allowed = match extension.standing {
            Standing::Registered => true,
            Standing::Ready | Standing::Running => !init,
            standing => standing == to,
        };
        if !allowed {
            return extension.cannot(to);
        }
        extension.standing = to;
        extension.error_type = Some(error_type.to_owned());
        self.reported.get_or_insert(kind);
        Ok(())
    }

    /// An extension's process has ended.
    pub(super) fn exited(&mut self, name: &str) {
        if let Some(extension) = self.external(name) {
            if matches!(extension.standing, Standing::Registered | Standing::Ready | Standing::Running) {
                extension.standing = Standing::Exited;
            }
            extension.waiting = None;
        }
    }

    /// The first error that one of them reported.
    pub(super) fn reported(&self) -> Option<&'static str> {
        self.reported
    }

    /// Whether all that were started have registered.
    pub(super) fn all_registered(&self) -> bool {
        self.extensions.iter().all(|extension| !extension.external || extension.standing != Standing::Started)
    }

    /// Whether all of them wait for an event.
    pub(super) fn all_ready(&self) -> bool {
        self.extensions.iter().all(|extension| extension.standing == Standing::Ready)
    }

    /// Tells those that want to hear of it; these have something to do from now on.
    pub(super) fn tell(&mut self, event: Event, text: &str) {
        for extension in self.extensions.iter_mut().filter(|extension| extension.events.contains(&event)) {
            if matches!(extension.standing, Standing::Ready | Standing::Running | Standing::Registered) {
                extension.tell(text);
                extension.standing = Standing::Running;
            }
        }
    }

    /// The name of who has this identifier.
    pub(super) fn name_of(&mut self, id: &str) -> Result<String, Refused> {
        Ok(self.identified(id)?.name.clone())
    }

    pub(super) fn all(&self) -> &[Extension] {
        &self.extensions
    }

    fn external(&mut self, name: &str) -> Option<&mut Extension> {
        self.extensions.iter_mut().find(|extension| extension.external && extension.name == name)
    }

    fn identified(&mut self, id: &str) -> Result<&mut Extension, Refused> {
        if id.is_empty() {
            let message = "Missing Lambda-Extension-Identifier header";
            return refuse("Extension.MissingExtensionIdentifier", message);
        }
        if uuid::Uuid::parse_str(id).is_err() {
            return refuse("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier");
        }
        let known = self.extensions.iter_mut().find(|extension| extension.id == id);
        match known {
            Some(extension) if extension.standing != Standing::Started => Ok(extension),
            _ => refuse("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}")),
        }
    }
}

fn subscribed(events: &[String], external: bool) -> Result<Vec<Event>, Refused> {
    let mut all: Vec<Event> = Vec::new();
    for text in events {
        let reason = match Event::read(text) {
            Some(Event::Shutdown) if !external => "event is not supported for internal extensions",
            Some(event) => {
                if !all.contains(&event) {
                    all.push(event);
                }
                continue;
            }
            None => "invalid event type",
        };
        return refuse("Extension.InvalidEventType", format!("{text}: {reason}"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
