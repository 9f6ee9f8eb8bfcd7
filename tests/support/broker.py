"""A real RabbitMQ for tests, as a plain process on private loopback ports with its data in a temporary directory.

    with Broker() as broker:
        run(["quashd", "--amqp-url", broker.url, ...])
        broker.ctl("list_queues", "name", "messages")
        broker.kill()           # SIGKILL, as a crash
        broker.start()          # again, on the same ports and the same data

It works for root and for an ordinary user, needs no running service and touches none: the node has its own name, its
own cookie and its own epmd, which is a child of this process and ends with it. Nothing stays behind, whichever way
the test ends: the kernel kills the children when this process dies (PR_SET_PDEATHSIG), and a small guard process
removes the directory when even `close` could not run.
"""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For preexec_fn: the kernel kills this process when the thread that started it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_true(condition, seconds, what, interval=0.02):
    """Polls until `condition()` is true and returns its value; AssertionError after `seconds`. `what` may be a string,
    or a function that makes one, when the explanation is only known at the end."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(interval)


class Broker:
    user = "guest"
    password = "guest"

    def __init__(self):
        self.directory = None
        self._server = None
        self._epmd = None
        self._guard = None

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/"

    def open(self):
        """Makes directory, ports and epmd, and starts the node."""
        self.directory = tempfile.mkdtemp(prefix="quash-broker-")
        atexit.register(self.close)
        # Removes the directory if this process is killed; a line on its input lets it go in peace.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r line || { sleep 1; rm -rf -- "$1"; }', "sh", self.directory],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            for attempt in range(3):
                # A port can be taken between its choice and its use; then everything is tried again with others.
                self.port, self._dist_port, self._epmd_port = free_port(), free_port(), free_port()
                self.node = f"quash{self.port}@localhost"
                self._write_config()
                self._start_epmd()
                try:
                    self.start()
                    return
                except RuntimeError:
                    if attempt == 2:
                        raise
                    self.kill()
                    self._end(self._epmd)
        except BaseException:
            self.close()
            raise

    def close(self):
        """Kills what was started and removes every file. May be called again."""
        atexit.unregister(self.close)
        if self.directory is None:
            return
        self.kill()
        self._end(self._epmd)
        self._epmd = None
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory = None
        self._guard.communicate(b"\n")
        self._guard = None

    # ---- The node's life

    def start(self):
        """Starts the node and returns when it has greeted an AMQP client."""
        with open(self._path("server.log"), "ab") as log:
            self._server = subprocess.Popen([SERVER], env=self._environment(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory, start_new_session=True,
                                            preexec_fn=die_with_parent)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._greets():
            if self._server.poll() is not None:
                raise RuntimeError(f"rabbitmq-server ended with {self._server.returncode}:\n{self.log()[-4000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"rabbitmq-server is not ready after {START_SECONDS_MAX} s:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def stop(self):
        """An orderly shutdown; the data stays for `start`."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        """A crash: SIGKILL. The data stays for `start`."""
        self._end(self._server)
        self._server = None

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers, as when a host hangs or a network swallows packets."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self._server.pid, signal.SIGCONT)

    @property
    def running(self):
        return self._server is not None and self._server.poll() is None

    # ---- Asking and telling it

    def ctl(self, *arguments, check=True):
        """Runs rabbitmqctl and returns what it printed; RuntimeError when it fails and `check` holds."""
        done = subprocess.run([CTL, "--silent", "--node", self.node, *arguments], env=self._environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60, cwd=self.directory, preexec_fn=die_with_parent)
        if check and done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def queues(self, vhost="/"):
        """Name → messages in it, ready and unacknowledged."""
        rows = self.ctl("list_queues", "--vhost", vhost, "--no-table-headers", "name", "messages").splitlines()
        return {name: int(messages) for name, messages in (row.split("\t") for row in rows if "\t" in row)}

    def bindings(self, queue, vhost="/"):
        """The queue's bindings: a set of (exchange, routing key), without the one that every queue has."""
        rows = self.ctl("list_bindings", "--vhost", vhost, "--no-table-headers", "source_name", "destination_name",
                        "routing_key").splitlines()
        return {(source, key) for source, name, key in (row.split("\t") for row in rows if row.count("\t") == 2)
                if name == queue and source != ""}

    def declare_exchange(self, name, kind="topic", vhost="/"):
        """A durable exchange; needs no AMQP client."""
        self.ctl("eval", f'rabbit_exchange:declare(rabbit_misc:r(<<"{vhost}">>, exchange, <<"{name}">>), {kind}, '
                         f'true, false, false, [], <<"tests">>).')

    def log(self):
        """What the node has written so far."""
        text = ""
        for name in ("server.log", os.path.join("log", self.node + ".log")):
            try:
                with open(self._path(name), encoding="utf-8", errors="replace") as file:
                    text += file.read()
            except FileNotFoundError:
                pass
        return text

    # ---- Private

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write_config(self):
        for name in ("data", "log", "home"):
            os.makedirs(self._path(name), exist_ok=True)
        with open(self._path("rabbitmq.conf"), "w", encoding="ascii") as file:
            file.write(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
                       "disk_free_limit.absolute = 1MB\n"
                       "vm_memory_high_watermark.absolute = 1GB\n"
                       "log.file.level = info\n")
        with open(self._path("enabled_plugins"), "w", encoding="ascii") as file:
            file.write("[].\n")

    def _environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | {
            "HOME": self._path("home"),  # the cookie is made here
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": self._path("data"),
            "RABBITMQ_LOG_BASE": self._path("log"),
            "RABBITMQ_PID_FILE": self._path("pid"),
            "RABBITMQ_CONFIG_FILE": self._path("rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._path("advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": self._path("rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._path("enabled_plugins"),
            # The script then becomes the Erlang machine instead of waiting for it, so that our child is the node.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-noinput +S 2:2 +A 4 -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _start_epmd(self):
        self._epmd = subprocess.Popen(["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      cwd=self.directory, start_new_session=True, preexec_fn=die_with_parent)
        await_true(lambda: self._listens(self._epmd_port), 10, "epmd")

    @staticmethod
    def _listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def _greets(self):
        """Whether the node answers a protocol header with a method frame (connection.start)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(5)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    @staticmethod
    def _session(leader):
        """The processes of a session that still run."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                        fields = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == leader and fields[0] != "Z":
                    found.append(int(entry))
        return found

    @classmethod
    def _end(cls, process):
        """Kills a session that `process` leads, and waits until it is gone."""
        if process is None:
            return
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while True:
            pids = cls._session(process.pid)
            if process.poll() is None and process.pid not in pids:
                pids.append(process.pid)
            if not pids:
                break
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                break
            process.poll()
            time.sleep(0.01)
        process.wait()
