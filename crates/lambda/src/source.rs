//! Event source mappings: `CreateEventSourceMapping`, `GetEventSourceMapping`, `UpdateEventSourceMapping`,
//! `DeleteEventSourceMapping`, `ListEventSourceMappings`. A mapping is an object of its own, named by its UUID; when an answer
//! is given, its poller is as it says: no state is in between.

mod settings;

use super::configuration::{annotation, last_modified};
use super::input;
use super::name::Name;
use super::page::Page;
use crate::Lambda;
use client::{Deletion, Key, is_conflict, is_not_found};
use functions::{NAME_ANNOTATION, Watched, object_name};
use jiff::Timestamp;
use serde_json::{Value, json};
use wire::{Call, Fault, NAMESPACE, Reply, reply};

/// How often a change is tried again when somebody else changed the object in between.
const TRIES: u32 = 8;

pub(crate) async fn create(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let input = input(call)?;
    let mut spec = settings::read(&input)?;
    let arn = super::string(&input, "EventSourceArn")?;
    let arn = arn.ok_or_else(|| Fault::unsupported("An event source without EventSourceArn"))?;
    if arn.split(':').nth(2) != Some("sqs") {
        return Err(Fault::unsupported(&format!(
            "The event source {arn}: only queues of SQS are, any other"
        )));
    }
    spec["eventSourceArn"] = json!(arn);
    let name = lambda.name(super::required(&input, "FunctionName")?, None)?;
    set_function(&mut spec, &name);
    settings::fill(&mut spec);
    check(lambda, &name, &spec).await?;
    for known in lambda.all_of(Watched::Mapping).await? {
        let same = |field: &str| known["spec"][field] == spec[field];
        if ["eventSourceArn", "functionName", "qualifier"].into_iter().all(same) {
            return Err(Fault::conflict(format!(
                "An event source mapping with SQS arn (\" {arn} \") and function (\" {} \") already exists. Please update \
                 or delete the existing mapping with UUID {}",
                name.name,
                Key::of(&known).name
            )));
        }
    }
    let resource = Watched::Mapping.resource();
    let mut object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": uuid::Uuid::new_v4().to_string(), "namespace": NAMESPACE, "annotations": {} },
        "spec": spec,
    });
    note_name(&mut object, &name);
    let created = lambda.create_of(Watched::Mapping, object).await.map_err(|error| refused(&error))?;
    Ok(reply::json(202, &show(lambda, &created)))
}

/// Mappings name the object of their function, and remember what AWS calls it.
fn note_name(object: &mut Value, name: &Name) {
    let differs = object_name(&name.name) != name.name;
    super::object::annotate(object, NAME_ANNOTATION, differs.then(|| name.name.clone()));
}

fn set_function(spec: &mut Value, name: &Name) {
    spec["functionName"] = json!(object_name(&name.name));
    if let Some(spec) = spec.as_object_mut() {
        match &name.qualifier {
            Some(qualifier) => spec.insert("qualifier".to_owned(), json!(qualifier)),
            None => spec.remove("qualifier"),
        };
    }
}

/// What a mapping leads from and to must be there, and fit together.
async fn check(lambda: &Lambda, name: &Name, spec: &Value) -> Result<(), Fault> {
    let function = lambda.find(name).await?;
    let functions = &lambda.config.functions;
    let queue = spec["eventSourceArn"].as_str().and_then(|arn| functions.queue_name(arn));
    let queue = queue.and_then(|queue| functions.broker().get(queue)).ok_or_else(|| {
        Fault::invalid_parameter(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error \
             Message: The specified queue does not exist.",
        )
    })?;
    let queue = queue.settings();
    let timeout = match function["spec"]["timeoutSeconds"].as_u64() {
        Some(timeout) => timeout,
        // An alias has that of its version.
        None => match function["spec"]["functionVersion"].as_str() {
            Some(version) => {
                lambda.find(&name.at(version)).await?["spec"]["timeoutSeconds"].as_u64().unwrap_or(0)
            }
            None => 0,
        },
    };
    if timeout > u64::from(queue.visibility_s) {
        return Err(Fault::invalid_parameter(format!(
            "Queue visibility timeout: {} seconds is less than Function timeout: {timeout} seconds",
            queue.visibility_s
        )));
    }
    settings::check(spec, queue.fifo)
}

pub(crate) async fn get(lambda: &Lambda, uuid: &str) -> Result<Reply, Fault> {
    Ok(reply::json(200, &show(lambda, &find(lambda, uuid).await?)))
}

