"""What a superuser can do beside the log: to the query copy, the books, the texts' keys, people's deeds, and the schema."""

from tests.integration.evidence_ledger.attack_scene import Scene, any_change, edited, tampering

# The copy that is searched


@tampering("a column lies, and the schema is put back as it was")
def _(scene: Scene) -> int:
    seq = scene.seq()
    column, value = scene.dice.choice(
        [
            ("kind", "'act'::text || (said).kind"),
            ("event_id", "'none'"),
            ("event_type", "'other'"),
            ("task_id", "'acme_other'"),
            ("tenant", "'nobody'"),
            ("actor", "'nobody'"),
            ("safety_class", "'Z'"),
            ("digests", "ARRAY['sha256:00']"),
            ("digests", "ARRAY[NULL, NULL]::text[]"),
            ("digests", "ARRAY['']"),
            ("digests", "CASE WHEN (said).digests IS NULL THEN '{}' END"),
            ("safety_class", "CASE WHEN (said).safety_class IS NULL THEN E'\\x01' END"),
            ("digests", "ARRAY[array_to_string((said).digests, ',') || ',']"),
            ("occurred_at", "'infinity'"),
            ("occurred_at", "(said).recorded_at + interval '1 microsecond'"),
            ("recorded_at", "'2020-01-01Z'"),
        ]
    )
    scene.lie(seq, column, value)
    return seq


@tampering("the generated column is an ordinary one")
def _(scene: Scene) -> None:
    scene.do("ALTER TABLE ledger.entry ALTER COLUMN said DROP EXPRESSION")


@tampering("the function behind the column lies")
def _(scene: Scene) -> None:
    tenant = f"CASE WHEN data ->> 'tenant' = 'acme' THEN '{scene.dice.randrange(10**6)}' ELSE data ->> 'tenant' END"
    scene.replace("FUNCTION", "said_in(bytea)", "data ->> 'tenant'", tenant)


@tampering("the function that shows entries lies")
def _(scene: Scene) -> None:
    body = f"SELECT jsonb_build_object('lie', {scene.dice.randrange(10**6)})"
    attributes = "IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql"
    scene.do(f"CREATE OR REPLACE FUNCTION ledger.json_of(canonical bytea) RETURNS jsonb {attributes} AS $$ {body} $$")


@tampering("an entry is edited behind a view that shows it as it was")
def _(scene: Scene) -> None:
    seq = scene.seq()
    scene.do("CREATE TABLE public.as_it_was AS SELECT seq, canonical FROM ledger.entry")
    scene.do("GRANT SELECT ON public.as_it_was TO ledger_owner")
    scene.write(seq, edited(scene, seq))
    shown = "(SELECT w.canonical FROM public.as_it_was w WHERE w.seq = entry.seq)"
    scene.replace("VIEW", "v_entry", "canonical\n", f"{shown} AS canonical\n")


@tampering("the view of the schema itself lies, and a function changes behind it")
def _(scene: Scene) -> None:
    scene.do("CREATE TABLE public.schema_as_it_was AS SELECT * FROM ledger.v_schema")
    scene.do("GRANT SELECT ON public.schema_as_it_was TO ledger_owner")
    scene.do("CREATE OR REPLACE VIEW ledger.v_schema AS SELECT part, definition FROM public.schema_as_it_was")
    scene.do("ALTER TABLE ledger.entry DISABLE TRIGGER append_only")


# Books


any_change(
    "an outcome is edited",
    "outcome",
    "task_id = 'acme_x'",
    "seq = seq + 1000",
    "status = status || 'x'",
    "decision = gen_random_uuid()::text",
    "DELETE",
)
any_change(
    "an outbox row is gone or elsewhere",
    "outbox",
    "DELETE",
    "ref = ref + 5000",
    "kind = CASE kind WHEN 'release' THEN 'checkpoint' ELSE 'release' END",
)
any_change(
    "a stream position is edited",
    "ingest_key",
    "stream_seq = stream_seq + 5000",
    "seq = seq + 1",
    "event_id = gen_random_uuid()",
    "DELETE",
    condition="disposition = 'recorded'",
)
any_change(
    "a stream position is that of no entry", "ingest_key", "seq = seq + 5000", condition="disposition <> 'duplicate'"
)
any_change("a stream is another one", "stream", "name = name || 'X'", "created = '2020-01-01T00:00:00Z'")
any_change("a text is gone", "sealed_text", "DELETE", "commitment = 'hmac-sha256:' || md5(commitment)")
any_change("a text is under a key that is none", "sealed_text", "key_id = gen_random_uuid()")
any_change("the key of texts is gone", "text_key", "DELETE", "key_id = gen_random_uuid()")
any_change(
    "an erasure is edited",
    "text_key_erased",
    "DELETE",
    "tenant = 'acme'",
    "reason = 'another'",
    "erased_by = 'nobody'",
    "key_id = gen_random_uuid()",
)
any_change(
    "an act is edited",
    "act",
    "DELETE",
    "type = 'ledger.held.v1'",
    """said = said || '{"actor": "nobody"}'""",
    """said = said || '{"more": 1}'""",
    "done_at = done_at - interval '1 day'",
    "act_id = gen_random_uuid()",
    condition="type <> 'ledger.held.v1'",
)
any_change(
    "an act is said to stand elsewhere in the log",
    "act_recorded",
    "DELETE",
    "seq = seq + 1000",
    "act_id = gen_random_uuid()",
)
any_change("a legal hold is edited", "hold", "DELETE", "tenant = 'initech'", "reason = 'none'", "placed_by = 'nobody'")
any_change("a lifted hold is edited", "hold_lifted", "DELETE", "reason = 'none'", "lifted_by = 'nobody'")


