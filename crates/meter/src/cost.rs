//! Usage × prices: what each workload costs as it is, and what it would cost the other way. Pure.

use crate::ledger::{DELETED, FunctionUsage, PodUsage, Usage, precise};
use crate::prices::Prices;
use serde::Serialize;
use std::collections::BTreeMap;

/// A month, as cost comparisons count it: 30 days.
const MONTH_HOURS: f64 = 30.0 * 24.0;
const HOUR_MS: f64 = 3_600_000.0;

/// Usage of less than this is no base for a monthly figure: it is stretched from an hour at most.
const WINDOW_MIN_MS: i64 = 3_600_000;

/// AWS gives a function one virtual CPU at this much memory, in MB ("Configure Lambda function memory").
const VCPU_AT_MB: f64 = 1769.0;

/// What everything costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// The prices that it was made with.
    pub prices: Prices,
    /// Per function, all versions together.
    pub functions: Vec<FunctionBill>,
    /// Per owner of pods.
    pub pods: Vec<PodBill>,
}

/// What a function costs, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionBill {
    /// Of its object.
    pub namespace: String,
    /// Its name.
    pub function: String,
    /// Since it is metered.
    pub invocations: u64,
    /// Since it is metered.
    pub gb_seconds: f64,
    /// On demand, for what it used since it is metered.
    pub cost: f64,
    /// It exists no more, and costs nothing from now on.
    pub deleted: bool,
    /// On demand, for a month that goes on like the time since it is metered.
    pub cost_per_month: f64,
    /// Always on: as many copies of its size as are busy at once on average, one at least, for a month.
    pub always_on_per_month: f64,
    /// Copies that this means.
    pub always_on_copies: u64,
}

/// What the pods of one owner cost, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodBill {
    /// Of the pods.
    pub namespace: String,
    /// Such as `Deployment/api-service`.
    pub owner: String,
    /// Pods that run now.
    pub running: u32,
    /// Hours of all pods together since they are metered.
    pub pod_hours: f64,
    /// Always on, for what they held since they are metered.
    pub cost: f64,
    /// Always on, for a month of what runs now.
    pub cost_per_month: f64,
    /// On demand, if all of them worked all the time: the most that it could be.
    pub on_demand_busy_per_month: f64,
    /// The share of the time, 0 to 1, below which on demand would be the cheaper of the two (requests not counted).
    pub break_even: f64,
}

/// Makes the bill. `now_ms` is milliseconds since 1970.
pub fn bill(usage: &Usage, prices: &Prices, now_ms: i64) -> Bill {
    let mut functions: BTreeMap<(&str, &str), Vec<&FunctionUsage>> = BTreeMap::new();
    for one in usage.functions.iter().filter(|one| one.invocations > 0) {
        functions.entry((&one.namespace, &one.function)).or_default().push(one);
    }
    Bill {
        prices: prices.clone(),
        functions: functions.into_values().map(|versions| function_bill(&versions, prices, now_ms)).collect(),
        pods: usage.pods.iter().map(|pods| pod_bill(pods, prices)).collect(),
    }
}

fn function_bill(versions: &[&FunctionUsage], prices: &Prices, now_ms: i64) -> FunctionBill {
    let invocations: u64 = versions.iter().map(|one| one.invocations).sum();
    let gb_seconds: f64 = versions.iter().map(|one| one.gb_seconds()).sum();
    let billed_ms: u64 = versions.iter().map(|one| one.billed_ms).sum();
    let since_ms = versions.iter().map(|one| one.since_ms).min().unwrap_or(now_ms);
    let newest = versions.iter().max_by_key(|one| one.last_ms);
    let memory_mb = f64::from(newest.map_or(128, |one| one.memory_mb));
    let window_ms = (now_ms - since_ms).max(WINDOW_MIN_MS);
    let window_ms = precise(u64::try_from(window_ms).unwrap_or(0));
    let cost = prices.on_demand(precise(invocations), gb_seconds);
    let deleted = versions.iter().all(|one| one.deleted_ms > 0 || one.function == DELETED);
    let goes_on = f64::from(u8::from(!deleted));
    let copies = (precise(billed_ms) / window_ms).ceil().max(1.0) * goes_on;
    FunctionBill {
        namespace: versions[0].namespace.clone(),
        function: versions[0].function.clone(),
        invocations,
        gb_seconds,
        cost,
        deleted,
        cost_per_month: goes_on * cost * MONTH_HOURS * HOUR_MS / window_ms,
        always_on_per_month: copies
            * prices.always_on(memory_mb / VCPU_AT_MB, memory_mb / 1024.0, MONTH_HOURS),
        always_on_copies: whole(copies),
    }
}

