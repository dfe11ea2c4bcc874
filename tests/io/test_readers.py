"""Every artefact is read by the readers of recbole_sda/io: no other file parses JSON, YAML, tensors or tables itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLS = re.compile(
    r"\bjson\.loads?\(|\byaml\.(safe_|full_|unsafe_)?load\w*\(|\bnp\.(load|fromfile|loadtxt|genfromtxt)\(|\btorch\.load\(|"
    r"\bload_file\(|\bsafe_open\(|\bread_table\(|\bpd\.read_\w+\(|\bParquetFile\(|\.read_text\(|\bpickle\.loads?\(|(?<![\w.])eval\("
)
READERS = {
    "json",
    "yaml",
    "tensors",
    "parquet",
    "checkpoint",
    "regular_file",
    "atomic_table",
}  # modules of recbole_sda/io
ALLOWED = {  # file -> what it reads itself, and why
    "recbole_sda/io/text.py": {"json.loads("},  # what json.dumps has just made
    "recbole_sda/io/html.py": {".read_text("},  # templates of the package
    "recbole_sda/config/known_keys.py": {"yaml.load(", ".read_text("},  # RecBole's own files and code
    "recbole_sda/model/model_files.py": {".read_text("},  # source files of installed packages
    "recbole_sda/cli/run.py": {".read_text("},  # properties/ of the package
    "recbole_sda/cli/lvlm.py": {".read_text("},  # likewise
    "recbole_sda/machine/memory.py": {".read_text("},  # /proc
    "recbole_sda/lvlm/shards.py": {"json.loads("},  # what json.dumps has just made
    "recbole_sda/data/eval_negatives.py": {
        "np.load("
    },  # an archive of drawn negatives, drawn again where it is damaged
    "recbole_sda/recbole_plugin.py": {"torch.load("},  # RecBole's own checkpoints, by RecBole's own function
    "recbole_sda/recbole_patches/libraries.py": {"torch.load("},  # likewise
    "recbole_sda/data/atomic_rows.py": {"pd.read_csv("},  # all lines as they are, before RecBole reads them
    "recbole_sda/recbole_patches/scoped.py": {"pandas.read_csv("},  # RecBole's own reader
    "recbole_sda/tune/trial.py": {".read_text("},  # text to hash
}
FILES = sorted([*(ROOT / "recbole_sda").rglob("*.py"), *(ROOT / "dataset_prep").rglob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_readers_parse(path):
    if path.parent.name == "io" and path.stem in READERS:
        return
    code = "\n".join(line for line in path.read_text().split("\n") if ">>>" not in line and "``" not in line)
    found = {match.group(0) for match in CALLS.finditer(code)} - {"literal_eval("}
    assert found <= ALLOWED.get(str(path.relative_to(ROOT)), set())
