"""Replay deploy/Dockerfile where no container engine is at hand, and start what it makes.

Each stage becomes a folder that begins as a copy of a base system (made by debootstrap, with
Debian's Python in place of that of the official image). COPY and RUN are carried out in it, RUN by
chroot. Then the result is started as compose starts it: a read-only root, a /tmp of its own, the
user of the Dockerfile, no capability, no new privileges; its health check is run until it is
healthy, and it is stopped by its STOPSIGNAL.

Needs root, debootstrap and the registries. Everything is done in a mount namespace of its own, so
that nothing stays mounted. What it cannot show: layers, and how an engine schedules the check.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess  # the whole purpose
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.dockerfile import Instruction, Stage, goes_to_the_builder, stages_of

ROOT: Final = Path(__file__).resolve().parent.parent
WORK: Final = ROOT / ".work" / "replay"
#: The official Python image by what Debian has; python3-dev, because that image holds the headers.
PACKAGES: Final = "python3,python3-venv,python3-dev,ca-certificates"
HEALTHY_SECONDS: Final = 120
_AUTHORITIES: Final = "etc/ssl/certs/ca-certificates.crt"
_RECORDED: Final = frozenset(
    {"ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL"}
)
_ENTER: Final = r"""
mount --make-rprivate /
root=$1 volume=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
"""
_BUILD: Final = (
    _ENTER
    + r"""
for file in etc/resolv.conf etc/hosts etc/ssl/certs/ca-certificates.crt; do
  test -e "$root/$file" || touch "$root/$file"
  mount --bind "/$file" "$root/$file"
done
exec /usr/sbin/chroot "$root" "$@"
"""
)
_START: Final = (
    _ENTER
    + r"""
mount -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev tmpfs "$root/tmp"
mount --bind "$volume" "$root$VOLUME_PATH"
mount -o remount,bind,ro "$root"
exec /usr/sbin/chroot "$root" setpriv --reuid "$RUN_UID" --regid "$RUN_GID" --clear-groups \
  --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""
)


class ReplayError(Exception):
    """A step that failed; the text names it."""


