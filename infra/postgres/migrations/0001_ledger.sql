-- The evidence ledger. Forward only: a migration that was applied is never edited; a later one adds to it.
--
-- ledger.entry.canonical is the record. Every other column of an entry is generated from it by the server, so the query copy cannot
-- drift, and nobody can write one apart from the other (SQLSTATE 428C9). A superuser can still lie; `verify` recomputes everything.

CREATE FUNCTION pg_temp.make_role(name text, attributes text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE ROLE %I %s', name, attributes);
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- roles belong to the whole server, which may hold another ledger
END $$;
SELECT pg_temp.make_role('ledger_owner', 'NOLOGIN');
SELECT pg_temp.make_role('ledger_writer', 'LOGIN');   -- appends, and changes nothing
SELECT pg_temp.make_role('ledger_auditor', 'LOGIN');  -- reads views, and nothing else
SELECT pg_temp.make_role('ledger_eraser', 'LOGIN');   -- may destroy keys of texts, and nothing else

CREATE SCHEMA ledger AUTHORIZATION ledger_owner;
SET LOCAL ROLE ledger_owner;

-- IMMUTABLE wrappers: convert_from and casts to timestamptz are only STABLE in general, but these inputs are UTF-8 and UTC.
CREATE FUNCTION ledger.json_of(canonical bytea) RETURNS jsonb
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$ SELECT convert_from(canonical, 'UTF8')::jsonb $$;
CREATE FUNCTION ledger.instant_of(written text) RETURNS timestamptz
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$ SELECT written::timestamptz $$;

CREATE TABLE ledger.entry (
    seq          bigint PRIMARY KEY CHECK (seq >= 0),
    canonical    bytea NOT NULL,
    leaf_hash    bytea NOT NULL GENERATED ALWAYS AS (sha256('\x00'::bytea || canonical)) STORED,
    kind         text NOT NULL GENERATED ALWAYS AS (ledger.json_of(canonical) ->> 'kind') STORED,
    event_id     text GENERATED ALWAYS AS (ledger.json_of(canonical) #>> '{event,id}') STORED,
    event_type   text GENERATED ALWAYS AS (ledger.json_of(canonical) #>> '{event,type}') STORED,
    task_id      text GENERATED ALWAYS AS (coalesce(ledger.json_of(canonical) #>> '{event,data,task_id}', ledger.json_of(canonical) ->> 'task_id')) STORED,
    tenant       text GENERATED ALWAYS AS (ledger.json_of(canonical) #>> '{event,data,tenant}') STORED,
    actor        text GENERATED ALWAYS AS (coalesce(ledger.json_of(canonical) #>> '{event,data,signer}', ledger.json_of(canonical) #>> '{event,data,actor}', ledger.json_of(canonical) #>> '{event,source}')) STORED,
    safety_class text GENERATED ALWAYS AS (ledger.json_of(canonical) #>> '{event,data,safety_class}') STORED,
    occurred_at  timestamptz GENERATED ALWAYS AS (ledger.instant_of(ledger.json_of(canonical) #>> '{event,time}')) STORED,
    recorded_at  timestamptz NOT NULL GENERATED ALWAYS AS (ledger.instant_of(ledger.json_of(canonical) ->> 'recorded_at')) STORED
);
CREATE INDEX entry_event_id ON ledger.entry (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX entry_task_id ON ledger.entry (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX entry_type ON ledger.entry (event_type, seq);
CREATE INDEX entry_recorded_at ON ledger.entry USING brin (recorded_at);

-- Every position of every stream that was read, once. `stream` is name and creation time: a stream made anew counts from 1 again.
CREATE TABLE ledger.ingest_key (
    stream      text NOT NULL,
    stream_seq  bigint NOT NULL,
    seq         bigint NOT NULL,
    disposition text NOT NULL CHECK (disposition IN ('recorded', 'rejected', 'conflict', 'duplicate', 'advisory')),
    event_id    text UNIQUE,
    PRIMARY KEY (stream, stream_seq),
    CHECK ((disposition = 'recorded') = (event_id IS NOT NULL))
);

-- Full tiles only (256 hashes, c2sp.org/tlog-tiles); the open right edge follows from the newest leaves.
CREATE TABLE ledger.tile (
    level  smallint NOT NULL,
    n      bigint NOT NULL,
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, n)
);

-- `leaves` are the hashes that this checkpoint added, so that `verify` can name the one entry that was altered.
CREATE TABLE ledger.checkpoint (
    size   bigint PRIMARY KEY CHECK (size > 0),
    note   text NOT NULL,
    leaves bytea NOT NULL CHECK (length(leaves) > 0 AND length(leaves) % 32 = 0)
);

-- One row per sequencer that ever took office; a writer with an older term may not commit.
CREATE TABLE ledger.term (
    term     bigint PRIMARY KEY,
    holder   text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger.outcome (
    task_id  text PRIMARY KEY,
    seq      bigint NOT NULL UNIQUE,
    status   text NOT NULL,
    decision text UNIQUE
);

-- What must be published: the release at an entry, or the checkpoint of a size. Ids only; the relay opens the text.
CREATE TABLE ledger.outbox (
    kind text NOT NULL CHECK (kind IN ('release', 'checkpoint')),
    ref  bigint NOT NULL,
    PRIMARY KEY (kind, ref)
);
CREATE TABLE ledger.outbox_published (
    kind         text NOT NULL,
    ref          bigint NOT NULL,
    stream_seq   bigint NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, ref),
    FOREIGN KEY (kind, ref) REFERENCES ledger.outbox (kind, ref)
);

-- Texts, encrypted once per commitment. The only rows that may ever go are keys: without its key a text is noise, every proof holds.
CREATE TABLE ledger.text_key (
    key_id  uuid PRIMARY KEY,
    tenant  text NOT NULL,
    wrapped bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.text_key_erased (
    key_id    uuid PRIMARY KEY,
    tenant    text NOT NULL,
    reason    text NOT NULL,
    erased_by text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.sealed_text (
    commitment text PRIMARY KEY,
    tenant     text NOT NULL,
    key_id     uuid NOT NULL,
    nonce      bytea NOT NULL,
    ciphertext bytea NOT NULL
);

-- 21 CFR 11.10(e): corrected by appending, never by changing.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is append-only', TG_TABLE_NAME USING ERRCODE = '42501';
END $$;
DO $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['entry', 'ingest_key', 'tile', 'checkpoint', 'term', 'outcome', 'outbox', 'outbox_published',
                                'text_key_erased', 'sealed_text'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.%I FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', part);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', part);
        EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO ledger_writer', part);
    END LOOP;
    CREATE TRIGGER no_update BEFORE UPDATE ON ledger.text_key FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger.text_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
    GRANT SELECT, INSERT ON ledger.text_key TO ledger_writer;
    REVOKE INSERT ON ledger.text_key_erased FROM ledger_writer;
END $$;

-- The one way in which a key goes: named, with a reason, and remembered.
CREATE FUNCTION ledger.erase_texts_of(erased_tenant text, why text) RETURNS integer
    SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
DECLARE
    gone integer;
BEGIN
    IF length(why) = 0 THEN
        RAISE EXCEPTION 'an erasure needs a reason' USING ERRCODE = '22023';
    END IF;
    INSERT INTO ledger.text_key_erased (key_id, tenant, reason, erased_by)
        SELECT key_id, tenant, why, session_user FROM ledger.text_key WHERE tenant = erased_tenant;
    DELETE FROM ledger.text_key WHERE tenant = erased_tenant;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE ALL ON FUNCTION ledger.erase_texts_of(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erase_texts_of(text, text) TO ledger_eraser;

-- What an auditor reads. Views run with the owner's rights; the tables behind them stay closed.
CREATE VIEW ledger.v_entry AS
    SELECT seq, kind, event_id, event_type, task_id, tenant, actor, safety_class, occurred_at, recorded_at,
           ledger.json_of(canonical) AS entry, canonical, leaf_hash
    FROM ledger.entry;
CREATE VIEW ledger.v_outcome AS SELECT task_id, seq, status, decision FROM ledger.outcome;
CREATE VIEW ledger.v_checkpoint AS SELECT size, note, leaves FROM ledger.checkpoint;
CREATE VIEW ledger.v_tile AS SELECT level, n, hashes FROM ledger.tile;
CREATE VIEW ledger.v_ingest_key AS SELECT stream, stream_seq, seq, disposition, event_id FROM ledger.ingest_key;
CREATE VIEW ledger.v_sealed_text AS
    SELECT commitment, tenant, key_id, EXISTS (SELECT 1 FROM ledger.text_key k WHERE k.key_id = t.key_id) AS readable
    FROM ledger.sealed_text t;
CREATE VIEW ledger.v_erasure AS SELECT key_id, tenant, reason, erased_by, erased_at FROM ledger.text_key_erased;
CREATE VIEW ledger.v_outbox AS
    SELECT kind, ref, p.stream_seq, p.published_at FROM ledger.outbox LEFT JOIN ledger.outbox_published p USING (kind, ref);
-- Positions that are missing between two that were read. Other subjects of the stream leave such gaps too; `verify` lists them.
CREATE VIEW ledger.v_gap AS
    SELECT stream, stream_seq + 1 AS first_missing, next_seq - 1 AS last_missing
    FROM (SELECT stream, stream_seq, lead(stream_seq) OVER (PARTITION BY stream ORDER BY stream_seq) AS next_seq FROM ledger.ingest_key) k
    WHERE next_seq - stream_seq > 1;

GRANT USAGE ON SCHEMA ledger TO ledger_writer, ledger_auditor, ledger_eraser;
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT table_name FROM information_schema.views WHERE table_schema = 'ledger' LOOP
        EXECUTE format('GRANT SELECT ON ledger.%I TO ledger_auditor', part);
    END LOOP;
END $$;
RESET ROLE;
