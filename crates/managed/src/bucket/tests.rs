//! Buckets over a real directory: what is durable, what goes, and what a crash leaves.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

struct Manual(AtomicU64);

impl Clock for Manual {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Room {
    buckets: Arc<Buckets>,
    clock: Arc<Manual>,
    dir: tempfile::TempDir,
}

async fn open(dir: &Path, clock: &Arc<Manual>) -> Arc<Buckets> {
    let store = store::sqlite(&dir.join("buckets.db")).expect("a store");
    Buckets::open(store, dir.join("files"), clock.clone()).await.expect("buckets")
}

impl Room {
    async fn new() -> Room {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(Manual(AtomicU64::new(1_700_000_000_000)));
        Room { buckets: open(dir.path(), &clock).await, clock, dir }
    }

    /// As after a kill: nothing was said to the old ones.
    async fn again(self) -> Room {
        let Room { buckets, clock, dir } = self;
        drop(buckets);
        Room { buckets: open(dir.path(), &clock).await, clock, dir }
    }

    async fn bucket(&self, versioning: Versioning) -> Arc<Bucket> {
        let settings = BucketSettings { versioning, ..BucketSettings::default() };
        self.buckets.create("box", settings).await.expect("a bucket")
    }

    async fn write(&self, bytes: &[u8]) -> Written {
        let mut draft = self.buckets.draft(&[Algorithm::Crc64Nvme]);
        for chunk in bytes.chunks(70_000) {
            draft.write(chunk.to_vec().into()).await.expect("written");
        }
        draft.end().await.expect("on the disk")
    }

    async fn put(&self, bucket: &Arc<Bucket>, key: &str, bytes: &[u8]) -> Version {
        self.put_if(bucket, key, bytes, Condition::Any).await.expect("an object")
    }

    async fn put_if(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        bytes: &[u8],
        condition: Condition,
    ) -> Result<Version, ObjectError> {
        let written = self.write(bytes).await;
        let new = NewObject {
            key: key.to_owned(),
            written,
            checksum: None,
            description: Description::default(),
            condition,
            event: "ObjectCreated:Put",
            cause: Cause::default(),
        };
        self.buckets.put(bucket, new).await
    }

    async fn get(&self, bucket: &Arc<Bucket>, key: &str, id: Option<&str>) -> Option<Vec<u8>> {
        let found = self.buckets.find(bucket, key, id).await.ok().filter(|found| !found.version.marker)?;
        let reading = self.buckets.read(bucket, key, &found, 0, found.version.size).await;
        Some(all(reading.expect("readable")).await)
    }

    async fn delete(&self, bucket: &Arc<Bucket>, key: &str, id: Option<&str>) -> Deleted {
        let done = self.buckets.delete_object(bucket, key, id, &Condition::Any, Cause::default()).await;
        done.expect("deleted")
    }

    fn files(&self) -> usize {
        let dirs = std::fs::read_dir(self.dir.path().join("files")).expect("a directory");
        dirs.flat_map(|dir| std::fs::read_dir(dir.expect("an entry").path()).expect("a directory")).count()
    }

    /// Files are removed on other threads.
    async fn until_files(&self, count: usize) {
        for _ in 0..1000 {
            if self.files() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("there are {} files, not {count}", self.files());
    }
}

async fn all(mut reading: Reading) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(block) = reading.next().await {
        bytes.extend_from_slice(&block.expect("bytes"));
    }
    bytes
}

#[tokio::test]
async fn objects_are_written_replaced_and_deleted_and_outlive_a_crash() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    let large: Vec<u8> = (0..1_300_000u32).map(|number| (number % 251) as u8).collect();
    room.put(&bucket, "large", &large).await;
    room.put(&bucket, "a", b"one").await;
    let second = room.put(&bucket, "a", b"two").await;
    assert_eq!((second.id.as_str(), second.size), (NULL_VERSION, 3));
    room.until_files(2).await;
    let room = room.again().await;
    let bucket = room.buckets.get("box").expect("still there");
    assert_eq!(room.get(&bucket, "a", None).await.as_deref(), Some(&b"two"[..]));
    assert_eq!(room.get(&bucket, "large", None).await, Some(large.clone()));
    let found = room.buckets.find(&bucket, "large", None).await.expect("found");
    let some = room.buckets.read(&bucket, "large", &found, 600_000, 600_000).await.expect("readable");
    // What is being read stays, also without a name.
    assert_eq!(room.delete(&bucket, "large", None).await, Deleted::default());
    assert!(room.get(&bucket, "large", None).await.is_none());
    assert_eq!(all(some).await, large[600_000..1_200_000]);
    room.until_files(1).await;
    assert!(matches!(room.buckets.delete("box").await, Err(BucketError::NotEmpty)));
    room.delete(&bucket, "a", None).await;
    room.buckets.delete("box").await.expect("empty");
    assert!(matches!(room.put_if(&bucket, "a", b"x", Condition::Any).await, Err(ObjectError::NoBucket)));
    room.until_files(0).await;
}

