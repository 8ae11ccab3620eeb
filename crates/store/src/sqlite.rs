//! The log in an SQLite file: WAL, synchronous=FULL, one table of rows. Never asked by a reader; the whole of it
//! is read once, at start.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use crate::error::Cause;
use crate::log::{Loaded, Log, Row, RowId};
use crate::transaction::OPS_MAX;
use crate::{Error, OpenError, Revision};

/// Marks the file as ours (SQLite's `application_id`): "dory".
const APPLICATION: i64 = 0x646f_7279;

/// The format that this program writes (SQLite's `user_version`).
const FORMAT: i64 = 1;

/// The bits of a row's number that hold its place in the transaction.
const PLACE_BITS: u32 = OPS_MAX.ilog2();

/// A write-ahead log of 4,000 pages (16 MiB) is copied into the database: often enough to stay small, seldom
/// enough that writers hardly ever meet it.
const CHECKPOINT_PAGES: i64 = 4_000;

/// `locking_mode=EXCLUSIVE` keeps a second process out, and keeps the WAL's index in memory instead of a mapped
/// file, which a full disk could turn into a SIGBUS.
const SETTINGS: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -1024;
    PRAGMA temp_store = MEMORY;
";

const SCHEMA: &str = "
    CREATE TABLE row (
        number  INTEGER PRIMARY KEY,  -- revision << 10 | place in the transaction
        created INTEGER NOT NULL,
        key     TEXT NOT NULL,
        value   BLOB                  -- NULL: deleted
    ) STRICT;
    CREATE TABLE compaction (
        one    INTEGER PRIMARY KEY CHECK (one = 1),
        oldest INTEGER NOT NULL
    ) STRICT;
    INSERT INTO compaction VALUES (1, 0);
";

pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Sqlite, OpenError> {
        create(path).map_err(|error| OpenError::Unreadable { path: path.into(), source: Arc::new(error) })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| open_error(path, e))?;
        let mut log = Sqlite { path: path.into(), connection };
        log.prepare()?;
        Ok(log)
    }

    fn prepare(&mut self) -> Result<(), OpenError> {
        let fail = |error| open_error(&self.path, error);
        let connection = &mut self.connection;
        connection.busy_timeout(std::time::Duration::ZERO).map_err(fail)?;
        connection.execute_batch(SETTINGS).map_err(fail)?;
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(fail)?;
        if mode != "wal" {
            let source: Cause = Arc::from(Box::from("the file system does not allow a write-ahead log"));
            return Err(OpenError::Unreadable { path: self.path.clone(), source });
        }
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(fail)?;
        // The lock is taken by the first write.
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
        let number =
            |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(fail);
        let (application, format) = (number("application_id")?, number("user_version")?);
        let tables: i64 = transaction
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(fail)?;
        if application == 0 && format == 0 && tables == 0 {
            transaction.execute_batch(SCHEMA).map_err(fail)?;
            transaction.pragma_update(None, "application_id", APPLICATION).map_err(fail)?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(fail)?;
        } else if application != APPLICATION {
            let source: Cause = Arc::from(Box::from("it is a database of another program"));
            return Err(OpenError::Corrupt { path: self.path.clone(), source });
        } else if format > FORMAT {
            return Err(OpenError::Newer { path: self.path.clone(), found: format, known: FORMAT });
        }
        transaction.commit().map_err(fail)
    }

    fn read(&self) -> Result<Loaded, rusqlite::Error> {
        let oldest = self.connection.query_row("SELECT oldest FROM compaction", [], |row| row.get(0))?;
        let mut select =
            self.connection.prepare("SELECT number, created, key, value FROM row ORDER BY number")?;
        let rows = select.query_map([], |row| {
            let value: Option<Vec<u8>> = row.get(3)?;
            let key: String = row.get(2)?;
            Ok(Row {
                id: id(row.get(0)?),
                created: row.get(1)?,
                key: key.into(),
                value: value.map(Bytes::from),
            })
        })?;
        Ok(Loaded { oldest, rows: rows.collect::<Result<_, _>>()? })
    }

    fn write(&mut self, rows: &[Row], garbage: &[RowId]) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO row VALUES (?1, ?2, ?3, ?4)")?;
            for row in rows {
                insert.execute(params![number(row.id), row.created, &*row.key, row.value.as_deref()])?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM row WHERE number = ?1")?;
            for id in garbage {
                delete.execute([number(*id)])?;
            }
        }
        transaction.commit()
    }
}

/// Made here and not by SQLite, because it holds secrets: the files beside it inherit the mode. Its name is made
/// durable too.
fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

impl Log for Sqlite {
    fn load(&mut self) -> Result<Loaded, OpenError> {
        self.read().map_err(|error| open_error(&self.path, error))
    }

    fn append(&mut self, rows: &[Row], garbage: &[RowId]) -> Result<(), Error> {
        self.write(rows, garbage).map_err(|error| write_error(&self.path, error))
    }

    fn compact(&mut self, oldest: Revision) -> Result<(), Error> {
        self.connection
            .execute("UPDATE compaction SET oldest = ?1", [oldest])
            .map(|_| ())
            .map_err(|error| write_error(&self.path, error))
    }
}

fn number(id: RowId) -> u64 {
    id.revision << PLACE_BITS | u64::from(id.place)
}

fn id(number: u64) -> RowId {
    let place = number & (OPS_MAX as u64 - 1);
    RowId { revision: number >> PLACE_BITS, place: u16::try_from(place).expect("ten bits") }
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Corrupt { path, source: Arc::new(error) }
        }
        // Our own rows have our own types: what does not convert has been damaged.
        None => OpenError::Corrupt { path, source: Arc::new(error) },
        Some(_) => OpenError::Unreadable { path, source: Arc::new(error) },
    }
}

fn write_error(path: &Path, error: rusqlite::Error) -> Error {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full { path, source: Arc::new(error) },
        _ => Error::Io { path, source: Arc::new(error) },
    }
}
