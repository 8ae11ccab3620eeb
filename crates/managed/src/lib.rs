//! Data engines: what a serverless application keeps its data in, without the wire format of any API. Today
//! these are queues, kept in a store whose acknowledged writes are durable, buckets, whose objects are files that such a store
//! names, and the log, kept in files. Called by `functions` (asynchronous invocations, event sources, what functions print) and
//! by the services of the AWS door that sell these engines.
//!
//! ```text
//!  Queues ─ all queues of one store, and their limits
//!    └─ Queue   send ─▶ [ delayed | visible ] ─▶ receive ─▶ [ hidden ] ─▶ delete
//!                             ▲                                  │
//!                             └──── release, defer, time-out ────┘
//!
//!  Broker ─ queues that somebody made and named, with the rules of SQS
//!    └─ Declared   settings, deduplication, dead letters; a Queue below
//!
//!  Buckets ─ objects of any size, with the rules of S3
//!    └─ Draft ─▶ file ─▶ record ─▶ Reading
//!
//!  Topics ─ topics and their subscriptions, each with a Queue of what is still to be delivered
//!    └─ Pattern ─ which messages a subscription wants
//!
//!  Logs ─ all log groups, and the thread that writes them
//!    └─ Log     append ─▶ memory ─▶ file ─▶ read, follow, events
//! ```
#![deny(missing_docs)]

mod broker;
mod bucket;
mod clock;
mod logs;
mod pattern;
mod queue;
mod topic;

pub use broker::{
    Accepted, Ask, Attribute, AttributeValue, Broker, DeclareError, Declared, Delivered, Handle, HandleError,
    Letter, LetterError, MoveError, MoveState, MoveTask, QUEUE_DEFAULTS, ReceiveError, Redrive, RedriveAllow,
    Settings, md5_of, md5_of_attributes, sequence,
};
pub use bucket::{
    Algorithm, Bucket, BucketError, BucketEvent, BucketSettings, Buckets, Cause, Checksum, Chosen, Complete,
    Condition, Deleted, Description, Draft as ObjectDraft, Expiry, Filter, Found, Listed, ListedPart,
    ListedUpload, ListedVersions, Listing, MIDNIGHT_MS, NULL_VERSION, NewObject, Notification, ObjectError,
    ObjectVersion, OpenBucketsError, Part, Piece, Reading, Rule, Sums, Upload, UploadsListed, Versioning,
    Written,
};
pub use clock::{Clock, Wall};
pub use logs::{
    EventQuery, GroupError, Log, LogEvent, LogGroup, LogPage, LogPosition, LogQuery, LogStream, Logs, Start,
    StreamFilter, Streams,
};
pub use pattern::Pattern;
pub use queue::{
    Counts, Depth, Draft, Limits, MESSAGE_BYTES_MAX, Message, Queue, QueueError, Queues, Receipt, SendError,
};
pub use store::{Error as StoreError, memory};
pub use topic::{Matter, Subscription, Topic, TopicError, TopicSettings, Topics};