#[tokio::test]
async fn what_nothing_names_goes() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    room.put(&bucket, "a", b"one").await;
    // Written, and never put.
    let written = room.write(b"lost").await;
    assert_eq!(room.files(), 2);
    written.files.into_iter().filter_map(|(fresh, _)| fresh).for_each(blob::Fresh::keep);
    let mut unfinished = room.buckets.draft(&[]);
    unfinished.write(vec![0; 2_000_000].into()).await.expect("written");
    room.until_files(3).await;
    let room = room.again().await;
    assert_eq!(room.files(), 1);
    drop(unfinished);
    drop(room.write(b"given up").await);
    room.until_files(1).await;
}

#[tokio::test]
async fn conditions_are_kept_among_many() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    let tries = (0..8u8).map(|number| {
        let (room, bucket) = (&room, &bucket);
        async move { room.put_if(bucket, "k", &[number], Condition::Absent).await.is_ok() }
    });
    assert_eq!(futures::future::join_all(tries).await.into_iter().filter(|won| *won).count(), 1);
    let etag = room.buckets.find(&bucket, "k", None).await.expect("one").version.etag;
    let wrong = Condition::Matches("x".to_owned());
    assert!(matches!(room.put_if(&bucket, "k", b"x", wrong.clone()).await, Err(ObjectError::Precondition)));
    assert!(matches!(room.put_if(&bucket, "none", b"x", wrong).await, Err(ObjectError::NoKey)));
    room.put_if(&bucket, "k", b"new", Condition::Matches(etag)).await.expect("it matches");
    room.until_files(1).await;
}

#[tokio::test]
async fn versions_are_kept_and_found() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    room.put(&bucket, "k", b"null").await;
    let versioning = |versioning| {
        let buckets = room.buckets.clone();
        async move {
            let set = |settings: &mut BucketSettings| {
                settings.versioning = versioning;
                Ok::<(), BucketError>(())
            };
            buckets.change("box", set).await.expect("changed");
        }
    };
    versioning(Versioning::Enabled).await;
    let one = room.put(&bucket, "k", b"one").await.id;
    let marker = room.delete(&bucket, "k", None).await;
    assert!(marker.marker && room.get(&bucket, "k", None).await.is_none());
    assert_eq!(room.get(&bucket, "k", Some(&one)).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(room.get(&bucket, "k", Some(NULL_VERSION)).await.as_deref(), Some(&b"null"[..]));
    assert!(
        room.buckets
            .list(&bucket, &Listing { max: 9, ..Listing::default() })
            .await
            .expect("a list")
            .objects
            .is_empty()
    );
    versioning(Versioning::Suspended).await;
    room.put(&bucket, "k", b"again").await;
    let listing = |after: &str, after_id: &str| Listing {
        max: 2,
        after: after.to_owned(),
        after_id: after_id.to_owned(),
        ..Listing::default()
    };
    let first = room.buckets.list_versions(&bucket, &listing("", "")).await.expect("a page");
    let shown: Vec<_> = first.versions.iter().map(|(_, version, latest)| (version.marker, *latest)).collect();
    assert_eq!(shown, [(false, true), (true, false)]);
    let (key, id) = first.next.expect("more");
    let second =
        room.buckets.list_versions(&bucket, &listing(&key, &id.expect("a version"))).await.expect("a page");
    assert_eq!(second.versions.len(), 1);
    assert_eq!(
        (second.versions[0].1.id.as_str(), second.versions[0].2, second.next),
        (one.as_str(), false, None)
    );
    room.until_files(2).await;
    room.delete(&bucket, "k", Some(NULL_VERSION)).await;
    room.delete(&bucket, "k", marker.version_id.as_deref()).await;
    assert_eq!(room.get(&bucket, "k", None).await.as_deref(), Some(&b"one"[..]));
}

