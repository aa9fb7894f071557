"""Standard error in every state that a process can find it in: lines are written, or counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from testing.servers import ROOT

#: Sets telemetry up as a server does, runs the part of a test, and prints what was dropped.
PROGRAM = """
import json, logging, os, resource, signal, sys, threading, time
import django
from django.conf import settings
{before}
from telemetry.logs import pipeline
pipeline.configure_server()
settings.configure(INSTALLED_APPS=["telemetry"], LOGGING_CONFIG=None)
django.setup()
import telemetry
from telemetry.metrics import exposition
log = telemetry.get_logger("test")
{body}
for line in exposition.scrape().body.decode().splitlines():
    if line.startswith("telemetry_log_lines_dropped_total") and not line.endswith(" 0.0"):
        print(line, flush=True)
"""
#: As Linux before 6.4 answers for pipes, which have the flag since. In a namespace of its own: this
#: module's objects shall be destroyed at the end.
OLDER_KERNEL = """
exec('''
def refuses(*_):
    raise OSError(95, "Operation not supported")
os.pwritev = refuses
''', {"os": os})
"""
#: A pipe of another user, or no /proc.
NO_REOPENING = """
exec('''
opened = os.open
def refuses_to_open(path, *given, **named):
    if str(path).startswith("/proc/self/fd"):
        raise PermissionError(13, path)
    return opened(path, *given, **named)
os.open = refuses_to_open
''', {"os": os})
"""
WAYS = {
    "nowait": "",
    "older kernel": OLDER_KERNEL,
    "older kernel, no reopening": OLDER_KERNEL + NO_REOPENING,
}


def start(body: str, stderr: Any, before: str = "", **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body, before=before)],
        cwd=ROOT,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none", "LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        **options,
    )


def dropped(output: str) -> dict[str, float]:
    found = re.findall(r'dropped_total\{reason="(\w+)"\} (\S+)', output)
    return {reason: float(lines) for reason, lines in found}


def messages(text: str) -> list[str]:
    return [json.loads(line)["message"] for line in text.splitlines() if line]


THOUSAND = "for number in range(1000): log.info('line', number=number, text='x' * 400)"


@pytest.mark.parametrize("way", WAYS)
def test_a_pipe_without_a_reader_costs_nothing_but_the_lines(way: str) -> None:
    read, write = os.pipe()
    os.close(read)

    ran = start(THOUSAND, write, WAYS[way])
    os.close(write)
    output, _ = ran.communicate(timeout=30)

    assert ran.returncode == 0
    assert dropped(output) == {"closed": 1000}


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_pauses_gets_what_was_queued_when_it_goes_on(way: str) -> None:
    read, write = os.pipe()
    body = "for number in range(16000): log.info('line', text='x' * 400)"
    body += "\nprint('paused', flush=True)\nsys.stdin.readline()\ntime.sleep(1)"

    ran = start(body, write, WAYS[way], stdin=subprocess.PIPE)
    os.close(write)
    assert ran.stdout
    assert ran.stdin
    assert ran.stdout.readline() == "paused\n"
    ran.stdin.write("go on\n")
    ran.stdin.flush()
    with os.fdopen(read) as reader:
        received = messages(reader.read())
    output, _ = ran.communicate(timeout=30)

    lost = dropped(output)["queue_full"]
    assert 1000 < lost < 12_000
    assert received.count("line") + lost == 16_000
    assert received[-1].startswith("log lines were dropped")


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_that_was_made_non_blocking_loses_nothing_that_its_reader_takes(way: str) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)

    ran = start(THOUSAND, write, WAYS[way])
    os.close(write)
    with os.fdopen(read) as reader:
        received = messages(reader.read())
    output, _ = ran.communicate(timeout=30)

    assert received == ["line"] * 1000
    assert dropped(output) == {}


def test_the_flags_of_a_shared_description_stay_as_they_are() -> None:
    read, write = os.pipe()
    body = "log.info('line')\nprint(os.get_blocking(2), flush=True)"

    for before in WAYS.values():
        output, _ = start(body, write, before).communicate(timeout=30)
        assert output == "True\n"

    assert os.get_blocking(write)
    assert messages(os.read(read, 65536).decode()) == ["line"] * len(WAYS)


def test_a_command_does_not_lose_lines_to_a_slow_reader() -> None:
    read, write = os.pipe()
    body = "pipeline.standard_error.patience = 1.0\n"  # as where no server was set up
    body += "for number in range(3000): log.info('line', text='x' * 1000)"

    ran = start(body, write)
    os.close(write)
    pieces = []
    while piece := os.read(read, 16384):
        pieces.append(piece)
        time.sleep(0.003)
    output, _ = ran.communicate(timeout=30)

    assert len(messages(b"".join(pieces).decode())) == 3000
    assert dropped(output) == {}


def test_a_standard_error_that_was_closed_before_the_start(tmp_path: Path) -> None:
    ran = start("log.error('nobody reads this')", None, preexec_fn=lambda: os.close(2))
    output, _ = ran.communicate(timeout=30)

    assert ran.returncode == 0
    assert dropped(output) == {"closed": 1}


def test_a_standard_error_that_is_closed_later_is_not_written_to_what_has_its_number(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    body = f"log.error('read')\nos.close(2)\nlog.error('lost')\nother = open({str(other)!r}, 'w')"
    body += "\nassert other.fileno() == 2\nlog.error('lost as well')\nlogging.error('and this')"

    ran = start(body, subprocess.PIPE)
    output, errors = ran.communicate(timeout=30)

    assert ran.returncode == 0
    assert messages(errors) == ["read"]
    assert dropped(output) == {"closed": 3}
    assert other.read_text() == ""


def test_a_full_disk_is_counted() -> None:
    with Path("/dev/full").open("wb") as full:
        ran = start("log.info('one')\nlogging.error('two')", full)
    output, _ = ran.communicate(timeout=30)

    assert ran.returncode == 0
    assert dropped(output) == {"write_failed": 2}


def test_a_line_cut_by_a_full_disk_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    written = tmp_path / "log"
    # A file that may not grow further takes a part of a line, as a full disk does.
    body = """
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(10): log.info("line", number=number, text="x" * 250)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for number in range(3): log.info("again", number=number)
time.sleep(0.5)
"""
    with written.open("ab") as file:
        ran = start(body, file)
    output, _ = ran.communicate(timeout=30)

    assert ran.returncode == 0
    lines = written.read_text().split("\n")
    (broken,) = (line for line in lines if line and not line.endswith("}"))
    lines.remove(broken)
    found = messages("\n".join(lines))
    lost = dropped(output)["write_failed"]
    assert found.count("line") + lost == 10
    assert found.count("again") == 3
    assert any(message.startswith("log lines were dropped") for message in found)


def test_a_process_that_is_killed_loses_no_line_while_somebody_reads() -> None:
    body = "for number in range(200): log.error('line')\nos.kill(os.getpid(), signal.SIGKILL)"

    ran = start(body, subprocess.PIPE)
    _, errors = ran.communicate(timeout=30)

    assert ran.returncode == -signal.SIGKILL
    assert messages(errors) == ["line"] * 200


#: A timer interrupts the program wherever it is, and its handler logs.
HANDLER = """
rounds = []
def handle(*_):
    rounds.append(1)
    log.warning("from the handler", text="y" * 6000)
    logging.getLogger("test").error("by logging")
    print("printed", file=sys.stderr)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
