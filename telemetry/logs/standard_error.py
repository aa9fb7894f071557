"""Write log lines to standard error without ever waiting for its reader.

A pipe whose reader pauses takes 64 KiB, and then blocks whoever writes. Here a line is offered to
the kernel once, by a call that does not block. What the kernel does not take waits in a bounded
queue, from which one thread writes as soon as the reader goes on; what finds no room there is
dropped and counted. In the usual case nothing is queued: the line is with the kernel when
``write`` returns, so that a process that is killed loses no line.

``O_NONBLOCK`` on descriptor 2 itself would not do: the flag belongs to the open file description,
which a parent, a shell and other processes of the same terminal share (POSIX, open()).

Lines of several processes on one pipe do not mix. Up to ``PIPE_BUF`` (4096 bytes) POSIX guarantees
that, see pipe(7). A longer line is begun when the pipe has room for all of it. A terminal takes
what it likes of a line, so that processes take turns there by flock(2).

Nothing here takes a lock that a signal handler could wait for: the one lock is reentrant, and is
never held during a system call.
"""

from __future__ import annotations

import _thread
import array
import atexit
import errno
import fcntl
import logging
import os
import select
import stat
import sys
import termios
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

logger = logging.getLogger("telemetry.logs")

#: Why a line was not written. queue_full: the reader is too slow or stands still. closed: there is
#: no reader, or no standard error. write_failed: a full disk and other errors of the system.
#: format_failed: the record could not be turned into a line. shutdown: still queued at the end of
#: the process.
DROP_REASONS = ("queue_full", "closed", "write_failed", "format_failed", "shutdown")

_DESCRIPTOR = 2
#: Bytes that may wait in each process.
QUEUE_BYTES = 4 * 1024 * 1024
#: Seconds that the end of the process waits for the queue.
_FINISH_SECONDS = 0.5
#: Seconds for which a long line waits for room for all of it, while the reader does read.
_ROOM_SECONDS = 1.0
_REPORT_SECONDS = 10.0
_PAGE = 4096
_OPEN_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Linux, fcntl.h; the name came with Python 3.10.
_F_GETPIPE_SZ = getattr(fcntl, "F_GETPIPE_SZ", 1032)
#: Absent where the system has no pwritev2(2).
_RWF_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
#: An older kernel (before Linux 6.4 for pipes and sockets) or a sandbox.
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ESPIPE}


