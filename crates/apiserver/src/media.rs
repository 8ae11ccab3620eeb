//! Content negotiation: in which form an answer is wanted, and in which form a body came. Answers are JSON or YAML;
//! bodies may be protobuf as well, because Go clients send it without having asked.

use http::{HeaderMap, header};
use object::Status;

/// What an object or list is turned into before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it is.
    Object,
    /// Rows for `kubectl get`.
    Table,
    /// Metadata only.
    Metadata,
}

/// The chosen form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) shape: Shape,
    pub(crate) yaml: bool,
    pub(crate) pretty: bool,
}

const OFFERS: &[&str] = &["application/json", "application/yaml"];
const BODIES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// One range of an Accept header.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Range<'a> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('=')).collect();
        Range { kind, parameters }
    }

    fn get(&self, key: &str) -> &'a str {
        self.parameters.iter().find(|(own, _)| *own == key).map_or("", |(_, value)| value)
    }

    fn quality(&self) -> f32 {
        self.get("q").parse().unwrap_or(1.0)
    }
}

impl Media {
    pub(crate) const JSON: Media = Media { shape: Shape::Object, yaml: false, pretty: false };

    /// The first acceptable form that the Accept header asks for; 406 when there is none.
    pub(crate) fn negotiate(headers: &HeaderMap, pretty: bool) -> Result<Media, Status> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let mut ranges: Vec<Range<'_>> = accept.split(',').map(Range::parse).collect();
        // A stable sort: between ranges of the same quality the client's order decides.
        ranges.sort_by(|a, b| b.quality().total_cmp(&a.quality()));
        let chosen = ranges.iter().find_map(|range| {
            let yaml = match range.kind {
                "application/json" | "*/*" | "application/*" | "" => false,
                "application/yaml" => true,
                _ => return None,
            };
            let shape = shape(range)?;
            Some(Media { shape, yaml, pretty })
        });
        chosen.ok_or_else(|| Status::not_acceptable(OFFERS))
    }
}

/// `;stream=watch` says nothing that the watch verb does not know already.
fn shape(range: &Range<'_>) -> Option<Shape> {
    let meta = range.get("g") == "meta.k8s.io" && matches!(range.get("v"), "v1" | "v1beta1");
    match range.get("as") {
        "" => Some(Shape::Object),
        "Table" if meta => Some(Shape::Table),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if meta => Some(Shape::Metadata),
        _ => None,
    }
}

/// Whether the client asks for aggregated discovery.
pub(crate) fn wants_aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').map(Range::parse).any(|range| {
        range.kind == "application/json"
            && range.get("g") == "apidiscovery.k8s.io"
            && range.get("v") == "v2"
            && range.get("as") == "APIGroupDiscoveryList"
    })
}

/// The form of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// The media type of the body, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// How to read an object body; 415 for a form that is not known. Nothing said means JSON.
pub(crate) fn encoding(headers: &HeaderMap) -> Result<Encoding, Status> {
    match content_type(headers) {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" => Ok(Encoding::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(BODIES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(accept: &str) -> Result<Shape, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().expect("a header value"));
        Media::negotiate(&headers, false).map(|media| media.shape).map_err(|status| status.code)
    }

    #[test]
    fn forms() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(negotiate(kubectl), Ok(Shape::Table));
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf,application/json"), Ok(Shape::Object));
        assert_eq!(
            negotiate("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Shape::Metadata)
        );
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf"), Err(406));
        assert_eq!(negotiate("application/json;as=Table;v=v9;g=meta.k8s.io"), Err(406));
        assert_eq!(negotiate("application/json;q=0.5,*/*"), Ok(Shape::Object));
    }
}
