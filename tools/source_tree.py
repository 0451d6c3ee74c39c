"""What the checks share: the files of the tree as git knows them, and C++ text without comments."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def files(*patterns):
    """Paths (relative to the root) that git tracks or would track, matching any of the patterns."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    command += ["--exclude-standard", "--", *patterns]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in set(names) if name and (ROOT / name).is_file())


def read(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


_SKIPPED = re.compile(
    r"""
    //[^\n]* | /\*.*?\*/                       # comments
  | R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"  # raw strings
  | "(?:\\.|[^"\\\n])*"                        # strings
  | '(?:\\.|[^'\\\n])+'(?<![0-9]')             # characters
  | (?m:^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)        # preprocessor lines with their continuations
    """,
    re.VERBOSE | re.DOTALL,
)
_DIGIT_SEPARATOR = re.compile(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])")


def code_only(text):
    """C++ text with comments, literals and preprocessor lines blanked; line numbers stay."""
    text = _DIGIT_SEPARATOR.sub("_", text)
    return _SKIPPED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


_RAW_STRING = re.compile(r'R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"', re.DOTALL)


def without_raw_strings(text):
    """C++ text with the insides of raw strings taken out; line numbers stay."""
    return _RAW_STRING.sub(lambda match: 'R""' + "\n" * match.group().count("\n"), text)


def report(problems, what_to_do):
    """Prints the problems; the exit status of a check."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problems. {what_to_do}")
    return 1 if problems else 0