class StandardError:
    """Descriptor 2 of this process as the destination of log lines."""

    def __init__(self) -> None:
        #: Seconds for which a writer may wait for a reader that reads nothing, before its line is
        #: dropped: a command shall not lose lines because `less` is slow, a server never waits.
        self.patience = 1.0
        #: Called with a reason and a number of lines; set by ``count_dropped_with``.
        self._count: Callable[[str, int], None] | None = None
        self._uncounted: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._reported_at = float("-inf")
        #: A descriptor of our own for the same file, -1 while there is none.
        self._reopened = -1
        self._identity = (0, 0)
        self._is_pipe = self._is_terminal = False
        self._turn_descriptor = -1
        self._forget_queue()
        self._send: Callable[[bytes], int] = self._send_nowhere
        self.open()

    def _forget_queue(self) -> None:
        self._lock = threading.RLock()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        #: The first line in the queue was written in part.
        self._begun = False
        #: Held by the thread that empties the queue.
        self._writing = threading.Lock()
        #: Held by who writes a long line, or to a terminal, until all of the line is written.
        self._turn = threading.Lock()
        #: Set when the process ends: until then what is written may wait for its reader.
        self._finish_by: float | None = None
        #: When the reader last took something (monotonic clock, seconds).
        self._progress_at = float("-inf")

    def forget_after_fork(self) -> None:
        """In a new child: what was queued is the parent's to write."""
        self._forget_queue()
        if self._turn_descriptor >= 0:
            # The parent holds the lock on as long as it has this open.
            os.close(self._turn_descriptor)
            self._turn_descriptor = -1
        self._uncounted.clear()
        self._unreported.clear()
        self.open()

    def open(self) -> None:
        """Look at what descriptor 2 is now, and choose how to write to it."""
        if self._reopened >= 0:
            os.close(self._reopened)
            self._reopened = -1
        try:
            status = os.fstat(_DESCRIPTOR)
        except OSError:
            self._send = self._send_nowhere
            return
        self._identity = status.st_dev, status.st_ino
        kind = status.st_mode
        self._is_pipe = stat.S_ISFIFO(kind)
        self._is_terminal = os.isatty(_DESCRIPTOR)
        if self._is_pipe or stat.S_ISSOCK(kind):
            self._send = self._send_without_waiting if _RWF_NOWAIT else self._without_nowait()
        elif self._is_terminal:
            self._send = self._without_nowait()
        else:
            # A file or /dev/null: nobody pauses.
            self._send = self._send_to_file

    def count_dropped_with(self, count: Callable[[str, int], None]) -> None:
        """Call ``count(reason, lines)`` for lines that are dropped, and were until now."""
        self._count = count
        with self._lock:
            uncounted, self._uncounted = self._uncounted, Counter()
        for reason, lines in uncounted.items():
            count(reason, lines)

    def write(self, line: bytes) -> None:
        """Write ``line``, which ends with a newline, after all earlier ones. Never raises OSError.

        It is queued if the reader is slow, and dropped and counted if it cannot be written.
        """
        if self._queue:
            self._enqueue(line)
            return
        if self._is_terminal or (len(line) > _PAGE and self._is_pipe):
            self._write_in_turn(line)
            return
        try:
            sent = self._send(line)
        except BlockingIOError:
            self._enqueue(line)
        except OSError as error:
            self._fail(error)
        else:
            if sent != len(line):
                self._enqueue(line[sent:], rest=True)

    def _write_in_turn(self, line: bytes) -> None:
        """Write a line that the kernel does not take as a whole by its own guarantee."""
        if not self._take_turn(alone=True):
            self._enqueue(line)
            return
        begun = False
        try:
            sent = self._send(line) if self._has_room(len(line)) else 0
            begun = 0 < sent < len(line)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        finally:
            if not begun:
                self._end_turn()
        if sent < len(line):
            self._enqueue(line[sent:], rest=begun)

    def _take_turn(self, *, alone: bool) -> bool:
        """Whether this thread may write now: one in this process, and by flock(2) one process
        ``alone`` or several whose lines are short.

        The lock needs an open file description of this process' own. It is open for this turn
        only: longer, it would keep the pipe open for a reader that waits for its end.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._turn_descriptor = os.open(f"/proc/self/fd/{_DESCRIPTOR}", _OPEN_FLAGS)
        except OSError:
            return True
        try:
            fcntl.flock(
                self._turn_descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB
            )
        except OSError:
            self._end_turn()
            return False
        return True

    def _end_turn(self) -> None:
        descriptor, self._turn_descriptor = self._turn_descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._turn.release()

    # Ways to write: each returns the number of bytes that were taken, and raises BlockingIOError
    # when it is none for now.

    def _send_to_file(self, line: bytes) -> int:
        sent = os.write(_DESCRIPTOR, line)
        if sent != len(line):
            # The disk became full in the middle of the line, so the rest would fail as well.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return sent

    def _send_without_waiting(self, line: bytes) -> int:
        """By pwritev2(2), whose flag counts for one call and not for the open file description."""
        try:
            return os.pwritev(_DESCRIPTOR, (line,), -1, _RWF_NOWAIT)
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        if not self._open_if_replaced():
            self._send = self._without_nowait()
        return self._send(line)

    def _open_if_replaced(self) -> bool:
        """Whether descriptor 2 is another file now, as after ``os.dup2(log, 2)``."""
        status = os.fstat(_DESCRIPTOR)
        if (status.st_dev, status.st_ino) == self._identity:
            return False
        self.open()
        return True

    def _without_nowait(self) -> Callable[[bytes], int]:
        """The way for terminals and older kernels: an open file description of our own.

        Opening it fails for a socket, for a file of another user, and without /proc.
        """
        try:
            self._reopened = os.open(f"/proc/self/fd/{_DESCRIPTOR}", _OPEN_FLAGS)
        except OSError:
            return self._send_when_writable
        return self._send_reopened

    def _send_reopened(self, line: bytes) -> int:
        if self._open_if_replaced():
            return self._send(line)
        return os.write(self._reopened, line)

    def _send_when_writable(self, line: bytes) -> int:
        """The last resort: a pipe that polls writable takes at least a page without blocking.

        Another process may take its room first; then the write blocks until the reader goes on.
        """
        if not _writable(0):
            raise BlockingIOError
        capacity, waiting = self._capacity()
        return os.write(_DESCRIPTOR, line[: max(capacity - 2 * waiting - _PAGE, _PAGE)])

    def _send_nowhere(self, _line: bytes) -> int:
        """Descriptor 2 was closed: a file that is opened later may have its number."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _send_on_new_line(self, line: bytes) -> int:
        """After a failure a part of a line may stand there, of this process or of another one.

        An empty line is better than two lines in one.
        """
        send = self._send_before_failure
        sent = send(b"\n" + line) - 1
        self._send = send
        self._empty_queue()  # reports what was dropped
        return max(sent, 0)

    def _has_room(self, size: int) -> bool:
        """Whether a line of more than a page is taken at once.

        One that is larger than an empty pipe goes in parts. A socket of Unix takes 32 KiB at once,
        which is the longest line.
        """
        capacity, waiting = self._capacity()
        return _fits(size, capacity, waiting)

    def _capacity(self) -> tuple[int, int]:
        """Bytes that a pipe holds when it is empty, and those that wait in it."""
        waiting = array.array("i", [0])
        try:
            if self._is_pipe:
                fcntl.ioctl(_DESCRIPTOR, termios.FIONREAD, waiting)
                return fcntl.fcntl(_DESCRIPTOR, _F_GETPIPE_SZ), waiting[0]
        except OSError:
            # It is none any more: writing tells.
            pass
        return sys.maxsize, 0

    def _wait_until_it_fits(self, size: int) -> None:
        """Wait for room for a long line; while others hold back, a reader makes it soon.

        The line goes in parts when there is none though the reader reads. While it reads nothing
        there is nothing to do but wait.
        """
        end = time.monotonic() + _ROOM_SECONDS
        before, reads = 0, False
        while True:
            capacity, waiting = self._capacity()
            reads = reads or waiting < before
            before = waiting
            if _fits(size, capacity, waiting) or (reads and time.monotonic() > end):
                return
            time.sleep(0.002)

    def _enqueue(self, line: bytes, *, rest: bool = False) -> None:
        if self._finish_by is not None:
            self._write_last(line, self._finish_by)
            return
        size = len(line)
        if not rest and not self._wait_for_room(size):
            self.drop("queue_full")
            return
        with self._lock:
            if rest:
                self._queue.appendleft(line)
                self._begun = True
            else:
                self._queue.append(line)
            self._queued_bytes += size
        self._empty_queue()

    def _wait_for_room(self, size: int) -> bool:
        if self._queued_bytes + size <= QUEUE_BYTES:
            return True
        while time.monotonic() - self._progress_at < self.patience:
            time.sleep(0.005)
            if self._queued_bytes + size <= QUEUE_BYTES:
                return True
        return False

    def _empty_queue(self) -> None:
        """Start the thread that empties the queue, unless it runs.

        ``threading.Thread`` takes locks of its own when it starts: a signal handler that logs
        would wait for what it interrupted.
        """
        if self._writing.acquire(blocking=False):
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:
                # No thread can be started: the limit is reached, or the interpreter ends.
                self._writing.release()
                self._drop_queue("shutdown")

    def _run(self) -> None:
        writing = self._writing
        self._progress_at = time.monotonic()
        while True:
            self._write_queue()
            self._report()
            writing.release()
            # Whoever queued a line in this moment found the thread running.
            if not self._queue or not writing.acquire(blocking=False):
                return

    def _write_queue(self) -> None:
        while self._queue:
            if not _writable(200):
                continue
            size = len(self._queue[0])
            is_long = self._is_terminal or size > _PAGE
            wrote = False
            if self._begun or self._take_turn(alone=is_long):
                try:
                    if is_long and not self._begun:
                        self._wait_until_it_fits(size)
                    wrote = self._write_first()
                finally:
                    if not self._begun:
                        self._end_turn()
            if wrote:
                self._progress_at = time.monotonic()
            else:
                time.sleep(0.002)

    def _write_first(self) -> bool:
        """Write the first line of the queue, or a part of it, or drop it; false for none of it."""
        try:
            line = self._queue[0]
            sent = self._send(line)
        except IndexError:
            return False
        except BlockingIOError:
            # A file of some systems answers so as well.
            with suppress(OSError):
                self._open_if_replaced()
            return False
        except OSError as error:
            with self._lock:
                self._queue.popleft()
                self._queued_bytes -= len(line)
                begun, self._begun = self._begun, False
            self._fail(error, begun=begun)
            # The next one at once: it is most likely dropped as well.
            return True
        with self._lock:
            self._queue.popleft()
            self._begun = sent < len(line)
            if self._begun:
                self._queue.appendleft(line[sent:])
            self._queued_bytes -= sent
        return sent > 0

    def _fail(self, error: OSError, *, begun: bool = False) -> None:
        closed = error.errno in {errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.ENOTCONN}
        if error.errno == errno.EBADF:
            self._send = self._send_nowhere
        elif (begun or not closed) and self._send != self._send_on_new_line:
            self._send_before_failure, self._send = self._send, self._send_on_new_line
        self.drop("closed" if closed else "write_failed")

    def drop(self, reason: str, lines: int = 1) -> None:
        """Count lines that are not written."""
        self._unreported[reason] += lines
        if self._count is None:
            self._uncounted[reason] += lines
        else:
            self._count(reason, lines)

    def _drop_queue(self, reason: str) -> None:
        with self._lock:
            left = len(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
        if left:
            self.drop(reason, left)

    def _report(self) -> None:
        """Say how many lines are missing, now that lines are written again."""
        now = time.monotonic()
        if not self._unreported or now < self._reported_at + _REPORT_SECONDS:
            return
        self._reported_at = now
        with self._lock:
            dropped, self._unreported = self._unreported, Counter()
        logger.warning(
            "log lines were dropped, standard error did not take them",
            extra={"dropped": dict(dropped)},
        )

    def finish(self) -> None:
        """At the end of the process: give the reader a moment for what is queued."""
        end = time.monotonic() + _FINISH_SECONDS
        while self._queue and time.monotonic() < max(end, self._progress_at + self.patience):
            time.sleep(0.01)
        self._drop_queue("shutdown")
        self._finish_by = time.monotonic() + max(_FINISH_SECONDS, self.patience)

    def _write_last(self, line: bytes, end: float) -> None:
        """When threads run no more, as for a finalizer at the end: wait here, a moment."""
        begun = False
        while time.monotonic() < end:
            if begun or self._take_turn(alone=True):
                try:
                    if begun or self._has_room(len(line)):
                        sent = self._send(line)
                        line = line[sent:]
                        begun = begun or sent > 0
                except BlockingIOError:
                    pass
                except OSError as error:
                    self._fail(error)
                    return
                finally:
                    if not line or not begun:
                        self._end_turn()
                if not line:
                    return
            time.sleep(0.002)
        self.drop("shutdown")


def _fits(size: int, capacity: int, waiting: int) -> bool:
    """Whether a pipe takes a line as a whole; one that is larger than all of it goes in parts.

    A pipe is a ring of pages, and a line that does not fit behind what a page holds begins a new
    one: two neighbours hold more than one page's bytes together. Half of it is left to other
    processes whose short lines come at the same time.
    """
    return size <= capacity // 2 - 2 * waiting or waiting == 0


def _writable(milliseconds: int) -> bool:
    """Whether descriptor 2 takes something, or has an error that a write would tell."""
    poll = select.poll()
    poll.register(_DESCRIPTOR, select.POLLOUT)
    return bool(poll.poll(milliseconds))


standard_error = StandardError()
atexit.register(standard_error.finish)
os.register_at_fork(after_in_child=standard_error.forget_after_fork)
