//! The ways to write a layer's name: `tools`, the layer's ARN, a version's ARN. Pure.

use crate::Lambda;
use wire::Fault;

/// A layer of this account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerName {
    pub(crate) name: String,
}

impl LayerName {
    /// Reads a plain name or a layer's ARN.
    pub(crate) fn read(lambda: &Lambda, text: &str) -> Result<LayerName, Fault> {
        let config = &lambda.config;
        match parse(text, &config.region, &config.account_id)? {
            (name, None) => Ok(LayerName { name }),
            (_, Some(_)) => Err(Fault::invalid_parameter(format!(
                "{text} is the ARN of a layer version, and a layer is asked for."
            ))),
        }
    }

    /// Reads the ARN of one version of a layer.
    pub(crate) fn with_version(lambda: &Lambda, arn: &str) -> Result<(LayerName, u64), Fault> {
        let config = &lambda.config;
        match parse(arn, &config.region, &config.account_id)? {
            (name, Some(version)) => Ok((LayerName { name }, version)),
            (_, None) => Err(Fault::invalid_parameter(format!(
                "{arn} is not the ARN of a layer version, such as \
                 arn:aws:lambda:{}:{}:layer:tools:1.",
                config.region, config.account_id
            ))),
        }
    }

    /// `arn:aws:lambda:us-east-1:000000000000:layer:tools`
    pub(crate) fn arn(&self, lambda: &Lambda) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{}", lambda.config.region, lambda.config.account_id, self.name)
    }
}

fn parse(text: &str, region: &str, account_id: &str) -> Result<(String, Option<u64>), Fault> {
    let parts: Vec<&str> = text.split(':').collect();
    let (place, name, version) = match parts[..] {
        [name] => return Ok((name.to_owned(), None)),
        ["arn", _, "lambda", at, account, "layer", name] => ((at, account), name, None),
        ["arn", _, "lambda", at, account, "layer", name, version] => ((at, account), name, Some(version)),
        _ => return Err(Fault::invalid_parameter(format!("{text} is not the name or the ARN of a layer."))),
    };
    if place != (region, account_id) {
        return Err(Fault::denied(format!(
            "User is not authorized to perform: lambda:GetLayerVersion on resource: {text} because layers of other \
             accounts and regions cannot be reached from here. Publish it here with PublishLayerVersion."
        )));
    }
    let version = version.map(|version| {
        version.parse().map_err(|_| Fault::invalid_parameter(format!("{text} has no version number.")))
    });
    Ok((name.to_owned(), version.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_read() {
        let read = |text: &str| parse(text, "us-east-1", "000000000000").map_err(|fault| fault.code);
        assert_eq!(read("tools"), Ok(("tools".to_owned(), None)));
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools";
        assert_eq!(read(arn), Ok(("tools".to_owned(), None)));
        assert_eq!(read(&format!("{arn}:7")), Ok(("tools".to_owned(), Some(7))));
        assert_eq!(read(&format!("{arn}:x")), Err("InvalidParameterValueException"));
        assert_eq!(read("arn:aws:lambda:us-east-1:111111111111:layer:tools:1"), Err("AccessDeniedException"));
    }
}
