"""The import of a sudoers file never allows what sudo itself denies: generated files, asked of sudo in a mount namespace."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elevate.model import Allow
from elevate.policy import Policy, Question, Source, load, question
from elevate.policy.importers import import_sudoers

pytestmark = [pytest.mark.root, pytest.mark.service]

PEOPLE = ("daemon", "games", "nobody")
HOST = socket.gethostname().split(".")[0]
SOAK = 200 if os.environ.get("ELEVATE_SOAK") == "1" else 40

PROGRAMS = ("/bin/ls", "/usr/bin/ls", "/usr/bin/id", "/bin/cat", "/usr/bin/su")
WORDS = ("-l", "/etc/hosts", "a", "b c")
USERS = st.sampled_from((*PEOPLE, "ALL", "%games", "%nogroup", "!daemon", "!nobody", "!%games", "PEOPLE", "!PEOPLE", "#65534"))
HOSTS = st.sampled_from(("ALL", "ALL", "ALL", HOST, "elsewhere", f"!{HOST}"))
RUNAS = st.sampled_from(("", "(root) ", "(ALL) ", "(ALL, !root) ", "(games) ", "(:games) ", "(ADMINS) ", "(#0) "))
TAGS = st.sampled_from(("", "NOPASSWD: ", "NOEXEC: ", "SETENV: "))
COMMANDS = st.sampled_from(
    (
        "ALL",
        "!ALL",
        *PROGRAMS,
        *(f"!{path}" for path in PROGRAMS),
        '/bin/ls ""',
        "/bin/ls -l",
        "/bin/ls -l a",
        "/bin/ls *",
        "/usr/bin/id ?",
        "!/bin/ls -l",
        "/bin/l*",
        "!/usr/bin/l*",
        "/usr/bin/",
        "!/bin/",
        "/bin/cat /etc/*",
        "LISTING",
        "!LISTING",
    )
)
ALIASES = """Defaults !fqdn
User_Alias PEOPLE = games, !nobody
Runas_Alias ADMINS = root, games
Cmnd_Alias LISTING = /bin/ls, !/usr/bin/ls -l
"""


@st.composite
def sudoers(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        users = ", ".join(draw(st.lists(USERS, min_size=1, max_size=3)))
        commands = ", ".join(draw(st.lists(COMMANDS, min_size=1, max_size=3)))
        lines.append(f"{users} {draw(HOSTS)} = {draw(RUNAS)}{draw(TAGS)}{commands}")
    return ALIASES + "\n".join(lines) + "\n"


@pytest.fixture(scope="module", autouse=True)
def _sudo_is_there() -> None:
    if os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("cvtsudoers"):
        pytest.skip("needs root, sudo and cvtsudoers")
    probe = subprocess.run(["/usr/bin/unshare", "-m", "true"], capture_output=True, check=False)
    if probe.returncode != 0 or not Path("/etc/sudoers").exists():
        pytest.skip("needs a mount namespace and /etc/sudoers")


def groups_of(user: str) -> list[str]:
    known = {entry.gr_name for entry in grp.getgrall() if user in entry.gr_mem}
    return sorted({grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name, *known})


def allowed(policy: Policy) -> list[tuple[str, list[str]]]:
    """Give who may run what, of all that the test asks."""
    asked = [
        (user, [path, *words]) for user in PEOPLE for path in PROGRAMS for words in ([], *([one] for one in WORDS), ["-l", "a"])
    ]
    return [(user, argv) for user, argv in asked if isinstance(policy.decide(_question(user, argv)), Allow)]


def _question(user: str, argv: list[str]) -> Question:
    task = {"kind": "process.run", "path": os.path.realpath(argv[0]), "arguments": argv[1:]}
    return question({"user": user, "groups": groups_of(user), "machine": HOST, "task": task})


def denied_by_sudo(file: Path, asked: list[tuple[str, list[str]]]) -> list[str]:
    """Ask sudo, with ``file`` in the place of its own."""
    script = ['mount --bind "$1" /etc/sudoers || exit 99']
    for user, argv in asked:
        words = " ".join(f"'{word}'" for word in argv)
        script.append(f'sudo -n -l -U {user} {words} >/dev/null 2>&1 || echo "{user} {" ".join(argv)}"')
    command = ["/usr/bin/unshare", "-m", "sh", "-c", "\n".join(script), "sh", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode != 99, done.stderr
    return done.stdout.splitlines()


@settings(max_examples=SOAK, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=sudoers())
def test_import_never_allows_what_sudo_denies(tmp_path: Path, text: str) -> None:
    """Whatever the imported rules allow, sudo allows too."""
    file = tmp_path / "sudoers"
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o440)
    converted = subprocess.run(["/usr/bin/cvtsudoers", "-f", "json", str(file)], capture_output=True, check=True)
    imported = import_sudoers(converted.stdout, resolve=os.path.realpath)
    policy = load([Source(name="s.toml", data=imported.toml().encode())])

    granted = allowed(policy)
    assert denied_by_sudo(file, granted) == []


def test_the_oracle_tells_a_wider_import(tmp_path: Path) -> None:
    """Rules that allow everything are told, so that the property can fail."""
    file = tmp_path / "sudoers"
    file.write_text(ALIASES + f"daemon {HOST} = /bin/ls -l\n")
    file.chmod(0o440)
    wide = load([Source(name="w.toml", data=b'[[rule]]\nid = "w"\neffect = "allow"\ntask = { kind = "process.run" }\n')])

    told = denied_by_sudo(file, allowed(wide))

    assert "games /usr/bin/id" in told
    assert "daemon /bin/ls -l" not in told