#[tokio::test]
async fn lists_roll_up_and_go_on() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    for key in ["a", "a/1", "a/2", "a0", "b/x/1", "b/x/2", "b/y", "c\u{10ffff}/1", "ä"] {
        room.put(&bucket, key, b"").await;
    }
    for max in 1..5 {
        let mut listing = Listing { delimiter: "/".into(), max, ..Listing::default() };
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        loop {
            let page = room.buckets.list(&bucket, &listing).await.expect("a page");
            assert!(page.objects.len() + page.prefixes.len() <= max);
            keys.extend(page.objects.into_iter().map(|(key, _)| key));
            prefixes.extend(page.prefixes);
            match page.next {
                Some(next) => listing.after = next,
                None => break,
            }
        }
        assert_eq!(
            (keys.join(" "), prefixes.join(" ")),
            ("a a0 ä".into(), "a/ b/ c\u{10ffff}/".into()),
            "{max}"
        );
    }
    let listing = Listing { prefix: "b/".into(), delimiter: "/".into(), max: 9, ..Listing::default() };
    let page = room.buckets.list(&bucket, &listing).await.expect("a page");
    assert_eq!((page.objects[0].0.as_str(), page.prefixes), ("b/y", vec!["b/x/".to_owned()]));
}

#[tokio::test]
async fn parts_become_an_object() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    let upload = Upload {
        created_ms: 0,
        algorithm: Algorithm::Crc64Nvme,
        asked: false,
        whole: true,
        description: Description::default(),
    };
    let id = room.buckets.begin(&bucket, "k", upload.clone()).await.expect("an upload");
    let (large, small) = (vec![7; 5 << 20], b"end".to_vec());
    let part = async |number, bytes: &[u8]| {
        let written = room.write(bytes).await;
        room.buckets.put_part(&bucket, "k", &id, number, written).await.expect("a part").etag
    };
    part(1, b"replaced").await;
    part(9, b"unused").await;
    let etags = [part(1, &large).await, part(2, &small).await];
    let complete = |parts: &[(u32, &str)]| {
        let parts = parts.iter().map(|(number, etag)| Chosen {
            number: *number,
            etag: (*etag).to_owned(),
            checksum: None,
        });
        let (checksum, size, condition, cause) = (None, None, Condition::Any, Cause::default());
        room.buckets.complete(
            &bucket,
            "k",
            &id,
            Complete { parts: parts.collect(), checksum, size, condition, cause },
        )
    };
    assert!(matches!(complete(&[(1, "x")]).await, Err(ObjectError::NoPart)));
    let unordered = complete(&[(2, &etags[1]), (1, &etags[0])]).await;
    assert!(matches!(unordered, Err(ObjectError::SmallPart { number: 2, size: 3, .. })));
    let made = complete(&[(1, &etags[0]), (2, &etags[1])]).await.expect("an object");
    assert!(made.etag.ends_with("-2"));
    let whole = [&large[..], &small].concat();
    let sums = Sums::of(&whole, &[Algorithm::Crc64Nvme]);
    assert_eq!(made.checksum.as_ref().expect("one").value, sums.others[&Algorithm::Crc64Nvme]);
    assert_eq!(room.get(&bucket, "k", None).await, Some(whole));
    assert!(matches!(complete(&[(1, &etags[0])]).await, Err(ObjectError::NoUpload)));
    let again = |etag: &str| {
        [
            Chosen { number: 1, etag: etag.to_owned(), checksum: None },
            Chosen { number: 2, etag: etags[1].clone(), checksum: None },
        ]
    };
    let same = room.buckets.completed(&bucket, "k", &id, &again(&etags[0])).await.expect("it was completed");
    assert_eq!(same.etag, made.etag);
    for (id, etag) in [("other", &etags[0]), (id.as_str(), &etags[1])] {
        let other = room.buckets.completed(&bucket, "k", id, &again(etag)).await;
        assert!(matches!(other, Err(ObjectError::NoUpload)));
    }
    room.until_files(2).await;
    let found = room.buckets.find(&bucket, "k", None).await.expect("found");
    assert_eq!(found.part(2).map(|(from, piece)| (from, piece.size)), Some((5 << 20, 3)));
    let given_up = room.buckets.begin(&bucket, "other", upload).await.expect("an upload");
    let written = room.write(b"x").await;
    room.buckets.put_part(&bucket, "other", &given_up, 1, written).await.expect("a part");
    room.buckets.abort(&bucket, "other", &given_up).await.expect("given up");
    let room = room.again().await;
    room.until_files(2).await;
}

