//! Embryos of function instances, kept ready: each sits in a control group and namespaces of its own, with the host's
//! programs mounted, and waits for its order. Starting an instance then costs one message, a few mounts and `execve`;
//! joining control groups, which can take milliseconds on version 1, has happened before anybody waited. Images that
//! instances were started from lately have embryos of their own, with the image mounted.
use container::bundle::{Bundle, RootFs};
use container::cgroup::Group;
use container::fork;
use container::launch::{Embryo, Isolation};
use container::process::StartError;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What an instance takes its machine for. On Lambda it is a link-local address, which says nothing and resolves to itself.
const HOSTNAME: &str = "169.254.1.1";

/// Ids of each instance's user namespace: all that programs expect to exist.
const IDS_PER_INSTANCE: u32 = 65_536;

/// Instances that can live at once, and so the span of ids used: 4096 × 65,536 = 2^28.
pub(super) const SLOTS_MAX: u32 = 4096;

/// Images that have prepared instances, the ones used last. Some 300 KB each.
const IMAGES_MAX: usize = 4;

/// Prepared instances of one image: with one alone, of two starts that follow each other the second would wait.
const PER_IMAGE: usize = 2;

/// The prepared instances of one image.
struct Shelf {
    layers: Vec<PathBuf>,
    ready: Vec<Prepared>,
}

/// A prepared instance without order.
pub(super) struct Prepared {
    pub(super) embryo: Embryo,
    pub(super) group: Group,
    pub(super) users: OwnedFd,
    pub(super) slot: u32,
}

impl Prepared {
    /// Whether it still waits: one that was killed meanwhile serves nobody.
    fn lives(&self) -> bool {
        let mut ended = [PollFd::new(&self.embryo.child().pidfd, PollFlags::IN)];
        rustix::event::poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }
}

/// The stock of prepared instances.
pub(super) struct Stock {
    parent: Group,
    mountpoint: PathBuf,
    ids_base: u32,
    used: BTreeSet<u32>,
    ready: Vec<Prepared>,
    /// The one used last at the end.
    images: Vec<Shelf>,
    target: usize,
    made: u64,
}

impl Stock {
    pub(super) fn new(parent: Group, mountpoint: PathBuf, ids_base: u32) -> Stock {
        Stock {
            parent,
            mountpoint,
            ids_base,
            used: BTreeSet::new(),
            ready: Vec::new(),
            images: Vec::new(),
            target: 0,
            made: 0,
        }
    }

    /// A prepared instance with the host's programs, from stock or made now.
    pub(super) fn take(&mut self) -> Result<Prepared, StartError> {
        while let Some(prepared) = self.ready.pop() {
            if prepared.lives() {
                return Ok(prepared);
            }
            self.drop_one(prepared);
        }
        self.make(RootFs::Host)
    }

    /// A prepared instance of an image, from stock or made now; with `more`, others like it follow.
    pub(super) fn take_image(&mut self, layers: Vec<PathBuf>, more: bool) -> Result<Prepared, StartError> {
        let mut shelf = match self.images.iter().position(|shelf| shelf.layers == layers) {
            Some(at) => self.images.remove(at),
            None => Shelf { layers, ready: Vec::new() },
        };
        let mut ready = shelf.ready.pop();
        while let Some(dead) = ready.take_if(|prepared| !prepared.lives()) {
            self.drop_one(dead);
            ready = shelf.ready.pop();
        }
        let lower = shelf.layers.clone();
        if more {
            self.images.push(shelf);
        }
        if self.images.len() > IMAGES_MAX {
            let oldest = self.images.remove(0);
            self.drop_all(oldest.ready);
        }
        match ready {
            Some(prepared) => Ok(prepared),
            None => self.make(RootFs::Layers { lower, private: None }),
        }
    }

    /// Drops what is prepared of images: none was started for long.
    pub(super) fn forget_images(&mut self) {
        for shelf in std::mem::take(&mut self.images) {
            self.drop_all(shelf.ready);
        }
    }

