"""The ledger's schema, and its queries of more than a few lines."""

from __future__ import annotations

from xraycodec.gateway.config import LAYERED, REMAINDER
from xraycodec.gateway.records import OURSELVES

SCHEMA_VERSION = 1
# All times are seconds of the ledger's own clock (`LedgerFile.now`).
SCHEMA_OF_SPOOL = "CREATE TABLE IF NOT EXISTS spool (identity TEXT NOT NULL, seconds REAL NOT NULL)"
SCHEMA = """
CREATE TABLE instance (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    sop_class TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    preview_of TEXT,
    received_at REAL NOT NULL,
    done_at REAL
);
CREATE INDEX instance_by_preview ON instance (preview_of) WHERE preview_of IS NOT NULL;
CREATE INDEX instance_by_end ON instance (done_at);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    part INTEGER NOT NULL,
    syntax TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0,
    reason TEXT,
    uid TEXT,
    sop_class TEXT,
    transfer_syntax TEXT,
    size_bytes INTEGER,
    own_file INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0,
    UNIQUE (instance, destination, part)
);
CREATE INDEX delivery_queue ON delivery (state, part, id);
CREATE INDEX delivery_queue_of_one ON delivery (destination, state, part, id);
"""

_OPEN = "('received', 'prepared')"
# A preview goes before its image unless it was refused once; a preview of another sender's making
# that is on its way ends before its image may be sent, or it would come after it for good.
_UNBLOCKED = f"""(d.part != 1 OR NOT EXISTS (
    SELECT 1 FROM delivery p WHERE p.instance = d.instance AND p.destination = d.destination
    AND p.part = 0 AND p.state IN {_OPEN} AND p.attempts = 0
) AND NOT EXISTS (
    SELECT 1 FROM instance q JOIN delivery p ON p.instance = q.id
    WHERE q.preview_of = i.uid AND p.destination = d.destination AND p.state IN {_OPEN}
))"""  # noqa: S608 - constants only
_DELIVERY = f"""SELECT d.id, i.id, i.uid, i.digest, d.destination, d.part, d.syntax, d.attempts,
    coalesce(d.uid, i.uid), coalesce(d.sop_class, i.sop_class),
    coalesce(d.transfer_syntax, i.transfer_syntax), coalesce(d.size_bytes, i.size_bytes), d.own_file
    FROM delivery d JOIN instance i ON i.id = d.instance
    WHERE {_UNBLOCKED} AND d.due_at <= ? AND d.state = """  # noqa: S608 - constants only
NEXT_TO_PREPARE = f"""{_DELIVERY} 'received'
    AND d.destination IN (SELECT value FROM json_each(?)) ORDER BY d.part, d.id LIMIT ?"""  # noqa: S608
NEXT_TO_SEND = f"""{_DELIVERY} 'prepared'
    AND d.destination = ? ORDER BY d.part, d.id LIMIT ?"""
OLDEST = f"""SELECT d.destination, min(i.received_at) FROM delivery d JOIN instance i
    ON i.id = d.instance WHERE d.state IN {_OPEN} GROUP BY 1"""  # noqa: S608 - constants only
OPEN_PREVIEWS = f"""SELECT d.id, d.instance FROM instance q JOIN delivery d ON d.instance = q.id
    WHERE q.preview_of = ? AND d.state IN {_OPEN}"""  # noqa: S608 - constants only
BEGIN_PREVIEW = """UPDATE delivery SET begun = 1 WHERE id = ? AND NOT begun
    AND (SELECT preview_of FROM instance i WHERE i.id = delivery.instance) IS NOT NULL"""

# The preview p that the image d follows, and that it is made on top of as long as it is open.
_ITS_BASE = """p.instance = d.instance AND p.destination = d.destination
    AND p.part = 0 AND p.state = 'delivered' AND p.own_file AND d.part = 1"""
_IS_ON_TOP = f"""d.syntax IN ('{REMAINDER}', '{LAYERED}')
    AND d.state IN ('received', 'prepared', 'failed')"""
BASE_OF = f"""SELECT p.id FROM delivery d JOIN delivery p ON {_ITS_BASE} WHERE d.id = ?"""  # noqa: S608
BASES_IN_USE = f"""SELECT p.id FROM delivery d JOIN delivery p ON {_ITS_BASE}
    WHERE {_IS_ON_TOP}"""  # noqa: S608 - constants only
IS_BASE_IN_USE = f"{BASES_IN_USE} AND p.id = ?"
HELD_BASE = """SELECT 1 FROM instance WHERE digest = ? AND preview_of = ? AND done_at IS NULL"""
OLD_BASES = f"""SELECT d.id, d.instance FROM delivery d JOIN instance i ON i.id = d.instance
    WHERE d.destination = '{OURSELVES}' AND d.state = 'received' AND i.received_at < ?"""  # noqa: S608
LAST_TIME = """SELECT max(coalesce((SELECT max(done_at) FROM instance), 0),
    coalesce((SELECT received_at FROM instance ORDER BY id DESC LIMIT 1), 0))"""
INSTANCES = "SELECT uid, digest, done_at IS NULL FROM instance"
FILES_OF_DELIVERIES = f"""SELECT id FROM delivery
    WHERE own_file AND state IN ('prepared', 'failed') UNION {BASES_IN_USE}"""  # noqa: S608
MAKE_AGAIN = """UPDATE delivery SET state = CASE state WHEN 'failed' THEN state ELSE 'received' END,
    uid = NULL, sop_class = NULL, transfer_syntax = NULL, size_bytes = NULL, own_file = 0
    WHERE id = ? AND state IN ('prepared', 'failed')"""
