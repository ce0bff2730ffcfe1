"""Laws of the repository: the tree that the README shows, one name everywhere, imports that point one way, nothing from elsewhere."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@cache
def tracked() -> tuple[str, ...]:
    """What git has; `safe.directory` because continuous integration may run as another user than the clone's."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return tuple(name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())


def modules(*folders: str) -> list[str]:
    """The tracked Python files below these folders."""
    return [name for name in tracked() if name.endswith(".py") and name.startswith(tuple(f"{f}/" for f in folders))]


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def imports(name: str) -> set[str]:
    """Every absolute dotted name that a file imports, inside functions too; `from a import b` gives a and a.b."""
    found: set[str] = set()
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(Path(name).parts[: -node.level]) if node.level else ""
            module = ".".join(part for part in (package, node.module) if part)
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def packages(name: str) -> set[str]:
    return {module.split(".")[0] for module in imports(name)}


def fresh_python(code: str) -> str:
    """What `code` prints in a Python of its own, started in the repository root."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# The README's tree


def tree() -> dict[str, str]:
    """path -> purpose, from the fenced block below "## The tree"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## The tree\n.*?^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block, 'README.md has no fenced block below "## The tree"'
    lines = [line for line in block.group(1).splitlines() if line.strip()]
    parts = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines]
    assert all(len(part) == 2 for part in parts), [part for part in parts if len(part) != 2]
    assert len({path for path, _ in parts}) == len(parts), "a path stands twice in the tree"
    return dict(parts)


def test_readme_tree_is_the_real_tree():
    """Each tracked file is a line, or lies in the one folder (its line ends with a slash) that stands for a group."""
    lines = tree()
    covering = {file: [p for p in lines if p == file or (p.endswith("/") and file.startswith(p))] for file in tracked()}
    assert [file for file, by in covering.items() if not by] == [], "files without a line in the README's tree"
    assert [file for file, by in covering.items() if len(by) > 1] == [], "files that two lines stand for"
    used = {path for by in covering.values() for path in by}
    assert [path for path in lines if path not in used] == [], "lines of the README's tree without a file"


def test_readme_links_lead_to_files():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [
        t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t and not t.startswith("#")
    ]
    assert [target for target in targets if target not in tracked()] == []


def test_every_module_says_what_it_is_for():
    assert [name for name in tracked() if name.endswith(".py") and not ast.get_docstring(parsed(name))] == []


# One name everywhere


@cache
def analyses() -> list[str]:
    return json.loads(
        fresh_python("import json; from model_utils.analyses import ANALYSES; print(json.dumps([*ANALYSES]))")
    )


@cache
def pages() -> tuple[dict[str, list[str]], list[str]]:
    """(page -> the analyses that it shows, those that every page shows)"""
    code = "import json; from dashboard import pages; print(json.dumps([pages.PAGES, pages.EVERY_PAGE]))"
    return json.loads(fresh_python(code))


def test_every_analysis_has_its_files():
    assert analyses()
    for name in analyses():
        assert {f"model_utils/{name}.py", f"model_utils/probes/{name}.py"} & set(tracked()), name
        for path in (f"model_utils/contracts/{name}.py", f"dashboard/figures/{name}.py", f"tests/test_{name}.py"):
            assert path in tracked(), f"the analysis {name} has no {path}"