pub(crate) async fn update(lambda: &Lambda, call: &Call, uuid: &str) -> Result<Reply, Fault> {
    let input = input(call)?;
    let wanted = settings::read(&input)?;
    let function = super::string(&input, "FunctionName")?.map(|text| lambda.name(text, None)).transpose()?;
    for _ in 0..TRIES {
        let mut object = find(lambda, uuid).await?;
        settings::merge(&mut object["spec"], &wanted);
        if let Some(name) = &function {
            set_function(&mut object["spec"], name);
            note_name(&mut object, name);
        }
        check(lambda, &function_of(&object), &object["spec"]).await?;
        match lambda.replace_of(Watched::Mapping, &Key::of(&object), object).await {
            Ok(changed) => return Ok(reply::json(202, &show(lambda, &changed))),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
    Err(Fault::conflict(format!("An update of the mapping {uuid} is in progress.")))
}

pub(crate) async fn delete(lambda: &Lambda, uuid: &str) -> Result<Reply, Fault> {
    let object = find(lambda, uuid).await?;
    let key = Key::of(&object);
    match lambda.of(Watched::Mapping).delete(&key, &Deletion::default()).await {
        Ok(_) => lambda.config.functions.seen(Watched::Mapping, &key, None).await,
        Err(error) if is_not_found(&error) => return Err(missing()),
        Err(error) => return Err(refused(&error)),
    }
    let mut shown = show(lambda, &object);
    shown["State"] = json!("Deleting");
    Ok(reply::json(202, &shown))
}

pub(crate) async fn list(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let page = Page::of(call)?;
    let source = call.parameter("EventSourceArn").filter(|arn| !arn.is_empty());
    let name = call.parameter("FunctionName").filter(|name| !name.is_empty());
    let name = name.map(|text| lambda.name(&text, None)).transpose()?;
    let wanted = |object: &Value| {
        source.as_ref().is_none_or(|arn| object["spec"]["eventSourceArn"] == **arn)
            && name.as_ref().is_none_or(|name| function_of(object) == *name)
    };
    let all = lambda.all_of(Watched::Mapping).await?;
    let shown = all.iter().filter(|object| wanted(object));
    let shown = shown.map(|object| (Key::of(object).name, show(lambda, object)));
    Ok(reply::json(200, &page.answer("EventSourceMappings", shown.collect())))
}

async fn find(lambda: &Lambda, uuid: &str) -> Result<Value, Fault> {
    let found = lambda.of(Watched::Mapping).get(&Key::new(NAMESPACE, uuid.to_ascii_lowercase())).await;
    found.map_err(|error| if is_not_found(&error) { missing() } else { refused(&error) })
}

fn missing() -> Fault {
    Fault::not_found("The resource you requested does not exist.")
}

fn refused(error: &client::kube::Error) -> Fault {
    match error {
        client::kube::Error::Api(status) if (400..500).contains(&status.code) => {
            Fault::invalid_parameter(status.message.clone())
        }
        other => Fault::service(other.to_string()),
    }
}

/// The function that a mapping leads to, as AWS names it.
fn function_of(object: &Value) -> Name {
    let spec = &object["spec"];
    let name = annotation(object, NAME_ANNOTATION).or(spec["functionName"].as_str());
    Name {
        name: name.unwrap_or_default().to_owned(),
        qualifier: spec["qualifier"].as_str().map(str::to_owned),
    }
}

fn show(lambda: &Lambda, object: &Value) -> Value {
    let (spec, uuid) = (&object["spec"], Key::of(object).name);
    let enabled = spec["enabled"] != false;
    let name = function_of(object);
    let function_arn = match &name.qualifier {
        Some(qualifier) => format!("{}:{qualifier}", lambda.arn(&name.name)),
        None => lambda.arn(&name.name),
    };
    let (region, account) = (&lambda.config.region, &lambda.config.account_id);
    let mut shown = json!({
        "UUID": uuid,
        "EventSourceMappingArn": format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"),
        "EventSourceArn": spec["eventSourceArn"],
        "FunctionArn": function_arn,
        "State": if enabled { "Enabled" } else { "Disabled" },
        "StateTransitionReason": "USER_INITIATED",
    });
    let time = last_modified(object);
    let time = Timestamp::strptime("%Y-%m-%dT%H:%M:%S.%f%z", &time);
    if let Ok(time) = time {
        shown["LastModified"] = json!(time.as_millisecond() as f64 / 1000.0);
    }
    settings::show(spec, &mut shown);
    shown
}
