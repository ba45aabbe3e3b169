"""Programs that hand out more than they seem to when they run as admin.

How a program is left: from ``inside``, whatever its arguments are (editors, pagers, consoles); by ``choice`` of an argument (an
option that runs, reads, writes or loads what it is told); or as ``code``, since its arguments are a program.
What is got: a shell, any file read or written, or code loaded. The list is short and our own; `more` adds that of others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

INSIDE = "inside"
CHOICE = "choice"
CODE = "code"

_SUFFIX = re.compile(r"[-.]?\d[\d.]*$")


@dataclass(frozen=True, slots=True)
class Danger:
    """What a program hands out, and how it is left."""

    gives: str
    how: str


def _table(*groups: tuple[str, str, str]) -> Mapping[str, Danger]:
    return MappingProxyType({name: Danger(gives, how) for gives, how, names in groups for name in names.split()})


# Where a program stands in several groups, the last one counts: the worst stands last.
PROGRAMS = _table(
    (
        "any file read",
        CHOICE,
        """
        base32 base64 basenc bzcat cat cksum cmp column comm csplit cut diff egrep expand fgrep file fmt fold grep
        gzip head hexdump iconv join look md5sum nl od paste pr rev sha1sum sha256sum sort strings tac tail tr ul
        unexpand uniq wc xxd xz zcat zstd
        """,
    ),
    (
        "any file written",
        CHOICE,
        """
        chattr chgrp chmod chown chpasswd cp cpio curl dd dpkg-divert fallocate gpasswd groupadd groupmod install ln
        mkfs mknod mount mv openssl passwd patch rename rm setcap setfacl shred shuf split sponge swapon tee touch
        truncate unzip update-alternatives useradd userdel usermod wget
        """,
    ),
    (
        "code loaded",
        CHOICE,
        """
        apache2ctl bpftool depmod insmod kexec kmod ldconfig losetup modprobe nginx rmmod ssh-keygen sysctl udevadm
        """,
    ),
    (
        "a shell",
        CHOICE,
        """
        7z ansible ansible-playbook apt apt-get aptitude arp-scan at batch bpftrace bundle bwrap capsh cargo certbot
        cgexec chroot chrt cmake composer cpan crash crontab ctr dhclient dnf doas docker dpkg dpkg-reconfigure env
        find firejail flatpak flock g++ gcc gem git go gradle helm ionice ip journalctl kubectl ld ldd logrotate
        logsave ltrace lxc make mvn nc ncat nerdctl newgrp nice nmap nohup npm npx nsenter openvpn pacman parallel
        perf pip pipx pkexec pnpm podman poetry prlimit puppet rpm rsync run-mailcap run-parts runc runuser salt-call
        scp screen script sed setarch setpriv setsid sftp sg skopeo snap socat ssh start-stop-daemon stdbuf strace su
        sudo systemctl systemd-nspawn systemd-run tar taskset tcpdump terraform time timeout tmux tshark unshare uv
        valgrind virsh virtualenv visudo watch wireshark xargs yarn yum zip zypper
        """,
    ),
    (
        "a shell",
        INSIDE,
        """
        cfdisk ed emacs ex fdisk ftp gdb gdisk htop info ipython irb jed joe less lftp links lldb lynx mail mailx man
        mc mcedit micro more most mutt mysql nano nvim parted pg pico psql redis-cli rnano rview rvim sqlite telnet
        top vi view vigr vim vimdiff vipw w3m
        """,
    ),
    (
        "a shell",
        CODE,
        """
        R Rscript ash awk bash bc busybox csh dash dc deno dotnet elixir elvish erl expect fish gawk ghci groovy guile
        iex java jjs jq jrunscript jshell julia ksh lua luajit m4 mawk mksh mono nawk node nodejs nu octave perl php
        pwsh pypy python rbash rc ruby scala sh tclsh tcsh wish yash zsh
        """,
    ),
)


def danger_of(path: str, more: Mapping[str, Danger]) -> Danger | None:
    """Give what the program at ``path`` hands out; a version at the end of its name does not count."""
    name = path.rsplit("/", 1)[-1]
    for known in (name, _SUFFIX.sub("", name)):
        found = PROGRAMS.get(known) or more.get(known)
        if found is not None:
            return found
    return None


_FUNCTIONS = MappingProxyType(
    {
        "shell": Danger("a shell", CHOICE),
        "command": Danger("a shell", CHOICE),
        "file-download": Danger("any file written", CHOICE),
        "file-write": Danger("any file written", CHOICE),
        "file-read": Danger("any file read", CHOICE),
        "library-load": Danger("code loaded", CHOICE),
    }
)
"""What the functions of an entry give, the worst first."""

_FUNCTION_LINE = re.compile(r"^ {0,4}([a-z-]+):", re.MULTILINE)


def read_gtfobins(name: str, text: str) -> dict[str, Danger]:
    """Read one entry of a checkout of the GTFOBins project: ``name`` is the program, ``text`` begins with its YAML."""
    functions = set(_FUNCTION_LINE.findall(text[:65_536]))
    worst = next((danger for function, danger in _FUNCTIONS.items() if function in functions), None)
    return {name.removesuffix(".md"): worst} if worst else {}


_ENVIRONMENT = """
BASH_ENV EDITOR ENV GCONV_PATH GIT_CONFIG_GLOBAL GIT_EDITOR GIT_PAGER GIT_SSH_COMMAND HOME IFS JAVA_TOOL_OPTIONS
LD_AUDIT LD_LIBRARY_PATH LD_PRELOAD LESSOPEN NODE_OPTIONS PAGER PATH PERL5LIB PERL5OPT PROMPT_COMMAND PS4 PYTHONHOME
PYTHONPATH PYTHONSTARTUP RUBYLIB RUBYOPT SHELLOPTS VISUAL
"""

ENVIRONMENT = frozenset(_ENVIRONMENT.split())
"""Names that decide which code a program runs."""
