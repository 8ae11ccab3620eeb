//! The `cors` of a function URL, as the object keeps it.

use serde_json::Value;

/// Which origins may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cors {
    pub(crate) credentials: bool,
    pub(crate) origins: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) headers: Vec<String>,
    pub(crate) expose: Vec<String>,
    /// Seconds that a browser may remember a preflight's answer.
    pub(crate) max_age: Option<u64>,
}

impl Cors {
    /// None when nothing is configured.
    pub(crate) fn read(cors: &Value) -> Option<Cors> {
        cors.as_object().filter(|members| !members.is_empty())?;
        let texts = |field: &str| {
            let all = cors[field].as_array().into_iter().flatten().filter_map(Value::as_str);
            all.map(str::to_owned).collect()
        };
        Some(Cors {
            credentials: cors["allowCredentials"] == true,
            origins: texts("allowOrigins"),
            methods: texts("allowMethods"),
            headers: texts("allowHeaders"),
            expose: texts("exposeHeaders"),
            max_age: cors["maxAge"].as_u64(),
        })
    }
}