    /// Prepares an instance now.
    pub(super) fn make(&mut self, root: RootFs) -> Result<Prepared, StartError> {
        let slot = (0..SLOTS_MAX).find(|slot| !self.used.contains(slot)).ok_or_else(|| {
            let message = format!("{SLOTS_MAX} instances are running already");
            StartError { kind: container::process::StartErrorKind::Invalid, message }
        })?;
        self.made += 1;
        let group = self.parent.child(&self.made.to_string());
        let made = self.make_in(slot, &group, root);
        match made {
            Ok((embryo, users)) => {
                self.used.insert(slot);
                Ok(Prepared { embryo, group, users, slot })
            }
            Err(error) => {
                let _ = group.remove();
                Err(error)
            }
        }
    }

    fn make_in(&self, slot: u32, group: &Group, root: RootFs) -> Result<(Embryo, OwnedFd), StartError> {
        group.create().map_err(StartError::limits)?;
        let bundle = Bundle {
            root,
            mountpoint: self.mountpoint.clone(),
            privileged: false,
            unmasked_proc: false,
            sys: None,
            shm: None,
        };
        let isolation =
            Isolation { process: true, ipc_and_uts: true, hostname: Some(HOSTNAME), host_mounts: None };
        let embryo = Embryo::conceive(bundle, &isolation, group)?;
        // While the embryo assembles its root.
        let users = fork::user_namespace(self.ids_base + slot * IDS_PER_INSTANCE, IDS_PER_INSTANCE);
        match users {
            Ok(users) => Ok((embryo, users)),
            Err(error) => {
                discard(embryo);
                Err(StartError::limits(error))
            }
        }
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, slot: u32) {
        self.used.remove(&slot);
    }

    /// How many to keep.
    pub(super) fn aim(&mut self, target: usize) {
        self.target = target;
    }

    /// Whether [`Stock::settle`] has something to do.
    pub(super) fn is_settled(&self) -> bool {
        self.ready.len() == self.target && self.images.iter().all(|shelf| shelf.ready.len() >= PER_IMAGE)
    }

    /// Whether so many wait, of the host's programs and of each image in use.
    pub(super) fn has(&self, count: usize) -> bool {
        self.ready.len() >= count
            && self.images.iter().all(|shelf| shelf.ready.len() >= count.min(PER_IMAGE - 1))
    }

    /// Makes or drops one, towards the target.
    pub(super) fn settle(&mut self) {
        if let Some(at) = self.images.iter().rposition(|shelf| shelf.ready.len() < PER_IMAGE) {
            let root = RootFs::Layers { lower: self.images[at].layers.clone(), private: None };
            match self.make(root) {
                Ok(prepared) => self.images[at].ready.push(prepared),
                // The next start from it will say what is wrong.
                Err(_) => self.forget_images(),
            }
            return;
        }
        if self.ready.len() > self.target {
            if let Some(prepared) = self.ready.pop() {
                self.drop_one(prepared);
            }
        } else if self.ready.len() < self.target {
            match self.make(RootFs::Host) {
                Ok(prepared) => self.ready.push(prepared),
                Err(error) => {
                    // Without stock starts are slower and will say what is wrong.
                    eprintln!("preparing an instance: {error}");
                    self.target = self.ready.len();
                }
            }
        }
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        self.drop_all(ready);
        self.forget_images();
    }

    fn drop_all(&mut self, all: Vec<Prepared>) {
        all.into_iter().for_each(|prepared| self.drop_one(prepared));
    }

    fn drop_one(&mut self, prepared: Prepared) {
        discard(prepared.embryo);
        let _ = prepared.group.remove();
        self.free(prepared.slot);
    }
}

fn discard(embryo: Embryo) {
    embryo.child().kill();
    let _ = embryo.child().wait_blocking();
}
