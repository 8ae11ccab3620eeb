//! Pod affinity and anti-affinity: which pods want, or do not want, to share a zone, a host or whatever
//! label is named. Anti-affinity is mutual: the pods that are there already have a say.

use std::collections::BTreeSet;

use object::selector::LabelSelector;
use serde_json::Value;

use crate::message::Reject;
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// One term: pods of these namespaces and labels, in the domain of a label of the node.
struct Term {
    key: String,
    selector: LabelSelector,
    /// `None` is every namespace.
    namespaces: Option<Vec<String>>,
}

impl Term {
    fn read(term: &Value, of: &PodInfo) -> Result<Term, String> {
        let mut namespaces: Vec<String> = term["namespaces"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let selector = &term["namespaceSelector"];
        let everywhere = LabelSelector::from_json(selector)?.is_empty();
        if !selector.is_null() && !everywhere {
            return Err("namespaceSelector of pod affinity is not supported by this scheduler".into());
        }
        if namespaces.is_empty() && selector.is_null() {
            namespaces.push(of.namespace().to_owned());
        }
        Ok(Term {
            key: term["topologyKey"].as_str().unwrap_or_default().to_owned(),
            selector: LabelSelector::from_json(&term["labelSelector"])?,
            namespaces: (!everywhere).then_some(namespaces),
        })
    }

    fn matches(&self, pod: &PodInfo) -> bool {
        let here = |names: &Vec<String>| names.iter().any(|name| name == pod.namespace());
        self.namespaces.as_ref().is_none_or(here) && self.selector.matches(pod.labels())
    }
}

fn terms(pod: &PodInfo, kind: &str) -> Result<Vec<Term>, String> {
    let terms = pod.object["spec"]["affinity"][kind][REQUIRED].as_array().into_iter().flatten();
    terms.map(|term| Term::read(term, pod)).collect()
}

/// Preferred terms only weigh, and later; one that cannot be read is refused now, as a required one is.
fn refuse_unreadable(pod: &PodInfo) -> Result<(), String> {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let weighted = pod.object["spec"]["affinity"][kind][PREFERRED].as_array();
        for term in weighted.into_iter().flatten() {
            Term::read(&term["podAffinityTerm"], pod)?;
        }
    }
    Ok(())
}

/// A label and its value: one place as far as a term is concerned.
type Domain = (String, String);

/// What the required terms of the pod, and of the pods that are there, say about the nodes.
pub(crate) struct Neighbours {
    affinity: Vec<Term>,
    anti: Vec<Term>,
    /// Domains in which all affinity terms find their pods.
    wanted: BTreeSet<Domain>,
    /// Domains in which the pod's anti-affinity finds pods.
    unwanted: BTreeSet<Domain>,
    /// Domains from which pods that are there keep this pod away.
    defended: BTreeSet<Domain>,
    /// Nobody it could join exists, and it would be its own company: it may be the first.
    first: bool,
}

pub(super) fn look(pod: &PodInfo, snapshot: &Snapshot) -> Result<Neighbours, String> {
    refuse_unreadable(pod)?;
    let (affinity, anti) = (terms(pod, "podAffinity")?, terms(pod, "podAntiAffinity")?);
    let (mut wanted, mut unwanted, mut defended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let domain = |term: &Term, node: &NodeInfo| {
        node.label(&term.key).map(|value| (term.key.clone(), value.to_owned()))
    };
    for (_, node) in snapshot.nodes() {
        for other in node.pods.values() {
            if !affinity.is_empty() && affinity.iter().all(|term| term.matches(other)) {
                wanted.extend(affinity.iter().filter_map(|term| domain(term, node)));
            }
            let against = anti.iter().filter(|term| term.matches(other));
            unwanted.extend(against.filter_map(|term| domain(term, node)));
            // A pod whose terms cannot be read keeps nobody away; it was placed by someone else.
            let theirs = terms(other, "podAntiAffinity").unwrap_or_default();
            defended
                .extend(theirs.iter().filter(|term| term.matches(pod)).filter_map(|term| domain(term, node)));
        }
    }
    let first = wanted.is_empty() && affinity.iter().all(|term| term.matches(pod));
    Ok(Neighbours { affinity, anti, wanted, unwanted, defended, first })
}

impl Neighbours {
    pub(super) fn check(&self, node: &NodeInfo) -> Result<(), Reject> {
        let within = |domains: &BTreeSet<Domain>, key: &str| {
            node.label(key).is_some_and(|value| domains.contains(&(key.to_owned(), value.to_owned())))
        };
        let labelled = self.affinity.iter().all(|term| node.label(&term.key).is_some());
        let joined = self.affinity.iter().all(|term| within(&self.wanted, &term.key));
        if !labelled || !(joined || self.first) {
            return Err(Reject::final_for("node(s) didn't match pod affinity rules"));
        }
        if self.anti.iter().any(|term| within(&self.unwanted, &term.key)) {
            return Err(Reject::curable("node(s) didn't match pod anti-affinity rules"));
        }
        if self.defended.iter().any(|(key, value)| node.label(key) == Some(value)) {
            return Err(Reject::curable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

/// How much the pod's preferred terms like a node: weights of affinity found, less those of anti-affinity.
pub(crate) fn preference(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
    let mut sum = 0;
    for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        let preferred = pod.object["spec"]["affinity"][kind][PREFERRED].as_array();
        for weighted in preferred.into_iter().flatten() {
            let Ok(term) = Term::read(&weighted["podAffinityTerm"], pod) else { continue };
            let Some(value) = node.label(&term.key) else { continue };
            let domain = snapshot.nodes().filter(|(_, other)| other.label(&term.key) == Some(value));
            let found =
                domain.flat_map(|(_, other)| other.pods.values()).filter(|other| term.matches(other)).count();
            let weight = weighted["weight"].as_i64().unwrap_or_default();
            sum += sign * weight * i64::try_from(found).unwrap_or(i64::MAX);
        }
    }
    sum
}