def make_base(suite: str) -> Path:
    """Return a fresh Debian with Python, made once."""
    base = WORK / f"base-{suite}"
    if not base.is_dir():
        partial = WORK / "base-partial"
        shutil.rmtree(partial, ignore_errors=True)
        WORK.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, partial]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        (partial / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        partial.rename(base)
    return base


class Replay:
    """One run over the stages.

    Args:
        context: the root of the repository.
        base: the base system.
    """

    def __init__(self, context: Path, base: Path) -> None:
        self._context, self._base = context, base
        self._ignored = (context / ".dockerignore").read_text("utf-8")
        self._stages: dict[str, Path] = {}

    def build(self, stage: Stage) -> Path:
        """Carry out a stage; return its folder.

        Raises:
            ReplayError: a step failed.
        """
        root = WORK / (stage.name or "final")
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", self._base, root], check=True)  # noqa: S603, S607
        self._stages[stage.name] = root
        folder, environment = "/", {"PATH": os.defpath + ":/usr/local/bin:/usr/sbin:/sbin"}
        for step in stage.instructions:
            began = time.monotonic()
            if step.keyword == "RUN":
                self._run(root, folder, environment, step)
            elif step.keyword == "COPY":
                self._copy(root, folder, step)
            elif step.keyword == "WORKDIR":
                folder = step.value
                (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif step.keyword not in _RECORDED:
                raise ReplayError(f"{step.keyword} is not known to the replay")
            if step.keyword == "ENV":
                environment |= step.pairs()
            word = "recorded" if step.keyword in _RECORDED else "ran"
            print(f"{word:9}{time.monotonic() - began:6.1f} s  {step.keyword} {step.value[:90]}")
        return root

    def _run(
        self, root: Path, folder: str, environment: Mapping[str, str], step: Instruction
    ) -> None:
        machine = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}  # noqa: TID251
        passed_on = {k: v for k, v in machine.items() if k != "PIP_FIND_LINKS"}
        line = f"cd {shlex.quote(folder)} && {step.value}"
        done = subprocess.run(  # noqa: S603
            [*_namespace(_BUILD, root, root), "/bin/sh", "-c", line],
            env={**passed_on, **environment, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ReplayError(f"RUN {step.value}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")

    def _copy(self, root: Path, folder: str, step: Instruction) -> None:
        *names, target = step.words()
        source = self._stages[step.flags["from"]] if "from" in step.flags else self._context
        into = root / (Path(folder) / target).as_posix().lstrip("/")
        for name in names:
            if "from" not in step.flags and not goes_to_the_builder(name, self._ignored):
                raise ReplayError(f"COPY {name}: .dockerignore keeps it out")
            found = source / name.lstrip("/")
            if found.is_dir():
                skip = shutil.ignore_patterns("__pycache__") if source is self._context else None
                shutil.copytree(found, into, symlinks=True, ignore=skip, dirs_exist_ok=True)
            else:
                is_folder = target.endswith("/")
                (into if is_folder else into.parent).mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into / found.name if is_folder else into)


class Container:
    """What the last stage made, started as compose starts it.

    Args:
        root: its file system.
        stage: with USER, ENV, VOLUME, ENTRYPOINT, CMD, HEALTHCHECK and STOPSIGNAL.
        settings: the environment besides.
    """

    def __init__(self, root: Path, stage: Stage, settings: Mapping[str, str]) -> None:
        self._root, self._stage = root, stage
        self._uid, self._gid = self._words("USER")[0].split(":")
        self.volume = WORK / "volume"
        shutil.rmtree(self.volume, ignore_errors=True)
        (volume_path,) = self._words("VOLUME")
        # As an engine fills a named volume: with what the image has there, owner and mode included.
        subprocess.run(  # noqa: S603
            ["cp", "--archive", root / volume_path.lstrip("/"), self.volume],  # noqa: S607
            check=True,
        )
        self._environment = {
            **stage.environment(),
            **settings,
            "VOLUME_PATH": volume_path,
            "RUN_UID": self._uid,
            "RUN_GID": self._gid,
        }

    def _words(self, keyword: str) -> list[str]:
        step = self._stage.last(keyword)
        return [] if step is None else step.words()

    def command(self, words: list[str]) -> list[str]:
        """Return the command line that runs words inside."""
        return [*_namespace(_START, self._root, self.volume), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command inside and wait for it."""
        return subprocess.run(  # noqa: S603
            self.command(list(words)),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def try_out(self) -> None:
        """Start it, wait until it is healthy, look at it, stop it.

        Raises:
            ReplayError: something is not as it should be.
        """
        words = [*self._words("ENTRYPOINT"), *self._words("CMD")]
        log = WORK / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(  # noqa: S603
                self.command(words), env=self._environment, stdout=output, stderr=output
            )
        try:
            self._wait_until_healthy(server, log)
            inside = _child_of(server.pid)
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{inside}/status").read_text().splitlines()
            )
            for name, wanted in (
                ("Uid", self._uid),
                ("Gid", self._gid),
                ("CapEff", "0" * 16),
                ("CapBnd", "0" * 16),
                ("NoNewPrivs", "1"),
            ):
                _require(status[name].split()[0] == wanted, f"{name} is {status[name]}")
                print(f"seen             {name} {wanted}")
            self._look_around()
            stop = signal.Signals[self._words("STOPSIGNAL")[0]]
            os.kill(inside, stop)
            _require(server.wait(30) == 0, f"it ended with {server.returncode}:\n{log.read_text()}")
            print(f"seen             ends with status 0 at {stop.name}")
        finally:
            # The first process of its namespace: with it everything inside ends. The signal that
            # unshare arranged for was lost when the user changed.
            with contextlib.suppress(OSError, IndexError):
                os.kill(_child_of(server.pid), signal.SIGKILL)
            server.kill()
            server.wait()

    def _wait_until_healthy(self, server: subprocess.Popen[bytes], log: Path) -> None:
        began = time.monotonic()
        check = self._words("HEALTHCHECK")
        while (asked := self.run(*check)).returncode:
            is_late = time.monotonic() - began > HEALTHY_SECONDS
            _require(
                not is_late and server.poll() is None,
                f"not healthy: {asked.stderr}{log.read_text()}",
            )
            time.sleep(0.5)
        print(f"seen             healthy after {time.monotonic() - began:.1f} s: {' '.join(check)}")

    def _look_around(self) -> None:
        for path in ("/opt/bennu/x", "/etc/x", "/x"):
            tried = self.run("python", "-c", f"open({path!r}, 'w')")
            _require("Read-only file system" in tried.stderr, f"{path} can be written")
        print("seen             the root is read-only")
        _require(self.run("pip", "--version").returncode != 0, "there is a pip")
        print("seen             no pip")
        extras = "import ldap, asyncpg, redis, boto3, azure.identity"
        tried = self.run("/opt/bennu/bin/python", "-c", extras)
        _require(tried.returncode == 0, tried.stderr)
        print("seen             every extra is importable")


def _namespace(script: str, root: Path, volume: Path) -> list[str]:
    name = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc"]
    return [*name, script, "sh", str(root), str(volume)]


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _require(holds: bool, told: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ReplayError(told)


def main(arguments: list[str] | None = None) -> int:
    """Replay and try out; return 0, or 1 with the step that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dockerfile", nargs="?", type=Path, default=ROOT / "deploy" / "Dockerfile")
    parser.add_argument("--suite", default="bookworm", help="of Debian, that of the base image")
    parser.add_argument("--start-only", action="store_true", help="start what was built before")
    options = parser.parse_args(arguments)
    stages = stages_of(options.dockerfile.read_text("utf-8"))
    settings = {
        # The ports of the machine may be taken; an engine would give it an address of its own.
        "PHOENIX_PORT": "16006",
        "PHOENIX_GRPC_PORT": "14317",
        "PHOENIX_SECRET": "of-the-replay-0123456789abcdef-only",
    }
    try:
        replay = Replay(ROOT, make_base(options.suite))
        for stage in () if options.start_only else stages:
            replay.build(stage)
        Container(WORK / "final", stages[-1], settings).try_out()
    except ReplayError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
