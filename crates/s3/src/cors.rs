//! CORS: what pages of other origins may do with a bucket. Rules are kept as they came; preflight requests are answered by
//! them, and answers to pages carry what they say.

use super::refused::Refused;
use super::settings::kept;
use super::{Answer, address, xml};
use crate::S3;
use http::request::Parts;
use http::{HeaderValue, header};
use policy::is_like;
use wire::query::escape;
use wire::{Reply, reply};

/// As on AWS.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];
const ELEMENTS: [&str; 6] =
    ["ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"];

/// Reads a document; gives what is kept of it.
pub(super) fn check(document: &str) -> Result<String, Refused> {
    let document = xml::read(document, "CORSConfiguration")?;
    let mut shown = String::new();
    let mut count = 0;
    for rule in xml::children(document.root_element()) {
        if rule.tag_name().name() != "CORSRule" {
            return Err(Refused::malformed());
        }
        xml::only(rule, &ELEMENTS)?;
        let one = |name: &str| xml::all(rule, name).filter_map(|node| node.text()).collect::<Vec<_>>();
        if one("AllowedOrigin").is_empty() || one("AllowedMethod").is_empty() {
            return Err(Refused::malformed());
        }
        if let Some(other) = one("AllowedMethod").into_iter().find(|method| !METHODS.contains(method)) {
            return Err(Refused::request(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {other}"
            )));
        }
        xml::number::<u32>(rule, "MaxAgeSeconds")?;
        shown.push_str("<CORSRule>");
        for child in xml::children(rule) {
            let name = child.tag_name().name();
            shown.push_str(&format!("<{name}>{}</{name}>", escape(child.text().unwrap_or_default())));
        }
        shown.push_str("</CORSRule>");
        count += 1;
    }
    if count == 0 || count > RULES_MAX { Err(Refused::malformed()) } else { Ok(shown) }
}

/// What a rule says to a page.
struct Allowed {
    /// Any page, or the one that asks.
    any: bool,
    methods: String,
    headers: String,
    expose: String,
    max_age: Option<String>,
}

/// The first rule that allows what a page asks for.
fn find(rules: &str, origin: &str, method: &str, asked: &[String]) -> Option<Allowed> {
    let document = format!("<C>{rules}</C>");
    let document = xml::read(&document, "C").ok()?;
    let rule = xml::all(document.root_element(), "CORSRule").find(|rule| {
        let any = |name: &str, fits: &dyn Fn(&str) -> bool| {
            xml::all(*rule, name).filter_map(|node| node.text()).any(fits)
        };
        any("AllowedOrigin", &|pattern| is_like(pattern, origin))
            && any("AllowedMethod", &|allowed| allowed == method)
            && asked
                .iter()
                .all(|header| any("AllowedHeader", &|pattern| is_like(&pattern.to_ascii_lowercase(), header)))
    })?;
    let listed =
        |name: &str| xml::all(rule, name).filter_map(|node| node.text()).collect::<Vec<_>>().join(", ");
    Some(Allowed {
        any: xml::all(rule, "AllowedOrigin").any(|node| node.text() == Some("*")),
        methods: listed("AllowedMethod"),
        headers: asked.join(", "),
        expose: listed("ExposeHeader"),
        max_age: xml::text(rule, "MaxAgeSeconds").map(str::to_owned),
    })
}

impl Allowed {
    fn show(&self, origin: &str, reply: &mut Reply) {
        let mut set = |name: header::HeaderName, value: &str| {
            if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
                reply.headers_mut().insert(name, value);
            }
        };
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, if self.any { "*" } else { origin });
        if !self.any {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        set(header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose);
        set(header::ACCESS_CONTROL_MAX_AGE, self.max_age.as_deref().unwrap_or_default());
        set(header::VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }
}

fn text(parts: &Parts, name: header::HeaderName) -> Option<&str> {
    parts.headers.get(name)?.to_str().ok()
}

fn rules(s3: &S3, name: &str) -> Option<String> {
    let settings = s3.config.buckets.get(name)?.settings();
    kept(&settings, "cors").map(str::to_owned)
}

/// Answers a browser that asks before it asks.
pub(super) fn preflight(s3: &S3, parts: &Parts, name: &str) -> Answer {
    let refuse = |message: &str| Refused::new(403, "AccessForbidden", format!("CORSResponse: {message}"));
    let origin = text(parts, header::ORIGIN).ok_or_else(|| {
        Refused::new(400, "BadRequest", "Insufficient information. Origin request header needed.")
    })?;
    let method = text(parts, header::ACCESS_CONTROL_REQUEST_METHOD)
        .ok_or_else(|| Refused::new(400, "BadRequest", "Invalid Access-Control-Request-Method: null"))?;
    let asked = text(parts, header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let asked: Vec<String> = asked
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let rules = rules(s3, name).ok_or_else(|| refuse("CORS is not enabled for this bucket."))?;
    let allowed = find(&rules, origin, method, &asked);
    let allowed = allowed.ok_or_else(|| refuse("This CORS request is not allowed."))?;
    let mut reply = reply::raw(200, "application/xml", "");
    allowed.show(origin, &mut reply);
    Ok(reply)
}

/// Says to a page what it may see of an answer.
pub(super) fn apply(s3: &S3, parts: &Parts, reply: &mut Reply) {
    let Some(origin) = text(parts, header::ORIGIN) else { return };
    let Ok((name, _)) = address::of(parts, &s3.config.region) else { return };
    let Some(rules) = rules(s3, &name) else { return };
    if let Some(allowed) = find(&rules, origin, parts.method.as_str(), &[]) {
        allowed.show(origin, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_allow_what_they_say() {
        let rules = check(
            "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
             <AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>",
        )
        .expect("rules");
        let asked = |header: &str| vec![header.to_owned()];
        assert!(find(&rules, "https://a.example.com", "GET", &asked("x-a")).is_some_and(|found| !found.any));
        assert!(find(&rules, "https://a.example.com", "PUT", &[]).is_none());
        assert!(find(&rules, "https://example.org", "GET", &[]).is_none());
        assert!(find(&rules, "https://a.example.com", "GET", &asked("authorization")).is_none());
        assert!(check("<CORSConfiguration/>").is_err());
    }
}
