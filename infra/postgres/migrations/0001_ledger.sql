-- The evidence ledger. Forward only: a migration that was applied is never edited; a later one adds to it.
--
-- ledger.entry.canonical is the record. What is searched is generated from it by the server, so the query copy cannot drift, and
-- nobody can write one apart from the other (SQLSTATE 428C9). A superuser can still lie; `verify` recomputes everything.

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
SELECT pg_temp.make_role('ledger_holder', 'LOGIN');   -- may place and lift legal holds, and nothing else

CREATE SCHEMA ledger AUTHORIZATION ledger_owner;
SET LOCAL ROLE ledger_owner;

-- IMMUTABLE wrappers: convert_from and casts to timestamptz are only STABLE in general, but these inputs are UTF-8 and UTC.
CREATE FUNCTION ledger.json_of(canonical bytea) RETURNS jsonb
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$ SELECT convert_from(canonical, 'UTF8')::pg_catalog.jsonb $$;

-- What an entry says of itself, for searching. One value, so that the server reads the JSON once per entry and not once per column.
CREATE TYPE ledger.said AS (
    kind         text,
    event_id     text,
    event_type   text,
    task_id      text,
    tenant       text,
    actor        text,
    safety_class text,
    digests      text[],       -- of the model that answered or was asked, or of the document or model that the event is about
    occurred_at  timestamptz,
    recorded_at  timestamptz
);
CREATE FUNCTION ledger.said_in(canonical bytea) RETURNS ledger.said IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS $$
    SELECT ROW(
        entry ->> 'kind',
        event ->> 'id',
        event ->> 'type',
        coalesce(data ->> 'task_id', entry ->> 'task_id'),
        data ->> 'tenant',
        coalesce(data ->> 'signer', data ->> 'actor', event ->> 'source'),
        data ->> 'safety_class',
        CASE WHEN model IS NOT NULL THEN array_remove(ARRAY[model ->> 'weights', model ->> 'tokenizer', model ->> 'engine', model #>> '{adapter,digest}'], NULL)
             WHEN data ? 'digest' THEN ARRAY[data ->> 'digest'] END,
        (event ->> 'time')::pg_catalog.timestamptz,
        (entry ->> 'recorded_at')::pg_catalog.timestamptz
    )::ledger.said
    FROM (SELECT entry, event, data, coalesce(data -> 'model', data #> '{settlement,model}') AS model FROM
             (SELECT entry, event, event -> 'data' AS data FROM
                 (SELECT entry, entry -> 'event' AS event FROM
                     (SELECT convert_from(canonical, 'UTF8')::pg_catalog.jsonb AS entry OFFSET 0) parsed OFFSET 0) outer_part OFFSET 0) inner_part OFFSET 0) parts
$$;

CREATE TABLE ledger.entry (
    seq       bigint PRIMARY KEY CHECK (seq >= 0),
    canonical bytea NOT NULL CHECK (length(canonical) <= 65535),  -- the limit of a tlog-tiles entry bundle
    said      ledger.said NOT NULL GENERATED ALWAYS AS (ledger.said_in(canonical)) STORED
) PARTITION BY RANGE (seq);
-- Not partial where most entries have the value: the planner takes no statistics from partial indexes.
CREATE INDEX entry_task ON ledger.entry (((said).task_id), seq);
CREATE INDEX entry_type ON ledger.entry (((said).event_type), seq);
CREATE INDEX entry_actor ON ledger.entry (((said).actor), seq);
CREATE INDEX entry_tenant ON ledger.entry (((said).tenant), seq);
CREATE INDEX entry_class ON ledger.entry (((said).safety_class), seq);
CREATE INDEX entry_kind ON ledger.entry (((said).kind), seq) WHERE (said).kind <> 'event';
-- One per place in the array: a GIN index has no order, so that a page of a model that answered often would read all its entries.
CREATE INDEX entry_digest_1 ON ledger.entry ((((said).digests)[1]), seq) WHERE ((said).digests)[1] IS NOT NULL;
CREATE INDEX entry_digest_2 ON ledger.entry ((((said).digests)[2]), seq) WHERE ((said).digests)[2] IS NOT NULL;
CREATE INDEX entry_digest_3 ON ledger.entry ((((said).digests)[3]), seq) WHERE ((said).digests)[3] IS NOT NULL;
CREATE INDEX entry_digest_4 ON ledger.entry ((((said).digests)[4]), seq) WHERE ((said).digests)[4] IS NOT NULL;
CREATE INDEX entry_recorded_at ON ledger.entry (((said).recorded_at));

-- A stream is its name and when it was made: one that is made anew counts from 1 again.
CREATE TABLE ledger.stream (
    stream_id smallint PRIMARY KEY,
    name      text NOT NULL,
    created   text NOT NULL,
    UNIQUE (name, created)
);
-- Every position of every stream that was read, once.
CREATE TABLE ledger.ingest_key (
    stream_id   smallint NOT NULL,
    stream_seq  bigint NOT NULL,
    seq         bigint NOT NULL,
    disposition text NOT NULL CHECK (disposition IN ('recorded', 'rejected', 'conflict', 'duplicate', 'advisory')),
    event_id    uuid UNIQUE,
    PRIMARY KEY (stream_id, stream_seq),
    CHECK ((disposition = 'recorded') = (event_id IS NOT NULL))
);

-- Full tiles only (256 hashes, c2sp.org/tlog-tiles); the open right edge follows from the newest leaves.
CREATE TABLE ledger.tile (
    level  smallint NOT NULL,
    n      bigint NOT NULL,
    hashes bytea NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, n)
);

-- One per batch, signed by the log alone. `leaves` are the hashes that it added, so that `verify` can name the one entry that was altered.
CREATE TABLE ledger.checkpoint (
    size   bigint PRIMARY KEY CHECK (size > 0),
    note   text NOT NULL,
    leaves bytea NOT NULL CHECK (length(leaves) > 0 AND length(leaves) % 32 = 0)
);
-- Those that were shown to the witnesses, with all signatures. Before `open_from` no entry concerns a task that is still open.
CREATE TABLE ledger.published_checkpoint (
    size         bigint PRIMARY KEY REFERENCES ledger.checkpoint (size),
    note         text NOT NULL,
    open_from    bigint NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- RFC 3161 time stamps of checkpoints: a DER TimeStampResp over the note's text.
CREATE TABLE ledger.time_stamp (
    size  bigint PRIMARY KEY REFERENCES ledger.checkpoint (size),
    reply bytea NOT NULL
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
CREATE INDEX outcome_status ON ledger.outcome (status, seq) WHERE status <> 'answered';

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

-- Texts, encrypted once per commitment, each task's under a key derived from its tenant's. The only rows that may ever go are keys:
-- without its key a text is noise, and every proof holds.
CREATE TABLE ledger.text_key (
    key_id  uuid PRIMARY KEY,
    tenant  text NOT NULL,
    wrapped bytea NOT NULL CHECK (length(wrapped) = 60),  -- AES-256-GCM: nonce, key, tag
    made_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE ledger.text_key ALTER COLUMN wrapped SET STATISTICS 0;  -- the planner's samples would outlive an erasure
CREATE TABLE ledger.text_key_erased (
    key_id    uuid PRIMARY KEY,
    tenant    text NOT NULL,
    reason    text NOT NULL,
    erased_by text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger.sealed_text (
    commitment text PRIMARY KEY,
    tenant     text NOT NULL,
    task_id    text NOT NULL,
    key_id     uuid NOT NULL,
    nonce      bytea NOT NULL CHECK (length(nonce) = 12),
    ciphertext bytea NOT NULL CHECK (length(ciphertext) >= 16)
);
-- A hold on a tenant's texts lasts until it is lifted. Times here are of the deed, not of when its transaction began: a hold that waited
-- for an erasure came after it.
CREATE TABLE ledger.hold (
    hold_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant    text NOT NULL,
    reason    text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger.hold_lifted (
    hold_id   uuid PRIMARY KEY REFERENCES ledger.hold,
    reason    text NOT NULL,
    lifted_by text NOT NULL,
    lifted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What people did in this database, on its way into the log: written in the transaction of the deed, appended by the sequencer.
CREATE TABLE ledger.act (
    act_id  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    type    text NOT NULL CHECK (type ~ '^ledger\.[a-z]+\.v1$'),
    said    jsonb NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger.act_recorded (
    act_id uuid PRIMARY KEY,
    seq    bigint NOT NULL UNIQUE
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
    FOREACH part IN ARRAY ARRAY['entry', 'stream', 'ingest_key', 'tile', 'checkpoint', 'published_checkpoint', 'time_stamp', 'term', 'outcome',
                                'outbox', 'outbox_published', 'text_key_erased', 'sealed_text', 'hold', 'hold_lifted', 'act', 'act_recorded'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.%I FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', part);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', part);
        EXECUTE format('GRANT SELECT, INSERT ON ledger.%I TO ledger_writer', part);
    END LOOP;
    CREATE TRIGGER no_update BEFORE UPDATE ON ledger.text_key FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger.text_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
    GRANT SELECT, INSERT ON ledger.text_key TO ledger_writer;
    REVOKE INSERT ON ledger.text_key_erased, ledger.hold, ledger.hold_lifted, ledger.act FROM ledger_writer;
END $$;

-- Makes the partitions that hold the entries up to `last`, each of 2^22; the sequencer calls it before it needs one.
CREATE FUNCTION ledger.make_room(last bigint) RETURNS integer
    SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
DECLARE
    width CONSTANT bigint := 4194304;
    made integer := 0;
    part text;
BEGIN
    IF last NOT BETWEEN 0 AND (SELECT coalesce(max(seq), 0) FROM ledger.entry) + width THEN
        RAISE EXCEPTION 'room is made for the next % entries at most', width USING ERRCODE = '22023';
    END IF;
    FOR n IN 0 .. last / width LOOP
        part := 'entry_' || lpad(n::text, 6, '0');
        CONTINUE WHEN to_regclass('ledger.' || part) IS NOT NULL;
        -- Made apart and attached: nobody who reads entries now is waited for, and nobody waits behind them.
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.entry INCLUDING ALL, CHECK (seq >= %s AND seq < %s))', part, n * width, (n + 1) * width);
        EXECUTE format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.%I FOR VALUES FROM (%s) TO (%s)', part, n * width, (n + 1) * width);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', part);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ledger.make_room(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.make_room(bigint) TO ledger_writer;
SELECT ledger.make_room(0);

-- The one way in which a key goes: named, with a reason, remembered, and not while somebody holds the tenant's texts.
CREATE FUNCTION ledger.erase_texts_of(erased_tenant text, why text, for_whom text DEFAULT NULL) RETURNS integer
    SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
DECLARE
    gone uuid[];
    held text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN  -- an older snapshot does not show the hold that was waited for
        RAISE EXCEPTION 'texts are erased in a transaction that is read committed' USING ERRCODE = '25001';
    END IF;
    PERFORM ledger.need_reason(why, for_whom);
    PERFORM ledger.need_tenant(erased_tenant);
    LOCK TABLE ledger.hold IN SHARE MODE;  -- a hold that is being placed comes before or after, not beside
    SELECT string_agg(h.hold_id::text, ', ' ORDER BY h.placed_at) INTO held FROM ledger.hold h
        WHERE h.tenant = erased_tenant AND NOT EXISTS (SELECT 1 FROM ledger.hold_lifted l WHERE l.hold_id = h.hold_id);
    IF held IS NOT NULL THEN
        RAISE EXCEPTION 'the texts of % are under a legal hold', erased_tenant USING ERRCODE = '55006', DETAIL = held, HINT = 'lift the hold first';
    END IF;
    -- One statement: between two, a tenant's first key may be stored.
    WITH erased AS (DELETE FROM ledger.text_key WHERE tenant = erased_tenant RETURNING key_id),
         noted AS (INSERT INTO ledger.text_key_erased (key_id, tenant, reason, erased_by) SELECT key_id, erased_tenant, why, session_user FROM erased)
        SELECT array_agg(key_id) INTO gone FROM erased;
    IF gone IS NOT NULL THEN
        INSERT INTO ledger.act (type, said) VALUES ('ledger.erased.v1',
            jsonb_strip_nulls(jsonb_build_object('tenant', erased_tenant, 'reason', why, 'actor', session_user, 'on_behalf_of', for_whom, 'keys', to_jsonb(gone))));
    END IF;
    RETURN coalesce(cardinality(gone), 0);
END $$;
CREATE FUNCTION ledger.place_hold(held_tenant text, why text, for_whom text DEFAULT NULL) RETURNS uuid
    SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
DECLARE
    made uuid;
BEGIN
    PERFORM ledger.need_reason(why, for_whom);
    PERFORM ledger.need_tenant(held_tenant);
    INSERT INTO ledger.hold (tenant, reason, placed_by) VALUES (held_tenant, why, session_user) RETURNING hold_id INTO made;
    INSERT INTO ledger.act (type, said) VALUES ('ledger.held.v1',
        jsonb_strip_nulls(jsonb_build_object('tenant', held_tenant, 'reason', why, 'actor', session_user, 'on_behalf_of', for_whom, 'hold', made)));
    RETURN made;
END $$;
CREATE FUNCTION ledger.lift_hold(held uuid, why text, for_whom text DEFAULT NULL) RETURNS void
    SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.need_reason(why, for_whom);
    INSERT INTO ledger.hold_lifted (hold_id, reason, lifted_by) VALUES (held, why, session_user);
    INSERT INTO ledger.act (type, said) SELECT 'ledger.unheld.v1',
        jsonb_strip_nulls(jsonb_build_object('tenant', tenant, 'reason', why, 'actor', session_user, 'on_behalf_of', for_whom, 'hold', hold_id))
        FROM ledger.hold WHERE hold_id = held;
END $$;
-- `for_whom` is what the person behind a role says of themselves; the act holds both names.
CREATE FUNCTION ledger.need_reason(why text, for_whom text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF why IS NULL OR length(why) NOT BETWEEN 1 AND 500 THEN
        RAISE EXCEPTION 'a reason of 1 to 500 characters is needed' USING ERRCODE = '22023';
    END IF;
    IF length(for_whom) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'a name has 1 to 200 characters' USING ERRCODE = '22023';
    END IF;
END $$;
CREATE FUNCTION ledger.need_tenant(named text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF named IS NULL OR named !~ '^[a-z0-9-]{1,32}$' THEN
        RAISE EXCEPTION 'a tenant has 1 to 32 lower-case letters, digits and hyphens' USING ERRCODE = '22023';
    END IF;
END $$;
REVOKE ALL ON FUNCTION ledger.erase_texts_of(text, text, text), ledger.place_hold(text, text, text), ledger.lift_hold(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erase_texts_of(text, text, text) TO ledger_eraser;
GRANT EXECUTE ON FUNCTION ledger.place_hold(text, text, text), ledger.lift_hold(uuid, text, text) TO ledger_holder;

-- What an auditor reads. Views run with the owner's rights; the tables behind them stay closed.
CREATE VIEW ledger.v_entry AS
    SELECT seq, (said).kind, (said).event_id, (said).event_type, (said).task_id, (said).tenant, (said).actor, (said).safety_class,
           (said).digests, (said).occurred_at, (said).recorded_at, ledger.json_of(canonical) AS entry, canonical
    FROM ledger.entry;
CREATE VIEW ledger.v_outcome AS SELECT task_id, seq, status, decision FROM ledger.outcome;
CREATE VIEW ledger.v_checkpoint AS SELECT size, note, leaves FROM ledger.checkpoint;
CREATE VIEW ledger.v_published_checkpoint AS SELECT size, note, open_from, published_at FROM ledger.published_checkpoint;
CREATE VIEW ledger.v_time_stamp AS SELECT size, reply FROM ledger.time_stamp;
CREATE VIEW ledger.v_tile AS SELECT level, n, hashes FROM ledger.tile;
CREATE VIEW ledger.v_ingest_key AS
    SELECT s.name AS stream, s.created AS stream_created, k.stream_seq, k.seq, k.disposition, k.event_id::text AS event_id
    FROM ledger.ingest_key k JOIN ledger.stream s USING (stream_id);
CREATE VIEW ledger.v_sealed_text AS
    SELECT commitment, tenant, task_id, key_id, EXISTS (SELECT 1 FROM ledger.text_key k WHERE (k.key_id, k.tenant) = (t.key_id, t.tenant)) AS readable
    FROM ledger.sealed_text t;
CREATE VIEW ledger.v_erasure AS SELECT key_id, tenant, reason, erased_by, erased_at FROM ledger.text_key_erased;
CREATE VIEW ledger.v_hold AS
    SELECT h.hold_id, h.tenant, h.reason, h.placed_by, h.placed_at, l.reason AS lifted_because, l.lifted_by, l.lifted_at,
           (SELECT a.said ->> 'on_behalf_of' FROM ledger.act a WHERE a.type = 'ledger.held.v1' AND a.said ->> 'hold' = h.hold_id::text) AS placed_for,
           (SELECT a.said ->> 'on_behalf_of' FROM ledger.act a WHERE a.type = 'ledger.unheld.v1' AND a.said ->> 'hold' = h.hold_id::text) AS lifted_for
    FROM ledger.hold h LEFT JOIN ledger.hold_lifted l USING (hold_id);
CREATE VIEW ledger.v_act AS SELECT act_id, type, said, done_at, r.seq FROM ledger.act LEFT JOIN ledger.act_recorded r USING (act_id);
CREATE VIEW ledger.v_outbox AS
    SELECT kind, ref, p.stream_seq, p.published_at FROM ledger.outbox LEFT JOIN ledger.outbox_published p USING (kind, ref);
CREATE VIEW ledger.v_outbox_orphan AS
    SELECT kind, ref FROM ledger.outbox_published p WHERE NOT EXISTS (SELECT 1 FROM ledger.outbox o WHERE (o.kind, o.ref) = (p.kind, p.ref));
CREATE VIEW ledger.v_term AS SELECT term, holder, taken_at FROM ledger.term;
-- Positions that are missing between two that were read. Other subjects of the stream leave such gaps too; `verify` lists them.
CREATE VIEW ledger.v_gap AS
    SELECT s.name AS stream, s.created AS stream_created, stream_seq + 1 AS first_missing, next_seq - 1 AS last_missing
    FROM (SELECT stream_id, stream_seq, lead(stream_seq) OVER (PARTITION BY stream_id ORDER BY stream_seq) AS next_seq FROM ledger.ingest_key) k
    JOIN ledger.stream s USING (stream_id)
    WHERE next_seq - stream_seq > 1;
-- What the schema is made of, one line a part: what a deep verification compares with what the release delivers.
CREATE VIEW ledger.v_schema AS
    SELECT 'column ' || c.relname || '.' || a.attname AS part, format_type(a.atttypid, a.atttypmod) || coalesce(' ' || a.attgenerated::text || pg_get_expr(d.adbin, d.adrelid), '') AS definition
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'trigger ' || t.tgrelid::regclass || ' ' || t.tgname, t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure, md5(pg_get_functiondef(p.oid)) FROM pg_proc p WHERE p.pronamespace = 'ledger'::regnamespace
    UNION ALL
    SELECT 'view ' || c.relname, md5(pg_get_viewdef(c.oid)) FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'v' AND c.relname <> 'v_schema'
    UNION ALL
    SELECT 'rights ' || c.relname, coalesce(c.relacl::text, '') FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
    UNION ALL
    SELECT 'event trigger ' || evtname, evtenabled::text || ' ' || evtevent || ' ' || evtfoid::regprocedure FROM pg_event_trigger WHERE evtname LIKE 'ledger\_%';

GRANT USAGE ON SCHEMA ledger TO ledger_writer, ledger_auditor, ledger_eraser, ledger_holder;
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT table_name FROM information_schema.views WHERE table_schema = 'ledger' LOOP
        EXECUTE format('GRANT SELECT ON ledger.%I TO ledger_auditor', part);
    END LOOP;
END $$;
GRANT SELECT ON ledger.v_hold TO ledger_holder;

-- Whoever changes the schema, the change becomes an entry.
CREATE FUNCTION ledger.note_alteration() RETURNS event_trigger SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS $$
DECLARE
    touched jsonb;
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        SELECT jsonb_agg(DISTINCT object_identity) INTO touched FROM pg_event_trigger_dropped_objects() WHERE schema_name = 'ledger' AND original;
    ELSE
        -- Of rights, the server does not tell whose objects they are about.
        SELECT jsonb_agg(DISTINCT coalesce(object_identity, lower(object_type))) INTO touched FROM pg_event_trigger_ddl_commands()
            WHERE schema_name = 'ledger' OR (object_type = 'schema' AND object_identity = 'ledger') OR command_tag IN ('GRANT', 'REVOKE');
    END IF;
    IF touched IS NOT NULL THEN
        INSERT INTO ledger.act (type, said) VALUES ('ledger.altered.v1', jsonb_build_object('actor', session_user, 'command', TG_TAG, 'objects', touched));
    END IF;
END $$;
REVOKE ALL ON FUNCTION ledger.note_alteration() FROM PUBLIC;
RESET ROLE;

DO $$
BEGIN
    CREATE EVENT TRIGGER ledger_altered ON ddl_command_end EXECUTE FUNCTION ledger.note_alteration();
    CREATE EVENT TRIGGER ledger_dropped ON sql_drop EXECUTE FUNCTION ledger.note_alteration();
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'only a superuser may create event triggers: changes of the schema will be found by verify alone';
END $$;
