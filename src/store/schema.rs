//! Opens the database file: settings of the connection, and the numbered migrations, each applied once, in order, after a
//! copy of what was there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// The migrations in order; a file is never changed once it is on the main branch, from which people build too.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
];

/// How long opening waits for the lock of another program.
const WAIT: Duration = Duration::from_secs(10);

/// Opens and migrates.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let mut connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a second connection to a store that [`open`] has opened; it cannot write.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// As [`open`], but nothing waits for the disk, and what is written stays in the log until the next opening: for
/// simulations.
#[cfg(test)]
pub(super) fn open_carelessly(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(WAIT)?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the file for its owner only: it holds what people and models said. SQLite gives its other files the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let io = |source| io_error(path, source);
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(io)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(io)
}

/// The number of the newest schema that this program knows.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = newest();
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    if 0 < found && found < known {
        keep_copy(connection, path, known)?;
    }
    for (number, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or_default()) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Copies the store as it is beside itself (`store.db.before-0005`): whoever must go back to the older program has what
/// it knew. Complete or not there at all.
fn keep_copy(connection: &Connection, path: &Path, known: i64) -> Result<(), StoreError> {
    let copy = beside(path, &format!(".before-{known:04}"));
    let part = beside(path, &format!(".before-{known:04}.part"));
    let io = |source| io_error(&copy, source);
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    make_private(&part)?;
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    // The migration must not be on the disk before the copy is.
    std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&part, &copy).map_err(io)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    tracing::info!(copy = %copy.display(), "the store is brought up to date; the older one is kept");
    Ok(())
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn io_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source: Arc::new(source) }
}
