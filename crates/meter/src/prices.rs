//! A price list: what a request, a GB-second and an hour of a machine cost. Pure. The defaults are AWS's public list
//! prices for us-east-1 on x86; a file may name others.

use serde::{Deserialize, Serialize};

/// What things cost, in US dollars. A file may give any of these; the rest stay as they are here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Prices {
    /// Where the figures come from, for whoever reads the bill.
    pub source: String,
    /// A million invocations.
    pub function_million_requests: f64,
    /// One GB (2^30 bytes) for one second of an invocation.
    pub function_gb_second: f64,
    /// One virtual CPU for one hour, always on.
    pub always_on_vcpu_hour: f64,
    /// One GB of memory for one hour, always on.
    pub always_on_gb_hour: f64,
    /// A whole node for one hour, for those who rent machines instead; 0 = not used.
    pub node_hour: f64,
}

/// Why a price list was refused.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// It is not JSON of this shape.
    #[error("{0}; see docs/cost.md for its fields")]
    Malformed(String),
    /// A price below zero, or no number.
    #[error("{0} must be a number of dollars, zero or more")]
    Negative(&'static str),
}

impl Default for Prices {
    fn default() -> Prices {
        Prices {
            source: "AWS list prices, us-east-1, x86: Lambda (first tier) and Fargate (Linux), as of 2026"
                .to_owned(),
            function_million_requests: 0.20,
            function_gb_second: 0.000_016_666_7,
            always_on_vcpu_hour: 0.040_48,
            always_on_gb_hour: 0.004_445,
            node_hour: 0.0,
        }
    }
}

impl Prices {
    /// Reads a price list.
    pub fn read(json: &[u8]) -> Result<Prices, PriceError> {
        let prices: Prices =
            serde_json::from_slice(json).map_err(|error| PriceError::Malformed(error.to_string()))?;
        let all = [
            ("functionMillionRequests", prices.function_million_requests),
            ("functionGbSecond", prices.function_gb_second),
            ("alwaysOnVcpuHour", prices.always_on_vcpu_hour),
            ("alwaysOnGbHour", prices.always_on_gb_hour),
            ("nodeHour", prices.node_hour),
        ];
        match all.into_iter().find(|(_, price)| !price.is_finite() || *price < 0.0) {
            Some((name, _)) => Err(PriceError::Negative(name)),
            None => Ok(prices),
        }
    }

    /// What so many invocations cost that used so many GB-seconds.
    pub fn on_demand(&self, invocations: f64, gb_seconds: f64) -> f64 {
        self.requests(invocations) + self.compute(gb_seconds)
    }

    /// The requests' part of it.
    pub fn requests(&self, invocations: f64) -> f64 {
        invocations / 1e6 * self.function_million_requests
    }

    /// The compute part of it.
    pub fn compute(&self, gb_seconds: f64) -> f64 {
        gb_seconds * self.function_gb_second
    }

    /// What so much CPU and memory costs for so many hours.
    pub fn always_on(&self, vcpu: f64, gb: f64, hours: f64) -> f64 {
        hours * (vcpu * self.always_on_vcpu_hour + gb * self.always_on_gb_hour)
    }

    /// What so many machines cost for so many hours, whatever runs on them.
    pub fn nodes(&self, count: f64, hours: f64) -> f64 {
        count * hours * self.node_hour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_name_some_prices() {
        let list = Prices::read(br#"{"nodeHour": 0.1, "source": "our own"}"#).expect("a list");
        assert_eq!((list.node_hour, list.source.as_str()), (0.1, "our own"));
        assert_eq!(list.function_gb_second, Prices::default().function_gb_second);
        let refuse = |text: &str| Prices::read(text.as_bytes()).expect_err("refused").to_string();
        assert!(refuse(r#"{"nodeHours": 1}"#).contains("unknown field `nodeHours`"));
        assert!(refuse(r#"{"nodeHour": -1}"#).starts_with("nodeHour must be"));
        assert!(refuse("gratis").contains("docs/cost.md"));
    }

    /// The worked example that the platform is measured against: 100,000 requests a day of 200 ms at 128 MB, for 30 days.
    #[test]
    fn the_worked_example_comes_out_right() {
        let prices = Prices { node_hour: 0.10, ..Prices::default() };
        let requests = 100_000.0 * 30.0;
        let gb_seconds = requests * 0.2 * 128.0 / 1024.0;
        let dollars = |amount: f64| format!("{amount:.2}");
        assert_eq!(gb_seconds, 75_000.0);
        assert_eq!(dollars(prices.requests(requests)), "0.60");
        assert_eq!(dollars(prices.compute(gb_seconds)), "1.25");
        assert_eq!(dollars(prices.on_demand(requests, gb_seconds)), "1.85");
        assert_eq!(dollars(prices.nodes(3.0, 24.0 * 30.0)), "216.00");
    }
}
