//! The tables of `store.db`. A change here is a new version and an upgrade from the last one.

use nanohost_core::RunId;
use rusqlite::Transaction;

use super::log;
use crate::database::{Earlier, Schema};
use crate::keyring::StoreName;
use crate::seal;

/// Version 6. The texts are compared with the database's own at every opening.
pub(super) const SCHEMA: Schema = Schema {
    application_id: 0x6e68_7374,
    version: 6,
    statements: &[
        META,
        COUNTER,
        RUN,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY,
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
        LOG_ENTRY,
        LOG_NODE,
        LOG_HEAD,
        ERASED,
        ERASING,
        HOLD,
        ACT_ON,
    ],
    earlier: &[VERSION_5, VERSION_4, VERSION_3, VERSION_2, VERSION_1],
};

/// Without what acts bear on.
pub(super) const VERSION_5: Earlier = Earlier {
    version: 5,
    statements: &[
        META,
        COUNTER,
        RUN,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY,
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
        LOG_ENTRY,
        LOG_NODE,
        LOG_HEAD,
        ERASED,
        ERASING,
        HOLD,
    ],
    upgrade: &[ACT_ON],
    fill: bear_on_what_they_erased,
};

/// Without acts, subjects, erasures and legal holds.
pub(super) const VERSION_4: Earlier = Earlier {
    version: 4,
    statements: &[
        META,
        COUNTER,
        RUN_OF_VERSION_4,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY,
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
        LOG_ENTRY,
        LOG_NODE,
        LOG_HEAD,
    ],
    upgrade: &[SUBJECTS_OF_RUNS, ERASED, ERASING, HOLD, ACT_ON],
    fill: begin_acts,
};

/// Without the log over all runs.
pub(super) const VERSION_3: Earlier = Earlier {
    version: 3,
    statements: &[
        META,
        COUNTER,
        RUN_OF_VERSION_4,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY,
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
    ],
    upgrade: &[LOG_ENTRY, LOG_NODE, LOG_HEAD, SUBJECTS_OF_RUNS, ERASED, ERASING, HOLD, ACT_ON],
    fill: begin_log_and_acts,
};

/// Reservations without their place, which nothing authenticated.
pub(super) const VERSION_2: Earlier = Earlier {
    version: 2,
    statements: &[
        META,
        COUNTER,
        RUN_OF_VERSION_4,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY_OF_VERSION_2,
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
    ],
    upgrade: &[
        PLACES_OF_RESERVATIONS[0],
        PLACES_OF_RESERVATIONS[1],
        PLACES_OF_RESERVATIONS[2],
        LOG_ENTRY,
        LOG_NODE,
        LOG_HEAD,
        SUBJECTS_OF_RUNS,
        ERASED,
        ERASING,
        HOLD,
        ACT_ON,
    ],
    fill: begin_log_and_acts,
};

/// Without deadlines, start keys, resume tokens and requests to stop.
pub(super) const VERSION_1: Earlier = Earlier {
    version: 1,
    statements: &[
        META,
        COUNTER,
        RUN_OF_VERSION_1,
        RUN_OPENED,
        ENVELOPE,
        CONTENT,
        KV,
        IDEMPOTENCY_OF_VERSION_2,
    ],
    upgrade: &[
        "ALTER TABLE run ADD COLUMN deadline INTEGER CHECK (deadline IS NULL OR phase = 'suspended')",
        START_KEY,
        RESUME_TOKEN,
        STOP_REQUEST,
        PLACES_OF_RESERVATIONS[0],
        PLACES_OF_RESERVATIONS[1],
        PLACES_OF_RESERVATIONS[2],
        LOG_ENTRY,
        LOG_NODE,
        LOG_HEAD,
        SUBJECTS_OF_RUNS,
        ERASED,
        ERASING,
        HOLD,
        ACT_ON,
    ],
    fill: begin_log_and_acts,
};

/// Reservations that are there already stay as they are, without a place.
const PLACES_OF_RESERVATIONS: &[&str] = &[
    "ALTER TABLE idempotency ADD COLUMN step TEXT",
    "ALTER TABLE idempotency ADD COLUMN visit INTEGER CHECK (visit > 0)",
    "ALTER TABLE idempotency ADD COLUMN seal BLOB \
     CHECK ((seal IS NULL) = (step IS NULL) AND (seal IS NULL) = (visit IS NULL))",
];

const META: &str = "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID";

const COUNTER: &str =
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// Whose data a run holds, as a keyed hash. The later columns stand where adding them puts them.
const RUN: &str = "CREATE TABLE run (\
    id TEXT PRIMARY KEY CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'), \
    program TEXT NOT NULL, \
    opened INTEGER NOT NULL, \
    epoch INTEGER NOT NULL CHECK (epoch > 0), \
    len INTEGER NOT NULL CHECK (len >= 0), \
    last BLOB CHECK (last IS NULL OR length(last) = 32), \
    phase TEXT NOT NULL CHECK (phase IN ('open', 'suspended', 'closed')), \
    status TEXT, \
    deadline INTEGER CHECK (deadline IS NULL OR phase = 'suspended'), \
    subject BLOB CHECK (subject IS NULL OR length(subject) = 32), \
    CHECK ((len = 0) = (last IS NULL)), \
    CHECK ((phase = 'closed') = (status IS NOT NULL))) STRICT, WITHOUT ROWID";