@tampering("a legal hold is lifted by nobody")
def _(scene: Scene) -> None:
    query = (
        "INSERT INTO ledger.hold_lifted SELECT hold_id, 'x', 'ledger_holder' FROM ledger.hold WHERE tenant = 'globex'"
    )
    assert scene.do(query) == 1


@tampering("an erasure is noted that nobody did")
def _(scene: Scene) -> None:
    key = "SELECT key_id, tenant, 'why not', 'ledger_eraser' FROM ledger.text_key"
    scene.do(f"INSERT INTO ledger.text_key_erased {key} WHERE tenant = 'acme'")
    scene.do("DELETE FROM ledger.text_key WHERE tenant = 'acme'")


@tampering("an act is added that the log alone can do")
def _(scene: Scene) -> None:
    kind = scene.dice.choice(["ledger.rotated.v1", "ledger.restored.v1", "ledger.queried.v1", "ledger.verified.v1"])
    scene.do("INSERT INTO ledger.act (type, said) VALUES (%s, '{}')", kind)


@tampering("an outcome is added")
def _(scene: Scene) -> None:
    taken = {row[0] for row in scene.all("SELECT seq FROM ledger.outcome")}
    seq = scene.dice.choice([seq for seq in range(scene.attacked.size) if seq not in taken])
    scene.do("INSERT INTO ledger.outcome (task_id, seq, status) VALUES ('acme_y', %s, 'answered')", seq)


@tampering("something is put into the outbox")
def _(scene: Scene) -> None:
    releases = {row[0] for row in scene.all("SELECT ref FROM ledger.outbox WHERE kind = 'release'")}
    ref = scene.dice.choice([seq for seq in range(scene.attacked.size) if seq not in releases])
    scene.do("INSERT INTO ledger.outbox VALUES ('release', %s)", ref)


@tampering("two releases are said to have gone out at one place")
def _(scene: Scene) -> None:
    two = "(SELECT ref FROM ledger.outbox_published WHERE kind = 'release' LIMIT 2)"
    place = "UPDATE ledger.outbox_published SET stream_seq = 100007"
    assert scene.do(f"{place} WHERE kind = 'release' AND ref IN {two}") == 2


# The schema


def any_of(name: str, *commands: str) -> None:
    """Name a tampering with the schema, by any of the commands."""

    def attack(scene: Scene) -> None:
        scene.do("SET LOCAL session_replication_role = replica")
        scene.do(scene.dice.choice(commands))

    tampering(name)(attack)


any_of(
    "a trigger is switched off",
    "ALTER TABLE ledger.entry DISABLE TRIGGER append_only",
    "ALTER TABLE ledger.entry_000000 DISABLE TRIGGER append_only",
    "ALTER TABLE ledger.entry_000000 DISABLE TRIGGER never_emptied",
    "ALTER TABLE ledger.outcome DISABLE TRIGGER ALL",
    "ALTER TABLE ledger.text_key ENABLE REPLICA TRIGGER no_update",
)
any_of(
    "a trigger is dropped",
    "DROP TRIGGER append_only ON ledger.entry",
    "DROP TRIGGER never_emptied ON ledger.entry_000000",
    "DROP TRIGGER append_only ON ledger.checkpoint",
    "DROP TRIGGER never_emptied ON ledger.hold",
)
any_of(
    "the watch over the schema ends", "DROP EVENT TRIGGER ledger_altered", "ALTER EVENT TRIGGER ledger_dropped DISABLE"
)
any_of(
    "rights are granted",
    "GRANT DELETE ON ledger.entry TO ledger_writer",
    "GRANT UPDATE ON ledger.entry_000000 TO ledger_writer",
    "GRANT UPDATE (note) ON ledger.checkpoint TO ledger_writer",
    "GRANT SELECT ON ledger.text_key TO ledger_auditor",
    "GRANT INSERT ON ledger.act TO ledger_writer",
    "GRANT EXECUTE ON FUNCTION ledger.make_room(bigint) TO PUBLIC",
    "GRANT CREATE ON SCHEMA ledger TO ledger_writer",
    "GRANT ledger_owner TO ledger_writer",
    "ALTER ROLE ledger_auditor SUPERUSER",
    "ALTER ROLE ledger_owner LOGIN",
)
any_of(
    "something has another owner",
    "ALTER TABLE ledger.entry OWNER TO ledger_writer",
    "ALTER TABLE ledger.entry_000000 OWNER TO ledger_writer",
    "ALTER FUNCTION ledger.make_room(bigint) OWNER TO ledger_writer",
    "ALTER VIEW ledger.v_entry OWNER TO postgres",
    "ALTER SCHEMA ledger OWNER TO ledger_writer",
)
any_of(
    "a guard of a table is gone",
    "ALTER TABLE ledger.outcome DROP CONSTRAINT outcome_seq_key",
    "ALTER TABLE ledger.entry DROP CONSTRAINT entry_canonical_check",
    "ALTER TABLE ledger.act DROP CONSTRAINT act_type_check",
    "ALTER TABLE ledger.ingest_key DROP CONSTRAINT ingest_key_event_id_key",
    "CREATE RULE silent AS ON INSERT TO ledger.act DO INSTEAD NOTHING",
    "ALTER TABLE ledger.entry ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY half ON ledger.entry USING (seq % 2 = 0)",
    "ALTER TABLE ledger.term SET UNLOGGED",
    "ALTER TABLE ledger.tile ADD COLUMN note text",
    "CREATE TABLE ledger.beside (x int)",
    "CREATE TRIGGER also BEFORE INSERT ON ledger.outcome FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()",
    "ALTER VIEW ledger.v_entry SET (security_invoker = true)",
)