def test_every_analysis_is_a_verb_of_the_command_line():
    told = subprocess.run(
        [sys.executable, "-m", "model_utils", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    verbs = set(re.findall(r"^  ([\w-]+)", told.stdout, re.MULTILINE))
    assert set(analyses()) <= verbs, told.stdout


def test_pages_show_every_analysis_and_no_unknown_one():
    here, everywhere = pages()
    assert {name for names in here.values() for name in names} | set(everywhere) == set(analyses())
    assert [page for page in here if f"dashboard/screens/{page}.py" not in tracked()] == []


# Imports


def test_model_layer_knows_no_screen():
    assert [name for name in modules("model_utils") if packages(name) & {"streamlit", "plotly", "dashboard"}] == []


def test_figures_know_only_results():
    for name in modules("dashboard/figures"):
        assert not packages(name) & {"streamlit", "torch", "transformers"}, name
        ours = {module for module in imports(name) if module.startswith("model_utils.")}
        allowed = ("model_utils.contracts", "model_utils.pair", "model_utils.errors")
        assert all(module.startswith(allowed) for module in ours), (name, ours)


def test_reports_know_no_screen():
    """So that a command can write one without starting anything."""
    for name in ["dashboard/spreadsheets.py", *modules("dashboard/report")]:
        assert not packages(name) & {"streamlit", "torch", "transformers"}, name
        assert not [one for one in imports(name) if one.startswith(("dashboard.widgets", "dashboard.session"))], name


def test_one_file_of_the_dashboard_touches_the_engine():
    users = [name for name in modules("dashboard") if any(m.startswith("model_utils.engine") for m in imports(name))]
    assert set(users) == {"dashboard/session/compute.py"}


LAYERS = (
    {
        "errors",
        "pair",
        "reporting",
        "contracts",
        "codec",
        "prompts",
        "demo",
        "demo.world",
        "demo.families",
        "demo.phrasing",
        "demo.pairs",
        "demo.documents",
    },  # demo/__init__.py says where the weights lie; the world that they know needs nothing of Candor
    {"hub", "checkpoints", "loading", "network", "anatomy", "heap"},
    set(),  # the topics: all that is named nowhere else here
    {"analyses"},
    {"engine", "records"},
    {
        "__main__",
        "command_line",
        "bench",
        "bench_attention",
        "bench_findings",
        "bench_generation",
        "bench_probes",
        "bench_records",
        "demo.",
    },  # the other files of demo use Candor as anyone may
)


def layer(module: str) -> int:
    """Of a dotted name without `model_utils.`, such as contracts.generation."""
    names = {module, module.split(".")[0] + ("." if module.startswith("demo.") else "")}
    return next((i for i, members in enumerate(LAYERS) if names & members), 2)


def test_imports_of_the_model_layer_point_one_way():
    known = {n.removeprefix("model_utils/").removesuffix(".py").replace("/", ".") for n in modules("model_utils")}
    known = {name.removesuffix(".__init__") for name in known}
    for name in modules("model_utils"):
        own = name.removeprefix("model_utils/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        used = {module.removeprefix("model_utils.") for module in imports(name)} & known - {"__init__"}
        assert [module for module in used if layer(module) > layer(own)] == [], f"{name} imports upwards"


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        "model_utils.engine",
        "model_utils.__main__",
        "model_utils.probes.suites, model_utils.probes.perturbations",
        "dashboard.session.address",
        "dashboard.app",
    ],
)
def test_what_starts_first_starts_without_torch(what: str):
    """torch and transformers take seconds to import; the compute thread does that while the page already shows."""
    code = f"import sys, {what}; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    assert fresh_python(code).splitlines()[-1] == "[]"


def test_the_readme_lists_every_architecture_that_is_tested():
    from tests.architectures import ARCHITECTURES

    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| architecture |")[2]
    rows = [row.split("|")[1].strip() for row in table.split("\n\n")[0].splitlines()[2:]]
    plain = [re.sub(r"[ _-]", "", row.lower()) for row in rows]
    assert plain == [re.sub(r"_", "", name) for name in ARCHITECTURES]


IMPORTED_AS = {"scikit-learn": "sklearn"}


def test_requirements_are_what_is_imported():
    """A line that is commented out names an optional package: it may be imported, inside the function that needs it."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    required = {IMPORTED_AS.get(name, name) for name in re.findall(r"^([\w-]+)[<>=~]", text, re.MULTILINE)}
    optional = set(re.findall(r"^# *([\w-]+)[<>=~]", text, re.MULTILINE))
    used = {package for name in modules("model_utils", "dashboard") for package in packages(name)}
    used -= {*sys.stdlib_module_names, "model_utils", "dashboard", "__main__"}
    assert used - required - optional == set(), "imported, not in requirements.txt"
    assert required - used == set(), "in requirements.txt, not imported"


# Nothing from elsewhere


def test_no_pickle():
    """Neither the module nor an option or method of another one: a file that somebody sends must not run code."""
    words = ("pickle", "joblib", "shelve", "marshal")
    for name in modules("model_utils", "dashboard"):
        assert not packages(name) & {*words, "dill", "cloudpickle"}, name
        for node in ast.walk(parsed(name)):
            attribute = getattr(node, "attr", None) or getattr(node, "arg", None) or ""
            assert not isinstance(attribute, str) or "pickle" not in attribute, (name, attribute)
            unsafe = isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"
            assert not unsafe, f"{name} calls torch.load; weights are safetensors"


def test_no_text_becomes_a_program():
    """What somebody sends is read as data; only what lies here is run."""
    for name in modules("model_utils", "dashboard"):
        for node in ast.walk(parsed(name)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("eval", "exec", "compile", "__import__"), f"{name} calls {called}"
        assert "yaml" not in packages(name), f"{name} imports yaml, which can build any object"
    for name in tracked():
        if name.startswith("dashboard/") and name.endswith(".js"):
            assert not re.search(r"(?<![\w.])eval\(|new Function\(", (ROOT / name).read_text(encoding="utf-8")), name


def test_only_ci_names_the_folder_beside_the_repository():
    folder = "../" + "shared"
    naming = [name for name in tracked() if folder.encode() in (ROOT / name).read_bytes()]
    assert set(naming) <= {".ci/run"}


def test_page_code_loads_nothing_from_the_network():
    """Links that a person may follow are fine in Python files; scripts, styles, fonts and images from elsewhere are not."""
    elsewhere = r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org/(?:2000/svg|1999/xlink|1999/xhtml))"
    loading = r"""(?:src\s*=|@import|url\(|import\s*\(|from\s*["']|fetch\()\s*["'(]*\s*https?://"""
    for name in tracked():
        if name.startswith("dashboard/") and name.endswith((".js", ".css", ".html", ".svg", ".py")):
            pattern = loading if name.endswith(".py") else elsewhere
            assert not re.search(pattern, (ROOT / name).read_text(encoding="utf-8")), name


def test_streamlit_serves_this_machine_and_reports_nothing():
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["address"] == "127.0.0.1"
    assert "://" not in str(config["theme"]), "fonts come from this server"
