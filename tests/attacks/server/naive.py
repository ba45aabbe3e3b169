"""A deliberately naive broker: root, a socket, a PIN and a token, and each mistake of the table of attacks, by its row.

A program: ``python -m tests.attacks.server.naive FOLDER SOCKET``. One JSON object a line, one answer each. It is
what one writes first; whatever `tests.attacks.real` mounts against the true daemon succeeds here, so those tests can fail.
"""

import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jwt

Message = dict[str, Any]
HELPER = "import json, sys; open(sys.argv[1], 'w').write(json.loads(sys.stdin.read())['data'])"
TRIES = 3


class Naive:
    """The broker's state; all of it lies where others can write (rows 11, 33, 42)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = b"secret-of-the-naive-broker-32-by"
        self.spent: set[str] = set()
        self.failures = 0
        self.log = folder / "log"
        self.pins: dict[str, str] = json.loads((folder / "pins.json").read_text())
        self.secret = os.open(folder / "pins.json", os.O_RDONLY)
        os.set_inheritable(self.secret, True)  # noqa: FBT003 - row 29: children get what is open

    def serve(self, address: str) -> None:
        """Read in the one loop (row 36), then answer in a thread."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        Path(address).chmod(0o666)
        listener.listen(64)
        print("ready", flush=True)  # noqa: T201 - tells the test
        while True:
            connection, _ = listener.accept()
            stream = connection.makefile("rw")
            line = stream.readline()
            threading.Thread(target=self._answer, args=(connection, stream, line), daemon=True).start()

    def _answer(self, connection: socket.socket, stream: Any, line: str) -> None:  # noqa: ANN401 - a text stream
        try:
            while line:
                try:
                    told = getattr(self, f"do_{json.loads(line)['op']}")(json.loads(line), connection)
                except Exception as error:  # noqa: BLE001 - the loop goes on
                    told = {"error": f"{type(error).__name__}: {error}"}
                stream.write(json.dumps(told) + "\n")
                stream.flush()
                line = stream.readline()
        except (OSError, ValueError):
            return

    def do_ask(self, message: Message, connection: socket.socket) -> Message:
        """Look, decide, ask for the PIN, write the log, give a token that anybody may carry (row 15)."""
        user = self.identify(message, connection)
        env = message.get("env", {})
        if "SSH_CONNECTION" in env:  # row 39
            raise PermissionError("remote")
        path = command(message)
        self.decide(message, user, path)
        if user != "root" and not message.get("simulate"):  # row 46
            self.authenticate(message, user)
        self.write_log(f"{user} runs {message['argv']}: {message.get('reason', '')}\n")
        if message.get("now"):
            return execute({"path": path, **message})
        claims = {"argv": message["argv"], "path": path, "sub": user, "exp": int(self.now()) + 30, "jti": os.urandom(8).hex()}
        return {"token": jwt.encode(claims, self.key, algorithm="HS256"), "claims": claims}

    def do_run(self, message: Message, _connection: socket.socket) -> Message:
        """Look whether it was used, then note that it was (row 14); what runs is said again by the caller (rows 16, 48)."""
        token = message["token"]
        claims = self.verify(token)
        name = token + message.get("redeem_id", "")  # row 47: a retry with an id of its own is another one
        if name in self.spent:
            raise PermissionError("spent")
        time.sleep(0.05)  # the database
        self.spent.add(name)
        subject = message.get("user", claims["sub"])
        self.write_log(f"{subject} started it\n")
        return execute({**claims, **message})

    def do_debug_run(self, message: Message, _connection: socket.socket) -> Message:
        """A second way to admin, with nobody asked (row 40)."""
        return execute({"path": command(message), **message})

    def do_write(self, message: Message, _connection: socket.socket) -> Message:
        """Write a file by its path (row 11), with a helper that starts where the caller is (row 3)."""
        data = json.dumps({"data": message["data"]})
        argv = ["/usr/bin/python3", "-c", HELPER, message["path"]]
        done = subprocess.run(argv, input=data, cwd=message["cwd"], capture_output=True, text=True, check=False)
        return {"status": done.returncode, "out": done.stderr}

    def do_remove(self, message: Message, _connection: socket.socket) -> Message:
        """Put a name into a command line (row 17)."""
        line = f"echo removing {message['package']}"
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - the mistake
        return {"status": done.returncode, "out": done.stdout}

    def do_enrol(self, message: Message, connection: socket.socket) -> Message:
        """Take a new PIN from any process of the user (row 45)."""
        self.pins[self.identify(message, connection)] = message["pin"]
        return {}

    def do_phrase(self, message: Message, connection: socket.socket) -> Message:
        """The client draws the prompt, so it is told the phrase (row 25)."""
        return {"phrase": self.pins[f"phrase of {self.identify(message, connection)}"]}

    def do_status(self, _message: Message, _connection: socket.socket) -> Message:
        """Say that it lives."""
        return {"pid": os.getpid()}

    def do_restart(self, _message: Message, _connection: socket.socket) -> Message:
        """Forget what is in memory only, as a restart does (row 13)."""
        self.spent.clear()
        self.failures = 0
        return {}

    def identify(self, message: Message, connection: socket.socket) -> str:
        """Look up the process of this number, when it is needed (row 22); what can't be looked up is uid 0 (row 23)."""
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = int.from_bytes(packed[:4], sys.byteorder)
        time.sleep(message.get("slow", 0))  # a directory service
        try:
            uid = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - shorter
        except FileNotFoundError:
            uid = 0
        return pwd.getpwuid(uid).pw_name

    def decide(self, message: Message, user: str, path: str) -> None:
        """Ask the policy, of the caller's choice (row 18), from a folder that others can write (row 33)."""
        policy = json.loads(Path(message.get("policy", self.folder / "policy" / "rules.json")).read_text())
        if path in policy["deny"]:
            raise PermissionError("denied")
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()  # rows 8 and 9: it is opened again later
        if not any(digest == allowed or path.startswith(allowed) for allowed in policy["allow"]):
            raise PermissionError(f"denied: {user}, {path}")
        if message.get("run_as") == 0 and "!root" in policy["run_as"]:  # rows 17 and 34
            raise PermissionError("not as root")

    def authenticate(self, message: Message, user: str) -> None:
        """One counter for everybody (row 49), any number of prompts (row 35), the PIN through the client (row 25)."""
        if self.failures >= TRIES:
            raise PermissionError("locked out")
        typed = message.get("pin") or prompt(message, user)
        if typed != self.pins.get(user):
            self.failures += message.get("pin") is not None
            raise PermissionError("wrong PIN")

    def write_log(self, line: str) -> None:
        """Append by path (row 11), raw (row 37); what can't be written is not worth an outage (row 41)."""
        try:
            with self.log.open("a") as file:
                file.write(line)
        except OSError:
            return

    def verify(self, token: str) -> Message:
        """Let the token say how it wants to be checked (row 19), and check what it happens to have (row 20)."""
        algorithm = jwt.get_unverified_header(token)["alg"]
        key = self.key if algorithm != "none" else None
        options = {"verify_signature": algorithm != "none", "verify_exp": False}
        claims = jwt.decode(token, key or b"", algorithms=[algorithm], options=options)  # type: ignore[arg-type]
        if "exp" in claims and float(claims["exp"]) <= self.now():  # row 21: the wall clock
            raise PermissionError("expired")
        return dict(claims)

    def now(self) -> float:
        """Give the wall clock, which somebody may step; the file says how far."""
        step = self.folder / "clock"
        return time.time_ns() / 1e9 + float(step.read_text() if step.exists() else 0)


