//! The resources that CustomResourceDefinitions have made: which there are, and their shelves. Replaced as a whole whenever
//! a definition changes, by the feed alone, so that a definition and what it makes are seen at once.

use super::{Item, Shelf};
use object::{
    Edition, Kind,
    custom::{Registry, Resource},
};
use std::{collections::BTreeMap, sync::Arc, sync::OnceLock};
use store::Revision;

/// One resource.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) resource: Resource,
    pub(crate) shelf: Arc<Shelf>,
}

/// All of them, as they are at one moment.
#[derive(Debug, Default)]
pub(crate) struct Customs {
    /// By the name of their definition.
    resources: BTreeMap<String, Served>,
    /// Objects whose definition went without them: kept for when it comes again.
    orphans: BTreeMap<String, Arc<Shelf>>,
    /// What the index of the OpenAPI documents says; made when it is first asked for.
    pub(crate) openapi_index: OnceLock<String>,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The version that is stored.
    Kind(&'static Kind, Arc<Shelf>),
    /// Another one.
    Edition(&'static Edition),
}

impl Customs {
    /// The resource behind a path, in a version that is served.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Found> {
        let served = self.of(group, plural)?;
        let Resource { storage, storage_served, editions, .. } = &served.resource;
        if storage.version == version {
            return storage_served.then(|| Found::Kind(storage, served.shelf.clone()));
        }
        editions.iter().find(|edition| edition.form.version == version).copied().map(Found::Edition)
    }

    fn of(&self, group: &str, plural: &str) -> Option<&Served> {
        // A definition is named after its resource.
        self.resources.get(&format!("{plural}.{group}"))
    }

    /// The resource of a definition.
    pub(crate) fn named(&self, definition: &str) -> Option<&Served> {
        self.resources.get(definition)
    }

    /// The shelf of a kind in the version in which it is stored.
    pub(super) fn shelf(&self, kind: &Kind) -> Option<&Arc<Shelf>> {
        self.of(kind.group, kind.plural).map(|served| &served.shelf)
    }

    /// The shelf for keys that begin with `<group>/<plural>`.
    pub(super) fn shelf_of_key(&self, group: &str, plural: &str) -> Option<&Arc<Shelf>> {
        let name = format!("{plural}.{group}");
        let served = self.resources.get(&name).map(|served| &served.shelf);
        served.or_else(|| self.orphans.get(&name))
    }

    /// All resources, by the name of their definition.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Served> {
        self.resources.values()
    }

    /// Every kind that is served, in every version that is.
    pub(crate) fn forms(&self) -> impl Iterator<Item = &'static Kind> {
        self.resources.values().flat_map(|served| served.resource.forms.iter().copied())
    }

    /// These, with what one definition makes since a revision; `None` is one that is gone or not established. `None` is the
    /// answer when nothing is different.
    pub(super) fn with(
        &self,
        registry: &Registry,
        definition: &str,
        resource: Option<Resource>,
        revision: Revision,
    ) -> Option<Customs> {
        let before = self.resources.get(definition);
        let (mut resources, mut orphans) = (self.resources.clone(), self.orphans.clone());
        match (before, resource) {
            (None, None) => return None,
            (Some(before), None) => {
                before.shelf.close();
                registry.retire(&before.resource);
                resources.remove(definition);
                if before.shelf.read().len() > 0 {
                    orphans.insert(definition.to_owned(), before.shelf.clone());
                }
            }
            (Some(before), Some(resource)) if before.resource.signature == resource.signature => {
                if before.resource.terminating == resource.terminating {
                    return None;
                }
                before.shelf.terminate();
                resources.insert(definition.to_owned(), Served { resource, shelf: before.shelf.clone() });
            }
            (before, Some(resource)) => {
                let old = before.map(|before| before.shelf.clone()).or_else(|| orphans.remove(definition));
                let shelf = Arc::new(Shelf::new(resource.storage));
                let items = old.as_ref().map(|old| old.all("")).unwrap_or_default();
                // Whoever watched before must list again: what happened up to here is not in the ring.
                shelf.load(items.iter().filter_map(|item| anew(&shelf, item)).collect(), revision);
                if let Some(old) = old {
                    old.close();
                }
                if resource.terminating {
                    shelf.terminate();
                }
                resources.insert(definition.to_owned(), Served { resource, shelf });
            }
        }
        Some(Customs { resources, orphans, openapi_index: OnceLock::new() })
    }
}

/// An object as the new version of its definition has it.
fn anew(shelf: &Shelf, item: &Item) -> Option<Item> {
    let read = shelf.settled(&item.key, &item.stored, item.revision);
    read.inspect_err(|error| tracing::error!(key = %item.key, %error, "an object cannot be read")).ok()
}
