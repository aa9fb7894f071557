from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.db.statements import LONGEST_TEXT, OPERATIONS, OTHER, statement


@pytest.mark.parametrize(
    ("sql", "operation", "table"),
    [
        ('SELECT "a"."id" FROM "auth_user" WHERE "a"."id" = %s', "SELECT", "auth_user"),
        ('INSERT INTO "expenses_expense" ("title") VALUES (%s)', "INSERT", "expenses_expense"),
        ("UPDATE ONLY public.accounts SET x = 1", "UPDATE", "public.accounts"),
        ("DELETE FROM a", "DELETE", "a"),
        ("select 1", "SELECT", "none"),
        ("SELECT * FROM generate_series(1, 10)", "SELECT", "none"),
        ("SELECT x FROM (SELECT y FROM inner_table) AS s", "SELECT", "inner_table"),
        ("WITH q AS (SELECT 1) INSERT INTO z SELECT 2", "INSERT", "z"),
        ("WITH q AS (SELECT 1 FROM a) INSERT INTO z SELECT 2 FROM q", "INSERT", "z"),
        ("WITH q AS (SELECT f(1) FROM a), r AS (SELECT 1) UPDATE z SET x = 1", "UPDATE", "z"),
        ("WITH q AS (SELECT 1 FROM a) SELECT 2 FROM q", "SELECT", "a"),
        ("WITH q AS (INSERT INTO a (x) VALUES (1)) DELETE FROM z", "DELETE", "z"),
        ("WITH insert AS (INSERT INTO a (x) SELECT 1) UPDATE z SET y = 1", "UPDATE", "z"),
        ("WITH q AS (SELECT 1", OTHER, "none"),
        # The FROM of a function or an operator.
        ('SELECT EXTRACT(YEAR FROM "a"."date") AS "y" FROM "a" GROUP BY 1', "SELECT", "a"),
        ("SELECT TRIM(BOTH ' ' FROM name), overlay(x PLACING y FROM z) FROM a", "SELECT", "a"),
        ("SELECT trim(FROM name), trim( leading FROM x) FROM a", "SELECT", "a"),
        ("SELECT x IS NOT DISTINCT  FROM y FROM a", "SELECT", "a"),
        ("SELECT EXTRACT(EPOCH FROM current_timestamp)", "SELECT", "none"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REFRESH", "v"),
        ("/* hint */ -- comment\n SELECT 1 FROM b", "SELECT", "b"),
        ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "SELECT", "a"),
        ("CREATE TABLE IF NOT EXISTS t (id int)", "CREATE", "t"),
        ('SAVEPOINT "s140234_x1"', "SAVEPOINT", "none"),
        ("BREW coffee", OTHER, "none"),
        ("", OTHER, "none"),
    ],
)
def test_a_statement_has_a_verb_and_a_table(sql: str, operation: str, table: str) -> None:
    read = statement(sql)

    assert (read.operation, read.table) == (operation, table)


SET_CONFIG = (
    "SELECT set_config('pghistory.context_id', %s, true), "
    "set_config('pghistory.context_metadata', %s, true); "
)


@pytest.mark.parametrize(
    "prefix",
    [
        SET_CONFIG,
        "SELECT set_config('a.b', 'x;y', true);",
        "SELECT set_config('a.b', 'it''s; SELECT 1 FROM decoy', false), 1;",
        "select pg_catalog.set_config('a', current_setting('b'), true) AS \"a;b\";",
        "SET LOCAL a.b = 'x';",
        "SET LOCAL history.id='0a1b'; SET LOCAL history.context='{\"a\": 1}'; ",
        "SET statement_timeout TO 0; RESET role;\n-- why; really\n",
        "/* a; b */ SET TIME ZONE 'UTC' /* ; */;/* between; */",
        "SELECT set_config('a', $$;$$, true);;  ;",
        SET_CONFIG * 20,
        "BEGIN; SET LOCAL a = 1;",
        "begin isolation level serializable; ",
        "START TRANSACTION READ WRITE;",
    ],
)
@pytest.mark.parametrize(
    ("sql", "operation", "table"),
    [
        ('INSERT INTO "shop_order" ("id") VALUES (%s) RETURNING "id"', "INSERT", "shop_order"),
        ('UPDATE "shop_order" SET "a" = 1', "UPDATE", "shop_order"),
        ("WITH a AS (SELECT 1) DELETE FROM shop_order", "DELETE", "shop_order"),
        ("SELECT 1 FROM shop_order; SELECT 2 FROM b", "SELECT", "shop_order"),
    ],
)
def test_settings_in_front_of_a_statement_are_not_the_statement(
    prefix: str, sql: str, operation: str, table: str
) -> None:
    read = statement(prefix + sql)

    assert (read.operation, read.table) == (operation, table)
    assert read.summary == f"{operation} {table}"
    # What is counted to find repeated statements is the same with and without.
    assert read is statement(sql)


