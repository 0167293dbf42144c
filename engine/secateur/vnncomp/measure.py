"""Two ways to measure a verifier on instances: in this process, kept warm, or one process per instance.

Both yield a `Measured` per instance as it ends. The wall time counts everything from the call (or the start of the process)
to the answer, and a verdict that comes after the time limit is a time-out, as in the competition.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from secateur.errors import InputError
from secateur.vnncomp.instances import Instance
from secateur.vnncomp.processes import Children, Finished
from secateur.vnncomp.verdicts import Status, Verifier, classify

__all__ = ["GRACE", "VERIFY", "Measured", "measure_isolated", "measure_warm", "network_options", "read_finished"]

GRACE = 5.0  # seconds that a process gets beyond its time limit before it is killed
VERIFY = (sys.executable, "-m", "secateur.vnncomp.leash", "verify")  # ends with the process that runs it (`Children`)


@dataclass(frozen=True)
class Measured:
    """What an instance came to.

    `claim` is what the tool said, in time or not; `result` the word for the results file; `text` the witness of a `sat`;
    `reason` a line for people where there is no verdict; `peak_bytes` the memory of the process, where it had its own.
    """

    instance: Instance
    claim: Status
    result: str
    seconds: float
    text: str = ""
    reason: str = ""
    peak_bytes: int | None = None


def measure_warm(instances: Sequence[Instance], verifier: Verifier) -> Generator[Measured, None, None]:
    """Ask the verifier for one instance after another.

    An exception is a result `error` with its text: it ends the instance, not the run, and is never a verdict.
    """
    for instance in instances:
        begun = time.perf_counter()
        try:
            answer = verifier(instance.networks, instance.query, instance.timeout)
        except InputError as error:
            yield Measured(instance, Status.ERROR, "error", time.perf_counter() - begun, reason=str(error))
        except Exception as error:
            reason = " ".join("".join(traceback.format_exception_only(error)).split())
            yield Measured(instance, Status.ERROR, "error", time.perf_counter() - begun, reason=reason)
        else:
            seconds = time.perf_counter() - begun
            yield _judged(instance, Status(answer.verdict), answer.verdict, seconds, answer.text, answer.reason)


def _judged(
    instance: Instance, claim: Status, word: str, seconds: float, text: str, reason: str, peak: int | None = None
) -> Measured:
    """A claim, or a time-out where it came late."""
    if claim.decided and seconds > instance.timeout:
        return Measured(instance, claim, "timeout", seconds, "", f"said {claim.value} too late", peak)
    return Measured(instance, claim, word, seconds, text, reason, peak)


def network_options(instance: Instance) -> list[str]:
    """The options `--network FILE`, or `--network NAME=FILE` for each, of the standard command line."""
    words: list[str] = []
    for name, path in instance.networks.items():
        words += ["--network", f"{name}={path}" if name else str(path)]
    return words


def measure_isolated(instances: Sequence[Instance], command: Sequence[str], jobs: int) -> Generator[Measured, None, None]:
    """Run `command QUERY --network ... --timeout ...` for each instance, `jobs` processes side by side.

    Results come as they end. Whoever stops early closes the generator: then all processes are killed.
    """
    children = Children()

    def run(instance: Instance) -> Measured:
        words = [*command, str(instance.query), *network_options(instance), "--timeout", f"{instance.timeout:.15g}"]
        return read_finished(instance, children.run(words, instance.timeout + GRACE, leash=True))

    with ThreadPoolExecutor(jobs) as pool:
        waiting = iter(instances)
        running: set[Future[Measured]] = set()
        try:
            while True:
                # Started only when there is room, so that a stop leaves nothing queued.
                while len(running) < jobs and (instance := next(waiting, None)) is not None:
                    running.add(pool.submit(run, instance))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            children.kill_all()


def read_finished(instance: Instance, finished: Finished) -> Measured:
    """What a process said: its first line is the verdict, the rest the witness; in the harness's words where it said none."""
    last = finished.errors.decode(errors="replace").strip().splitlines()[-1:]
    reason = last[0] if last else ""
    seconds, peak = finished.seconds, finished.peak_bytes
    if finished.killed:
        return Measured(instance, Status.TIMEOUT, "run_instance_timeout", seconds, reason="killed", peak_bytes=peak)
    if finished.code != 0:
        return Measured(instance, Status.ERROR, f"error_exit_code_{finished.code}", seconds, "", reason, peak)
    first, _, rest = finished.output.decode(errors="replace").partition("\n")
    word = "".join(first.split()).lower()
    status = classify(word)
    if not word:
        return Measured(instance, Status.UNKNOWN, "no_result_in_file", seconds, "", reason, peak)
    if status is None:
        return Measured(instance, Status.ERROR, "error", seconds, "", f"said {first[:40]!r}", peak)
    return _judged(instance, status, status.value, seconds, rest if status is Status.SAT else "", reason, peak)
