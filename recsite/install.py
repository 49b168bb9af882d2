"""Makes the environment in `.venv` and keeps it equal to a lock file: `python3 recsite/install.py run|dev|proof`.

Run by the Makefile with the machine's own Python, before anything is installed: standard library only, and no syntax
that an old Python can't read, so that it can say what is wrong with it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
NEEDS = {"run": "running", "dev": "developing", "proof": "proving"}


def fail(message):
    # type: (str) -> None
    sys.exit("\n" + message)


def check_machine():
    # type: () -> None
    if sys.version_info < OLDEST:
        fail(
            "Python %d.%d or newer is needed; this is %d.%d (%s).\n"
            "If a newer one is installed, name it: make PYTHON=python3.12 run"
            % (OLDEST[0], OLDEST[1], sys.version_info[0], sys.version_info[1], sys.executable)
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail("Python's venv module is missing. On Debian and Ubuntu: apt install python3-venv")


def wanted(kind):
    # type: (str) -> str
    """What the stamp says when this lock file is installed for this Python."""
    with open(os.path.join(ROOT, "requirements", kind + ".txt"), "rb") as file:
        return "%s %s %s" % (hashlib.sha256(file.read()).hexdigest(), sys.version.split()[0], os.path.realpath(sys.executable))


def stamp(kind):
    # type: (str) -> str
    return os.path.join(VENV, ".installed-" + kind)


def installed(kind):
    # type: (str) -> bool
    try:
        with open(stamp(kind)) as file:
            return file.read() == wanted(kind)
    except OSError:
        return False


def usable():
    # type: () -> bool
    """Whether .venv is whole and of this Python's version: an interrupted creation leaves it without pip, a removed
    Python without an interpreter, and `make PYTHON=...` may name another one than it was made with."""
    probe = "import pip, sys; sys.exit(sys.version_info[:2] != %r)" % (tuple(sys.version_info[:2]),)
    try:
        return subprocess.call([PYTHON, "-c", probe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def install(kind):
    # type: (str) -> None
    if os.path.isdir(VENV) and not usable():
        print("Removing .venv, which is incomplete or of another Python", flush=True)
        shutil.rmtree(VENV)
    if not os.path.isdir(VENV):
        print("Making the environment in .venv", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
            fail("The environment could not be made. On Debian and Ubuntu: apt install python3-venv")
    print("Installing what %s needs (a minute or two the first time)" % NEEDS[kind], flush=True)
    # No stamp while installing: an interrupted install is done again. What proofs need comes on top of the rest, at the
    # same versions where both have a package.
    for each in ("proof",) if kind == "proof" else ("run", "dev", "proof"):
        if os.path.exists(stamp(each)):
            os.remove(stamp(each))
    lock = os.path.join(ROOT, "requirements", kind + ".txt")
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r"]
    if subprocess.call(command + [lock]) != 0:
        fail("pip could not install %s; its message is above. Run the same command again to go on." % os.path.relpath(lock, ROOT))
    # The development lock holds all that running needs, at the same versions.
    for each in ("run", "dev") if kind == "dev" else (kind,):
        with open(stamp(each) + ".new", "w") as file:
            file.write(wanted(each))
        os.replace(stamp(each) + ".new", stamp(each))


def main():
    # type: () -> None
    check_machine()
    kind = sys.argv[1]
    # Two makes at once: the second waits, and finds it done.
    directory = os.open(os.path.join(ROOT, "requirements"), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    if not (usable() and installed(kind)):
        install(kind)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("Interrupted. Run the same command again to go on.")