const SUBJECTS_OF_RUNS: &str =
    "ALTER TABLE run ADD COLUMN subject BLOB CHECK (subject IS NULL OR length(subject) = 32)";

const RUN_OF_VERSION_4: &str = "CREATE TABLE run (\
    id TEXT PRIMARY KEY CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'), \
    program TEXT NOT NULL, \
    opened INTEGER NOT NULL, \
    epoch INTEGER NOT NULL CHECK (epoch > 0), \
    len INTEGER NOT NULL CHECK (len >= 0), \
    last BLOB CHECK (last IS NULL OR length(last) = 32), \
    phase TEXT NOT NULL CHECK (phase IN ('open', 'suspended', 'closed')), \
    status TEXT, \
    deadline INTEGER CHECK (deadline IS NULL OR phase = 'suspended'), \
    CHECK ((len = 0) = (last IS NULL)), \
    CHECK ((phase = 'closed') = (status IS NOT NULL))) STRICT, WITHOUT ROWID";

const RUN_OF_VERSION_1: &str = "CREATE TABLE run (\
    id TEXT PRIMARY KEY CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'), \
    program TEXT NOT NULL, \
    opened INTEGER NOT NULL, \
    epoch INTEGER NOT NULL CHECK (epoch > 0), \
    len INTEGER NOT NULL CHECK (len >= 0), \
    last BLOB CHECK (last IS NULL OR length(last) = 32), \
    phase TEXT NOT NULL CHECK (phase IN ('open', 'suspended', 'closed')), \
    status TEXT, \
    CHECK ((len = 0) = (last IS NULL)), \
    CHECK ((phase = 'closed') = (status IS NOT NULL))) STRICT, WITHOUT ROWID";

const RUN_OPENED: &str = "CREATE INDEX run_opened ON run (opened)";

/// Rows of several kilobytes: a table with row ids keeps the tree of keys small.
const ENVELOPE: &str = "CREATE TABLE envelope (\
    run TEXT NOT NULL REFERENCES run (id), \
    seq INTEGER NOT NULL CHECK (seq >= 0), \
    bytes BLOB NOT NULL, \
    PRIMARY KEY (run, seq)) STRICT";

/// The salt lies inside the ciphertext: with it, erased content could be guessed.
const CONTENT: &str = "CREATE TABLE content (\
    run TEXT NOT NULL REFERENCES run (id), \
    seq INTEGER NOT NULL CHECK (seq >= 0), \
    role TEXT NOT NULL, \
    encoding TEXT NOT NULL, \
    data_key INTEGER NOT NULL, \
    sealed BLOB NOT NULL, \
    PRIMARY KEY (run, seq, role)) STRICT";

const KV: &str = "CREATE TABLE kv (\
    program TEXT NOT NULL, \
    tool TEXT NOT NULL, \
    namespace TEXT NOT NULL, \
    key TEXT NOT NULL, \
    version INTEGER NOT NULL UNIQUE CHECK (version > 0), \
    run TEXT NOT NULL REFERENCES run (id), \
    data_key INTEGER NOT NULL, \
    sealed BLOB NOT NULL, \
    PRIMARY KEY (program, tool, namespace, key)) STRICT";

/// `seal` is a keyed hash of the row: who can write the database and not read its keys redirects no
/// key to another run or result. The later columns stand where adding them puts them.
const IDEMPOTENCY: &str = "CREATE TABLE idempotency (\
    mac BLOB PRIMARY KEY CHECK (length(mac) = 32), \
    run TEXT NOT NULL REFERENCES run (id), \
    result_seq INTEGER CHECK (result_seq >= 0), \
    step TEXT, \
    visit INTEGER CHECK (visit > 0), \
    seal BLOB CHECK ((seal IS NULL) = (step IS NULL) AND (seal IS NULL) = (visit IS NULL))\
    ) STRICT, WITHOUT ROWID";

const IDEMPOTENCY_OF_VERSION_2: &str = "CREATE TABLE idempotency (\
    mac BLOB PRIMARY KEY CHECK (length(mac) = 32), \
    run TEXT NOT NULL REFERENCES run (id), \
    result_seq INTEGER CHECK (result_seq >= 0)) STRICT, WITHOUT ROWID";

/// `started` is a keyed hash of the program and the inputs: they could be guessed from a plain one.
const START_KEY: &str = "CREATE TABLE start_key (\
    mac BLOB PRIMARY KEY CHECK (length(mac) = 32), \
    started BLOB NOT NULL CHECK (length(started) = 32), \
    run TEXT NOT NULL REFERENCES run (id)) STRICT, WITHOUT ROWID";