fn pod_bill(pods: &PodUsage, prices: &Prices) -> PodBill {
    let hours = |amount_ms: u64| precise(amount_ms) / HOUR_MS;
    let (vcpu, gb) = (precise(pods.cpu_milli) / 1000.0, precise(pods.memory_mb) / 1024.0);
    let month = prices.always_on(vcpu, gb, MONTH_HOURS);
    // A function of the memory that gives as much CPU, or of as much memory, whichever is more.
    let function_gb = gb.max(vcpu * VCPU_AT_MB / 1024.0);
    let busy = prices.compute(function_gb * MONTH_HOURS * 3600.0);
    PodBill {
        namespace: pods.namespace.clone(),
        owner: pods.owner.clone(),
        running: pods.running,
        pod_hours: precise(pods.pod_ms) / HOUR_MS,
        cost: prices.always_on(hours(pods.cpu_milli_ms) / 1000.0, hours(pods.mb_ms) / 1024.0, 1.0),
        cost_per_month: month,
        on_demand_busy_per_month: busy,
        break_even: if busy > 0.0 { (month / busy).min(1.0) } else { 0.0 },
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number, not negative")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    /// A month of 100,000 requests a day of 200 ms at 128 MB: $1.85, as the example of the project's papers has it.
    #[test]
    fn a_month_of_the_worked_example() {
        let invocations = 3_000_000;
        let usage = Usage {
            functions: vec![FunctionUsage {
                namespace: "default".to_owned(),
                function: "user-api".to_owned(),
                version: "$LATEST".to_owned(),
                invocations,
                billed_ms: invocations * 200,
                mb_ms: invocations * 200 * 128,
                memory_mb: 128,
                since_ms: 0,
                last_ms: 30 * DAY_MS,
                ..FunctionUsage::default()
            }],
            pods: Vec::new(),
        };
        let bill = bill(&usage, &Prices::default(), 30 * DAY_MS);
        let api = &bill.functions[0];
        assert_eq!(api.gb_seconds, 75_000.0);
        assert_eq!(format!("{:.2} {:.2}", api.cost, api.cost_per_month), "1.85 1.85");
        // 600,000 busy seconds in 2,592,000: one copy of 128 MB and a 14th of a CPU is enough.
        assert_eq!((api.always_on_copies, format!("{:.2}", api.always_on_per_month)), (1, "2.51".to_owned()));
        // Half of it used, half of a month gone: the month comes out the same.
        let half = super::bill(&usage, &Prices::default(), 60 * DAY_MS);
        assert_eq!(format!("{:.3}", half.functions[0].cost_per_month), "0.925");
    }

    #[test]
    fn pods_cost_what_they_hold() {
        let mut pods = PodUsage { owner: "Deployment/api".to_owned(), ..PodUsage::default() };
        for uid in ["a", "b", "c"] {
            pods.start(uid, 1000, 2048, 1);
        }
        pods.count(1 + 3_600_000);
        let bill = pod_bill(&pods, &Prices::default());
        assert_eq!(bill.pod_hours, 3.0);
        let hour = 3.0 * (0.04048 + 2.0 * 0.004445);
        assert!((bill.cost - hour).abs() < 1e-9, "{}", bill.cost);
        assert!((bill.cost_per_month - hour * 720.0).abs() < 1e-6);
        assert!(bill.break_even > 0.3 && bill.break_even < 0.5, "{}", bill.break_even);
        pods.stop("a", 1 + 3_600_000);
        assert_eq!((pods.running, pods.cpu_milli), (2, 2000));
    }
}
