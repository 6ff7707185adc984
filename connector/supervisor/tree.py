"""One supervised tree: Valkey, the practice servers, web, workers and scheduler; what dies is started again and said so."""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

from connector.config import Config
from connector.supervisor import valkey

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
#: Practice servers so small that a fork of what is imported anyway is the quickest start.
LIGHT = ("storefront", "oms")


class CannotStart(Exception):
    """Something on this machine stands in the way; the text says what and how to remove it."""


@dataclass
class Child:
    """One process of the tree. ``start`` returns its pid; a child that dies often is started ever more slowly."""

    name: str
    start: Callable[[], int]
    stop_signal: int = signal.SIGTERM
    pid: int = 0
    deaths: list[float] = field(default_factory=list)
    start_at: float = 0.0
    alone: bool = False  #: a program of its own, which needs nothing of this one


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def die_with_parent() -> None:
    """Ask the kernel (Linux) to stop this process when the supervisor is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _name_process(name: str) -> None:
    """Show the part's name in process lists (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _fork(run: Callable[[], None], name: str = "connector") -> int:
    """Run ``run`` in a child that shares the modules already imported: starts in milliseconds and saves their memory."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C reaches the supervisor alone; it stops the others in order
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent()
        _name_process(name)
        run()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _spawn(command: list[str], **environment: str) -> int:
    def prepare() -> None:
        os.setpgid(0, 0)
        die_with_parent()

    return subprocess.Popen(command, preexec_fn=prepare, env={**os.environ, **environment}, stdout=subprocess.DEVNULL).pid


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def serve_web(config: Config) -> None:
    """gunicorn with one process of threads (stack: the page costs Python time, not the server's)."""
    from gunicorn.app.base import BaseApplication

    from connector import create_app
    from connector.core.server_log import ServerLog

    class Web(BaseApplication):
        def load_config(self) -> None:
            for name, value in {
                "bind": f"{config.host}:{config.port}", "workers": 1, "threads": 24, "worker_class": "gthread", "keepalive": 30, "timeout": 120,
                "graceful_timeout": 3, "accesslog": None, "loglevel": "warning", "control_socket_disable": True,
                "logger_class": ServerLog,
            }.items():  # fmt: skip
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> object:
            return create_app(config)

    Web().run()


def serve_worker(config: Config) -> None:
    from connector import create_app
    from connector.jobs import worker

    worker.run_forever(create_app(config))


def serve_scheduler(config: Config) -> None:
    from connector import create_app
    from connector.jobs import scheduler

    scheduler.run_forever(create_app(config))


def serve_light(config: Config, kind: str, port: int) -> None:
    os.environ["PRACTICE_CONNECTOR_URL"] = config.public_url
    from connector.practice.__main__ import serve

    serve(kind, config.instance / "practice" / kind, port=port, threads=8, announce=False)


def preload() -> None:
    """Import the whole product once, before forking: the children then start in a fraction of a second and share this memory."""
    import gunicorn.app.base
    import gunicorn.workers.gthread  # noqa: F401

    from connector import blueprints, cli, jobs, models, services, web

    for package in (blueprints, cli):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    jobs.load_bodies()
    _ = models, services, web


def migrate(config: Config) -> None:
    """Bring the database to the present schema and see that the keys fit it, in a child, so that the supervisor itself holds no connection."""

    def upgrade() -> None:
        import flask_migrate

        from connector import create_app
        from connector.core.errors import DomainError
        from connector.services import encryption

        app = create_app(config)
        with app.app_context():
            flask_migrate.upgrade()
            try:
                encryption.check()
            except DomainError as error:
                print(error, file=sys.stderr)
                sys.exit(1)

    _, status = os.waitpid(_fork(upgrade), 0)
    if status:
        raise CannotStart("The database could not be made ready; the reason stands above.")


def practice_urls(config: Config) -> dict[str, str]:
    """Base URL of every practice server there is to be; one at another host than 127.0.0.1 is somebody else's, such as the test system of a real OMS."""
    urls = {
        "tiktok": config.practice_tiktok_url,
        "magento": config.practice_magento_url,
        "storefront": config.practice_storefront_url,
        "oms": config.practice_oms_url,
    }
    return {kind: url for kind, url in urls.items() if urlsplit(url).hostname == "127.0.0.1"}


class Tree:
    """The supervisor. ``workers`` is how many worker processes there are."""

    def __init__(self, config: Config, *, workers: int = 2, practice: bool = True, web: bool = True) -> None:
        self.config = config
        self.children: list[Child] = []
        self._lock: IO[str] | None = None
        self._stopping = False
        python = [sys.executable, "-m", "connector.practice"]
        if config.embedded_redis:
            self.valkey = Child("valkey", lambda: _spawn(valkey.command(config.instance / "valkey")))
        self.workers = workers
        if practice:
            for kind, url in practice_urls(config).items():
                port = url.rsplit(":", 1)[1]
                if kind in LIGHT:
                    self.children.append(Child(f"practice {kind}", lambda kind=kind, port=port: _fork(lambda: serve_light(config, kind, int(port)), kind)))  # type: ignore[misc]
                    continue
                line = [*python, kind, "--port", port, "--data", str(config.instance / "practice" / kind)]
                self.children.append(Child(f"practice {kind}", lambda line=line: _spawn(line, PRACTICE_CONNECTOR_URL=config.public_url), alone=True))  # type: ignore[misc]
        if web:
            self.children.append(Child("web", lambda: _fork(lambda: serve_web(config), "web")))
        self.children += [Child(f"worker {number + 1}", lambda: _fork(lambda: serve_worker(config), "worker")) for number in range(workers)]
        self.children.append(Child("scheduler", lambda: _fork(lambda: serve_scheduler(config), "scheduler")))

    # --- start ---------------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse to start where it cannot work, naming everything that is in the way."""
        self._lock = (self.config.instance / "running.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"The product already runs from {self.config.instance}. Stop it with Ctrl-C in its window, or set CONNECTOR_INSTANCE to another folder."
            ) from None
        busy = []
        names = {"tiktok": "practice marketplace", "magento": "practice store", "storefront": "practice storefront", "oms": "practice OMS"}
        practice = [(names[kind], f"PRACTICE_{kind.upper()}_URL", url) for kind, url in practice_urls(self.config).items()]
        for name, variable, url in (("web", "PORT", f"//{self.config.host}:{self.config.port}"), *practice):
            host, port = url.rsplit("/", 1)[1].rsplit(":", 1)
            wanted = name == "web" or any(child.name.startswith("practice") for child in self.children)
            if wanted and not _free(host, int(port)):
                busy.append(f"Port {port} for the {name} is in use by another program. Stop that program, or choose another port with {variable}.")
        if busy:
            raise CannotStart("\n".join(busy))

    def start(self) -> None:
        self.check()
        for child in self.children:
            if child.alone:  # they start while the rest is being imported
                child.pid = child.start()
        if self.config.embedded_redis:
            self.valkey.pid = self.valkey.start()
        preload()
        if self.config.embedded_redis:
            valkey.wait_until_ready(self.config.instance / "valkey")
        migrate(self.config)
        for child in self.children:
            if not child.pid:
                child.pid = child.start()
        if self.config.embedded_redis:
            self.children.insert(0, self.valkey)

    def wait_until_ready(self, seconds: float = 60.0) -> bool:
        """True when the web server answers; dead children are started again meanwhile."""
        deadline = time.monotonic() + seconds
        address = f"http://{self.config.host}:{self.config.port}/healthz"
        while time.monotonic() < deadline and not self._stopping:
            self.reap()
            try:
                with urllib.request.urlopen(address, timeout=2):
                    return True
            except OSError:
                time.sleep(0.1)
        return False

    # --- watch ---------------------------------------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Start again what has died; say so."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            for child in self.children:
                if child.pid == pid:
                    child.pid = 0
                    now = time.monotonic()
                    child.deaths = [moment for moment in child.deaths if now - moment < 60] + [now]
                    pause = min(10.0, 0.2 * 2 ** (len(child.deaths) - 1))
                    child.start_at = now + pause
                    how = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"ended with status {os.WEXITSTATUS(status)}"
                    say(f"{child.name} {how}; starting it again in {pause:.1f} s")
        for child in self.children:
            if not child.pid and time.monotonic() >= child.start_at:
                child.pid = child.start()

    def stop(self) -> None:
        """Everything but Valkey first, so that nobody waits for a Redis that is gone."""
        self._stopping = True
        first = [child for child in self.children if child.name != "valkey" and child.pid]
        for child in first:
            _signal(child.pid, child.stop_signal)
        _await(first, 8.0)
        last = [child for child in self.children if child.name == "valkey" and child.pid]
        for child in last:
            _signal(child.pid, signal.SIGTERM)
        _await(last, 5.0)

    def run(self) -> int:
        """Start, announce, watch until Ctrl-C or SIGTERM. The exit status."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        began = time.monotonic()
        try:
            self.start()
            if self.wait_until_ready():
                say(f"Ready after {time.monotonic() - began:.1f} s: open {self.config.public_url}")
                if any(child.name.startswith("practice") for child in self.children):
                    say(f"Practice shop: buyer console {self.config.practice_tiktok_url}/console, store {self.config.practice_magento_url}/")
                    others = {"storefront": self.config.practice_storefront_url, "OMS": self.config.practice_oms_url}
                    if any(others.values()):
                        say("Practice " + ", ".join(f"{name} {url}/console" for name, url in others.items() if url))
                say("Ctrl-C stops everything.")
            while not self._stopping:
                self.reap()
                time.sleep(0.2)
        finally:
            say("Stopping ...")
            self.stop()
            say("Stopped.")
        return 0

    def _ask_to_stop(self, *_: object) -> None:
        self._stopping = True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _await(children: list[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    left = list(children)
    while left:
        for child in list(left):
            try:
                done, _ = os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                done = child.pid
            if done:
                left.remove(child)
                child.pid = 0
        if left and time.monotonic() > deadline:
            for child in left:
                _signal(child.pid, signal.SIGKILL)
            deadline += 5
        time.sleep(0.02)
