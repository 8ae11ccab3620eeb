//! CloudWatch metrics (2010-08-01): what functions did, minute by minute, and what clients put beside it. Spoken in the
//! three wire formats of the service, of which clients choose: Smithy RPC v2 with CBOR, awsJson1.0, and query.

mod cbor;
mod data;
mod input;
mod list;
mod put;
mod query;
mod statistics;
mod wire;

use self::wire::{Item, Wire};
use crate::Door;
use ::wire::{Call, Fault, Reply};

/// An error of this service: its code in the query format, and the name of its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    status: u16,
    code: &'static str,
    shape: &'static str,
    message: String,
}

type Answer = Result<Item, Refused>;

impl Refused {
    fn new(code: &'static str, shape: &'static str, message: impl Into<String>) -> Refused {
        Refused { status: 400, code, shape, message: message.into() }
    }

    fn value(message: impl Into<String>) -> Refused {
        Refused::new("InvalidParameterValue", "InvalidParameterValueException", message)
    }

    fn combination(message: impl Into<String>) -> Refused {
        Refused::new("InvalidParameterCombination", "InvalidParameterCombinationException", message)
    }

    fn missing(member: &str) -> Refused {
        let message = format!("The parameter {member} is required.");
        Refused::new("MissingParameter", "MissingRequiredParameterException", message)
    }

    fn token() -> Refused {
        Refused::new(
            "InvalidNextToken",
            "InvalidNextToken",
            "The NextToken is invalid; begin again without one.",
        )
    }

    fn unknown(what: &str) -> Refused {
        let message = format!(
            "{what} is not part of dory's CloudWatch. ListMetrics, GetMetricData, GetMetricStatistics and PutMetricData are."
        );
        Refused { status: 404, ..Refused::new("InvalidAction", "UnknownOperationException", message) }
    }

    fn malformed(message: impl Into<String>) -> Refused {
        Refused::new("MalformedInput", "SerializationException", message)
    }
}

/// Answers one request, in the format that it came in.
pub(crate) async fn serve(door: &Door, call: &Call) -> Reply {
    let wire = Wire::of(&call.parts);
    let (operation, result) = match wire.read(call) {
        Ok((operation, input)) => {
            let result = answer(door, call, &operation, &input);
            (operation, result)
        }
        Err(refused) => (String::new(), Err(refused)),
    };
    match result {
        Ok(item) => wire.answer(&operation, &item, &call.request_id),
        Err(refused) => wire.refuse(&refused, &call.request_id),
    }
}

/// A refusal from outside this service, such as that of a signature.
pub(crate) fn refuse(parts: &http::request::Parts, fault: &Fault, request_id: &str) -> Reply {
    let refused =
        Refused { status: fault.status, code: fault.code, shape: fault.code, message: fault.message.clone() };
    Wire::of(parts).refuse(&refused, request_id)
}

fn answer(door: &Door, call: &Call, operation: &str, input: &input::Input) -> Answer {
    if call.caller.region != door.config.region {
        let message =
            format!("This is {}, and the request is signed for {}", door.config.region, call.caller.region);
        return Err(Refused::new("SignatureDoesNotMatch", "SignatureDoesNotMatch", message));
    }
    let meter = door.config.functions.meter();
    match operation {
        "ListMetrics" => list::list(meter, &door.config.account_id, input),
        "GetMetricData" => data::get(meter, &door.config.account_id, input),
        "GetMetricStatistics" => statistics::get(meter, input),
        "PutMetricData" => put::put(meter, input),
        other => Err(Refused::unknown(other)),
    }
}