for number in range(3000):
    log.info("line", text="x" * (number % 60) * 20)
signal.setitimer(signal.ITIMER_REAL, 0)
time.sleep(0.5)
log.info("end", rounds=len(rounds))
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_handler_that_logs_neither_hangs_nor_mixes(way: str) -> None:
    ran = start(HANDLER, subprocess.PIPE, WAYS[way])
    output, errors = ran.communicate(timeout=60)

    found = messages(errors)
    rounds = json.loads(errors.splitlines()[-1])["rounds"]
    assert rounds > 5
    assert dropped(output) == {}
    assert found.count("line") == 3000
    # A handler may interrupt a print between its text and the end of its line.
    assert sum(message.count("printed") for message in found) == rounds
    for message in "from the handler", "by logging":
        assert found.count(message) == rounds


def test_a_signal_handler_that_logs_while_nobody_reads() -> None:
    read, write = os.pipe()
    ran = start(HANDLER.replace("* 20)", "* 100)"), write)
    os.close(write)

    output, _ = ran.communicate(timeout=60)

    assert ran.returncode == 0
    assert dropped(output)["queue_full"] > 50
    os.close(read)


MUCH = """
pipeline.standard_error.patience = 1.0
class Leaves:
    def __del__(self):
        log.error("finalizer")

def child(name):
    for number in range(15):
        log.info("line", text="x" * (number * 2000))

threads = [threading.Thread(target=child, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
children = []
for number in range(6):
    if (pid := os.fork()) == 0:
        child(number)
        sys.exit()
    children.append(pid)
child("parent")
for pid in children: os.waitpid(pid, 0)
for thread in threads: thread.join()
cycle = Leaves(); cycle.self = cycle
at_the_end = Leaves()
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slowly", [False, True])
def test_lines_of_processes_and_threads_do_not_mix(way: str, slowly: bool) -> None:
    read, write = os.pipe()
    ran = start(MUCH, write, WAYS[way])
    os.close(write)
    pieces = []
    while piece := os.read(read, 65536):
        pieces.append(piece)
        time.sleep(0.01 * slowly)
    output, _ = ran.communicate(timeout=60)

    found = messages(b"".join(pieces).decode())
    assert ran.returncode == 0
    if not slowly:
        assert dropped(output) == {}
        assert found.count("line") == 10 * 15
        assert found.count("finalizer") == 2


def test_what_is_put_in_the_place_of_standard_error_gets_the_lines(tmp_path: Path) -> None:
    """As gunicorn does with a file for its errors, and when it becomes a daemon."""
    other = tmp_path / "other"
    body = f"log.info('one')\nfile = open({str(other)!r}, 'ab')\nos.dup2(file.fileno(), 2)"
    body += "\nlog.info('two')\nlogging.info('three')"

    for before in WAYS.values():
        ran = start(body, subprocess.PIPE, before)
        _, errors = ran.communicate(timeout=30)
        assert messages(errors) == ["one"]

    assert messages(other.read_text()) == ["two", "three"] * len(WAYS)


def test_a_process_without_room_for_a_thread_counts_what_it_cannot_queue() -> None:
    read, write = os.pipe()
    body = "import _thread\ndef refuses(*_): raise RuntimeError('no thread')\n"
    body += "_thread.start_new_thread = refuses\n" + THOUSAND

    ran = start(body, write)
    os.close(write)
    output, _ = ran.communicate(timeout=30)

    assert ran.returncode == 0
    assert sum(dropped(output).values()) > 500
    os.close(read)


def test_nothing_waits_for_a_reader_at_the_end() -> None:
    read, write = os.pipe()
    begun = time.monotonic()
    ran = start(THOUSAND + "\nprint('end', time.time(), flush=True)", write)
    os.close(write)

    output, _ = ran.communicate(timeout=30)

    ended = float(re.findall(r"end (\S+)", output)[0])
    assert time.time() - ended < 3
    assert time.monotonic() - begun < 25
    os.close(read)
