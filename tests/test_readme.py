"""Every command of the README runs as it stands; training is only made shorter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqgen import modeldir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
INSTALLING = [block for block in BLOCKS if "pip install" in block]  # run by .ci/run, in an environment of their own
COMMANDS = "".join(block for block in BLOCKS if block not in INSTALLING)


def shortened(commands: str) -> str:
    commands = re.sub(r"--(minutes|steps) [\d.]+", "--steps 3", commands)
    commands = re.sub(r"train-lm data.txt$", "train-lm data.txt --steps 3", commands, flags=re.MULTILINE)
    return re.sub(r"train-lm (?!--resume)", "train-lm --hidden-size 8 ", commands)


def test_there_are_two_installing_commands_and_the_others_are_found() -> None:
    assert [("pytest" in block) for block in INSTALLING] == [False, True]
    assert len(COMMANDS.splitlines()) > 8


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    shipped = modeldir.shipped_directory()
    if shipped is None or not (shipped / "shakespeare-lstm").is_dir():
        pytest.skip("the commands use the shipped model")
    (tmp_path / "data.txt").write_text("ROMEO:\nBut, soft! what light through yonder window breaks?\n" * 40)
    script = f'seqgen() {{ "{sys.executable}" -m seqgen "$@"; }}\nset -ex\n{shortened(COMMANDS)}'
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "models" / "data-lstm" / "MANIFEST.json").is_file()
    assert (tmp_path / "hamlet.txt").read_text().startswith("To be, or not")
