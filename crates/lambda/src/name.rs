//! The many ways to write a function's name: `hello`, `hello:$LATEST`, `000000000000:function:hello`, a full ARN. Pure.

use wire::Fault;

/// What a `FunctionName` of the API means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

impl Name {
    /// The function itself.
    pub(crate) fn plain(&self) -> Name {
        Name { name: self.name.clone(), qualifier: None }
    }

    /// A version or an alias of it.
    pub(crate) fn at(&self, qualifier: &str) -> Name {
        Name { name: self.name.clone(), qualifier: Some(qualifier.to_owned()) }
    }

    /// For operations on a function as a whole.
    pub(crate) fn unqualified(&self) -> Result<(), Fault> {
        match self.qualifier.as_deref() {
            None | Some("$LATEST") => Ok(()),
            Some(qualifier) => Err(Fault::invalid_parameter(format!(
                "This operation works on the function itself: name it without the qualifier '{qualifier}'."
            ))),
        }
    }
}

/// The longest plain name; with account, region and qualifier the parameter may have more.
const NAME_MAX: usize = 64;

const PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

/// Reads a name; `qualifier` is the query parameter, which must not contradict one in the name.
pub(crate) fn parse(
    text: &str,
    qualifier: Option<String>,
    region: &str,
    account_id: &str,
) -> Result<Name, Fault> {
    let refuse = || {
        let constraint = format!("Member must satisfy regular expression pattern: {PATTERN}");
        Fault::validation("functionName", &format!("'{text}'"), &constraint)
    };
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.first() == Some(&"arn") {
        if parts.len() < 7 || !parts[1].starts_with("aws") || parts[2] != "lambda" {
            return Err(refuse());
        }
        if parts[3] != region {
            return Err(Fault::not_found(format!(
                "Functions from '{}' are not reachable in this region ('{region}')",
                parts[3]
            )));
        }
        parts.drain(..4);
    }
    if parts.len() > 1 && parts[0].len() == 12 && parts[0].bytes().all(|byte| byte.is_ascii_digit()) {
        if parts[0] != account_id {
            return Err(Fault::denied(format!(
                "Cross-account pass role is not allowed: this account is {account_id}, not {}",
                parts[0]
            )));
        }
        parts.remove(0);
    }
    if parts.len() > 1 && parts[0] == "function" {
        parts.remove(0);
    }
    let (name, inline) = match parts[..] {
        [name] => (name, None),
        [name, inline] => (name, Some(inline.to_owned())),
        _ => return Err(refuse()),
    };
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Err(refuse());
    }
    if name.len() > NAME_MAX {
        let constraint = format!("Member must have length less than or equal to {NAME_MAX}");
        return Err(Fault::validation("functionName", &format!("'{text}'"), &constraint));
    }
    if let (Some(inline), Some(qualifier)) = (&inline, &qualifier)
        && inline != qualifier
    {
        return Err(Fault::invalid_parameter(
            "The derived qualifier from the function name does not match the specified qualifier.",
        ));
    }
    Ok(Name { name: name.to_owned(), qualifier: qualifier.or(inline) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, qualifier: Option<&str>) -> Result<(String, Option<String>), String> {
        parse(text, qualifier.map(str::to_owned), "us-east-1", "000000000000")
            .map(|name| (name.name, name.qualifier))
            .map_err(|fault| fault.code.to_owned())
    }

    #[test]
    fn every_form_of_a_name_is_read() {
        let hello = || ("hello".to_owned(), None);
        assert_eq!(read("hello", None), Ok(hello()));
        assert_eq!(read("function:hello", None), Ok(hello()));
        assert_eq!(read("000000000000:function:hello", None), Ok(hello()));
        assert_eq!(read("arn:aws:lambda:us-east-1:000000000000:function:hello", None), Ok(hello()));
        let latest = ("hello".to_owned(), Some("$LATEST".to_owned()));
        assert_eq!(read("hello:$LATEST", None), Ok(latest.clone()));
        assert_eq!(
            read("arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST", None),
            Ok(latest.clone())
        );
        assert_eq!(read("hello", Some("$LATEST")), Ok(latest));
    }

    #[test]
    fn what_is_no_name_of_ours_is_refused() {
        assert_eq!(read("he llo", None), Err("ValidationException".to_owned()));
        assert_eq!(read("", None), Err("ValidationException".to_owned()));
        assert_eq!(read("../etc", None), Err("ValidationException".to_owned()));
        assert_eq!(read(&"x".repeat(65), None), Err("ValidationException".to_owned()));
        assert_eq!(read("hello:1", Some("2")), Err("InvalidParameterValueException".to_owned()));
        assert_eq!(
            read("arn:aws:lambda:eu-west-1:000000000000:function:hello", None),
            Err("ResourceNotFoundException".to_owned())
        );
        assert_eq!(read("111111111111:function:hello", None), Err("AccessDeniedException".to_owned()));
    }
}
