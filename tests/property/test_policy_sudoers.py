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
RUNAS = st.sampled_from(
    (
        *("", "(root) ", "(ALL) ", "(ALL, !root) ", "(games) ", "(:games) ", "(ADMINS) ", "(#0) ", "()", "(:)"),
        *("(games : games)", "(root, nobody : nogroup)", "(nobody, !games)", "(games, !nobody, nobody)", "(games, !ALL)"),
        *("(#5, nobody)", "(nobody, !#65534)", "(%games, nobody)", "(nobody, !%nogroup)", "(ALL : ALL)", "(:games, !nogroup)"),
        *("(!root, games)", "(ADMINS, nobody : ADMINS)", "(!ADMINS, nobody)", "(daemon)", "(daemon : games)", "(nobody : #60)"),
    )
)
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
TARGETS = tuple((user, group) for user in ("", "games", "nobody", "daemon") for group in ("", "games", "nogroup"))
"""As whom: user and group, each perhaps not asked for."""
Asked = tuple[str, tuple[str, str], list[str]]
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


def allowed(policy: Policy) -> list[Asked]:
    """Give who may run what as whom, of all that the test asks."""
    words = ([], *([one] for one in WORDS), ["-l", "a"])
    commands = [[path, *more] for path in PROGRAMS for more in words]
    asked: list[Asked] = [
        (user, whom, argv)
        for user in PEOPLE
        for whom in TARGETS
        for argv in (commands[::11] if any(whom) else commands)
        if whom[0] != user or not whom[1]  # the same as the group alone
    ]
    return [one for one in asked if isinstance(policy.decide(_question(*one)), Allow)]


def _question(user: str, whom: tuple[str, str], argv: list[str]) -> Question:
    # A group alone is asked for the asking user, as the host's inspection says.
    facts = {"run_as": whom[0] or (user if whom[1] else ""), "run_as_group": whom[1]}
    task = {"kind": "process.run", "path": os.path.realpath(argv[0]), "arguments": argv[1:]}
    task |= {name: value for name, value in facts.items() if value}
    return question({"user": user, "groups": groups_of(user), "machine": HOST, "task": task})


def denied_by_sudo(file: Path, asked: list[Asked]) -> list[str]:
    """Ask sudo, with ``file`` in the place of its own."""
    script = ['mount --bind "$1" /etc/sudoers || exit 99']
    for user, whom, argv in asked:
        words = " ".join(f"'{word}'" for word in argv)
        options = " ".join(f"-{letter} {name}" for letter, name in zip("ug", whom, strict=True) if name)
        told = " ".join((user, *filter(None, [options]), *argv))
        forms = [options, f"-u {user} {options}"] if whom[1] and not whom[0] else [options]
        tried = " || ".join(f"sudo -n -l -U {user} {form} {words} >/dev/null 2>&1" for form in forms)
        script.append(f'{tried} || echo "{told}"')
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


def test_the_oracle_tells_another_user_and_group(tmp_path: Path) -> None:
    """Asked as somebody as whom the line does not run, sudo says no."""
    file = tmp_path / "sudoers"
    file.write_text(ALIASES + f"daemon {HOST} = (games : nogroup) /bin/ls\n")
    file.chmod(0o440)
    asked: list[Asked] = [("daemon", whom, ["/bin/ls"]) for whom in TARGETS]

    told = denied_by_sudo(file, asked)

    assert "daemon -u games -g nogroup /bin/ls" not in told
    assert {"daemon /bin/ls", "daemon -u nobody /bin/ls", "daemon -u nobody -g nogroup /bin/ls"} <= set(told)