#[tokio::test]
async fn events_are_there_until_they_are_delivered() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Off).await;
    let set = |settings: &mut BucketSettings| {
        settings.notifications.push(Notification {
            target: "arn".into(),
            events: vec!["s3:Object*".into()],
            ..Notification::default()
        });
        Ok::<(), BucketError>(())
    };
    room.buckets.change("box", set).await.expect("changed");
    room.put(&bucket, "k", b"1").await;
    room.delete(&bucket, "k", None).await;
    room.delete(&bucket, "k", None).await;
    let room = room.again().await;
    let events = room.buckets.next_events(None).await.expect("events");
    let names: Vec<_> = events.iter().map(|(_, event)| event.name.as_str()).collect();
    assert_eq!(names, ["ObjectCreated:Put", "ObjectRemoved:Delete"]);
    assert!(events[0].1.sequencer < events[1].1.sequencer);
    room.buckets.delivered(&[events[0].0.clone(), events[1].0.clone()]).await.expect("ended");
    let none =
        tokio::time::timeout(std::time::Duration::from_millis(50), room.buckets.next_events(None)).await;
    assert!(none.is_err(), "it waits");
}

#[tokio::test]
async fn rules_are_carried_out() {
    let room = Room::new().await;
    let bucket = room.bucket(Versioning::Enabled).await;
    let set = |settings: &mut BucketSettings| {
        let filter = Filter { prefix: "old/".into(), ..Filter::default() };
        settings.rules = vec![
            Rule {
                id: "r".into(),
                enabled: true,
                filter,
                days: Some(2),
                upload_days: Some(1),
                ..Rule::default()
            },
            Rule { enabled: true, noncurrent_days: Some(1), lone_markers: true, ..Rule::default() },
        ];
        Ok::<(), BucketError>(())
    };
    room.buckets.change("box", set).await.expect("changed");
    room.put(&bucket, "old/k", b"1").await;
    room.put(&bucket, "young", b"2").await;
    let found = room.buckets.find(&bucket, "old/k", None).await.expect("found");
    let expiry = room.buckets.expiry(&bucket, "old/k", &found.version).expect("a rule");
    assert_eq!((expiry.at_ms % MIDNIGHT_MS, expiry.rule.as_str()), (0, "r"));
    let days = |count: u64| {
        room.clock.0.fetch_add(count * MIDNIGHT_MS, Ordering::Relaxed);
        room.buckets.expire(&bucket)
    };
    days(1).await.expect("done");
    assert!(room.get(&bucket, "old/k", None).await.is_some());
    days(2).await.expect("done");
    assert!(room.get(&bucket, "old/k", None).await.is_none(), "a mark is in front of it");
    days(3).await.expect("done");
    days(0).await.expect("done");
    let all = Listing { max: 9, ..Listing::default() };
    let left = room.buckets.list_versions(&bucket, &all).await.expect("a list").versions;
    assert_eq!(left.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), ["young"]);
    room.until_files(1).await;
}
