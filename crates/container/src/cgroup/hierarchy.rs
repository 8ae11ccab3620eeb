//! Where the host keeps its control groups.
use super::Group;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The controllers that dory uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// Shares and quota.
    Cpu,
    /// CPU time used (v1 only; v2 counts always).
    CpuAccount,
    /// Memory limit, usage and peak.
    Memory,
    /// Number of processes.
    Pids,
    /// Stop and go (v1 only; v2 can always).
    Freezer,
}

/// The controllers that a v2 tree must hand down.
const V2_CONTROLLERS: [(Controller, &str); 3] =
    [(Controller::Cpu, "cpu"), (Controller::Memory, "memory"), (Controller::Pids, "pids")];

/// Every controller with its name in v1.
const V1_CONTROLLERS: [(Controller, &str); 5] = [
    (Controller::Cpu, "cpu"),
    (Controller::CpuAccount, "cpuacct"),
    (Controller::Memory, "memory"),
    (Controller::Pids, "pids"),
    (Controller::Freezer, "freezer"),
];

/// Where the host keeps its control groups.
#[derive(Debug, Clone, Default)]
pub struct Hierarchy {
    pub(super) v2: Option<PathBuf>,
    pub(super) v2_controllers: Vec<Controller>,
    pub(super) v1: Vec<(Controller, PathBuf)>,
}

impl Hierarchy {
    /// Reads the host's mounts. Controllers that are nowhere are simply not enforced; see [`Hierarchy::has`].
    pub fn detect() -> io::Result<Hierarchy> {
        Ok(Hierarchy::of(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// The trees that are mounted so (as in `/proc/<pid>/mountinfo`), with what the v2 tree offers.
    pub fn of(mountinfo: &str) -> Hierarchy {
        let mut found = Hierarchy::parse(mountinfo);
        if let Some(root) = &found.v2 {
            let names = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            for (controller, name) in V2_CONTROLLERS {
                if names.split_whitespace().any(|n| n == name) && !found.in_v1(controller) {
                    found.v2_controllers.push(controller);
                }
            }
        }
        found
    }

    pub(super) fn parse(mountinfo: &str) -> Hierarchy {
        let mut found = Hierarchy::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(point) = left.split(' ').nth(4) else { continue };
            let mut right = right.split(' ');
            let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
            match kind {
                "cgroup2" if found.v2.is_none() => found.v2 = Some(PathBuf::from(point)),
                "cgroup" => found.add_v1(point, options),
                _ => {}
            }
        }
        found
    }

    fn add_v1(&mut self, point: &str, options: &str) {
        for (controller, name) in V1_CONTROLLERS {
            if options.split(',').any(|o| o == name) && !self.in_v1(controller) {
                self.v1.push((controller, PathBuf::from(point)));
            }
        }
    }

    fn in_v1(&self, controller: Controller) -> bool {
        self.v1.iter().any(|(c, _)| *c == controller)
    }

    /// Whether a limit of this controller is enforced on this host.
    pub fn has(&self, controller: Controller) -> bool {
        let always = matches!(controller, Controller::Freezer | Controller::CpuAccount);
        self.in_v1(controller) || self.v2_controllers.contains(&controller) || (always && self.v2.is_some())
    }

    /// A group by its path below the roots, for example `dory-a1/pods/x`. Touches nothing.
    pub fn group(self: &Arc<Self>, path: &str) -> Group {
        Group::new(self.clone(), path)
    }

    /// The directories of every tree in use, each once. With a v2 tree, v1's freezer is not needed.
    pub(super) fn trees(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().enumerate().filter(|(i, (controller, path))| {
            let repeated = self.v1[..*i].iter().any(|(_, earlier)| earlier == path);
            let needless = *controller == Controller::Freezer && self.v2.is_some();
            !repeated && !needless
        });
        v1.map(|(_, (_, path))| path.as_path()).chain(self.v2.as_deref())
    }

    /// The tree in which this controller's files of a group are.
    pub(super) fn tree(&self, controller: Controller) -> Option<Tree<'_>> {
        let needless = controller == Controller::Freezer && self.v2.is_some();
        if let Some((_, path)) = self.v1.iter().find(|(c, _)| *c == controller && !needless) {
            return Some(Tree::V1(path));
        }
        let always = matches!(controller, Controller::Freezer | Controller::CpuAccount);
        let there = always || self.v2_controllers.contains(&controller);
        self.v2.as_deref().filter(|_| there).map(Tree::V2)
    }

    /// Makes the v2 controllers available below `path`, from the root down.
    pub(super) fn enable(&self, path: &Path) -> io::Result<()> {
        let Some(root) = &self.v2 else { return Ok(()) };
        if self.v2_controllers.is_empty() {
            return Ok(());
        }
        let wanted: Vec<String> = V2_CONTROLLERS
            .iter()
            .filter(|(c, _)| self.v2_controllers.contains(c))
            .map(|(_, name)| format!("+{name}"))
            .collect();
        let mut at = root.clone();
        for part in std::iter::once(None).chain(path.iter().map(Some)) {
            at.extend(part);
            std::fs::write(at.join("cgroup.subtree_control"), wanted.join(" "))?;
        }
        Ok(())
    }
}

/// One tree of the hierarchy.
pub(super) enum Tree<'a> {
    V1(&'a Path),
    V2(&'a Path),
}