@pytest.mark.parametrize(
    ("sql", "operation", "table"),
    [
        ("SELECT set_config('a', %s, true);", "SELECT", "none"),
        ("SET LOCAL a = 1; SET LOCAL b = 2;", "SET", "none"),
        ("SET search_path TO a", "SET", "none"),
        (
            "SELECT set_config('a', b, true) FROM shop_order; SELECT 1 FROM c",
            "SELECT",
            "shop_order",
        ),
        ("SET STATEMENT max_statement_time=1 FOR SELECT 1 FROM shop_order;", "SET", "shop_order"),
        ("SETTLE debts; SELECT 1 FROM c", "OTHER", "c"),
        ("BEGIN;", "BEGIN", "none"),
        ("BEGIN UPDATE t SET x = 1; END;", "BEGIN", "t"),
        ('SELECT set_config("', "SELECT", "none"),
        (";", "OTHER", "none"),
    ],
)
def test_settings_alone_and_what_only_looks_like_them(sql: str, operation: str, table: str) -> None:
    read = statement(sql)

    assert (read.operation, read.table) == (operation, table)


def test_different_literals_in_a_setting_are_one_shape() -> None:
    texts = {f"SET LOCAL a.b = '{number}'; UPDATE t SET x = {number}" for number in range(5000)}

    assert len({id(statement(text)) for text in texts}) == 1


def test_a_lone_surrogate_is_no_part_of_a_name() -> None:
    assert statement('SELECT 1 FROM "a\ud800"').table == "a?"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 'it''s', 12.5, x FROM t1", "SELECT ?, ?, x FROM t1"),
        (r"SELECT E'a\'b', B'101'", "SELECT ?, ?"),
        ("SELECT $$secret$$, $tag$ se$cret $tag$", "SELECT ?, ?"),
        ("SELECT 'cut off", "SELECT ?"),
        ('SELECT "a 1" FROM "t"', 'SELECT "a 1" FROM "t"'),
        ("SELECT a FROM t WHERE id IN (1, 2, 3)", "SELECT a FROM t WHERE id IN (?, …)"),
        ("SELECT a FROM t WHERE id IN (%s, %s)", "SELECT a FROM t WHERE id IN (%s, …)"),
        (
            "INSERT INTO t (a, b) VALUES (%s, %s), (%s, %s)",
            "INSERT INTO t (a, b) VALUES (%s, …), …",
        ),
        ("SELECT a -- 'secret'\nFROM t /* 'secret' */", "SELECT a  FROM t"),
        ('RELEASE SAVEPOINT "s1_x7"', "RELEASE SAVEPOINT ?"),
    ],
)
def test_values_are_not_shown(sql: str, text: str) -> None:
    assert " ".join(statement(sql).text.split()) == " ".join(text.split())


@given(st.text(max_size=300))
def test_anything_is_read_and_stays_in_bounds(sql: str) -> None:
    read = statement(sql)

    assert read.operation in OPERATIONS | {OTHER}
    assert len(read.text.encode("utf-8", "replace")) <= LONGEST_TEXT


# A pattern that backtracks would take minutes.
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE id IN (" + "1, " * 500_000 + "1)",
        "SELECT '" + "'" * 1_000_001,
        "(" * 1_000_000,
        "WITH " + "a AS (SELECT 1), " * 60_000 + "SELECT 1",
        "SELECT " + "%s, " * 300_000,
        "-" * 1_000_000,
        '"' * 999_999,
        "$a$" * 300_000,
        "INSERT INTO t VALUES " + "(%s, %s), " * 100_000,
        "SELECT " + " " * 1_000_000 + "1",
        "SET a = 1;" * 100_000,
        "SELECT set_config('a', 'b', true);" * 30_000 + "SELECT 1 FROM t",
        "SELECT set_config(" * 60_000,
        "SET LOCAL a = '" + "x" * 1_000_000 + "'; SELECT 1",
        ";" * 1_000_000,
        'SET "' * 200_000,
        "SELECT " + "EXTRACT(" * 100_000,
        "SELECT TRIM(" + "a " * 500_000,
        "WITH " + "SELECT " * 100_000,
    ],
    ids=range(19),
)
def test_a_statement_of_a_million_characters_is_read_at_once(sql: str) -> None:
    read = statement(sql)

    assert len(read.text.encode()) <= LONGEST_TEXT