def command(message: Message) -> str:
    """Find the command on the caller's PATH (row 4)."""
    name = message.get("path") or message["argv"][0]
    if "/" in name:
        return os.path.join(message["cwd"], name)  # noqa: PTH118 - shorter
    return shutil.which(name, path=message.get("env", {}).get("PATH", os.defpath)) or name


def prompt(message: Message, user: str) -> str:
    """Ask on the terminal of this name; show what came as it came (row 37), leave what was typed (row 38)."""
    fd = os.open(message["tty"], os.O_RDWR | os.O_NOCTTY)
    os.write(fd, f"{user} wants {message['argv']}: {message.get('reason', '')}\r\nPIN: ".encode())
    time.sleep(message.get("patience", 0.1))
    os.close(fd)
    return ""


def execute(message: Message) -> Message:
    """Run a path with what the caller's surroundings give (rows 1 to 6, 12, 26 to 30, 32)."""
    session = Path(message.get("session", "/run/naive/session"))
    session.mkdir(exist_ok=True)  # row 12
    env = {"HOME": str(session), **message.get("env", {})}
    stdin = open(message["tty"]) if "tty" in message else subprocess.DEVNULL  # noqa: SIM115, PTH123 - the task's
    uid = message.get("run_as", -1)
    gid = pwd.getpwuid(uid).pw_gid if uid > 0 else -1
    started = subprocess.Popen(
        message["argv"],
        executable=message["path"],
        env=env,
        cwd=message.get("cwd"),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,
        preexec_fn=lambda: become(uid, gid),  # noqa: PLW1509 - the mistakes are in it
    )
    out, _ = started.communicate()
    return {"status": started.returncode, "out": out.decode(errors="replace")}


def become(uid: int, gid: int) -> None:
    """Change the numbers: -1 changes nothing (row 17), and the groups stay (row 30)."""
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


if __name__ == "__main__":
    os.setgroups([0])
    Naive(Path(sys.argv[1])).serve(sys.argv[2])
