"""``sys.stderr`` of a server: a text stream to libraries, and one record for each happening."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from testing.servers import ROOT

PROGRAM = """
import sys
from telemetry.logs import pipeline
pipeline.configure_server()
"""


def run(body: str) -> list[dict[str, Any]]:
    """The records that a program writes to standard error, all of which are JSON."""
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", PROGRAM + body],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_an_exception_that_ends_a_thread_is_one_record() -> None:
    (record,) = run("""
import threading
def fails():
    raise ValueError("password=hunter2")
thread = threading.Thread(target=fails, name="importer")
thread.start()
thread.join()
threading.Thread(target=sys.exit).start()
""")

    assert record["message"] == "exception in thread importer"
    assert record["level"] == "error"
    assert record["exception"]["type"] == "ValueError"
    assert record["exception"]["message"] == "password=***"
    assert record["exception"]["frames"][-1].endswith(" fails")


def test_an_exception_that_a_finalizer_raises_is_one_record() -> None:
    (record,) = run("""
class Odd:
    def __del__(self):
        raise ValueError("it broke")
    def __repr__(self):
        raise RuntimeError("no text")
odd = Odd()
del odd
""")

    assert record["message"].startswith("exception ignored in")
    assert record["exception"]["message"] == "it broke"


def test_what_an_event_loop_tells_is_one_record() -> None:
    records = run("""
import asyncio
async def fails():
    raise ValueError("it broke")
async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "odd", "detail": "password=hunter2"})
    def broken():
        raise KeyError("in a callback")
    loop.call_soon(broken)
    await asyncio.sleep(0.01)
asyncio.run(main())
""")

    assert [record["logger"] for record in records] == ["asyncio"] * 3
    told = {record["message"].split("\\n")[0]: record.get("exception") for record in records}
    assert len(told) == 3
    assert {each["type"] for each in told.values() if each} == {"ValueError", "KeyError"}
    assert "hunter2" not in str(records)


def test_an_exception_that_ends_the_process_is_one_record() -> None:
    (record,) = run("""
def fails():
    try:
        raise KeyError("first")
    except KeyError as error:
        error.add_note("noted")
        raise ExceptionGroup("many", [ValueError("one"), OSError("two")]) from error
fails()
""")

    assert record["level"] == "critical"
    told = record["exception"]
    assert [member["type"] for member in told["exceptions"]] == ["ValueError", "OSError"]
    assert told["causes"][0]["notes"] == ["noted"]


def test_a_hook_that_somebody_set_stays() -> None:
    records = run("""
import threading
threading.excepthook = lambda ended: print("mine", file=sys.stderr)
pipeline.configure_server()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
""")

    assert [record["message"] for record in records] == ["mine"]


def test_it_has_the_attributes_of_a_text_stream() -> None:
    records = run(
        """
import io
stream, real = sys.stderr, sys.__stderr__
for name in ("encoding", "errors", "newlines", "line_buffering", "write_through", "name", "mode",
             "closed"):
    assert getattr(stream, name) == getattr(real, name), name
assert isinstance(stream, io.TextIOBase)
assert stream.fileno() == 2
assert stream.isatty() is False
assert stream.writable() is True
assert (stream.readable(), stream.seekable()) == (False, False)
stream.reconfigure(line_buffering=True, errors="replace")
assert stream.errors == "replace"
assert stream.writelines(["one\\\\n", "two\\\\n"]) is None
assert stream.write("three\\\\n") == 6
assert stream.buffer.write(b"four\\\\n") == 5
assert stream.buffer.writable() and stream.buffer.fileno() == 2
wrapped = io.TextIOWrapper(stream.buffer, "utf-8", line_buffering=True)
print("five", file=wrapped)
wrapped.close()
for wrong in (b"bytes", None):
    try:
        stream.write(wrong)
    except TypeError:
        pass
    else:
        raise AssertionError(wrong)
with stream:
    pass
print("six", file=sys.stderr, flush=True)
""".replace("\\\\", "\\")
    )

    messages = [record["message"] for record in records]
    assert messages == ["one", "two", "three", "four", "five", "six"]


def test_bytes_are_written_as_a_binary_stream_takes_them() -> None:
    records = run(
        """
import array, copy, io
buffer = sys.stderr.buffer
for wrong in ("text", 5, None, [1, 2]):
    try:
        buffer.write(wrong)
    except TypeError:
        pass
    else:
        raise AssertionError(wrong)
assert buffer.write(memoryview(b"view\\n")) == 5
assert buffer.write(array.array("H", [0x6F6F, 0x0A0A])) == 4
buffer.writelines([b"one\\n", b"two\\n"])
for byte in "caf\u00e9 \u20ac\\n".encode():
    assert buffer.write(bytes((byte,))) == 1
assert copy.copy(sys.stderr).fileno() == 2
assert buffer.raw.fileno() == 2
sys.stderr = io.TextIOWrapper(sys.stderr.detach(), "latin-1", line_buffering=True)
print("detached", file=sys.stderr)
buffer.write("\u20ac".encode()[:2])
""".replace("\\\\", "\\")
    )

    messages = [record["message"] for record in records]
    assert messages == ["view", "oo", "one", "two", "café €", "detached", "\ufffd"]


def test_a_printed_traceback_of_a_group_is_one_record() -> None:
    records = run("""
import traceback
try:
    raise ExceptionGroup("many", [ValueError("one"), ExceptionGroup("inner", [OSError("two")])])
except ExceptionGroup:
    traceback.print_exc()
print("next", file=sys.stderr)
""")

    told, after = (record["message"] for record in records)
    assert "ValueError: one" in told
    assert "OSError: two" in told
    assert after == "next"


LIBRARIES = {
    "logging": (
        """
import logging
logging.basicConfig(force=True)
logging.getLogger("shop").warning("said")
""",
        ["said"],
    ),
    "warnings": ("import warnings\nwarnings.warn('said')", ["<string>:6: UserWarning: said\n"]),
    "click": (
        """
import click
click.echo("said", err=True)
click.secho("in red", err=True, fg="red")
click.echo(b"bytes", err=True)
""",
        ["said", "in red", "bytes"],
    ),
    "argparse": ("import argparse\nargparse.ArgumentParser('x').parse_args(['--y'])", None),
    "pdb": (
        """
import io, pdb
debugger = pdb.Pdb(stdin=io.StringIO("c\\n"), stdout=sys.stderr)
debugger.set_trace()
print("said", file=sys.stderr)
""",
        None,
    ),
    "progress": (
        """
for number in range(3):
    sys.stderr.write(f"\\r{number} of 3")
    sys.stderr.flush()
sys.stderr.write("\\n")
""",
        ["0 of 3\r1 of 3\r2 of 3"],
    ),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_libraries_write_there_is_records(name: str) -> None:
    body, messages = LIBRARIES[name]

    records = run(body)

    assert records
    if messages is not None:
        assert [record["message"] for record in records] == messages


def test_a_child_process_and_faulthandler_write_to_the_descriptor() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM
            + """
import faulthandler, subprocess
faulthandler.enable()
subprocess.run(["echo", "of a child"], stdout=sys.stderr, stderr=sys.stderr, check=True)
faulthandler.dump_traceback()
""",
        ],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "of a child\n" in ran.stderr
    assert "most recent call first" in ran.stderr