/// `holder` is a keyed hash of the suspension and of who may resume it, `token` one of the token too.
const RESUME_TOKEN: &str = "CREATE TABLE resume_token (\
    run TEXT NOT NULL REFERENCES run (id), \
    holder BLOB NOT NULL CHECK (length(holder) = 32), \
    token BLOB NOT NULL CHECK (length(token) = 32), \
    PRIMARY KEY (run, holder)) STRICT, WITHOUT ROWID";

const STOP_REQUEST: &str = "CREATE TABLE stop_request (\
    run TEXT PRIMARY KEY REFERENCES run (id), \
    data_key INTEGER NOT NULL, \
    sealed BLOB NOT NULL) STRICT";

/// The order of all envelopes, from 0 and without a gap: where they stand in the log.
const LOG_ENTRY: &str = "CREATE TABLE log_entry (\
    entry INTEGER PRIMARY KEY CHECK (entry >= 0), \
    run TEXT NOT NULL, \
    seq INTEGER NOT NULL CHECK (seq >= 0), \
    UNIQUE (run, seq), \
    FOREIGN KEY (run, seq) REFERENCES envelope (run, seq)) STRICT";

/// The full subtrees of the log.
const LOG_NODE: &str = "CREATE TABLE log_node (\
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 63), \
    place INTEGER NOT NULL CHECK (place >= 0), \
    hash BLOB NOT NULL CHECK (length(hash) = 32), \
    PRIMARY KEY (level, place)) STRICT, WITHOUT ROWID";

/// The newest checkpoint (`signed`), and the newest under which witnesses signed too (`witnessed`).
const LOG_HEAD: &str = "CREATE TABLE log_head (\
    name TEXT PRIMARY KEY CHECK (name IN ('signed', 'witnessed')), \
    note TEXT NOT NULL) STRICT, WITHOUT ROWID";

/// Values that acts erased: what is not there was not lost. Nothing signs these rows: whoever judges a
/// run asks the acts themselves.
const ERASED: &str = "CREATE TABLE erased (\
    run TEXT NOT NULL REFERENCES run (id), \
    seq INTEGER NOT NULL CHECK (seq >= 0), \
    role TEXT NOT NULL, \
    act INTEGER NOT NULL CHECK (act >= 0), \
    PRIMARY KEY (run, seq, role)) STRICT, WITHOUT ROWID";

/// Keys that an act has given up and that may still be there, with the place of what they open where
/// it is content: an erasure goes on from here after a crash.
const ERASING: &str = "CREATE TABLE erasing (\
    data_key INTEGER PRIMARY KEY, \
    run TEXT, \
    seq INTEGER, \
    role TEXT, \
    CHECK ((run IS NULL) = (seq IS NULL) AND (run IS NULL) = (role IS NULL))) STRICT";

/// Legal holds, each on one run or one subject. The reason is sealed.
const HOLD: &str = "CREATE TABLE hold (\
    id INTEGER PRIMARY KEY AUTOINCREMENT, \
    run TEXT REFERENCES run (id), \
    subject BLOB CHECK (subject IS NULL OR length(subject) = 32), \
    since INTEGER NOT NULL, \
    principal TEXT NOT NULL, \
    data_key INTEGER NOT NULL, \
    sealed BLOB NOT NULL, \
    CHECK ((run IS NULL) <> (subject IS NULL))) STRICT";

/// Which acts bear on which runs: where to look, and no proof of it. A run that an act names need not be here.
const ACT_ON: &str = "CREATE TABLE act_on (\
    run TEXT NOT NULL, \
    act INTEGER NOT NULL CHECK (act >= 0), \
    PRIMARY KEY (run, act)) STRICT, WITHOUT ROWID";

/// What a new store starts with.
pub(super) fn fill(tx: &Transaction<'_>, store: &StoreName) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO meta (name, value) VALUES ('store', ?1)", [store])?;
    tx.execute("INSERT INTO counter (name, value) VALUES ('kv_version', 0)", [])?;
    begin_acts(tx)
}

fn bear_on_what_they_erased(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO act_on (run, act) SELECT DISTINCT run, act FROM erased", []).map(drop)
}

fn begin_log_and_acts(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    log::enter_all(tx)?;
    begin_acts(tx)
}

/// The chain of acts lies where the chains of runs lie, under an id of its own that no listing says.
fn begin_acts(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut bytes = [0; 16];
    seal::fill_random(&mut bytes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let id = RunId::from_random(bytes);
    tx.execute("INSERT INTO meta (name, value) VALUES ('acts', ?1)", [id.as_str().as_bytes()])?;
    tx.execute(
        "INSERT INTO run (id, program, opened, epoch, len, last, phase) VALUES (?1, '', 0, 1, 0, NULL, 'open')",
        [id.as_str()],
    )?;
    Ok(())
}
