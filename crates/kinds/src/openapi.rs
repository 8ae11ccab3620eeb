//! The OpenAPI documents of all kinds, those that are built in and those that definitions made.

use crate::{editions, kinds};
use object::Kind;
use object::schema;

/// The kinds that were made at run time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Customs<'a> {
    /// All that are served, in every version.
    pub forms: &'a [&'static Kind],
    /// The CustomResourceDefinitions that made them.
    pub definitions: &'a [serde_json::Value],
}

/// Every kind in every version.
fn forms(customs: Customs<'_>) -> Vec<&'static Kind> {
    let own = kinds().iter().copied().chain(editions().iter().map(|edition| &edition.form));
    own.chain(customs.forms.iter().copied()).collect()
}

/// The OpenAPI v3 document of one group and version, as JSON; `None` when it is not served.
pub fn v3(group: &str, version: &str, customs: Customs<'_>) -> Option<Vec<u8>> {
    schema::openapi_v3(group, version, &forms(customs), customs.definitions)
}

/// The OpenAPI v2 document of all kinds, as JSON.
pub fn v2(customs: Customs<'_>) -> Vec<u8> {
    schema::openapi_v2(&forms(customs), customs.definitions)
}

/// The OpenAPI v2 document as `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`, the only form that older
/// clients take.
pub fn v2_protobuf(customs: Customs<'_>) -> Vec<u8> {
    schema::openapi_v2_protobuf(&forms(customs), customs.definitions)
}
